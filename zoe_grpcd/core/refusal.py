"""No choice in the open: why nobody may serve, as the error that tells the caller what would help."""

from collections.abc import Sequence
from math import ceil

from zoe_grpcd.core.ask import NO_LIMITS, Limits
from zoe_grpcd.core.backend import Phase
from zoe_grpcd.core.deadlines import measured_part, soonest
from zoe_grpcd.core.decision import Candidate, Estimate, Reason
from zoe_grpcd.core.eligible import CHAT, Question, gate_of, held_for, refused_by, views_of
from zoe_grpcd.core.errors import (
    ContextTooLong,
    Exhausted,
    InvalidRequest,
    ModelNotFound,
    NoCapableBackend,
    NoHealthyBackend,
    Violation,
    ZoeError,
)
from zoe_grpcd.core.estimate import estimate, prompt_tokens
from zoe_grpcd.core.scoring import HELD, ineligible
from zoe_grpcd.core.views import DeploymentView, Snapshot

# These pass with time; all others are there to stay, until the request or the config changes.
PASSING = {Reason.UNHEALTHY, Reason.CIRCUIT_OPEN, Reason.RATE_LIMITED, Reason.DRAINING, Reason.LOADING}
PASSING |= {Reason.SATURATED, Reason.MODEL_NOT_SERVED, Reason.TOO_SLOW}
# What a backend in one of these serves is known from before, or not at all.
NOT_UP = {Phase.UNKNOWN, Phase.DOWN, Phase.LOADING}


def refusal_of(question: Question, snapshot: Snapshot, retry_after: float) -> ZoeError:
    """Why nobody may serve: the error that tells the caller what would help, the most hopeful first."""
    candidates = ineligible(question, snapshot)
    lasting = [frozenset(candidate.reasons) - PASSING for candidate in candidates]
    if not candidates:
        return _nobody(question, snapshot, retry_after)
    if any(not reasons for reasons in lasting):
        return _unhealthy(candidates, snapshot, retry_after)
    if silent := _silent(question, candidates, snapshot):
        text = f"no healthy backend: {', '.join(silent)}, and what is served there is not known yet"
        return NoHealthyBackend(text, retry_after=retry_after)
    if {Reason.CONTEXT_TOO_LONG} in lasting:
        return _too_long(question, snapshot)
    if {Reason.MISSING_CAPABILITY} in lasting and (refused := _refused_features(question, snapshot)):
        return InvalidRequest(
            "no backend that could serve the request honours " + ", ".join(refused),
            violations=tuple(
                Violation(
                    f"spec.{name}",
                    "no backend that could serve the request honours it; leave it out, or set drop_params",
                )
                for name in refused
            ),
        )
    return _incapable(question, candidates, lasting, snapshot)


def late_of(question: Question, snapshot: Snapshot) -> Exhausted | None:
    """The refusal of a request that somebody would serve if only there were time; None: time is not the matter."""
    if question.limits is NO_LIMITS:
        return None
    slow = {
        (c.deployment.backend, c.deployment.model)
        for c in ineligible(question, snapshot)
        if c.reasons == (Reason.TOO_SLOW,)
    }
    views = [view for tier in question.resolution.tiers for view in views_of(tier, snapshot)]
    found = []
    for view in views:
        deployment = view.deployment
        if (deployment.backend, deployment.model) in slow:
            expected = estimate(question.size, view, snapshot.backends[deployment.backend])
            found.append((measured_part(view, expected), f"{deployment.model} @ {deployment.backend}"))
    if not found:
        return None
    best, who = min(found, key=lambda pair: (pair[0].total, pair[1]))
    return _late(question.limits, best, who)


