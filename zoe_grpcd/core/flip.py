"""What would have had to be otherwise for another choice: the smallest change of one quantity that makes it.

Found by bisection over the real scoring, so that what is said holds: the change that is named, made to the situation,
makes that choice. A change is measured as 1 - smaller / larger of the two values: half as much and twice as much are
equally far away.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil, floor, inf, log10
from typing import NamedTuple

from zoe_grpcd.core.eligible import Option
from zoe_grpcd.core.key import Key
from zoe_grpcd.core.quantities import (
    COST,
    OF_DEPLOYMENT,
    OF_POLICY,
    WEIGHT,
    Quantity,
    Situation,
    only,
)
from zoe_grpcd.core.scoring import Choice, choose, ranking

# How many of the others are told how they would win, and among how many options the change is looked for first.
TOLD, AMONG = 2, 8
# A rise to ten times as much is the farthest that is worth telling; a fall may go down to nothing, but for a speed, of
# which there is always some.
FARTHEST_RISE, FARTHEST_FALL, SLOWEST = 0.9, 1.0, 0.99
STEPS = 10
DIGITS = range(2, 7)

NAMED = {quantity.name: quantity for quantity in (*OF_DEPLOYMENT, WEIGHT)}


@dataclass(frozen=True, slots=True)
class Flip:
    """`winner` (backend, model) would be chosen, were `quantity` of `owner` at `value`; owner None: of the policy."""

    winner: Key
    owner: Key | None
    quantity: str
    value: float
    rises: bool


class Knob(NamedTuple):
    """One quantity that may be turned one way: its value now, and the situation with another one."""

    owner: Key | None
    quantity: str
    now: float
    rises: bool
    most: float
    write: Callable[[Situation, float], Situation]

    @property
    def farthest(self) -> float:
        """The largest change that it allows."""
        if self.rises:
            return min(FARTHEST_RISE, 1.0 - self.now / self.most)
        return SLOWEST if self.quantity.endswith("speed") else FARTHEST_FALL

    def at(self, change: float) -> float:
        """Its value after a change."""
        return self.now / (1.0 - change) if self.rises else self.now * (1.0 - change)


def winner_of(situation: Situation) -> Key | None:
    """Who is chosen in a situation."""
    choice = choose(*situation)
    return choice.options[choice.best].view.key if choice else None


def applied(situation: Situation, choice: Choice, flip: Flip) -> Situation:
    """The situation with the change made."""
    if flip.owner is None:
        return OF_POLICY[flip.quantity][1](situation, flip.value)
    option = next(option for option in choice.options if option.view.key == flip.owner)
    return NAMED[flip.quantity].write(situation, option, flip.value)


def flips(situation: Situation, choice: Choice) -> list[Flip]:
    """For each of the best of the others, the smallest change that would have made it the chosen one, if there is one."""
    ranked = ranking(choice)
    few = situation._replace(
        snapshot=only(situation.snapshot, {choice.options[index].view.key for index in ranked[:AMONG]})
    )
    found = (_smallest(situation, few, choice, choice.options[i]) for i in ranked[1 : 1 + TOLD])
    return [flip for flip in found if flip is not None]


def _smallest(situation: Situation, few: Situation, choice: Choice, other: Option) -> Flip | None:
    """Looked for among few, proved among all.

    What the other one lacks comes first, then what the chosen one has more of, and weights only if no figure does it.
    """
    wanted, chosen = other.view.key, choice.options[choice.best]
    for knobs in (
        list(_figures(situation, other, better=True)),
        list(_figures(situation, chosen, better=False)),
        [*_weights(situation, other, better=True), *_weights(situation, chosen, better=False)],
    ):
        nearest, best = 1.0, None
        for knob in knobs:
            change = _threshold(few, knob, wanted, min(nearest, knob.farthest))
            flip = None if change is None else _rounded(situation, knob, wanted, change)
            if change is not None and flip is not None:
                nearest, best = change, flip
        if best is not None:
            return best
    return None


def _figures(situation: Situation, option: Option, *, better: bool) -> Iterator[Knob]:
    """What is known of a deployment, each to be turned so that it is better or worse off."""
    for quantity in OF_DEPLOYMENT:
        now = quantity.read(option, situation.question)
        if now > 0:
            yield _knob_of(quantity, option, now, rises=quantity.good is better)


def _weights(situation: Situation, option: Option, *, better: bool) -> Iterator[Knob]:
    """The operator's weights: of the deployment, and of each term of the score, which may be turned both ways."""
    yield _knob_of(WEIGHT, option, option.view.deployment.weight, rises=better)
    for name, (read, write) in OF_POLICY.items():
        if better and (now := read(situation)) > 0:
            own = name == COST and situation.question.ask.cost_weight is not None  # a caller's is a share
            for rises in (False, True):
                yield Knob(None, name, now, rises, 1.0 if own else inf, write)


