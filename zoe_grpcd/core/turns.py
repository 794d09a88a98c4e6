"""Whose turn it is among those that share requests: smooth weighted round robin, as nginx has it.

    owed(i) += w(i)        for all who may serve this request
    whoever is owed most serves it, and owed(i) -= sum of w over them

With whole weights, each has served exactly w(i) of every sum(w) requests, evenly mixed. Who may not serve is owed
nothing meanwhile, so nobody is flooded when it comes back. Rule: nothing is changed here; a turn is a new value.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from zoe_grpcd.core.key import Key

Scope = tuple[str, frozenset[str]]
"""The strategy and the models among whose deployments turns are taken: each has turns of its own."""
Owed = Mapping[Key, float]

# Scopes that are remembered; a fleet has as many as models are asked for, alone and in groups.
MOST_SCOPES = 256
# Weights like 0.7 add up to almost nothing where it should be nothing, and that must not break a tie.
DIGITS = 9


class Turn(NamedTuple):
    """What all are owed after somebody has served."""

    scope: Scope
    owed: Owed


class Round(NamedTuple):
    """What all are owed now that a request has come, and what serving it takes off."""

    scope: Scope
    owed: dict[Key, float]
    price: float

    def served_by(self, key: Key) -> Turn:
        """The turn that somebody takes; one who was owed nothing takes none of the others'."""
        return Turn(self.scope, {**self.owed, key: round(self.owed.get(key, 0.0) - self.price, DIGITS)})


def round_of(scope: Scope, owed: Owed, keys: Sequence[Key], weights: Sequence[float]) -> Round:
    """A request comes; `weights` go with `keys`, and who has none is no part of it."""
    due = dict(owed)
    for key, weight in zip(keys, weights, strict=True):
        if weight > 0:
            due[key] = round(due.get(key, 0.0) + weight, DIGITS)
    return Round(scope, due, sum(weights))


def remembered(owing: Mapping[Scope, Owed], turn: Turn) -> dict[Scope, Owed]:
    """All turns with this one as the latest; the scope that was left alone longest is forgotten when there are too many."""
    kept = {scope: owed for scope, owed in owing.items() if scope != turn.scope}
    while len(kept) >= MOST_SCOPES:
        del kept[next(iter(kept))]
    return {**kept, turn.scope: turn.owed}