def _late(limits: Limits, best: Estimate, who: str) -> Exhausted:
    """What cannot be kept, and the earliest that can."""
    limit, wish, expected = limits.deadline, "the deadline is in", best.total
    if limit is None or soonest(best) <= limit:
        limit, wish = limits.total, "the answer is wanted within"
        if limit is None or best.total <= limit:
            limit, wish = limits.first_token, "the first token is wanted within"
            expected = best.time_to_first_token
    wait = f", {best.queue:.1f} s of it to wait" if best.queue >= 0.05 else ""
    load = f", {best.load:.1f} s of it to load" if best.load > 0 else ""
    limit = max(0.0, limit or 0.0)  # what was left when it was looked at may have passed
    return Exhausted(
        f"{wish} {limit:.2f} s, and {who} would need about {expected:.2f} s{wait}{load}",
        cause="DEADLINE_UNREACHABLE",
        retry_after=expected,
        metadata={"limit_seconds": f"{limit:.3f}", "earliest_seconds": f"{expected:.3f}"},
    )


def _nobody(question: Question, snapshot: Snapshot, retry_after: float) -> ZoeError:
    """No deployment was even considered: nothing is served, or not where a pattern or a demand leads."""
    resolution = question.resolution
    places = [tier.only for tier in resolution.tiers]
    silent = [
        view.backend.name
        for view in snapshot.backends.values()
        if view.phase in NOT_UP and any(place is None or place.has(view.backend) for place in places)
    ]
    if not snapshot.by_model:
        known = [f"{name} ({view.phase})" for name, view in sorted(snapshot.backends.items())]
        text = f"no backend serves any model yet: {', '.join(known) or 'none is there'}"
        return NoHealthyBackend(text, retry_after=retry_after)
    served = [view for views in snapshot.by_model.values() for view in views]
    if not silent and not any(view.capabilities >= CHAT for view in served):
        return _chatless(served)
    if resolution.reason is not Reason.PATTERN:  # who served it was taken away while it waited, say
        return NoHealthyBackend("no backend serves what it may go to", retry_after=retry_after)
    text = f"{resolution.why}: nothing is served there"
    if silent:
        return NoHealthyBackend(f"{text}, and {', '.join(silent)} is not up", retry_after=retry_after)
    return ModelNotFound(text, metadata={"model": resolution.requested_model})


def _chatless(served: Sequence[DeploymentView]) -> NoCapableBackend:
    """All that is served is good for something else."""
    lacking = str(Reason.MISSING_CAPABILITY)
    return NoCapableBackend(
        "no model that is served here can chat",
        metadata={"required": "chat", "reasons": lacking},
        violations=tuple(Violation(f"{v.deployment.model} @ {v.key[0]}", lacking) for v in served[:16]),
    )


def _unhealthy(candidates: tuple[Candidate, ...], snapshot: Snapshot, retry_after: float) -> ZoeError:
    """Nobody for now; where it is known when somebody will be back, that is when to come again."""
    hopeful = [(c, _seconds_held(c, snapshot)) for c in candidates if set(c.reasons) <= PASSING]
    names = ", ".join(sorted({_in_words(candidate, seconds) for candidate, seconds in hopeful}))
    known = [seconds for _, seconds in hopeful if seconds is not None]
    retry_after = max(retry_after, min(known, default=0.0))
    if all(set(candidate.reasons) == {Reason.RATE_LIMITED} for candidate, _ in hopeful):
        return Exhausted(
            f"every backend limits our rate: {names}", cause="RATE_LIMITED", retry_after=retry_after
        )
    return NoHealthyBackend(f"no healthy backend: {names}", retry_after=retry_after)


def _seconds_held(candidate: Candidate, snapshot: Snapshot) -> float | None:
    """How long it still gets nothing because of its failures, at least; None: not known, or that is not why."""
    name, model = candidate.deployment.backend, candidate.deployment.model
    if HELD.isdisjoint(candidate.reasons):
        return None
    view = next(view for view in snapshot.by_model[model] if view.deployment.backend == name)
    return held_for(view, snapshot.backends[name], snapshot.at)


