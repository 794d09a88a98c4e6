"""What a caller reads: reasons, the sentence, and why nobody may serve."""

import re
from dataclasses import replace
from typing import Any

import pytest
from fakes import a_backend, a_question, a_resolver, a_snapshot, a_view, an_ask

from zoe_grpcd.core.ask import Ask, Target
from zoe_grpcd.core.awaited import held_up, once_over, wait_in_words
from zoe_grpcd.core.backend import Deployment, Phase
from zoe_grpcd.core.decision import Decision, Reason
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.errors import (
    ContextTooLong,
    InvalidRequest,
    NoCapableBackend,
    NoHealthyBackend,
    ZoeError,
)
from zoe_grpcd.core.explain import decision_of
from zoe_grpcd.core.generation import Generation
from zoe_grpcd.core.licence import Locality
from zoe_grpcd.core.refusal import refusal_of
from zoe_grpcd.core.resolve import Policy
from zoe_grpcd.core.scoring import choose
from zoe_grpcd.core.views import BackendView, DeploymentView, Snapshot


def backend(name: str, phase: Phase = Phase.READY, in_flight: int = 0, **fields: Any) -> BackendView:
    return BackendView(a_backend(name, **fields), phase, in_flight)


def pair(backend_view: BackendView, **view: Any) -> tuple[BackendView, DeploymentView]:
    return backend_view, a_view(backend_view.backend.name, **view)


def snapshot_of(*pairs: tuple[BackendView, DeploymentView]) -> Snapshot:
    return a_snapshot([b for b, _ in pairs], [v for _, v in pairs])


def question_of(snapshot: Snapshot, ask: Ask, policy: Policy, intents: Any = None, **fields: Any) -> Question:
    return a_question(ask, a_resolver(policy, intents).resolve(ask, snapshot.by_model), **fields)


def decide(
    snapshot: Snapshot,
    ask: Ask | None = None,
    policy: Policy | None = None,
    *,
    explain: bool = False,
    intents: Any = None,
    **fields: Any,
) -> Decision:
    policy = policy or Policy()
    question = question_of(snapshot, ask or an_ask(), policy, intents, **fields)
    choice = choose(question, snapshot, policy)
    assert choice is not None
    return decision_of(question, choice, snapshot, policy, explain=explain)


# ------------------------------------------------------------------------------------------------------------- reasons

A, B = pair(backend("a"), model="x"), pair(backend("b"), model="y")
DOWN_A = pair(backend("a", Phase.DOWN), model="x")


@pytest.mark.parametrize(
    ("snapshot", "target", "policy", "reason"),
    [
        (snapshot_of(A, B), Target(model="x"), Policy(), Reason.EXACT_MODEL),
        (snapshot_of(A, B), Target(model="f"), Policy(aliases={"f": ("x",)}), Reason.ALIAS),
        (snapshot_of(A, B), Target(preferred=frozenset({"chat"})), Policy(), Reason.CAPABILITY),
        (snapshot_of(A, B), Target(), Policy(), Reason.INTENT),
        (snapshot_of(DOWN_A, B), Target(model="x", fallback_models=("y",)), Policy(), Reason.FAILOVER),
        (snapshot_of(A, B), Target(model="gone", fallback_models=("y",)), Policy(), Reason.FAILOVER),
    ],
)
def test_why_it_was_chosen(snapshot: Snapshot, target: Target, policy: Policy, reason: Reason) -> None:
    assert decide(snapshot, an_ask(target=target), policy).reason is reason


HIDDEN = (
    backend("h"),
    a_view("h", deployment=Deployment("hidden", "h", "hidden", auto=False)),
)
INTENTS = {"chat": {"model": "x"}}


