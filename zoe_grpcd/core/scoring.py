"""Filter, score, choose. A score is in 0..1 before the weights of backend and deployment; ties break on the name.

usage_based:  score = weight * sum(w * v) / sum(w) over the terms

    latency       v = shortest expected total / this one's      (estimate.py; twice as long is half the value)
    success_rate  v = decayed share of attempts that the backend did not fail
    cost          v = 1 - cost / highest cost; 1 if nothing costs
    quality       v = quality / best quality                    only for an intent that favours quality
    context       v = window / largest window                   only for an intent, or a prompt, that favours it

An intent that favours latency adds LEAN to the weight of latency.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from zoe_grpcd.core.domain import Ask, Candidate, Estimate, Locality, Phase, Reason, ScoreTerm
from zoe_grpcd.core.estimate import Size, estimate, prompt_tokens, wait_of
from zoe_grpcd.core.resolve import Policy, Resolution, Tier
from zoe_grpcd.core.views import BackendView, DeploymentView, Snapshot

LEAN = 1.0  # weight of what an intent favours, beside weights that usually add up to 1
DEGRADED_WEIGHT = 0.5
# How far a guessed or learned prompt length may exceed a window before the prompt counts as too long for it.
GUESSED_MARGIN, LEARNED_MARGIN = 1.25, 1.05

_PHASE_REASONS = {
    Phase.UNKNOWN: Reason.UNHEALTHY,
    Phase.DOWN: Reason.UNHEALTHY,
    Phase.LOADING: Reason.LOADING,
    Phase.COOLING_DOWN: Reason.CIRCUIT_OPEN,
    Phase.DRAINING: Reason.DRAINING,
    Phase.DISABLED: Reason.DRAINING,
}


@dataclass(slots=True)
class Question:
    """One request on its way to a decision.

    `features` are those that a backend must honour: all that the request uses, or none if they may be dropped.
    `excluded` are the (backend, model) that already failed for it. `window`: the caller sets it with the request
    (num_ctx), for kinds that allow that; 0: it does not. `min_window`: nothing smaller will do.
    """

    ask: Ask
    resolution: Resolution
    size: Size
    features: frozenset[str] = frozenset()
    excluded: frozenset[tuple[str, str]] = frozenset()
    window: int = 0
    min_window: int = 0


class Gate(NamedTuple):
    """What a backend means for a request, the same for all its deployments."""

    view: BackendView
    closed: tuple[Reason, ...]
    idle: bool
    weight: float


class Gates(dict[str, Gate]):
    """The gates by backend, each made when it is first asked for: a named model is on few of the backends."""

    def __init__(self, question: "Question", backends: Mapping[str, BackendView]) -> None:
        super().__init__()
        self._question = question
        self._backends = backends

    def __missing__(self, name: str) -> Gate:
        gate = self[name] = _gate(self._question, self._backends[name])
        return gate


class Option(NamedTuple):
    """An eligible deployment with its estimate."""

    view: DeploymentView
    gate: Gate
    estimate: Estimate


class Scores(NamedTuple):
    """The terms of all options: one name, weight and column of values a term, one value in it an option."""

    names: tuple[str, ...]
    weights: tuple[float, ...]
    columns: tuple[list[float], ...]


class Choice(NamedTuple):
    """The options with their scores; `best` is the index of the chosen one, `step` the tier that they came from."""

    options: list[Option]
    scores: Scores
    totals: list[float]
    best: int
    step: int


def choose(question: Question, snapshot: Snapshot, policy: Policy) -> Choice | None:
    """The best deployment of the first tier that has an eligible one; None when nobody may serve."""
    gates = Gates(question, snapshot.backends)
    for step, tier in enumerate(question.resolution.tiers):
        options = _narrow(question, _eligible(question, views_of(tier, snapshot), gates))
        if options:
            scores = STRATEGIES[question.ask.strategy or policy.strategy](options, question, policy)
            totals = _totals(options, scores)
            return Choice(options, scores, totals, _best(options, totals), step)
    return None


def views_of(tier: Tier, snapshot: Snapshot) -> Sequence[DeploymentView]:
    """The deployments of a tier."""
    if tier is None:
        return snapshot.auto
    return [view for model in sorted(tier) for view in snapshot.by_model.get(model, ())]


def _gate(question: Question, view: BackendView) -> Gate:
    backend = view.backend
    weight = backend.weight * (DEGRADED_WEIGHT if view.phase is Phase.DEGRADED else 1.0)
    return Gate(view, _closed(question.ask, view), not view.in_flight + view.foreign, weight)


def _closed(ask: Ask, view: BackendView) -> tuple[Reason, ...]:
    """Why no deployment of this backend may serve the request."""
    backend, target = view.backend, ask.target
    reasons = []
    if target.allowed_backends and backend.name not in target.allowed_backends:
        reasons.append(Reason.EXCLUDED)
    if target.excluded_backends and backend.name in target.excluded_backends:
        reasons.append(Reason.EXCLUDED)
    if target.labels and any(backend.labels.get(key) != value for key, value in target.labels.items()):
        reasons.append(Reason.EXCLUDED)
    if ask.locality is Locality.LOCAL_ONLY and not backend.local:
        reasons.append(Reason.LOCALITY)
    if view.phase in _PHASE_REASONS:
        reasons.append(_PHASE_REASONS[view.phase])
    if backend.max_in_flight is not None and view.in_flight >= backend.max_in_flight:
        reasons.append(Reason.SATURATED)
    return tuple(reasons)


def _eligible(question: Question, views: Sequence[DeploymentView], gates: Mapping[str, Gate]) -> list[Option]:
    """The hot loop of a decision: a few microseconds a deployment."""
    ask, size, excluded = question.ask, question.size, question.excluded
    required = ask.needs | question.resolution.required
    features, limit = question.features, ask.max_cost_usd
    options = []
    for view in views:
        deployment = view.deployment
        gate = gates[deployment.backend]
        if (
            gate.closed
            or not view.served
            or not required <= view.capabilities
            or (features and features & gate.view.backend.refuses)
            or (excluded and (deployment.backend, deployment.model) in excluded)
            or too_long(question, view, gate.view)
        ):
            continue
        queue, slowdown = (0.0, 1.0) if gate.idle else wait_of(view, gate.view)
        expected = estimate(size, view, queue, slowdown)
        if limit is None or expected.cost_usd <= limit:
            options.append(Option(view, gate, expected))
    return options


def too_long(question: Question, view: DeploymentView, backend: BackendView) -> bool:
    """The prompt, or the window that the caller demands, does not fit into this deployment's window."""
    truncates = backend.backend.truncates
    window = question.window if question.window and truncates else view.context_tokens
    if not window:
        return False
    if window < question.min_window:
        return True
    margin = LEARNED_MARGIN if view.bytes_known else GUESSED_MARGIN
    return prompt_tokens(question.size, view) > window * (1.0 if truncates else margin)


