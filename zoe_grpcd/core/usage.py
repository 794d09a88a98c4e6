"""Decayed means and sliding quantiles: arithmetic only. Time comes in as an argument, in seconds of any one clock.

A measurement of age t counts 2 ** (-t / half_life) of a fresh one, so what a box did this minute outweighs what it
did an hour ago, and an idle box is not forgotten all at once.

Each can be dumped as plain numbers with ages in place of times, and restored by the clock of another process.
"""

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence

HALF_LIFE = 600.0
# What is more than that is no measurement of anything.
ABSURD = 1e15


def numbers(values: object, count: int) -> list[float]:
    """`count` numbers of a dump; raises ValueError if they are not that, or none that a measurement can be."""
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"must be {count} numbers")
    found = [float(value) for value in values if isinstance(value, int | float) and 0.0 <= value < ABSURD]
    if len(found) != count:
        raise ValueError("must be numbers of 0 or more")
    return found


class DecayedMean:
    """The mean of measurements, the old ones counting less; before there are any, a prior.

    `prior_weight` is how many fresh measurements the prior is worth: with 1.0, one measurement moves the mean half
    of the way from the prior to itself.
    """

    __slots__ = ("_at", "_half_life", "_prior", "_prior_weight", "_sum", "_weight")

    def __init__(self, prior: float, *, prior_weight: float = 1.0, half_life: float = HALF_LIFE) -> None:
        self._prior = prior
        self._prior_weight = prior_weight
        self._half_life = half_life
        self._sum = 0.0
        self._weight = 0.0
        self._at = 0.0

    @property
    def weight(self) -> float:
        """How many fresh measurements the ones so far are worth, at the time of the last of them."""
        return self._weight

    @property
    def value(self) -> float:
        """The mean as of the last measurement, prior included: what is not measured is not forgotten."""
        return (self._sum + self._prior * self._prior_weight) / (self._weight + self._prior_weight)

    def at(self, now: float) -> float:
        """The mean, the measurements faded until now: without new ones it goes back to the prior."""
        keep = self._kept(now)
        return (self._sum * keep + self._prior * self._prior_weight) / (
            self._weight * keep + self._prior_weight
        )

    def add(self, value: float, now: float, weight: float = 1.0) -> None:
        """Takes in one measurement that counts `weight` times."""
        before = self._weight
        if before and now <= self._at:
            self._sum += value * weight
            self._weight += weight
            return
        keep = math.exp2((self._at - now) / self._half_life) if before else 1.0
        self._sum = self._sum * keep + value * weight
        self._weight = before * keep + weight
        self._at = now

    def _kept(self, now: float) -> float:
        """The share of their weight that the measurements have kept."""
        return math.exp2(-max(0.0, now - self._at) / self._half_life)

    def reset_prior(self, prior: float) -> None:
        """Replaces the prior when better facts arrive; the measurements stay."""
        self._prior = prior

    def dump(self, now: float) -> list[float]:
        """What was measured: sum, weight and age."""
        return [self._sum, self._weight, max(0.0, now - self._at)]

    def restore(self, values: object, now: float) -> None:
        """Takes what `dump` gave as of `now`. Raises ValueError."""
        self._sum, self._weight, age = numbers(values, 3)
        self._at = now - age


class Decayed:
    """How often something happened, the earlier counting less."""

    __slots__ = ("_at", "_half_life", "_sum")

    def __init__(self, half_life: float = HALF_LIFE) -> None:
        self._half_life = half_life
        self._at = 0.0
        self._sum = 0.0

    def at(self, now: float) -> float:
        """The sum, faded until now."""
        passed = now - self._at
        return self._sum * math.exp2(-passed / self._half_life) if passed > 0 else self._sum

    def add(self, now: float) -> None:
        """It happened once more."""
        self._sum = self.at(now) + 1.0
        self._at = max(self._at, now)

    def dump(self, now: float) -> list[float]:
        """The sum as of now."""
        return [self.at(now)]

    def restore(self, values: object, now: float) -> None:
        """Takes what `dump` gave as of `now`. Raises ValueError."""
        (self._sum,) = numbers(values, 1)
        self._at = now


class Window:
    """The last `size` measurements of at most `max_age` seconds, for quantiles."""

    __slots__ = ("_max_age", "_size", "_sorted", "_values")

    def __init__(self, size: int = 64, max_age: float = 3600.0) -> None:
        self._values: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []  # the same values: a decision asks for a quantile after each answer
        self._size = size
        self._max_age = max_age

    def __len__(self) -> int:
        """How many there are, those that are too old among them."""
        return len(self._values)

    def add(self, value: float, now: float) -> None:
        """Takes in one measurement."""
        self._values.append((now, value))
        insort(self._sorted, value)
        if len(self._values) > self._size:
            _, oldest = self._values.popleft()
            del self._sorted[bisect_left(self._sorted, oldest)]

    def quantile(self, q: float, now: float) -> float | None:
        """The q-quantile (0..1, nearest rank) of what is recent enough; None when there is nothing."""
        recent = self._sorted
        if self._values and now - self._values[0][0] > self._max_age:
            recent = sorted(value for at, value in self._values if now - at <= self._max_age)
        if not recent:
            return None
        return quantile_of(recent, q)

    def dump(self, now: float) -> list[list[float]]:
        """Age and value of each that is recent enough, the oldest first."""
        return [[max(0.0, now - at), value] for at, value in self._values if now - at <= self._max_age]

    def restore(self, values: object, now: float) -> None:
        """Takes what `dump` gave as of `now`. Raises ValueError."""
        pairs = [numbers(pair, 2) for pair in values[-self._size :]] if isinstance(values, list) else []
        self._values = deque((now - age, value) for age, value in pairs)
        self._sorted = sorted(value for _, value in pairs)


def quantile_of(ordered: Sequence[float], q: float) -> float:
    """The q-quantile (0..1, nearest rank) of what is sorted already."""
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]