@pytest.mark.parametrize(
    ("snapshot", "target", "default", "intents", "reason"),
    [
        (snapshot_of(HIDDEN), Target(), "hidden", {}, Reason.DEFAULT_MODEL),
        (snapshot_of(DOWN_A, HIDDEN), Target(), "hidden", {}, Reason.DEFAULT_MODEL),
        (snapshot_of(DOWN_A, HIDDEN), Target(intent="chat"), "hidden", INTENTS, Reason.DEFAULT_MODEL),
        (snapshot_of(DOWN_A, B), Target(intent="chat"), "", INTENTS, Reason.FAILOVER),
        (snapshot_of(DOWN_A, B), Target(intent="chat"), "x", INTENTS, Reason.FAILOVER),
        (snapshot_of(DOWN_A, HIDDEN), Target(fallback_models=("hidden",)), "", {}, Reason.FAILOVER),
    ],
)
def test_the_default_model_is_named_when_it_was_that(
    snapshot: Snapshot, target: Target, default: str, intents: Any, reason: Reason
) -> None:
    decision = decide(snapshot, an_ask(target=target), Policy(default_model=default), intents=intents)
    assert decision.reason is reason


def test_after_a_failure_it_is_a_failover() -> None:
    decision = decide(snapshot_of(A, B), excluded=frozenset({("a", "x")}))
    assert decision.reason is Reason.FAILOVER
    assert "after a failure of x @ a" in decision.explanation


# ------------------------------------------------------------------------------------------------------------ sentences


def test_the_sentence_says_what_and_why() -> None:
    snapshot = snapshot_of(pair(backend("a"), model="x", overhead_seconds=1.0, seconds_per_token=0.01))
    decision = decide(snapshot, an_ask("", "x"))
    assert decision.explanation == "x @ a: model 'x' by name; the only candidate; expected 3.0 s"


def test_it_says_what_is_waited_for() -> None:
    busy = BackendView(a_backend("a"), Phase.READY, 1, service=2.0)
    decision = decide(snapshot_of((busy, a_view("a", load_seconds=3.0))))
    assert "3.0 s of it to load" in decision.explanation
    assert "2.0 s of it to wait" in decision.explanation


def test_a_wait_or_a_load_that_reads_as_nothing_is_not_said() -> None:
    busy = BackendView(a_backend("a"), Phase.READY, 1, service=0.02)
    assert "of it to" not in decide(snapshot_of((busy, a_view("a", load_seconds=0.04)))).explanation


def test_it_says_who_is_at_work_beside_it() -> None:
    beside = replace(backend("a"), neighbours=2)
    said = decide(snapshot_of((beside, a_view("a", overhead_seconds=1.0)))).explanation
    assert "beside 2 at work on other servers of its machine" in said


def test_it_says_how_many_there_were() -> None:
    assert "best of 2, score 1.00" in decide(snapshot_of(A, B)).explanation


TWIN_X, TWIN_Y = pair(backend("b"), model="x"), pair(backend("c"), model="y")


@pytest.mark.parametrize(
    ("snapshot", "target", "said"),
    [
        (snapshot_of(A, TWIN_X), Target(model="x"), "score 1.00, as has b, which comes later by name"),
        (snapshot_of(A, TWIN_Y), Target(), "score 1.00, as has y @ c, which comes later by name"),
        (
            snapshot_of(A, TWIN_X, TWIN_Y),
            Target(),
            "score 1.00, as has b and 1 more, which comes later by name",
        ),
    ],
)
def test_it_says_when_only_the_name_has_decided(snapshot: Snapshot, target: Target, said: str) -> None:
    assert said in decide(snapshot, an_ask(target=target)).explanation


def test_what_costs_money_has_its_price_in_it() -> None:
    snapshot = snapshot_of(pair(backend("a"), input_usd_per_token=1e-6, output_usd_per_token=1e-5))
    assert re.search(r" s, 0\.00\d{4} USD", decide(snapshot).explanation)
    assert "USD" not in decide(snapshot_of(A)).explanation


