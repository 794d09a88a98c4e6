"""Property tests take as long as the machine needs: a busy one is no failure."""

from hypothesis import settings

settings.register_profile("calm", deadline=None, max_examples=60)
settings.load_profile("calm")
