"""How many requests ran beside one another on a backend: integrals over time, so that a mean costs two readings."""

from collections import defaultdict
from collections.abc import Mapping


class Crowd:
    """The requests at work on one backend. Seconds times requests, since the beginning."""

    __slots__ = ("_at", "_at_work", "_of_model", "_others", "_total")

    def __init__(self) -> None:
        self._at = 0.0
        self._at_work: Mapping[str, int] = {}
        self._others = 0  # of other people
        self._of_model: dict[str, float] = defaultdict(float)  # integrals
        self._total = 0.0

    def pass_time(self, now: float) -> None:
        """Counts the time until now."""
        passed, self._at = max(0.0, now - self._at), max(now, self._at)
        for model, count in self._at_work.items():
            self._of_model[model] += count * passed
        self._total += (sum(self._at_work.values()) + self._others) * passed

    def set(self, at_work: Mapping[str, int], others: int) -> None:
        """Who is at work from now on."""
        self._at_work, self._others = at_work, others

    def reading(self, model: str) -> tuple[float, float]:
        """The integrals over this model's requests, and over all."""
        return self._of_model[model], self._total