def test_a_backend_of_which_nothing_is_known_is_told_of() -> None:
    snapshot = a_snapshot([A[0], backend("jetson", Phase.DOWN), backend("empty")], [A[1]])
    explained = decide(snapshot, explain=True).explanation
    assert explained.endswith("; jetson is down, and what it serves is not known")
    assert "jetson" not in decide(snapshot).explanation


def test_steps_that_nobody_came_to_are_no_part_of_it() -> None:
    other = pair(backend("other", Phase.DOWN), model="z")
    snapshot = snapshot_of(A, other)
    target = Target(model="x", fallback_models=("z",))
    assert {c.deployment.model for c in decide(snapshot, an_ask(target=target), explain=True).candidates} == {
        "x"
    }
    target = Target(model="z", fallback_models=("x",))
    decision = decide(snapshot, an_ask(target=target), explain=True)
    assert [c.deployment.model for c in decision.candidates] == ["x", "z"]
    assert "z @ other would win if it were up" in decision.explanation


@pytest.mark.parametrize(
    ("own", "bundle", "applied"),
    [({}, {}, {"temperature": 0.7}), ({"temperature": 0.1}, {}, {}), ({}, {"temperature": 0.2}, {})],
)
def test_only_the_defaults_that_are_sent_are_told(own: Any, bundle: Any, applied: Any) -> None:
    view = a_view("a", deployment=Deployment("m", "a", "m", options=bundle))
    decision = decide(snapshot_of((backend("a"), view)), an_ask(options=own, target=Target(intent="chat")))
    assert decision.defaults == applied
    assert ("defaults of the intent: temperature 0.7" in decision.explanation) == bool(applied)


@pytest.mark.parametrize(("role", "told"), [("user", True), ("system", False), ("developer", False)])
def test_the_intents_system_prompt_is_told_where_it_is_sent(role: str, told: bool) -> None:
    ask = an_ask(
        "hello", generation=Generation(({"role": role, "content": "x"}, {"role": "user", "content": "hello"}))
    )
    decision = decide(
        snapshot_of(pair(backend("a"))), ask, intents={"chat": {"system_prompt": "Be brief, secretly."}}
    )
    assert ("defaults of the intent: temperature 0.7, its system prompt" in decision.explanation) == told
    assert "secretly" not in decision.explanation


def test_what_was_dropped_is_told() -> None:
    snapshot = snapshot_of(pair(backend("a", refuses=frozenset({"sampling.min_p", "top_logprobs"}))))
    ask = an_ask(features=frozenset({"sampling.min_p", "sampling.top_p"}))
    decision = decide(snapshot, ask, features=frozenset())
    assert decision.dropped == {"sampling.min_p"}
    assert decision.explanation.endswith("dropped, since this backend cannot honour them: sampling.min_p")


# ----------------------------------------------------------------------------------------------------------- candidates

FLEET = snapshot_of(
    pair(backend("best")),
    pair(backend("worse"), success=0.5),
    pair(backend("dead", Phase.DOWN)),
    pair(backend("away", local=False)),
)


def test_without_explain_there_is_the_chosen_one_alone() -> None:
    decision = decide(FLEET)
    assert decision.candidates == (decision.chosen,)
    assert {term.name for term in decision.chosen.terms} == {"latency", "success_rate", "cost"}


def test_with_explain_there_is_everybody_the_best_first() -> None:
    decision = decide(FLEET, explain=True)
    found = [(c.deployment.backend, c.eligible, c.reasons) for c in decision.candidates]
    assert found == [
        ("best", True, ()),
        ("worse", True, ()),
        ("away", False, (Reason.LOCALITY,)),
        ("dead", False, (Reason.UNHEALTHY,)),
    ]
    assert decision.candidates[0] == decision.chosen
    assert [c.score for c in decision.candidates] == sorted(
        (c.score for c in decision.candidates), reverse=True
    )


# -------------------------------------------------------------------------------------------------------------- refusal


def refusal(snapshot: Snapshot, ask: Ask | None = None, **fields: Any) -> ZoeError:
    question = question_of(snapshot, ask or an_ask(), Policy(), **fields)
    assert choose(question, snapshot, Policy()) is None
    return refusal_of(question, snapshot, 0.5)


