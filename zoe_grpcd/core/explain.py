"""A decision in the open: from a choice to what the caller reads of it."""

from dataclasses import replace

from zoe_grpcd.core.decision import Candidate, Decision
from zoe_grpcd.core.eligible import Question, refused_by
from zoe_grpcd.core.fallback import is_open
from zoe_grpcd.core.flip import flips, in_words
from zoe_grpcd.core.grounds import place_of, reason_of, words_of
from zoe_grpcd.core.merge import stands_in
from zoe_grpcd.core.obstacles import aside, hopes
from zoe_grpcd.core.quantities import Situation
from zoe_grpcd.core.refusal import unknown
from zoe_grpcd.core.resolve import Policy
from zoe_grpcd.core.scoring import Choice, candidate_of, ineligible, passed_over, ranking
from zoe_grpcd.core.strategies import DEFAULT
from zoe_grpcd.core.views import Snapshot

SAID = 0.05  # a shorter wait or load reads 0.0 s (seconds)


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
    defaults: dict[str, object] = {}
    if resolution.defaults:
        options = {**chosen.deployment.options, **question.ask.generation.options}
        defaults = {name: value for name, value in resolution.defaults.items() if name not in options}
    view, backend = choice.options[choice.best].view, snapshot.backends[chosen.deployment.backend].backend
    dropped = refused_by(view, backend, question.ask.features)
    explanation = _sentence(question, choice, snapshot, defaults, dropped)
    if explain:
        others = tuple(candidate_of(choice, index) for index in ranking(choice)[1:])
        passed = passed_over(question, choice, snapshot)
        rest = (*passed, *ineligible(_considered(question, choice, snapshot), snapshot))
        candidates = (chosen, *others, *rest)
        situation = Situation(question, snapshot, policy)
        changes = [in_words(flip, choice) for flip in flips(situation, choice)]
        would = [*changes, *aside(situation, chosen, passed), *hopes(situation, rest)]
        explanation = "; ".join([explanation, *would, *unknown(snapshot)])
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
    load = f", {expected.load:.1f} s of it to load" if expected.load >= SAID else ""
    wait = f", {expected.queue:.1f} s of it to wait" if expected.queue >= SAID else ""
    count = choice.options[choice.best].gate.view.neighbours
    beside = f", beside {count} at work on other servers of its machine" if count else ""
    price = f", {max(expected.cost_usd, 1e-6):.6f} USD" if expected.cost_usd > 0 else ""
    parts.append(f"expected {expected.total:.1f} s{load}{wait}{beside}{price}")
    if choice.panic:
        parts.append("nobody else may serve, so it is tried although it fails too often or limits our rate")
    elif choice.options[choice.best].gate.view.trial:
        parts.append("it is tried again after its failures")
    if question.excluded:
        parts.append(
            "after a failure of "
            + ", ".join(f"{model} @ {backend}" for backend, model in sorted(question.excluded))
        )
    applied = [f"{name} {value}" for name, value in sorted(defaults.items())] if defaults else []
    if stands_in(question.ask, question.resolution):
        applied.append("its system prompt")
    if applied:
        parts.append(f"defaults of the intent: {', '.join(applied)}")
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