def _narrow(question: Question, options: list[Option]) -> list[Option]:
    """Keeps local ones if there are any (unless the caller does not mind), then those that have most of what is preferred."""
    if question.ask.locality is not Locality.ANY and any(
        option.gate.view.backend.local for option in options
    ):
        options = [option for option in options if option.gate.view.backend.local]
    preferred = question.resolution.preferred
    if preferred and len(options) > 1:
        most = max(len(preferred & option.view.capabilities) for option in options)
        options = [option for option in options if len(preferred & option.view.capabilities) == most]
    return options


def _totals(options: list[Option], scores: Scores) -> list[float]:
    """The weighted mean of the terms, times the weights of backend and deployment. By column: that is twice as fast."""
    plain = [0.0] * len(options)
    for weight, column in zip(scores.weights, scores.columns, strict=True):
        plain = [sum_ + weight * value for sum_, value in zip(plain, column, strict=True)]
    scale = 1.0 / (sum(scores.weights) or 1.0)  # nothing counts: all are equal
    return [
        sum_ * scale * option.gate.weight * option.view.deployment.weight
        for sum_, option in zip(plain, options, strict=True)
    ]


def _best(options: list[Option], totals: list[float]) -> int:
    top = max(totals)
    return min((i for i, total in enumerate(totals) if total == top), key=lambda i: _name(options[i]))


def ranking(choice: Choice) -> list[int]:
    """The indexes of all options, best first; equal scores by backend, then model."""
    return sorted(range(len(choice.options)), key=lambda i: (-choice.totals[i], *_name(choice.options[i])))


def _name(option: Option) -> tuple[str, str]:
    return option.view.deployment.backend, option.view.deployment.model


# ----------------------------------------------------------------------------------------------------- strategies


def usage_based(options: list[Option], question: Question, policy: Policy) -> Scores:
    """The weighting of the module's docstring."""
    favours = question.resolution.favours
    if question.ask.latency_level in ("ULTRA_LOW", "LOW"):
        favours = "latency"
    names = ["latency", "success_rate", "cost"]
    cost_weight = policy.cost_weight if question.ask.cost_weight is None else question.ask.cost_weight
    weights = [policy.latency_weight, policy.success_weight, cost_weight]
    if favours == "latency":
        weights[0] += LEAN
    columns = [_latency(options, policy), [o.view.success for o in options], _cheapness(options)]
    if favours in ("quality", "context"):
        names.append(favours)
        weights.append(LEAN)
        columns.append(
            _quality(options, question.resolution.intent) if favours == "quality" else _window(options)
        )
    return Scores(tuple(names), tuple(weights), tuple(columns))


