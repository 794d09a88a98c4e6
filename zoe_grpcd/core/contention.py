"""How much requests that run at the same time slow each other down, learned from their answers.

    times slower = 1 + mates * (others of its model beside it) + strangers * (those of other models on its server)
                     + neighbours * (those on other servers of its machine)

All three are fitted by decayed least squares, with a prior worth PRIOR_WEIGHT answers that had one of each beside them, so
that a backend that never runs two requests at once keeps what is usual.
"""

import math
from typing import NamedTuple

from zoe_grpcd.core.timetable import USUAL, Sharing
from zoe_grpcd.core.usage import numbers

# What is computed far away has room for everybody.
NONE = Sharing(0.0, 0.0, 0.0)
PRIOR_WEIGHT = 1.0
HALF_LIFE = 6 * 3600.0
# The least and the most that one answer may say of each, and that is believed.
LEAST, MOST = 0.0, 4.0
# Who had hardly anybody beside it says nothing.
MIN_BESIDE = 0.05


class Company(NamedTuple):
    """Who ran beside a request, on average: others of its model, of other models on its server, on its neighbours."""

    mates: float = 0.0
    strangers: float = 0.0
    neighbours: float = 0.0


ALONE = Company()
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


class Contention:
    """The fit of one backend."""

    __slots__ = ("_at", "_excess", "_products", "_usual", "sharing")

    def __init__(self, usual: Sharing = USUAL) -> None:
        self._usual = usual
        self._products = [0.0] * len(_PAIRS)  # sums of the products of two of the numbers
        self._excess = [0.0] * 3  # sums of each number * how much slower it was
        self._at = 0.0
        self.sharing = usual

    def slowdown(self, beside: Company) -> float:
        """Times slower beside so many; >= 1."""
        mates, strangers, neighbours = self.sharing
        return 1.0 + mates * beside.mates + strangers * beside.strangers + neighbours * beside.neighbours

    def learn(self, beside: Company, slower: float, now: float) -> None:
        """Takes in one answer: who ran beside it, and how many times slower it was than alone."""
        count = sum(beside)
        if count < MIN_BESIDE:
            return
        self._fade(now)
        excess = min(MOST * count, max(LEAST, slower - 1.0))
        self._products = [
            sum_ + beside[i] * beside[j] for sum_, (i, j) in zip(self._products, _PAIRS, strict=True)
        ]
        self._excess = [sum_ + number * excess for sum_, number in zip(self._excess, beside, strict=True)]
        self.sharing = _fit(self._products, self._excess, self._usual)

    def dump(self, now: float) -> list[float]:
        """The sums of the fit, as of now."""
        self._fade(now)
        return [*self._products, *self._excess]

    def restore(self, values: object, now: float) -> None:
        """Takes what `dump` gave as of `now`. Raises ValueError."""
        *products, one, two, three = numbers(values, len(_PAIRS) + 3)
        sums = dict(zip(_PAIRS, products, strict=True))
        if any(sums[i, j] ** 2 > sums[i, i] * sums[j, j] * 1.001 for i, j in _PAIRS):
            raise ValueError("must be sums of squares and products")
        self.sharing = _fit(products, [one, two, three], self._usual)
        self._products, self._excess, self._at = products, [one, two, three], now

    def _fade(self, now: float) -> None:
        keep = math.exp2(-max(0.0, now - self._at) / HALF_LIFE)
        self._at = max(self._at, now)
        self._products = [sum_ * keep for sum_ in self._products]
        self._excess = [sum_ * keep for sum_ in self._excess]


def _fit(products: list[float], excess: list[float], usual: Sharing) -> Sharing:
    """Solves the three normal equations, the prior in them, by Cramer's rule. Raises ValueError for what are no sums."""
    mm, ms, mn, ss, sn, nn = products
    mm, ss, nn = mm + PRIOR_WEIGHT, ss + PRIOR_WEIGHT, nn + PRIOR_WEIGHT
    m, s, n = [sum_ + PRIOR_WEIGHT * prior for sum_, prior in zip(excess, usual, strict=True)]
    whole = _determinant((mm, ms, mn), (ms, ss, sn), (mn, sn, nn))
    if whole <= 0:  # of sums it is not: the prior makes the matrix positive definite
        raise ValueError("must be sums of squares and products")
    fitted = (
        _determinant((m, ms, mn), (s, ss, sn), (n, sn, nn)) / whole,
        _determinant((mm, m, mn), (ms, s, sn), (mn, n, nn)) / whole,
        _determinant((mm, ms, m), (ms, ss, s), (mn, sn, n)) / whole,
    )
    return Sharing(*[min(MOST, max(LEAST, value)) for value in fitted])


_Row = tuple[float, float, float]


def _determinant(one: _Row, two: _Row, three: _Row) -> float:
    (a, b, c), (d, e, f), (g, h, i) = one, two, three
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
