"""Who competes for a request, and what the strategies have in common: standing, warmth, turns, expected time.

Rule: all that decides is in the `Contest`; whoever has the same one makes the same choice.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from zoe_grpcd.core.eligible import Option, Question
from zoe_grpcd.core.resolve import Policy
from zoe_grpcd.core.turns import Owed, Round, Scope, round_of

WARM = 10.0  # weight of being warm, beside a term of weight 1: it decides first
TIE = 1e-6  # weight of what decides between equals alone
AT_ONCE = 0.001  # a shorter wait is none (seconds)
# What others lose by a request counts so many times: whoever ends later makes those late who come meanwhile. Of a backend
# that is busy for a share r of the time it is 1 / (1 - r) times what is lost by those already there; r is taken for a half.
OTHERS = 2.0
NOTHING_OWED: Mapping[Scope, Owed] = MappingProxyType({})


class Contest(NamedTuple):
    """Who may serve a request, and all that a strategy may look at.

    `number` changes with each request that is sent, and is what luck is drawn from; `owing` is what earlier turns left.
    """

    options: list[Option]
    question: Question
    policy: Policy
    number: int = 0
    owing: Mapping[Scope, Owed] = NOTHING_OWED


class Scores(NamedTuple):
    """The terms of all options: one name, weight and column of values a term, one value in it an option.

    `standing` multiplies the weighted mean; None: by 1. `round`: the turn that the chosen one takes.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...]
    columns: tuple[list[float], ...]
    standing: list[float] | None = None
    round: Round | None = None


def shares(options: list[Option]) -> list[float]:
    """Weight of the backend, doubt about it included, times that of the deployment."""
    return [option.gate.weight * option.view.deployment.weight * option.view.trust for option in options]


def standing(options: list[Option]) -> list[float]:
    """The same, the weight of a deployment being a part of the greatest that its model has among the options.

    7 and 3 are shares of equals: they say nothing of another model.
    """
    weights, deployments = shares(options), [option.view.deployment for option in options]
    if {deployment.weight for deployment in deployments} == {1.0}:
        return weights
    most: dict[str, float] = {}
    for deployment in deployments:
        most[deployment.model] = max(deployment.weight, most.get(deployment.model, 0.0))
    return [weight / (most[d.model] or 1.0) for weight, d in zip(weights, deployments, strict=True)]


def measured(name: str, values: list[float], contest: Contest) -> Scores:
    """One term that decides, and the expected time for what it leaves equal."""
    options = contest.options
    columns = (values, latency(options, contest.policy))
    return Scores((name, "latency"), (1.0, TIE), columns, standing(options))


def warmth(contest: Contest) -> list[float] | None:
    """1 for whoever has its model in memory, 0 for the others; None: it makes no difference, or no warm one is free."""
    if not contest.policy.prefer_warm:
        return None
    warm = [0.0 if option.view.load_seconds > 0 else 1.0 for option in contest.options]
    if all(warm) or not any(
        is_warm and option.estimate.queue < AT_ONCE
        for is_warm, option in zip(warm, contest.options, strict=True)
    ):
        return None
    return warm


def after_warmth(warm: list[float] | None, scores: Scores) -> Scores:
    """The scores with being warm before all else; None: it makes no difference."""
    if warm is None:
        return scores
    return scores._replace(
        names=("warm", *scores.names),
        weights=(WARM, *scores.weights),
        columns=(warm, *scores.columns),
    )


def in_turn(contest: Contest, strategy: str, weights: list[float]) -> tuple[list[float], Round]:
    """0..1 for each option by what it is owed, and the round; those without weight are no part of it, unless all are."""
    if not any(weights):
        weights = [1.0] * len(weights)
    keys = [option.view.key for option in contest.options]
    scope = (strategy, frozenset(model for _, model in keys))
    round_ = round_of(scope, contest.owing.get(scope, {}), keys, weights)
    owed = [round_.owed[key] if weight > 0 else None for key, weight in zip(keys, weights, strict=True)]
    present = [due for due in owed if due is not None]
    least, spread = min(present), max(present) - min(present)
    turns = [0.0 if due is None else (due - least) / spread if spread else 1.0 for due in owed]
    return turns, round_


def latency(options: list[Option], policy: Policy) -> list[float]:
    """Shortest / this one's, of the expected total + `OTHERS` * what others lose by it; a load counts while `warm.prefer`
    is on.
    """
    loads = 1.0 if policy.prefer_warm else 0.0
    totals = [
        queue + loads * load + prefill + decode + OTHERS * burden
        for _, _, (queue, load, prefill, decode, _, _, _, _, burden) in options
    ]
    shortest = min(totals)
    if shortest > 0:
        return [shortest / total for total in totals]
    return [shortest / total if total > 0 else 1.0 for total in totals]
