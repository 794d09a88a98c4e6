"""Counts since the start, and of the last hour in slots of ten seconds: one record for whoever shows figures.

Rule: bounded. An hour of slots is kept, or with very many series less. Times are seconds of a monotonic clock.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.tally import Count, Ended

SLOT = 10.0
HOUR = 3600.0
# In all slots together.
MOST_TALLIES = 20_000


@dataclass(frozen=True, slots=True)
class Span:
    """What was counted in the last `seconds`, and the processor time that was used then."""

    seconds: float
    count: Count
    cpu_seconds: float


class Slot:
    """Ten seconds. `number`: how many slots the clock had before it; `cpu`: processor time at its beginning."""

    __slots__ = ("count", "cpu", "number")

    def __init__(self, number: int, cpu: float) -> None:
        self.number = number
        self.cpu = cpu
        self.count = Count()


class Statistics:
    """Takes in what happens as it happens. `started`: now; `cpu`: tells the processor time so far, in seconds."""

    def __init__(self, started: float = 0.0, cpu: Callable[[], float] = lambda: 0.0) -> None:
        self._started = started
        self._cpu = cpu
        self._before = Count()  # all that is not in the present slot
        self._slots: deque[Slot] = deque([Slot(int(started // SLOT), cpu())])
        self._tallies = 0  # in all slots but the present one
        self._kept_since = started

    # ------------------------------------------------------------------------------------------------- taking in

    def decided(self, decision: Decision, now: float) -> None:
        """A decision was made: it is acted on, or told."""
        count = self._present(now)
        deployment = decision.chosen.deployment
        count.decisions[deployment.model, deployment.backend, decision.reason] += 1
        count.decide.add(decision.decide_seconds)

    def ended(self, ended: Ended, now: float) -> None:
        """A request is over."""
        self._present(now).take(ended)

    def looked_up(self, now: float, *, hit: bool) -> None:
        """The cache was asked for an answer."""
        self._present(now).lookups["hit" if hit else "miss"] += 1

    def lagged(self, seconds: float, now: float) -> None:
        """Something on the event loop came so much later than it was due."""
        self._present(now).loop_lag.add(seconds)

    def _present(self, now: float) -> Count:
        present = self._slots[-1]
        if (number := int(now // SLOT)) <= present.number:
            return present.count
        self._before.merge(present.count)
        self._tallies += len(present.count.tallies)
        while self._slots and (self._tallies > MOST_TALLIES or self._slots[0].number < number - HOUR // SLOT):
            dropped = self._slots.popleft()
            self._tallies -= len(dropped.count.tallies)
            self._kept_since = (dropped.number + 1) * SLOT
        slot = Slot(number, self._cpu())
        self._slots.append(slot)
        return slot.count

    # ----------------------------------------------------------------------------------------------- giving out

    def since_start(self) -> Count:
        """Everything."""
        count = Count()
        count.merge(self._before)
        count.merge(self._slots[-1].count)
        return count

    def last(self, seconds: float, now: float) -> Span:
        """At least so many of the last seconds, up to an hour, in whole slots; or all, soon after the start."""
        count = Count()
        first = int((now - min(seconds, HOUR)) // SLOT)
        slots = [slot for slot in self._slots if slot.number >= first]
        for slot in slots:
            count.merge(slot.count)
        begun = max(self._started, first * SLOT, self._kept_since)
        used = self._cpu() - slots[0].cpu if slots else 0.0
        return Span(max(0.0, now - begun), count, used)

    def minute(self, number: int, now: float) -> Span:
        """One minute of the last hour, by how many the clock had before it; of 0 seconds if nothing was counted then."""
        count = Count()
        for slot in self._slots:
            if int(slot.number * SLOT // 60.0) == number:
                count.merge(slot.count)
        begun = max(self._started, number * 60.0, self._kept_since)
        return Span(max(0.0, min(now, (number + 1) * 60.0) - begun), count, 0.0)

    def seconds_since_start(self, now: float) -> float:
        """How long it has counted."""
        return now - self._started