NO_TOP_K = frozenset({"sampling.top_k"})
VISION = an_ask(needs=frozenset({"vision"}))
LONG = an_ask(prompt_bytes=36_000)


@pytest.mark.parametrize(
    ("snapshot", "ask", "error"),
    [
        (snapshot_of(), an_ask(), NoHealthyBackend),
        (snapshot_of(DOWN_A), an_ask(), NoHealthyBackend),
        (snapshot_of(pair(backend("a", Phase.DRAINING))), an_ask(), NoHealthyBackend),
        (snapshot_of(pair(backend("a"), served=False)), an_ask(model="m"), NoHealthyBackend),
        (snapshot_of(A), VISION, NoCapableBackend),
        (snapshot_of(DOWN_A), VISION, NoCapableBackend),  # its health would not help
        (
            snapshot_of(pair(backend("a", local=False))),
            an_ask(locality=Locality.LOCAL_ONLY),
            NoCapableBackend,
        ),
        (snapshot_of(A), an_ask(target=Target(allowed_backends=frozenset("z"))), NoCapableBackend),
        (
            snapshot_of(pair(backend("a"), input_usd_per_token=1.0)),
            an_ask(max_cost_usd=0.1),
            NoCapableBackend,
        ),
        (snapshot_of(pair(backend("a"), context_tokens=4096)), LONG, ContextTooLong),
        (snapshot_of(pair(backend("a", Phase.DOWN), context_tokens=4096)), LONG, ContextTooLong),
        (
            snapshot_of(pair(backend("a"), context_tokens=4096), pair(backend("b", Phase.DOWN))),
            LONG,
            NoHealthyBackend,  # the other one could, if it were up
        ),
        (snapshot_of(pair(backend("a", refuses=NO_TOP_K))), an_ask(features=NO_TOP_K), InvalidRequest),
        (
            snapshot_of(pair(backend("a", refuses=NO_TOP_K)), pair(backend("b", Phase.DOWN))),
            an_ask(features=NO_TOP_K),
            NoHealthyBackend,
        ),
    ],
)
def test_why_nobody_may_serve(snapshot: Snapshot, ask: Ask, error: type[ZoeError]) -> None:
    assert type(refusal(snapshot, ask)) is error


def test_the_unhealthy_are_named_with_their_reasons() -> None:
    error = refusal(snapshot_of(DOWN_A, pair(backend("b", Phase.DRAINING), model="x")))
    assert error.message == "no healthy backend: a (UNHEALTHY), b (DRAINING)"
    assert error.retry_after == 0.5


def test_a_backend_that_never_told_what_it_serves_may_yet_serve_it() -> None:
    down, up = backend("b", Phase.DOWN), backend("c")
    seen = snapshot_of(A)
    snapshot = replace(seen, backends={**seen.backends, "b": down, "c": up})

    def refused(*allowed: str, excluded: str = "") -> ZoeError:
        return refusal(
            snapshot,
            an_ask(target=Target(allowed_backends=frozenset(allowed), excluded_backends=frozenset(excluded))),
        )

    error = refused("b", "c")
    assert type(error) is NoHealthyBackend
    assert error.message == "no healthy backend: b (DOWN), and what is served there is not known yet"
    assert error.retry_after == 0.5
    assert type(refused("c")) is NoCapableBackend
    assert type(refused("b", "c", excluded="b")) is NoCapableBackend


@pytest.mark.parametrize(
    "ask",
    [
        an_ask(locality=Locality.LOCAL_ONLY),
        an_ask(target=Target(labels={"room": "study"})),
        an_ask(target=Target(excluded_backends=frozenset({"cloud"}))),
    ],
)
@pytest.mark.parametrize(
    ("phase", "error"), [(Phase.DOWN, NoHealthyBackend), (Phase.READY, NoCapableBackend)]
)
def test_so_it_is_where_only_such_a_backend_may_have_the_request(
    ask: Ask, phase: Phase, error: type[ZoeError]
) -> None:
    silent = backend("study", phase, labels={"room": "study"})
    cloud = pair(backend("cloud", local=False))
    assert type(refusal(a_snapshot([cloud[0], silent], [cloud[1]]), ask)) is error


