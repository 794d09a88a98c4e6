"""Decisions and refusals in the open: from a choice to what the caller reads, and from no choice to the right error."""

from dataclasses import replace
from math import ceil

from zoe_grpcd.core.deadlines import measured_part, soonest
from zoe_grpcd.core.domain import NO_LIMITS, Candidate, Decision, Estimate, Limits, Phase, Reason
from zoe_grpcd.core.eligible import Question, held_for, views_of
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
from zoe_grpcd.core.fallback import is_open
from zoe_grpcd.core.flip import flips, in_words
from zoe_grpcd.core.grounds import place_of, reason_of, words_of
from zoe_grpcd.core.obstacles import hopes
from zoe_grpcd.core.quantities import Situation
from zoe_grpcd.core.resolve import Policy
from zoe_grpcd.core.scoring import HELD, Choice, candidate_of, ineligible, passed_over, ranking
from zoe_grpcd.core.strategies import DEFAULT
from zoe_grpcd.core.views import Snapshot

# These pass with time; all others are there to stay, until the request or the config changes.
PASSING = {Reason.UNHEALTHY, Reason.CIRCUIT_OPEN, Reason.RATE_LIMITED, Reason.DRAINING, Reason.LOADING}
PASSING |= {Reason.SATURATED, Reason.MODEL_NOT_SERVED}
# What a backend in one of these serves is known from before, or not at all.
NOT_UP = {Phase.UNKNOWN, Phase.DOWN, Phase.LOADING}


def decision_of(
    question: Question, choice: Choice, snapshot: Snapshot, policy: Policy, *, explain: bool
) -> Decision:
    """The decision that a choice amounts to; with `explain` every deployment that was considered is in it.

    Without `id` and `decide_seconds`, which are not the core's to know.
    """
    if choice.panic:
        question = replace(question, panic=True, avoided=frozenset())
    chosen = candidate_of(choice, choice.best)
    candidates: tuple[Candidate, ...] = (chosen,)
    resolution = question.resolution
    options = {**chosen.deployment.options, **question.ask.generation.options}
    defaults = {name: value for name, value in resolution.defaults.items() if name not in options}
    dropped = question.ask.features & snapshot.backends[chosen.deployment.backend].backend.refuses
    explanation = _sentence(question, choice, snapshot, defaults, dropped)
    if explain:
        others = tuple(candidate_of(choice, index) for index in ranking(choice)[1:])
        rest = (
            *passed_over(question, choice, snapshot),
            *ineligible(_considered(question, choice, snapshot), snapshot),
        )
        candidates = (chosen, *others, *rest)
        situation = Situation(question, snapshot, policy)
        changes = [in_words(flip, choice) for flip in flips(situation, choice)]
        explanation = "; ".join([explanation, *changes, *hopes(situation, rest), *_unknown(snapshot)])
    return Decision(
        chosen,
        candidates,
        requested_model=resolution.requested_model,
        intent=resolution.intent,
        strategy=choice.strategy,
        reason=reason_of(question, choice),
        explanation=explanation,
        defaults=defaults,
        dropped=dropped,
        config_generation=policy.config_generation,
        turn=choice.turn,
    )


def _sentence(
    question: Question,
    choice: Choice,
    snapshot: Snapshot,
    defaults: dict[str, object],
    dropped: frozenset[str],
) -> str:
    chosen = choice.options[choice.best].view
    expected = choice.options[choice.best].estimate
    by = "" if choice.strategy == DEFAULT else f" by {choice.strategy}"
    name = f"{chosen.deployment.model} @ {chosen.deployment.backend}"
    parts = [f"{name}: {words_of(question, choice, snapshot)}; {place_of(choice, by)}"]
    load = f", {expected.load:.1f} s of it to load" if expected.load > 0 else ""
    wait = f", {expected.queue:.1f} s of it to wait" if expected.queue > 0 else ""
    price = f", {max(expected.cost_usd, 1e-6):.6f} USD" if expected.cost_usd > 0 else ""
    parts.append(f"expected {expected.total:.1f} s{load}{wait}{price}")
    if choice.panic:
        parts.append("nobody else may serve, so it is tried although it fails too often or limits our rate")
    elif choice.options[choice.best].gate.view.trial:
        parts.append("it is tried again after its failures")
    if question.excluded:
        parts.append(
            "after a failure of "
            + ", ".join(f"{model} @ {backend}" for backend, model in sorted(question.excluded))
        )
    if defaults:
        parts.append("defaults of the intent: " + ", ".join(f"{k} {v}" for k, v in sorted(defaults.items())))
    if dropped:
        parts.append("dropped, since this backend cannot honour them: " + ", ".join(sorted(dropped)))
    return "; ".join(parts)


