"""Who may serve a request: the filter before the scores, and the same tests in words.

Rule: what keeps a deployment out is tested in `eligible_of` and named in `why_not`; a test holds the two together.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from zoe_grpcd.core.ask import NO_LIMITS, Ask, Limits
from zoe_grpcd.core.backend import Backend, Phase
from zoe_grpcd.core.budget import most_usd
from zoe_grpcd.core.deadlines import too_slow
from zoe_grpcd.core.decision import Estimate, Reason
from zoe_grpcd.core.errors import Fault
from zoe_grpcd.core.estimate import (
    Size,
    alone,
    by_neighbours,
    estimate,
    is_idle,
    most_tokens,
    prompt_tokens,
    size_of,
)
from zoe_grpcd.core.key import Key
from zoe_grpcd.core.licence import Locality
from zoe_grpcd.core.resolution import Resolution
from zoe_grpcd.core.tiers import Selection, Tier
from zoe_grpcd.core.views import BackendView, DeploymentView, Snapshot

# How far a guessed or learned prompt length may exceed a window before the prompt counts as too long for it.
GUESSED_MARGIN, LEARNED_MARGIN = 1.25, 1.05
CHAT = frozenset({"chat"})  # without it a model embeds, say, and answers nobody
# The one feature that depends on the model, and the capability of those that honour it.
PROBABILITIES, PROBABLE = "top_logprobs", "logprobs"

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
    `excluded` are the (backend, model) that already failed for it, `faults` why, `avoided` backends that had too many
    requests and get it only if nobody else can serve it. `window`: the caller sets it with the request
    (num_ctx), for kinds that allow that; 0: it does not. `min_window`: nothing smaller will do. `panic`: nobody may serve,
    so that those may who fail too often. `limits`: what is left of its time, `budget`: of its key's money (US dollars;
    None: no limit).
    """

    ask: Ask
    resolution: Resolution
    size: Size
    features: frozenset[str] = frozenset()
    excluded: frozenset[Key] = frozenset()
    window: int = 0
    min_window: int = 0
    faults: tuple[Fault, ...] = ()
    avoided: frozenset[str] = frozenset()
    only: frozenset[Key] | None = None  # the (backend, model) that can go on with an answer; None: all
    panic: bool = False
    limits: Limits = NO_LIMITS
    budget: float | None = None

    @property
    def required(self) -> frozenset[str]:
        """The capabilities that whoever serves must have: those that the request, or what it resolved to, needs."""
        more = self.ask.needs | self.resolution.required
        return CHAT | more if more else CHAT


def question_of(ask: Ask, resolution: Resolution, *, drop_params: bool) -> Question:
    """The first question of a request; with `drop_params`, what a backend cannot honour may be dropped."""
    window = ask.generation.backend_options.get("num_ctx")
    return Question(
        ask,
        resolution,
        size_of(ask, resolution.defaults.get("max_output_tokens")),
        features=frozenset() if drop_params else ask.features,
        window=window if isinstance(window, int) else 0,
        min_window=max(ask.target.min_context_tokens, resolution.min_context),
        limits=ask.limits,
    )


class Gate(NamedTuple):
    """What a backend means for a request, the same for all its deployments."""

    view: BackendView
    closed: tuple[Reason, ...]
    weight: float
    idle: float  # how many times slower its warm models are than alone, if it has nothing to do; else 0


class Gates(dict[str, Gate]):
    """The gates by backend, each made when it is first asked for: a named model is on few of the backends."""

    def __init__(self, question: "Question", backends: Mapping[str, BackendView]) -> None:
        super().__init__()
        self._question = question
        self._backends = backends
        self._picky = is_picky(question)

    def __missing__(self, name: str) -> Gate:
        gate = self[name] = gate_of(self._question, self._backends[name], picky=self._picky)
        return gate


_new = tuple.__new__  # of a named tuple, in half the time: there may be hundreds in a decision


class Option(NamedTuple):
    """An eligible deployment with its estimate."""

    view: DeploymentView
    gate: Gate
    estimate: Estimate


def views_of(tier: Tier, snapshot: Snapshot) -> Sequence[DeploymentView]:
    """The deployments of a tier."""
    views: Sequence[DeploymentView]
    if tier.models is None:
        views = snapshot.auto
    elif len(tier.models) == 1:
        (model,) = tier.models
        views = snapshot.by_model.get(model, ())
    else:
        views = [view for model in sorted(tier.models) for view in snapshot.by_model.get(model, ())]
    if tier.only is not None:
        views = [view for view in views if _is_meant(tier.only, view, snapshot)]
    if tier.alone:
        served = {(view.deployment.backend, view.deployment.backend_model) for view in snapshot.auto}
        models = Counter(backend for backend, _ in served)
        views = [view for view in views if models[view.deployment.backend] == 1]
    return views


def _is_meant(selection: Selection, view: DeploymentView, snapshot: Snapshot) -> bool:
    return selection.holds(view, snapshot.backends[view.deployment.backend].backend)


def gate_of(question: Question, view: BackendView, *, picky: bool = True) -> Gate:
    """What a backend means for this request; `picky`: as `is_picky` tells."""
    trust = 1.0 if view.phase is Phase.COOLING_DOWN else view.trust
    idle = 1.0 + by_neighbours(view) if is_idle(view) else 0.0
    closed = (
        (*_unwanted(question, view.backend), *_closed(question, view)) if picky else _closed(question, view)
    )
    return Gate(view, closed, view.backend.weight * trust, idle)


def is_picky(question: Question) -> bool:
    """Not every backend will do, whatever its state."""
    target = question.ask.target
    return bool(
        target.allowed_backends
        or target.excluded_backends
        or target.labels
        or question.avoided
        or question.resolution.require
        or question.ask.locality is Locality.LOCAL_ONLY
    )


