"""How many requests ran beside one another on a backend: integrals over time, so that a mean costs two readings."""

from collections import defaultdict
from collections.abc import Mapping

from zoe_grpcd.fleet.machine import Machine


class Crowd:
    """The requests at work on one backend, which is one of those on a machine. Seconds times requests."""

    __slots__ = ("_at", "_at_work", "_count", "_machine", "_of_model")

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._at = 0.0
        self._at_work: Mapping[str, int] = {}
        self._count = 0  # all of them
        self._of_model: dict[str, float] = defaultdict(float)  # integrals

    @property
    def neighbours(self) -> int:
        """Requests at work on the other backends of its machine."""
        return self._machine.at_work - self._count

    def pass_time(self, now: float) -> None:
        """Counts the time until now."""
        passed, self._at = max(0.0, now - self._at), max(now, self._at)
        for model, count in self._at_work.items():
            self._of_model[model] += count * passed
        self._machine.pass_time(now)

    def set(self, at_work: Mapping[str, int], others: int) -> None:
        """Who is at work from now on: requests of ours by model, and those of other people."""
        before, self._count = self._count, sum(at_work.values()) + others
        self._at_work = at_work
        self._machine.at_work += self._count - before

    def reading(self, model: str) -> tuple[float, float]:
        """The integrals over this model's requests here, and over all on the machine."""
        return self._of_model[model], self._machine.total
