"""Configurations to begin with, each explained in its own comments."""

from importlib import resources

NAMES = ("four-models", "home-assistant")


def text(name: str) -> str:
    """The file; `name` is one of `NAMES`."""
    return resources.files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