def _latency(options: list[Option], policy: Policy) -> list[float]:
    totals = [q + load * policy.prefer_warm + p + d for q, load, p, d, _, _ in (o.estimate for o in options)]
    shortest = min(totals)
    return [shortest / total if total > 0 else 1.0 for total in totals]


def _cheapness(options: list[Option]) -> list[float]:
    highest = max(option.estimate.cost_usd for option in options)
    if highest <= 0:
        return [1.0] * len(options)
    return [1.0 - option.estimate.cost_usd / highest for option in options]


def _quality(options: list[Option], intent: str) -> list[float]:
    qualities = [quality_of(option.view, intent) for option in options]
    best = max(qualities)
    return [quality / best for quality in qualities]


def quality_of(view: DeploymentView, intent: str) -> float:
    """What the operator states for this intent, else the mean of what it states, else size / (size + 7B)."""
    stated = view.quality
    if intent in stated:
        return max(stated[intent], 0.01)
    if stated:
        return max(sum(stated.values()) / len(stated), 0.01)
    size = view.parameters or 3.0
    return size / (size + 7.0)


def _window(options: list[Option]) -> list[float]:
    largest = max(option.view.context_tokens for option in options)
    return [option.view.context_tokens / largest if largest else 1.0 for option in options]


STRATEGIES: dict[str, Callable[[list[Option], Question, Policy], Scores]] = {"usage_based": usage_based}


# --------------------------------------------------------------------------------------------------- in the open


def candidate_of(choice: Choice, index: int) -> Candidate:
    """An option with its terms."""
    option, scores = choice.options[index], choice.scores
    values = (column[index] for column in scores.columns)
    backend = option.gate.view.backend
    return Candidate(
        option.view.deployment,
        backend.kind,
        backend.local,
        eligible=True,
        score=choice.totals[index],
        terms=tuple(ScoreTerm(*term) for term in zip(scores.names, values, scores.weights, strict=True)),
        estimate=option.estimate,
    )


def passed_over(question: Question, choice: Choice, snapshot: Snapshot) -> tuple[Candidate, ...]:
    """What could serve as well as the options, but is not local, or has less of what is preferred. For explanations."""
    gates = {name: _gate(question, view) for name, view in snapshot.backends.items()}
    able = _eligible(question, views_of(question.resolution.tiers[choice.step], snapshot), gates)
    kept = {_name(option) for option in choice.options}
    local = choice.options[0].gate.view.backend.local
    candidates = []
    for option in able:
        if _name(option) not in kept:
            backend = option.gate.view.backend
            away = local and not backend.local and question.ask.locality is not Locality.ANY
            reasons = (Reason.LOCALITY if away else Reason.MISSING_CAPABILITY,)
            candidates.append(
                Candidate(
                    option.view.deployment,
                    backend.kind,
                    backend.local,
                    eligible=False,
                    reasons=reasons,
                    estimate=option.estimate,
                )
            )
    return tuple(candidates)


def ineligible(question: Question, snapshot: Snapshot) -> tuple[Candidate, ...]:
    """Every deployment of every tier that may not serve, with all its reasons. For explanations and refusals."""
    seen: dict[tuple[str, str], Candidate] = {}
    for tier in question.resolution.tiers:
        for view in views_of(tier, snapshot):
            key = (view.deployment.backend, view.deployment.model)
            if key not in seen and (reasons := why_not(question, view, snapshot.backends[key[0]])):
                backend = snapshot.backends[key[0]].backend
                seen[key] = Candidate(
                    view.deployment, backend.kind, backend.local, eligible=False, reasons=reasons
                )
    return tuple(seen.values())


def why_not(question: Question, view: DeploymentView, backend: BackendView) -> tuple[Reason, ...]:
    """All reasons that keep a deployment from serving; empty when it may. Says in words what `_eligible` tests."""
    ask, key = question.ask, (view.deployment.backend, view.deployment.model)
    reasons = list(_closed(ask, backend))
    if key in question.excluded:
        reasons.append(Reason.EXCLUDED)
    if not view.served:
        reasons.append(Reason.MODEL_NOT_SERVED)
    if (
        not (ask.needs | question.resolution.required) <= view.capabilities
        or question.features & backend.backend.refuses
    ):
        reasons.append(Reason.MISSING_CAPABILITY)
    if too_long(question, view, backend):
        reasons.append(Reason.CONTEXT_TOO_LONG)
    cost = estimate(question.size, view, 0.0, 1.0).cost_usd
    if ask.max_cost_usd is not None and cost > ask.max_cost_usd:
        reasons.append(Reason.TOO_EXPENSIVE)
    return tuple(reasons)
