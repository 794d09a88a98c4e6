"""How many requests ran beside one another on a backend: integrals over time, so that a mean costs two readings."""

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from zoe_grpcd.fleet.machine import Machine


class Reading(NamedTuple):
    """Integrals over the requests for one model on a backend, over all on it, and over all on its machine."""

    own: float = 0.0
    here: float = 0.0
    machine: float = 0.0


class Crowd:
    """The requests at work on one backend, which is one of those on a machine."""

    __slots__ = ("_at", "_at_work", "_count", "_machine", "_of_model", "_total")

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._at = 0.0
        self._at_work: Mapping[str, int] = {}
        self._count = 0  # all of them
        # Integrals: seconds times requests.
        self._of_model: dict[str, float] = defaultdict(float)
        self._total = 0.0

    @property
    def neighbours(self) -> int:
        """Requests at work on the other backends of its machine."""
        return self._machine.at_work - self._count

    def pass_time(self, now: float) -> None:
        """Counts the time until now."""
        passed = now - self._at
        if passed <= 0:  # its machine is as far
            return
        self._at = now
        for model, count in self._at_work.items():
            self._of_model[model] += count * passed
        self._total += self._count * passed
        self._machine.pass_time(now)

    def set(self, at_work: Mapping[str, int], others: int) -> None:
        """Who is at work from now on: requests of ours by model, and those of other people."""
        before, self._count = self._count, sum(at_work.values()) + others
        self._at_work = at_work
        self._machine.at_work += self._count - before

    def reading(self, model: str) -> Reading:
        """The integrals at this moment."""
        return Reading(self._of_model[model], self._total, self._machine.total)
