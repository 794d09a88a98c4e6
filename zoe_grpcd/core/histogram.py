"""Durations, counted in classes: quantiles of any span of time come from adding the histograms of its parts.

The classes are the preferred numbers R20 (ISO 3), 20 a decade from 10 us to 1000 s: a quantile is off by at most 12 %,
and 1, 2, 2.5 and 5 of each decade are bounds, as whoever wants coarser classes needs them.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence

_R20 = (1, 1.12, 1.25, 1.4, 1.6, 1.8, 2, 2.24, 2.5, 2.8, 3.15, 3.55, 4, 4.5, 5, 5.6, 6.3, 7.1, 8, 9)
BOUNDS: Sequence[float] = (*(float(f"{m}e{e}") for e in range(-5, 3) for m in _R20), 1000.0)
"""Upper bounds of the classes in seconds; one more class holds what is longer."""


def class_of(seconds: float) -> int:
    """The class that a duration belongs to: the first whose bound is not below it."""
    return bisect_left(BOUNDS, seconds)


class Histogram:
    """Counts of durations. `largest` and `total` are in seconds."""

    __slots__ = ("counts", "largest", "total")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}  # by class
        self.total = 0.0
        self.largest = 0.0

    @property
    def count(self) -> int:
        """Durations so far."""
        return sum(self.counts.values())

    def add(self, seconds: float) -> None:
        """Counts one."""
        place = bisect_left(BOUNDS, seconds)
        self.counts[place] = self.counts.get(place, 0) + 1
        self.total += seconds
        if seconds > self.largest:  # noqa: PLR1730 - max() takes a third of the time that this method does
            self.largest = seconds

    def merge(self, other: "Histogram") -> None:
        """Counts all that another one has counted."""
        for place, count in other.counts.items():
            self.counts[place] = self.counts.get(place, 0) + count
        self.total += other.total
        self.largest = max(self.largest, other.largest)

    def quantile(self, q: float) -> float:
        """The q-quantile (0..1) in seconds, evenly spread within its class; 0 if nothing was counted."""
        rank = max(1, math.ceil(q * self.count))
        for place in sorted(self.counts):
            count = self.counts[place]
            if rank <= count:
                low = BOUNDS[place - 1] if place else 0.0
                high = min(BOUNDS[place], self.largest) if place < len(BOUNDS) else self.largest
                return min(self.largest, low + (high - low) * rank / count)
            rank -= count
        return 0.0

    def up_to(self, bounds: Iterable[float]) -> list[int]:
        """For each of some bounds, ascending and out of BOUNDS: how many were at most so long."""
        return [
            sum(count for place, count in self.counts.items() if place <= last)
            for last in map(class_of, bounds)
        ]
