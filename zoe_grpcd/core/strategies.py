"""How one of several deployments that may serve is chosen: one function a strategy, each with its formula.

A strategy returns terms with values in 0..1 and weights; the score is their weighted mean, times the standing where the
strategy has one (`core.scoring`). It is pure: what luck or turns decide comes in with the `Contest`.

Warm first: while `warm.prefer` is on and a model that is in memory has a free slot, round_robin, least_loaded,
most_capacity and simple_shuffle leave aside whatever would have to be loaded; what they start then is what the load on
the warm ones asks for. usage_based and fastest_response count the load as time. weighted and lowest_cost load: shares
that an operator stated would be none if whoever is cold stayed so, and a load costs no money.

What is equal then goes to whoever is expected to end first (a term of weight TIE, which nothing else is as small as),
and then by name. Turns and luck have no such term.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import mul

from zoe_grpcd.core.contest import (
    TIE,
    Contest,
    Scores,
    after_warmth,
    in_turn,
    latency,
    measured,
    shares,
    standing,
    warmth,
)
from zoe_grpcd.core.eligible import Option
from zoe_grpcd.core.lots import Lots
from zoe_grpcd.core.resolution import Resolution

DEFAULT = "usage_based"
CRAFTS = frozenset("action audio code multilingual tools translate vision".split())
"""Intents and capabilities of which the quality says nothing of any other: who codes well need not tell stories well."""
# Billions; services that do not tell the size of a model have large ones.
UNKNOWN_SIZE, UNKNOWN_ELSEWHERE = 3.0, 70.0
LEAN = 1.0  # weight of what an intent favours, beside weights that usually add up to 1


def usage_based(contest: Contest) -> Scores:
    """Weighs time, success and cost: sum(w * v) / sum(w) over the terms, with the configured weights.

    latency       v = shortest expected total / this one's      (estimate.py; twice as long is half the value)
    success_rate  v = decayed share of attempts that the backend did not fail
    cost          v = 1 - cost / highest cost; 1 if nothing costs
    quality       v = quality / best quality                    for an intent that favours quality; and, where the
                                                                operator states any, if the caller weighs cost
    context       v = window / largest window                   only for an intent, or a prompt, that favours it

    An intent that favours latency adds LEAN to the weight of latency. The weight of cost that a caller gives is its
    share: all others have the rest together, so that at 1 only the price counts. Times the standing.
    """
    options, question, policy = contest.options, contest.question, contest.policy
    favours = question.resolution.favours
    if question.ask.latency_level in ("ULTRA_LOW", "LOW"):
        favours = "latency"
    names = ["latency", "success_rate", "cost"]
    weights = [policy.latency_weight, policy.success_weight, policy.cost_weight]
    if favours == "latency":
        weights[0] += LEAN
    columns = [latency(options, policy), [o.view.success for o in options], _cheapness(options)]
    if favours in ("quality", "context"):
        names.append(favours)
        weights.append(LEAN)
        columns.append(_quality(options, question.resolution) if favours == "quality" else _window(options))
    if (share := question.ask.cost_weight) is not None:
        if favours != "quality" and any(option.view.quality for option in options):
            names.append("quality")
            weights.append(policy.latency_weight)
            columns.append(_quality(options, question.resolution))
        weights = _with_cost_at(share, weights)
    return Scores(tuple(names), tuple(weights), tuple(columns), standing(options))


def _with_cost_at(share: float, weights: list[float]) -> list[float]:
    """The weights with cost, the third, at its share and the others in their ratio; at 1 those part equals only."""
    rest = sum(weights) - weights[2]
    scale = max(TIE, 1.0 - share) / rest if rest else 0.0
    return [share if index == 2 else weight * scale for index, weight in enumerate(weights)]


def round_robin(contest: Contest) -> Scores:
    """Takes all in turn: the same number of requests each, whatever their weights (but 0, which takes none).

    turn   v = 1 for whoever is owed most, 0 for the one owed least (`core.turns`)

    Warm first. A DEGRADED backend gets its degraded weight of a turn. Turns are taken apart for each set of models.
    """
    warm = warmth(contest)
    weights = [
        option.gate.weight / option.gate.view.backend.weight if option.view.deployment.weight > 0 else 0.0
        for option in contest.options
    ]
    if warm is not None and any(map(mul, weights, warm)):
        weights = list(map(mul, weights, warm))
    turns, round_ = in_turn(contest, "round_robin", weights)
    return after_warmth(warm, Scores(("turn",), (1.0,), (turns,), round=round_))


def weighted(contest: Contest) -> Scores:
    """Keeps shares: of the requests for a model, each gets w / sum(w) of them; w = deployment weight * backend weight.

    turn    v = 1 for whoever is owed most, 0 for the one owed least (`core.turns`)
    share   v = w / sum(w); of no weight, for whoever reads it

    Exact, and evenly mixed: 7 : 3 is 7 and 3 of every ten. A DEGRADED backend has its w times the degraded weight.
    """
    weights = shares(contest.options)
    turns, round_ = in_turn(contest, "weighted", weights)
    whole = sum(weights) or 1.0
    parts = [weight / whole for weight in weights]
    return Scores(("turn", "share"), (1.0, 0.0), (turns, parts), round=round_)


def least_loaded(contest: Contest) -> Scores:
    """Takes the backend with the least to do for its slots.

    load   v = 1 / (1 + (our requests + those of others) / slots)

    Warm first, times the standing; equals by expected time.
    """
    backends = [option.gate.view for option in contest.options]
    load = [1.0 / (1.0 + (view.in_flight + view.foreign) / view.slots) for view in backends]
    return after_warmth(warmth(contest), measured("load", load, contest))


def fastest_response(contest: Contest) -> Scores:
    """Takes the shortest time to first token.

    response   v = shortest / own, own = wait for a slot + load + p95 of the times to first token of its last answers
               that neither waited nor loaded (`learning.RESPONSES`, none older than `RESPONSE_AGE`)

    Where there is no such answer, what is expected for this prompt stands in for the p95; so who was slow has another
    chance when that is forgotten. The load counts while `warm.prefer` is on. Times the standing; equals by expected time to the end.
    """
    prefer_warm = contest.policy.prefer_warm
    times = [_to_first_token(option, prefer_warm=prefer_warm) for option in contest.options]
    shortest = min(times)
    return measured("response", [shortest / time if time > 0 else 1.0 for time in times], contest)


def _to_first_token(option: Option, *, prefer_warm: bool) -> float:
    expected, known = option.estimate, option.view.response_p95
    load = expected.load if prefer_warm else 0.0
    return expected.queue + load + (expected.prefill if known is None else known)


def most_capacity(contest: Contest) -> Scores:
    """Takes the largest free context.

    capacity   v = free / most free, free = free slots of the model * tokens of one's window

    With equal windows that is the most free slots, with equal slots the largest window. A window that is not known is
    taken for the smallest of the others'. Warm first, times the standing; equals (and all when none is free) by
    expected time.
    """
    known = [option.view.context_tokens for option in contest.options if option.view.context_tokens]
    smallest = min(known, default=1)
    free = [_free_slots(o) * (o.view.context_tokens or smallest) for o in contest.options]
    most = max(free)
    values = [room / most if most else 1.0 for room in free]
    return after_warmth(warmth(contest), measured("capacity", values, contest))


def _free_slots(option: Option) -> int:
    view = option.gate.view
    of_backend = view.slots - view.in_flight - view.foreign
    own = sum(task.model == option.view.deployment.model for task in view.tasks)
    of_model = (view.shop.slots if view.shop else view.slots) - own
    return max(0, min(of_backend, of_model))


def lowest_cost(contest: Contest) -> Scores:
    """Takes the cheapest for this prompt and the answer that is expected.

    cost   v = lowest / own cost; 1 if it costs nothing

    Times the standing; equals, such as all that cost nothing, by expected time, in which a load counts.
    """
    costs = [option.estimate.cost_usd for option in contest.options]
    lowest = min(costs)
    return measured("cost", [lowest / cost if cost > 0 else 1.0 for cost in costs], contest)


def simple_shuffle(contest: Contest) -> Scores:
    """Draws lots: chances are w / sum(w), w = deployment weight * backend weight, times the doubt about a DEGRADED one.

    draw   v = u ^ (largest w / w), u uniform in 0..1 (Efraimidis and Spirakis 2006: the largest wins with those chances)

    u is a hash of the contest's number and the name, so the same picture draws the same, and whoever drops out changes
    nobody else's. Warm first.
    """
    lots, weights = Lots(contest.number), shares(contest.options)
    most = max(weights)
    draws = [
        lots.of(option.view.key) ** (most / weight) if weight > 0 else 0.0
        for option, weight in zip(contest.options, weights, strict=True)
    ]
    return after_warmth(warmth(contest), Scores(("draw",), (1.0,), (draws,)))


STRATEGIES: dict[str, Callable[[Contest], Scores]] = {
    strategy.__name__: strategy
    for strategy in (
        usage_based,
        round_robin,
        weighted,
        least_loaded,
        fastest_response,
        most_capacity,
        lowest_cost,
        simple_shuffle,
    )
}


def strategy_of(contest: Contest) -> str:
    """Which strategy decides: the request's, else the one that all the models agree on, else the intent's or the
    capability's, else the configured one.
    """
    if contest.question.ask.strategy:
        return contest.question.ask.strategy
    if stated := contest.policy.model_strategies:
        found = {stated.get(option.view.deployment.model, "") for option in contest.options}
        if len(found) == 1 and (strategy := found.pop()):
            return strategy
    return contest.question.resolution.strategy or contest.policy.strategy


def _cheapness(options: list[Option]) -> list[float]:
    costs = [option.estimate.cost_usd for option in options]
    if (highest := max(costs)) <= 0:
        return [1.0] * len(options)
    return [1.0 - cost / highest for cost in costs]


def _quality(options: list[Option], resolution: Resolution) -> list[float]:
    qualities = qualities_of(options, resolution)
    best = max(qualities)
    return [quality / best for quality in qualities]


def qualities_of(options: Iterable[Option], resolution: Resolution) -> list[float]:
    """What the operator states for this intent, else the mean of that for the capabilities that it asks for, else the
    mean of the rest but `CRAFTS`; without any, size / (size + 7B), of an unknown size `UNKNOWN_SIZE` or, not in house,
    `UNKNOWN_ELSEWHERE`.
    """
    stated: dict[int, float | None] = {}  # by the mapping, which the deployments of a model share
    qualities = []
    for option in options:
        given = option.view.quality
        if given and id(given) not in stated:
            stated[id(given)] = _stated(given, resolution)
        qualities.append((stated[id(given)] if given else None) or _by_size(option))
    return qualities


def _stated(stated: Mapping[str, float], resolution: Resolution) -> float | None:
    if resolution.intent in stated:
        return max(stated[resolution.intent], 0.01)
    found = [stated[name] for name in (resolution.preferred | resolution.required) & stated.keys()]
    found = found or [value for name, value in stated.items() if name not in CRAFTS]
    return max(sum(found) / len(found), 0.01) if found else None


def _by_size(option: Option) -> float:
    size = option.view.parameters or (UNKNOWN_SIZE if option.gate.view.backend.local else UNKNOWN_ELSEWHERE)
    return size / (size + 7.0)


def _window(options: list[Option]) -> list[float]:
    largest = max(option.view.context_tokens for option in options)
    return [option.view.context_tokens / largest if largest else 1.0 for option in options]