def test_a_prompt_too_long_says_how_long_it_may_be() -> None:
    error = refusal(
        snapshot_of(pair(backend("a"), context_tokens=2048), pair(backend("b"), context_tokens=4096)), LONG
    )
    assert error.metadata == {"prompt_tokens": "10004", "max_context_tokens": "4096"}
    (violation,) = error.violations
    assert violation.field == "spec.messages"
    assert violation.description == "the prompt needs about 10004 tokens; at most 4096 fit"


def test_a_window_that_nobody_has_is_the_targets_fault() -> None:
    target = Target(min_context_tokens=8192)
    snapshot = snapshot_of(pair(backend("a"), context_tokens=4096))
    (violation,) = refusal(snapshot, an_ask(target=target), min_window=8192).violations
    assert violation.field == "spec.target.capability.min_context_tokens"
    assert violation.description == "a window of 8192 tokens is asked for; at most 4096 fit"


def test_refused_fields_are_named_all_at_once() -> None:
    features = frozenset({"sampling.top_k", "top_logprobs"})
    error = refusal(snapshot_of(pair(backend("a", refuses=features))), an_ask(features=features))
    assert [v.field for v in error.violations] == ["spec.sampling.top_k", "spec.top_logprobs"]


def test_fields_of_the_incapable_are_not_blamed() -> None:
    snapshot = snapshot_of(
        pair(backend("a", refuses=frozenset({"top_logprobs"}))),
        pair(backend("b", refuses=NO_TOP_K), capabilities=frozenset({"chat", "vision", "logprobs"})),
    )
    ask = an_ask(features=NO_TOP_K | {"top_logprobs"}, needs=frozenset({"vision"}))
    assert [v.field for v in refusal(snapshot, ask).violations] == ["spec.sampling.top_k"]


def test_the_incapable_are_told_with_what_is_missing() -> None:
    error = refusal(snapshot_of(A), VISION)
    assert error.metadata == {"required": "vision", "reasons": "MISSING_CAPABILITY"}
    assert [(v.field, v.description) for v in error.violations] == [("x @ a", "MISSING_CAPABILITY")]


def test_a_field_that_a_model_cannot_honour_is_named_and_routed_around() -> None:
    ask = an_ask(features=frozenset({"top_logprobs"}))
    (violation,) = refusal(snapshot_of(A), ask).violations
    assert violation.field == "spec.top_logprobs"
    able = pair(backend("b", weight=0.1), model="y", capabilities=frozenset({"chat", "logprobs"}))
    decision = decide(snapshot_of(A, able), ask, explain=True)
    assert decision.chosen.deployment.backend == "b"
    assert "x @ a would win if it honoured top_logprobs" in decision.explanation
    assert decision.dropped == frozenset()
    assert decide(snapshot_of(A), ask, features=frozenset()).dropped == {"top_logprobs"}


def test_where_nothing_is_served_each_backend_is_told_as_it_stands() -> None:
    asleep = [backend("b", Phase.LOADING), backend("a", Phase.DOWN)]
    error = refusal(a_snapshot(asleep, []))
    assert isinstance(error, NoHealthyBackend)
    assert error.message == "no backend serves any model yet: a (DOWN), b (LOADING)"
    assert refusal(a_snapshot([], [])).message == "no backend serves any model yet: none is there"


EMBEDS = pair(backend("a"), capabilities=frozenset({"embedding"}))


def test_who_only_embeds_is_told_to_lack_chat() -> None:
    error = refusal(snapshot_of(EMBEDS), an_ask(model="m", needs=frozenset({"vision"})))
    assert error.metadata == {"required": "chat,vision", "reasons": "MISSING_CAPABILITY"}
    assert "(it needs chat, vision)" in error.message


