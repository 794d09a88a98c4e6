"""What holds for every decision, whatever the fleet and the request."""

from hypothesis import given
from situations import ASKS, EXCLUDED, question_of, snapshots

from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.eligible import eligible_of, gate_of, views_of, why_not
from zoe_grpcd.core.explain import decision_of
from zoe_grpcd.core.licence import Locality
from zoe_grpcd.core.refusal import refusal_of
from zoe_grpcd.core.resolve import Policy
from zoe_grpcd.core.scoring import candidate_of, choose, ranking
from zoe_grpcd.core.views import Snapshot


@given(snapshots(), ASKS, EXCLUDED)
def test_a_decision_holds_what_it_promises(
    snapshot: Snapshot, ask: Ask, excluded: frozenset[tuple[str, str]]
) -> None:
    question, policy = question_of(snapshot, ask, excluded), Policy()
    if question is None:
        return
    choice = choose(question, snapshot, policy)
    if choice is None:
        error = refusal_of(question, snapshot, 0.5)
        reasons = {
            "NO_HEALTHY_BACKEND",
            "NO_CAPABLE_BACKEND",
            "CONTEXT_TOO_LONG",
            "BAD_REQUEST",
            "RATE_LIMITED",
        }
        assert error.reason in reasons
        return
    chosen = candidate_of(choice, choice.best)
    backend = snapshot.backends[chosen.deployment.backend].backend
    assert ask.locality is not Locality.LOCAL_ONLY or backend.local
    assert (backend.name, chosen.deployment.model) not in excluded
    assert not ask.target.allowed_backends or backend.name in ask.target.allowed_backends
    assert backend.name not in ask.target.excluded_backends
    assert not ask.features & backend.refuses
    for index in range(len(choice.options)):
        candidate = candidate_of(choice, index)
        assert candidate.score <= chosen.score
        for term in candidate.terms:
            assert 0.0 <= term.value <= 1.0, term
    assert ranking(choice)[0] == choice.best


@given(snapshots(), ASKS, EXCLUDED)
def test_the_same_picture_gives_the_same_decision(
    snapshot: Snapshot, ask: Ask, excluded: frozenset[tuple[str, str]]
) -> None:
    question, policy = question_of(snapshot, ask, excluded), Policy()
    if question is None or (first := choose(question, snapshot, policy)) is None:
        return
    shuffled = Snapshot(
        dict(list(snapshot.backends.items())[::-1]),
        {model: found[::-1] for model, found in list(snapshot.by_model.items())[::-1]},
        snapshot.auto[::-1],
    )
    again, other = choose(question, snapshot, policy), choose(question, shuffled, policy)
    assert again is not None
    assert other is not None
    assert decision_of(question, first, snapshot, policy, explain=True) == decision_of(
        question, again, snapshot, policy, explain=True
    )
    assert candidate_of(first, first.best).deployment == candidate_of(other, other.best).deployment


@given(snapshots(), ASKS, EXCLUDED)
def test_whoever_may_not_serve_is_told_why_and_nobody_else(
    snapshot: Snapshot, ask: Ask, excluded: frozenset[tuple[str, str]]
) -> None:
    question = question_of(snapshot, ask, excluded)
    if question is None:
        return
    gates = {name: gate_of(question, view) for name, view in snapshot.backends.items()}
    for tier in question.resolution.tiers:
        found = views_of(tier, snapshot)
        able = {id(option.view) for option in eligible_of(question, found, gates)}
        for view in found:
            reasons = why_not(question, view, snapshot.backends[view.deployment.backend])
            assert (id(view) in able) == (not reasons), reasons


@given(snapshots(), ASKS, EXCLUDED)
def test_an_explanation_names_everybody_of_its_tier_once(
    snapshot: Snapshot, ask: Ask, excluded: frozenset[tuple[str, str]]
) -> None:
    question, policy = question_of(snapshot, ask, excluded), Policy()
    if question is None or (choice := choose(question, snapshot, policy)) is None:
        return
    decision = decision_of(question, choice, snapshot, policy, explain=True)
    named = [(c.deployment.backend, c.deployment.model) for c in decision.candidates]
    assert len(named) == len(set(named))
    tier = views_of(question.resolution.tiers[choice.step], snapshot)
    assert {(v.deployment.backend, v.deployment.model) for v in tier} <= set(named)
    assert all(c.eligible != bool(c.reasons) for c in decision.candidates)