def _knob_of(quantity: Quantity, option: Option, now: float, *, rises: bool) -> Knob:
    def write(situation: Situation, value: float) -> Situation:
        return quantity.write(situation, option, value)

    return Knob(option.view.key, quantity.name, now, rises, quantity.most, write)


def _threshold(few: Situation, knob: Knob, wanted: Key, farthest: float) -> float | None:
    """The smallest change of a quantity that makes the wanted choice; None: none up to the farthest does."""
    wins = partial(_wins, few, knob, wanted)
    if farthest <= 0 or not wins(knob.at(farthest)):
        return None
    low, high = 0.0, farthest
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if wins(knob.at(middle)) else (middle, high)
    return high


def _wins(situation: Situation, knob: Knob, wanted: Key, value: float) -> bool:
    return _writable(knob, value) and winner_of(knob.write(situation, value)) == wanted


def _writable(knob: Knob, value: float) -> bool:
    """A rate of 0 is no rate."""
    return 0 < value <= knob.most or (value == 0 and not knob.quantity.endswith("speed"))


def _rounded(situation: Situation, knob: Knob, wanted: Key, change: float) -> Flip | None:
    """The threshold in as few digits as hold: rounded beyond it, and tried on everybody."""
    for value in dict.fromkeys(_roundings(knob.at(change), up=knob.rises)):
        if _wins(situation, knob, wanted, value):
            return Flip(wanted, knob.owner, knob.quantity, value, knob.rises)
    return None


def _roundings(value: float, *, up: bool) -> Iterable[float]:
    if value <= 0:
        return (0.0,)
    places = [digits - 1 - floor(log10(value)) for digits in DIGITS]
    away = ceil if up else floor
    return (round(away(value * 10.0**places) / 10.0**places, max(places, 0)) for places in places)


def in_words(flip: Flip, choice: Choice) -> str:
    """`jetson would win if its load fell below 2.1 s`."""
    chosen = choice.options[choice.best].view.deployment

    def named(key: Key) -> str:
        return key[0] if flip.winner[1] == chosen.model else f"{key[1]} @ {key[0]}"

    winner = named(flip.winner)
    moved = "rose above" if flip.rises else "fell below" if flip.value else "fell to"
    if flip.owner is None:
        return f"{winner} would win if the {flip.quantity} {moved} {_number(flip.value)}"
    quantity = NAMED[flip.quantity]
    value = quantity.unit.format(_number(flip.value))
    if flip.owner != flip.winner:
        return f"{winner} would win if the {flip.quantity} of {named(flip.owner)} {moved} {value}"
    if flip.value == 0 and quantity.none:
        return f"{winner} would win if it {quantity.none}"
    return f"{winner} would win if its {flip.quantity} {moved} {value}"


def _number(value: float) -> str:
    """Without an exponent, and as many digits as it has."""
    return f"{value:.10f}".rstrip("0").rstrip(".")