def test_where_nobody_chats_that_is_told() -> None:
    error = refusal(snapshot_of(EMBEDS))
    assert isinstance(error, NoCapableBackend)
    assert error.message == "no model that is served here can chat"
    assert [v.field for v in error.violations] == ["m @ a"]


def test_whoever_misses_a_backend_among_the_incapable_is_told_that_it_is_down() -> None:
    seen = snapshot_of(A)
    snapshot = replace(seen, backends={**seen.backends, "desk": backend("desk", Phase.DOWN)})
    assert refusal(snapshot, VISION).message.endswith(
        "(it needs vision): MISSING_CAPABILITY; desk is down, and what it serves is not known"
    )


# -------------------------------------------------------------------------------------------------------------- waiting

FULL = pair(backend("full", in_flight=1, max_in_flight=1))
LOADING = pair(backend("loading", Phase.LOADING))
DEAD = pair(backend("dead", Phase.DOWN))


@pytest.mark.parametrize(
    ("snapshot", "ask", "reasons"),
    [
        (snapshot_of(DEAD), an_ask(), set()),
        (snapshot_of(DEAD, FULL), an_ask(), {Reason.SATURATED}),
        (snapshot_of(LOADING), an_ask(), {Reason.LOADING}),
        (snapshot_of(LOADING, FULL), an_ask(), {Reason.LOADING, Reason.SATURATED}),
        (snapshot_of(FULL), VISION, set()),  # when it is free it still cannot
        (snapshot_of(pair(backend("a", Phase.DRAINING, in_flight=1, max_in_flight=1))), an_ask(), set()),
    ],
)
def test_what_is_worth_waiting_for(snapshot: Snapshot, ask: Ask, reasons: set[Reason]) -> None:
    held = held_up(question_of(snapshot, ask, Policy()), snapshot)
    assert {reason for found in held.values() for reason in found} == reasons


def test_where_it_would_go_after_the_wait() -> None:
    """Two places that we may use of four: ours end in 5 s on average, so one is free in half of that."""
    full = BackendView(a_backend("a", max_in_flight=2), Phase.READY, 2, slots=4, service=5.0)
    snapshot = snapshot_of((full, a_view("a")))
    question = question_of(snapshot, an_ask(), Policy())
    later = once_over(question, snapshot)
    assert later is not None
    choice = choose(question, later, Policy())
    assert choice is not None
    decision = decision_of(question, choice, later, Policy(), explain=False)
    assert decision.chosen.estimate is not None
    assert decision.chosen.estimate.queue == 2.5
    words = wait_in_words(decision.chosen.deployment, snapshot)
    assert words == "all 2 of its places are taken, and the request would wait for one"


def test_a_server_without_a_limit_of_ours_is_waited_for_behind_others() -> None:
    view = a_view("a")
    snapshot = snapshot_of((BackendView(a_backend("a"), Phase.READY, 1, slots=1), view))
    assert wait_in_words(view.deployment, snapshot) == (
        "others wait already, and the request would be served after them"
    )


def test_who_will_not_wait_is_told_of_nobody() -> None:
    snapshot = snapshot_of(FULL, LOADING)
    question = question_of(snapshot, an_ask(max_queue_time=0), Policy())
    assert once_over(question, snapshot) is None
    assert once_over(question_of(snapshot, VISION, Policy()), snapshot) is None


def test_only_what_waiting_helps_is_open_after_the_wait() -> None:
    snapshot = snapshot_of(FULL, LOADING, DEAD)
    question = question_of(snapshot, an_ask(), Policy())
    later = once_over(question, snapshot)
    assert later is not None
    phases = {name: view.phase for name, view in later.backends.items()}
    assert phases == {"full": Phase.READY, "loading": Phase.READY, "dead": Phase.DOWN}