def _in_words(candidate: Candidate, seconds: float | None) -> str:
    time = "" if seconds is None else f" for {ceil(seconds)} s"
    return f"{candidate.deployment.backend} ({', '.join(candidate.reasons)}{time})"


def _silent(question: Question, candidates: tuple[Candidate, ...], snapshot: Snapshot) -> list[str]:
    """Backends of which nothing is known yet, if they are the only ones that may have the request at all."""
    views = snapshot.backends.values()
    allowed = {view.backend.name for view in views if not set(gate_of(question, view).closed) - PASSING}
    if any(candidate.deployment.backend in allowed for candidate in candidates):
        return []
    told = {view.deployment.backend for found in snapshot.by_model.values() for view in found}
    silent = (snapshot.backends[name] for name in sorted(allowed - told))
    return [f"{view.backend.name} ({view.phase})" for view in silent if view.phase in NOT_UP]


def lengths(question: Question, snapshot: Snapshot) -> dict[str, str]:
    """The prompt's expected length and the largest window that it was held against, in tokens."""
    views = [view for tier in question.resolution.tiers for view in views_of(tier, snapshot)]
    largest = max(views, key=lambda view: view.context_tokens)
    tokens = round(prompt_tokens(question.size, largest))
    return {"prompt_tokens": str(tokens), "max_context_tokens": str(largest.context_tokens)}


def _too_long(question: Question, snapshot: Snapshot) -> ContextTooLong:
    metadata = lengths(question, snapshot)
    tokens, largest = metadata["prompt_tokens"], int(metadata["max_context_tokens"])
    text, field = f"the prompt needs about {tokens} tokens", "spec.messages"
    if question.min_window > largest:
        text = f"a window of {question.min_window} tokens is asked for"
        field = "spec.target.capability.min_context_tokens"
    elif question.window:
        text, largest = f"{text}, num_ctx asks for {question.window}", max(largest, question.window)
    return ContextTooLong(
        f"{text}; the largest window here has {largest}",
        metadata=metadata,
        violations=(Violation(field, f"{text}; at most {largest} fit"),),
    )


def _refused_features(question: Question, snapshot: Snapshot) -> list[str]:
    """The features that keep otherwise capable deployments from serving."""
    required = question.required
    refused: set[str] = set()
    for tier in question.resolution.tiers:
        for view in views_of(tier, snapshot):
            if required <= view.capabilities:
                backend = snapshot.backends[view.deployment.backend].backend
                refused |= refused_by(view, backend, question.features)
    return sorted(refused)


def unknown(snapshot: Snapshot) -> list[str]:
    """`jetson is down, and what it serves is not known`, for whoever misses it among the candidates."""
    told = {view.deployment.backend for views in snapshot.by_model.values() for view in views}
    return [
        f"{name} is {view.phase.lower()}, and what it serves is not known"
        for name, view in snapshot.backends.items()
        if name not in told and view.phase in NOT_UP
    ]


def _incapable(
    question: Question,
    candidates: tuple[Candidate, ...],
    lasting: list[frozenset[Reason]],
    snapshot: Snapshot,
) -> NoCapableBackend:
    views = [view for tier in question.resolution.tiers for view in views_of(tier, snapshot)]
    asked = question.ask.needs | question.resolution.required
    all_chat = all(view.capabilities >= CHAT for view in views)  # which need not be said then
    required = sorted(asked if all_chat else question.required)
    reasons = sorted({reason for some in lasting for reason in some})
    details = tuple(
        Violation(f"{c.deployment.model} @ {c.deployment.backend}", ", ".join(c.reasons))
        for c in candidates[:16]
    )
    wanted = f" (it needs {', '.join(required)})" if required else ""
    rules = "".join(f"; {text}" for text in (question.resolution.demands, *unknown(snapshot)) if text)
    return NoCapableBackend(
        f"no deployment can serve this request{wanted}: {', '.join(reasons)}{rules}",
        metadata={"required": ",".join(required), "reasons": ",".join(reasons)},
        violations=details,
    )
