"""How much requests that run at the same time on one backend slow each other down, learned from their answers.

    times slower = 1 + mates * (others of its model beside it) + strangers * (all others on its machine)

Both are fitted by decayed least squares, with a prior worth PRIOR_WEIGHT answers that had one of each beside them, so
that a backend that never runs two requests at once keeps what is usual.
"""

import math

from zoe_grpcd.core.timetable import USUAL, Sharing
from zoe_grpcd.core.usage import numbers

# What is computed far away has room for everybody.
NONE = Sharing(0.0, 0.0)
PRIOR_WEIGHT = 1.0
HALF_LIFE = 6 * 3600.0
# The least and the most that one answer may say of either, and that is believed.
LEAST, MOST = 0.0, 4.0
# Who had hardly anybody beside it says nothing.
MIN_BESIDE = 0.05


class Contention:
    """The fit of one backend."""

    __slots__ = ("_at", "_mm", "_ms", "_my", "_ss", "_sy", "_usual", "sharing")

    def __init__(self, usual: Sharing = USUAL) -> None:
        self._usual = usual
        self._mm = self._ms = self._ss = self._my = self._sy = 0.0
        self._at = 0.0
        self.sharing = usual

    def slowdown(self, mates: float, strangers: float) -> float:
        """Times slower beside so many, on average; >= 1."""
        return 1.0 + self.sharing.mates * mates + self.sharing.strangers * strangers

    def learn(self, mates: float, strangers: float, slower: float, now: float) -> None:
        """Takes in one answer: how many ran beside it on average, and how many times slower it was than alone."""
        beside = mates + strangers
        if beside < MIN_BESIDE:
            return
        self._fade(now)
        excess = min(MOST * beside, max(LEAST, slower - 1.0))
        self._mm += mates * mates
        self._ms += mates * strangers
        self._ss += strangers * strangers
        self._my += mates * excess
        self._sy += strangers * excess
        self.sharing = self._fit()

    def dump(self, now: float) -> list[float]:
        """The sums of the fit, as of now."""
        self._fade(now)
        return [self._mm, self._ms, self._ss, self._my, self._sy]

    def restore(self, values: object, now: float) -> None:
        """Takes what `dump` gave as of `now`. Raises ValueError."""
        mm, ms, ss, my, sy = numbers(values, 5)
        if ms * ms > mm * ss * 1.001:
            raise ValueError("must be sums of squares and products")
        self._mm, self._ms, self._ss, self._my, self._sy = mm, ms, ss, my, sy
        self._at = now
        self.sharing = self._fit()

    def _fade(self, now: float) -> None:
        keep = math.exp2(-max(0.0, now - self._at) / HALF_LIFE)
        self._at = max(self._at, now)
        self._mm *= keep
        self._ms *= keep
        self._ss *= keep
        self._my *= keep
        self._sy *= keep

    def _fit(self) -> Sharing:
        """Solves the two normal equations, the prior in them."""
        mm, ss = self._mm + PRIOR_WEIGHT, self._ss + PRIOR_WEIGHT
        my, sy = self._my + PRIOR_WEIGHT * self._usual.mates, self._sy + PRIOR_WEIGHT * self._usual.strangers
        whole = mm * ss - self._ms * self._ms  # > 0: Cauchy and Schwarz, and the prior
        mates = (my * ss - sy * self._ms) / whole
        strangers = (sy * mm - my * self._ms) / whole
        return Sharing(min(MOST, max(LEAST, mates)), min(MOST, max(LEAST, strangers)))