def _considered(question: Question, choice: Choice, snapshot: Snapshot) -> Question:
    """The question as far as it was gone into: to the step that had somebody, without steps that may not be taken."""
    resolution = question.resolution
    tiers = tuple(
        tier
        for step, tier in enumerate(resolution.tiers[: choice.step + 1])
        if tier.when is None or is_open(question, step, snapshot)
    )
    return replace(question, resolution=replace(resolution, tiers=tiers))


def _unknown(snapshot: Snapshot) -> list[str]:
    """`jetson is down, and what it serves is not known`, for whoever misses it among the candidates."""
    told = {view.deployment.backend for views in snapshot.by_model.values() for view in views}
    return [
        f"{name} is {view.phase.lower()}, and what it serves is not known"
        for name, view in snapshot.backends.items()
        if name not in told and view.phase in NOT_UP
    ]


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
    return _incapable(question, candidates, lasting)


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
    return Exhausted(
        f"{wish} {limit or 0.0:.2f} s, and {who} would need about {expected:.2f} s{wait}{load}",
        cause="DEADLINE_UNREACHABLE",
        retry_after=expected,
        metadata={"limit_seconds": f"{limit or 0.0:.3f}", "earliest_seconds": f"{expected:.3f}"},
    )


def _nobody(question: Question, snapshot: Snapshot, retry_after: float) -> ZoeError:
    """No deployment was even considered: nothing is served, or not where a pattern or a demand leads."""
    silent = [view.backend.name for view in snapshot.backends.values() if view.phase in NOT_UP]
    resolution = question.resolution
    if not snapshot.by_model or resolution.reason is not Reason.PATTERN:
        return NoHealthyBackend("no backend serves any model yet", retry_after=retry_after)
    text = f"{resolution.why}: nothing is served there"
    if silent:
        return NoHealthyBackend(f"{text}, and {', '.join(silent)} is not up", retry_after=retry_after)
    return ModelNotFound(text, metadata={"model": resolution.requested_model})


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
    """How long it still gets nothing because of its failures; None: not known, or that is not why."""
    name, model = candidate.deployment.backend, candidate.deployment.model
    if not set(candidate.reasons) <= HELD:
        return None
    view = next(view for view in snapshot.by_model[model] if view.deployment.backend == name)
    return held_for(view, snapshot.backends[name], snapshot.at)


def _in_words(candidate: Candidate, seconds: float | None) -> str:
    time = "" if seconds is None else f" for {ceil(seconds)} s"
    return f"{candidate.deployment.backend} ({', '.join(candidate.reasons)}{time})"


def _silent(question: Question, candidates: tuple[Candidate, ...], snapshot: Snapshot) -> list[str]:
    """The backends that the caller insists on, if none of them has ever told what it serves and one may yet."""
    target = question.ask.target
    wanted = target.allowed_backends - target.excluded_backends
    if any(candidate.deployment.backend in wanted for candidate in candidates):
        return []
    views = (snapshot.backends[name] for name in sorted(wanted & snapshot.backends.keys()))
    return [f"{view.backend.name} ({view.phase})" for view in views if view.phase in NOT_UP]


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
    required = question.ask.needs | question.resolution.required
    refused: set[str] = set()
    for tier in question.resolution.tiers:
        for view in views_of(tier, snapshot):
            if required <= view.capabilities:
                refused |= question.features & snapshot.backends[view.deployment.backend].backend.refuses
    return sorted(refused)


def _incapable(
    question: Question, candidates: tuple[Candidate, ...], lasting: list[frozenset[Reason]]
) -> NoCapableBackend:
    required = sorted(question.ask.needs | question.resolution.required)
    reasons = sorted({reason for some in lasting for reason in some})
    details = tuple(
        Violation(f"{c.deployment.model} @ {c.deployment.backend}", ", ".join(c.reasons))
        for c in candidates[:16]
    )
    wanted = f" (it needs {', '.join(required)})" if required else ""
    rules = f"; {question.resolution.rules}" if question.resolution.rules else ""
    return NoCapableBackend(
        f"no deployment can serve this request{wanted}: {', '.join(reasons)}{rules}",
        metadata={"required": ",".join(required), "reasons": ",".join(reasons)},
        violations=details,
    )