def _unwanted(question: Question, backend: Backend) -> list[Reason]:
    """Why this request is not for a backend, whatever its state."""
    ask, reasons = question.ask, []
    target, demanded = ask.target, question.resolution.require
    if target.allowed_backends and backend.name not in target.allowed_backends:
        reasons.append(Reason.EXCLUDED)
    if target.excluded_backends and backend.name in target.excluded_backends:
        reasons.append(Reason.EXCLUDED)
    if target.labels and any(backend.labels.get(key) != value for key, value in target.labels.items()):
        reasons.append(Reason.EXCLUDED)
    if backend.name in question.avoided or not all(each.has(backend) for each in demanded):
        reasons.append(Reason.EXCLUDED)
    if ask.locality is Locality.LOCAL_ONLY and not backend.local:
        reasons.append(Reason.LOCALITY)
    return reasons


def _closed(question: Question, view: BackendView) -> tuple[Reason, ...]:
    """Why no deployment of this backend may serve any request now."""
    backend, reasons = view.backend, []
    if view.phase in _PHASE_REASONS and not _may_try(question, view):
        reasons.append(_PHASE_REASONS[view.phase])
    if backend.max_in_flight is not None and view.in_flight >= backend.max_in_flight:
        reasons.append(Reason.SATURATED)
    return tuple(reasons)


def _may_try(question: Question, view: BackendView) -> bool:
    """It cools down, but gets this request: as its trial, or since nobody else may serve."""
    return view.phase is Phase.COOLING_DOWN and (view.trial or question.panic)


def barred_of(question: Question, view: DeploymentView) -> Reason | None:
    """What is held against a deployment, if that keeps it out: in panic only what its backend itself asked for."""
    return None if question.panic and not view.asked else view.barred


def held_for(view: DeploymentView, backend: BackendView, at: float) -> float | None:
    """Seconds until a deployment that failed, or asked us to wait, gets requests again; None: not known, or not held."""
    until = backend.until if view.until is None else view.until
    return None if until is None else max(0.0, until - at)


def eligible_of(
    question: Question, views: Sequence[DeploymentView], gates: Mapping[str, Gate]
) -> list[Option]:
    """The hot loop of a decision: a few microseconds a deployment."""
    ask, size, excluded, only = question.ask, question.size, question.excluded, question.only
    required = question.required
    features, limit, demanded = question.features, ask.max_cost_usd, question.resolution.require
    probable = PROBABILITIES in features
    limits = None if question.limits is NO_LIMITS else question.limits
    unlimited = limit is None and question.budget is None
    roomy = inf if question.window else max(question.min_window, most_tokens(size))
    options = []
    for view in views:
        deployment = view.deployment
        gate = gates[deployment.backend]
        if (
            gate.closed
            or not view.served
            or (view.barred and barred_of(question, view))
            or not required <= view.capabilities
            or (features and features & gate.view.backend.refuses)
            or (probable and PROBABLE not in view.capabilities)
            or (excluded and (deployment.backend, deployment.model) in excluded)
            or (only is not None and (deployment.backend, deployment.model) not in only)
            or (demanded and not all(selection.holds(view, gate.view.backend) for selection in demanded))
            or (view.context_tokens < roomy and too_long(question, view, gate.view))
        ):
            continue
        if gate.idle and not view.load_seconds:  # what `estimate` says then, for a third of its time
            expected = alone(size, view, gate.idle)
        else:
            expected = estimate(size, view, gate.view)
        if limits is not None and too_slow(limits, view, expected):
            continue
        if unlimited or not is_dear(question, view):
            options.append(_new(Option, (view, gate, expected)))
    return options


def refused_by(view: DeploymentView, backend: Backend, features: frozenset[str]) -> frozenset[str]:
    """Those of a request's features that a deployment cannot honour, by its kind or its model."""
    refused = features & backend.refuses
    if PROBABILITIES in features and PROBABLE not in view.capabilities:
        return refused | {PROBABILITIES}
    return refused


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


def is_dear(question: Question, view: DeploymentView) -> bool:
    """It is expected to cost more than the caller wants to pay, or may cost more than is left of its key's budget."""
    limit, budget = question.ask.max_cost_usd, question.budget
    if limit is not None and alone(question.size, view).cost_usd > limit:
        return True
    return budget is not None and most_usd(question.size, view) > budget


def why_not(question: Question, view: DeploymentView, backend: BackendView) -> tuple[Reason, ...]:
    """All reasons that keep a deployment from serving; empty when it may. Says in words what `eligible_of` tests."""
    key = view.key
    reasons = [*_unwanted(question, backend.backend), *_closed(question, backend)]
    meant = all(selection.holds(view, backend.backend) for selection in question.resolution.require)
    meant = meant and (question.only is None or key in question.only)
    if key in question.excluded or not (meant or Reason.EXCLUDED in reasons):
        reasons.append(Reason.EXCLUDED)
    barred = barred_of(question, view)
    if barred is not None and barred not in reasons:
        reasons.append(barred)
    if not view.served:
        reasons.append(Reason.MODEL_NOT_SERVED)
    if not question.required <= view.capabilities or refused_by(view, backend.backend, question.features):
        reasons.append(Reason.MISSING_CAPABILITY)
    if too_long(question, view, backend):
        reasons.append(Reason.CONTEXT_TOO_LONG)
    if is_dear(question, view):
        reasons.append(Reason.TOO_EXPENSIVE)
    if question.limits is not NO_LIMITS and too_slow(
        question.limits, view, estimate(question.size, view, backend)
    ):
        reasons.append(Reason.TOO_SLOW)
    return tuple(reasons)
