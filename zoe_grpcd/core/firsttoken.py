"""How long a first token may take before its attempt is given up: sized to what has to be done for it.

    budget   FACTOR * queue + load + prefill, within bounds
    load     0 if the model is warm; else twice the P95 of its past loads, and before enough of them were timed
             FACTOR * expected
    prefill  FACTOR * what is expected of this prompt, and at least twice the P95 of the first tokens so far
    bounds   at most `ceiling`; at least `floor`, and KNOWN of it where enough first tokens were timed lately

What makes progress as its server tells (a load, a prompt that is being read) gets as much again from then on, up to
`ceiling`: a hang is what shows no progress, not what is slow.
"""

from dataclasses import dataclass

from zoe_grpcd.core.decision import Estimate
from zoe_grpcd.core.learning import Timed

FACTOR = 4.0
TWICE = 2.0
KNOWN = 1 / 3


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of a budget, seconds."""

    floor: float = 30.0
    ceiling: float = 600.0


USUAL = Bounds()


def budget_of(expected: Estimate | None, timed: Timed, bounds: Bounds) -> float:
    """Seconds from the attempt to its first token; `expected` None: nothing is known of it."""
    floor = bounds.floor if timed.response is None else KNOWN * bounds.floor
    if expected is None:
        return floor
    load = FACTOR * expected.load
    if load and timed.load is not None:
        load = TWICE * timed.load
    prefill = max(FACTOR * expected.prefill, TWICE * (timed.response or 0.0))
    return min(bounds.ceiling, max(floor, FACTOR * expected.queue + load + prefill))
