"""Filter, score, choose: each filter, each term, and what breaks a tie."""

from dataclasses import replace
from typing import Any

import pytest
from fakes import a_backend, a_question, a_snapshot, a_view, an_ask

from zoe_grpcd.core.ask import Ask, Limits, Target
from zoe_grpcd.core.backend import Deployment, Phase
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.eligible import Question, why_not
from zoe_grpcd.core.explain import decision_of
from zoe_grpcd.core.licence import Locality
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.core.resolve import Policy, Resolution
from zoe_grpcd.core.rules import SizeRule
from zoe_grpcd.core.scoring import Choice, candidate_of, choose, ineligible, passed_over, ranking
from zoe_grpcd.core.sizes import size_bounds
from zoe_grpcd.core.strategies import qualities_of
from zoe_grpcd.core.tiers import ANY, Selection, Tier
from zoe_grpcd.core.timetable import Sharing, Shop, Task
from zoe_grpcd.core.views import BackendView, DeploymentView, Known, Snapshot

POLICY = Policy()


def open_to(*tiers: frozenset[str] | None, **fields: Any) -> Resolution:
    return Resolution(tuple(map(Tier, tiers)) or (ANY,), Reason.INTENT, "", "", **fields)


def backend(name: str, phase: Phase = Phase.READY, in_flight: int = 0, **fields: Any) -> BackendView:
    known = ("foreign", "slots", "service", "trust", "trial", "until")
    live = {key: fields.pop(key) for key in known if key in fields}
    return BackendView(a_backend(name, **fields), phase, in_flight, **live)


def decide(
    snapshot: Snapshot, ask: Ask | None = None, resolution: Resolution | None = None, **fields: Any
) -> Choice | None:
    return choose(a_question(ask or an_ask(), resolution or open_to(), **fields), snapshot, POLICY)


def order(choice: Choice | None) -> list[str]:
    """Backends, best first."""
    assert choice is not None
    return [choice.options[index].view.deployment.backend for index in ranking(choice)]


def terms(choice: Choice | None, name: str) -> dict[str, tuple[float, float]]:
    """Backend -> (value, weight) of one term."""
    assert choice is not None
    candidates = [candidate_of(choice, index) for index in range(len(choice.options))]
    return {
        c.deployment.backend: (round(t.value, 6), t.weight)
        for c in candidates
        for t in c.terms
        if t.name == name
    }


def two(a: dict[str, Any] | None = None, b: dict[str, Any] | None = None) -> Snapshot:
    """Backends a and b, whose deployments of m differ as told."""
    return a_snapshot([backend("a"), backend("b")], [a_view("a", **(a or {})), a_view("b", **(b or {}))])


# ------------------------------------------------------------------------------------------------------------- filters


@pytest.mark.parametrize(
    ("phase", "reason"),
    [
        (Phase.READY, None),
        (Phase.BUSY, None),
        (Phase.DEGRADED, None),
        (Phase.UNKNOWN, Reason.UNHEALTHY),
        (Phase.DOWN, Reason.UNHEALTHY),
        (Phase.LOADING, Reason.LOADING),
        (Phase.COOLING_DOWN, Reason.CIRCUIT_OPEN),
        (Phase.DRAINING, Reason.DRAINING),
        (Phase.DISABLED, Reason.DRAINING),
    ],
)
def test_the_phase_of_the_backend(phase: Phase, reason: Reason | None) -> None:
    snapshot = a_snapshot([backend("a", phase)], [a_view("a")])
    choice = decide(snapshot)
    assert (choice is not None and not choice.panic) == (reason is None)
    found = ineligible(a_question(an_ask(), open_to()), snapshot)
    assert [c.reasons for c in found] == ([] if reason is None else [(reason,)])


BACKEND = backend("a")
VIEW = a_view("a", context_tokens=4096, input_usd_per_token=1e-3)
NEEDY = open_to(required=frozenset({"tools"}))


EMBEDS = frozenset({"embedding"})


@pytest.mark.parametrize(
    ("reason", "backend_view", "view", "question"),
    [
        (Reason.EXCLUDED, BACKEND, VIEW, a_question(an_ask(target=Target(allowed_backends=frozenset("b"))), open_to())),
        (Reason.EXCLUDED, BACKEND, VIEW, a_question(an_ask(target=Target(excluded_backends=frozenset("a"))), open_to())),
        (Reason.EXCLUDED, BACKEND, VIEW, a_question(an_ask(target=Target(labels={"gpu": "yes"})), open_to())),
        (Reason.EXCLUDED, BACKEND, VIEW, a_question(an_ask(), open_to(), excluded=frozenset({("a", "m")}))),
        (Reason.LOCALITY, backend("a", local=False), VIEW, a_question(an_ask(locality=Locality.LOCAL_ONLY), open_to())),
        (
            Reason.TOO_SLOW,
            BACKEND,
            replace(VIEW, known=Known(token=True)),
            a_question(an_ask(), open_to(), limits=Limits(deadline=0.01)),
        ),
        (Reason.SATURATED, backend("a", in_flight=2, max_in_flight=2), VIEW, a_question(an_ask(), open_to())),
        (Reason.MODEL_NOT_SERVED, BACKEND, replace(VIEW, served=False), a_question(an_ask(), open_to())),
        (Reason.MISSING_CAPABILITY, BACKEND, VIEW, a_question(an_ask(needs=frozenset({"vision"})), open_to())),
        (Reason.MISSING_CAPABILITY, BACKEND, VIEW, a_question(an_ask(), NEEDY)),
        (Reason.MISSING_CAPABILITY, BACKEND, replace(VIEW, capabilities=EMBEDS), a_question(an_ask(), open_to())),
        (
            Reason.MISSING_CAPABILITY,
            backend("a", refuses=frozenset({"top_logprobs"})),
            VIEW,
            a_question(an_ask(features=frozenset({"top_logprobs"})), open_to()),
        ),
        (
            Reason.MISSING_CAPABILITY,
            BACKEND,
            VIEW,
            a_question(an_ask(features=frozenset({"top_logprobs"})), open_to()),
        ),
        (Reason.CONTEXT_TOO_LONG, BACKEND, VIEW, a_question(an_ask(prompt_bytes=30_000), open_to())),
        (Reason.CONTEXT_TOO_LONG, BACKEND, VIEW, a_question(an_ask(), open_to(), min_window=8192)),
        (Reason.TOO_EXPENSIVE, BACKEND, VIEW, a_question(an_ask(max_cost_usd=1e-6), open_to())),
    ],
)  # fmt: skip
def test_each_filter_has_its_reason(
    reason: Reason, backend_view: BackendView, view: DeploymentView, question: Question
) -> None:
    snapshot = a_snapshot([backend_view], [view])
    assert choose(question, snapshot, POLICY) is None
    assert why_not(question, view, backend_view) == (reason,)


def test_all_reasons_are_told_at_once() -> None:
    view = a_view("a", served=False)
    closed = backend("a", Phase.DRAINING, local=False)
    question = a_question(an_ask(locality=Locality.LOCAL_ONLY, needs=frozenset({"vision"})), open_to())
    assert why_not(question, view, closed) == (
        Reason.LOCALITY,
        Reason.DRAINING,
        Reason.MODEL_NOT_SERVED,
        Reason.MISSING_CAPABILITY,
    )


def test_what_may_be_dropped_is_not_asked_for() -> None:
    snapshot = a_snapshot([backend("a", refuses=frozenset({"top_logprobs"}))], [VIEW])
    ask = an_ask(features=frozenset({"top_logprobs"}))
    assert decide(snapshot, ask, features=frozenset()) is not None


def test_a_limit_is_inclusive() -> None:
    ask = an_ask(target=Target(labels={"gpu": "yes"}), max_cost_usd=0.0)
    snapshot = a_snapshot([backend("a", in_flight=1, max_in_flight=2, labels={"gpu": "yes"})], [a_view("a")])
    assert decide(snapshot, ask) is not None


# ------------------------------------------------------------------------------------------------------------- windows

BYTES = 3600  # 1000 tokens at 3.6 bytes, and 4 for the message


@pytest.mark.parametrize(
    ("window", "known", "truncates", "fits"),
    [
        (0, False, False, True),  # nobody knows
        (1004, False, True, True),
        (1003, False, True, False),  # it would be cut in silence: no margin
        (804, False, False, True),  # a guess may be wrong by a quarter; the server will say
        (803, False, False, False),
        (957, True, False, True),  # measured: by a twentieth
        (956, True, False, False),
        (1003, True, True, False),
    ],
)
def test_how_sure_a_prompt_must_be_to_fit(window: int, known: bool, truncates: bool, fits: bool) -> None:
    view = a_view("a", context_tokens=window, bytes_known=known)
    snapshot = a_snapshot([backend("a", truncates=truncates)], [view])
    assert (decide(snapshot, an_ask(prompt_bytes=BYTES)) is not None) == fits


@pytest.mark.parametrize(
    ("window", "truncates", "fits"), [(2048, True, True), (512, True, False), (512, False, True)]
)
def test_the_callers_num_ctx_decides_where_a_request_may_set_it(
    window: int, truncates: bool, fits: bool
) -> None:
    """The deployment has 1500; for kinds that do not truncate, num_ctx says nothing."""
    snapshot = a_snapshot([backend("a", truncates=truncates)], [a_view("a", context_tokens=1500)])
    assert (decide(snapshot, an_ask(prompt_bytes=BYTES), window=window) is not None) == fits


@pytest.mark.parametrize(("tokens", "fits"), [(290.0, True), (310.0, False), (12_000.0, False)])
def test_pictures_must_fit_as_the_deployment_reads_them(tokens: float, fits: bool) -> None:
    view = a_view("a", context_tokens=600, image_tokens=tokens)
    snapshot = a_snapshot([backend("a", truncates=True)], [view])
    assert (decide(snapshot, an_ask(prompt_bytes=36, images=2)) is not None) == fits


def test_a_larger_num_ctx_makes_room() -> None:
    snapshot = a_snapshot([backend("a", truncates=True)], [a_view("a", context_tokens=512)])
    assert decide(snapshot, an_ask(prompt_bytes=BYTES)) is None
    assert decide(snapshot, an_ask(prompt_bytes=BYTES), window=2048) is not None


@pytest.mark.parametrize(("least", "eligible"), [(0, "abc"), (2000, "bc"), (4096, "bc"), (5000, "c")])
def test_the_least_window_that_is_asked_for(least: int, eligible: str) -> None:
    views = [a_view(name, context_tokens=size) for name, size in (("a", 1999), ("b", 4096), ("c", 0))]
    snapshot = a_snapshot([backend(name) for name in "abc"], views)
    assert sorted(order(decide(snapshot, min_window=least))) == list(eligible)


# ------------------------------------------------------------------------------------------------------ what is narrowed


@pytest.mark.parametrize(
    ("locality", "expected"),
    [(Locality.ANY, ["cloud", "home"]), (Locality.PREFER_LOCAL, ["home"]), (Locality.LOCAL_ONLY, ["home"])],
)
def test_where_a_request_may_go(locality: Locality, expected: list[str]) -> None:
    backends = [backend("cloud", local=False), backend("home", in_flight=3)]
    snapshot = a_snapshot(backends, [a_view("cloud"), a_view("home")])
    assert order(decide(snapshot, an_ask(locality=locality))) == expected


@pytest.mark.parametrize(
    ("locality", "expected"), [(Locality.PREFER_LOCAL, "cloud"), (Locality.LOCAL_ONLY, None)]
)
def test_where_it_goes_when_nobody_local_can(locality: Locality, expected: str | None) -> None:
    backends = [backend("cloud", local=False), backend("home", Phase.DOWN)]
    snapshot = a_snapshot(backends, [a_view("cloud"), a_view("home")])
    choice = decide(snapshot, an_ask(locality=locality))
    assert (order(choice)[0] if choice else None) == expected


def test_those_with_most_of_what_is_preferred_remain() -> None:
    capabilities = {
        "a": {"chat"},
        "b": {"chat", "code"},
        "c": {"chat", "code", "reasoning"},
        "d": {"chat", "code", "reasoning", "x"},
    }
    snapshot = a_snapshot(
        [backend(name) for name in capabilities],
        [a_view(name, capabilities=frozenset(found)) for name, found in capabilities.items()],
    )
    wishes = open_to(preferred=frozenset({"code", "reasoning"}))
    assert order(decide(snapshot, resolution=wishes)) == ["c", "d"]
    assert order(decide(snapshot, resolution=open_to(preferred=frozenset({"music"})))) == list("abcd")


def test_who_was_passed_over_is_told_with_the_reason() -> None:
    backends = [
        backend("cloud", local=False),
        backend("coder"),
        backend("plain"),
        backend("dead", Phase.DOWN),
    ]
    capable = frozenset({"chat", "code"})
    views = [a_view("cloud", capabilities=capable), a_view("coder", capabilities=capable)]
    snapshot = a_snapshot(backends, [*views, a_view("plain"), a_view("dead")])
    question = a_question(an_ask(), open_to(preferred=frozenset({"code"})))
    choice = choose(question, snapshot, POLICY)
    assert choice is not None
    aside = passed_over(question, choice, snapshot)
    found = {c.deployment.backend: (c.eligible, c.reasons) for c in aside}
    assert found == {
        "cloud": (False, (Reason.LOCALITY,)),
        "plain": (False, (Reason.MISSING_CAPABILITY,)),
    }


def test_whose_kind_is_none_for_its_size_is_not_told_that_it_lacks_a_capability() -> None:
    policy = replace(POLICY, sizes=(SizeRule(size_bounds("> 13B"), frozenset({"openai"})),))
    snapshot = a_snapshot(
        [backend("large"), backend("small")], [a_view("large", parameters=14.0), a_view("small")]
    )
    question = a_question(an_ask(), open_to(preferred=frozenset({"code"})))
    choice = choose(question, snapshot, policy)
    assert choice is not None
    assert order(choice) == ["small"]
    (large,) = passed_over(question, choice, snapshot)
    assert large.reasons == (Reason.EXCLUDED,)
    explained = decision_of(question, choice, snapshot, policy, explain=True).explanation
    assert "if it could do" not in explained
    assert explained.endswith("m @ large is left aside: with 14B, openai comes before llamacpp")


def test_whom_a_rule_leaves_aside_is_not_told_of_sizes() -> None:
    policy = replace(POLICY, sizes=(SizeRule(size_bounds("> 13B"), frozenset({"openai"})),))
    snapshot = a_snapshot(
        [backend("large"), backend("small")], [a_view("large", parameters=14.0), a_view("small")]
    )
    question = a_question(an_ask(), open_to(prefer=(Selection(backends=frozenset({"small"})),)))
    choice = choose(question, snapshot, policy)
    assert choice is not None
    assert "left aside" not in decision_of(question, choice, snapshot, policy, explain=True).explanation


# --------------------------------------------------------------------------------------------------------------- tiers


def test_the_first_tier_with_somebody_decides() -> None:
    backends = [backend("a", Phase.DOWN), backend("b"), backend("c")]
    snapshot = a_snapshot(backends, [a_view("a", "x"), a_view("b", "y"), a_view("c", "z")])
    tiers = (frozenset({"x"}), frozenset({"nobody"}), frozenset({"y"}), frozenset({"z"}))
    choice = decide(snapshot, resolution=open_to(*tiers))
    assert order(choice) == ["b"]
    assert choice is not None
    assert choice.step == 2


def test_a_tier_of_everybody_is_for_auto_alone() -> None:
    hidden = a_view("a", deployment=Deployment("hidden", "a", "hidden", auto=False))
    snapshot = a_snapshot([backend("a")], [hidden, a_view("a", "open")])
    assert [o.view.deployment.model for o in (decide(snapshot) or pytest.fail("nobody")).options] == ["open"]
    assert order(decide(snapshot, resolution=open_to(frozenset({"hidden"})))) == ["a"]


# --------------------------------------------------------------------------------------------------------------- terms


def test_latency_is_the_shortest_expected_total_over_ones_own() -> None:
    fixed = {
        "seconds_per_token": 0.01,
        "output_tokens": 100.0,
        "overhead_seconds": 0.0,
        "seconds_per_prompt_token": 0.0,
    }
    choice = decide(two(fixed, {**fixed, "load_seconds": 3.0}))
    assert terms(choice, "latency") == {"a": (1.0, 0.4), "b": (0.25, 0.4)}


def test_a_queue_counts_into_latency() -> None:
    backends = [backend("a", in_flight=1, service=9.0), backend("b")]
    views = [
        a_view(
            name,
            seconds_per_token=0.01,
            output_tokens=100.0,
            overhead_seconds=0.0,
            seconds_per_prompt_token=0.0,
        )
        for name in "ab"
    ]
    assert terms(decide(a_snapshot(backends, views)), "latency") == {"a": (0.1, 0.4), "b": (1.0, 0.4)}


def test_what_others_lose_counts_twice_since_those_who_come_meanwhile_lose_as_well() -> None:
    """a: 1 s, and half a second longer for both; b: 2.2 s, alone."""
    alone: dict[str, Any] = {"output_tokens": 100.0, "overhead_seconds": 0.0, "seconds_per_prompt_token": 0.0}
    views = [a_view("a", seconds_per_token=0.01, **alone), a_view("b", seconds_per_token=0.022, **alone)]
    busy = backend("a", in_flight=1)
    busy.tasks, busy.shop = (Task("another", 9.0),), Shop(sharing=Sharing(strangers=0.5))
    choice = decide(a_snapshot([busy, backend("b")], views))
    assert terms(choice, "latency") == {"a": (0.88, 0.4), "b": (1.0, 0.4)}


def test_a_load_does_not_count_where_the_operator_does_not_mind() -> None:
    question = a_question(an_ask(), open_to())
    choice = choose(question, two({"load_seconds": 100.0}), Policy(prefer_warm=False))
    assert order(choice) == ["a", "b"]
    assert terms(choice, "latency")["a"] == (1.0, 0.4)


def test_success_is_taken_as_it_is() -> None:
    choice = decide(two({"success": 0.25}))
    assert terms(choice, "success_rate") == {"a": (0.25, 0.4), "b": (1.0, 0.4)}
    assert order(choice) == ["b", "a"]


def test_cost_is_measured_against_the_most_expensive() -> None:
    price = {"output_tokens": 100.0, "output_usd_per_token": 1e-5}
    choice = decide(two(price, {**price, "output_usd_per_token": 4e-5}))
    assert terms(choice, "cost") == {"a": (0.75, 0.2), "b": (0.0, 0.2)}
    assert set(terms(decide(two()), "cost").values()) == {(1.0, 0.2)}


@pytest.mark.parametrize(("cost_weight", "best"), [(0.0, "b"), (1.0, "a")])
def test_the_caller_may_weigh_cost(cost_weight: float, best: str) -> None:
    snapshot = two({"success": 0.8}, {"output_usd_per_token": 1e-5})
    choice = decide(snapshot, an_ask(cost_weight=cost_weight))
    assert terms(choice, "cost")["a"][1] == cost_weight
    assert order(choice)[0] == best


def test_an_intent_that_favours_quality_adds_a_term() -> None:
    snapshot = two({"parameters": 7.0}, {"parameters": 70.0})
    choice = decide(snapshot, resolution=open_to(favours="quality"))
    assert terms(choice, "quality") == {"a": (0.55, 1.0), "b": (1.0, 1.0)}
    assert order(choice) == ["b", "a"]
    assert terms(decide(snapshot), "quality") == {}


@pytest.mark.parametrize(
    ("fields", "asked", "expected"),
    [
        ({"quality": {"code": 0.9}}, {"intent": "code"}, 0.9),
        ({"quality": {"code": 0.0}}, {"intent": "code"}, 0.01),
        ({"quality": {"chat": 0.4, "explain": 0.6}}, {"intent": "code"}, 0.5),
        ({"quality": {"tools": 0.9, "chat": 0.2}}, {"intent": "action", "preferred": {"tools"}}, 0.9),
        (
            {"quality": {"code": 0.9, "chat": 0.2}, "capabilities": frozenset({"chat", "code"})},
            {"required": {"code"}},
            0.9,
        ),
        ({"quality": {"code": 0.9, "chat": 0.2}}, {"intent": "creative"}, 0.2),
        ({"quality": {"code": 0.9, "vision": 0.9}, "parameters": 7.0}, {"intent": "creative"}, 0.5),
        ({"parameters": 7.0}, {"intent": "code"}, 0.5),
        ({}, {"intent": "code"}, 0.3),
    ],
)
def test_what_is_known_of_quality(fields: dict[str, Any], asked: dict[str, Any], expected: float) -> None:
    sets = {key: frozenset(value) for key, value in asked.items() if key != "intent"}
    resolution = open_to(favours="quality", **{**asked, **sets})
    choice = decide(a_snapshot([backend("a")], [a_view("a", **fields)]), resolution=resolution)
    assert choice is not None
    assert qualities_of(choice.options[:1], resolution) == pytest.approx([expected])


def test_a_model_of_unknown_size_is_large_at_a_service_and_small_at_home() -> None:
    """A cloud service tells no sizes, and its models are worth more than a small one of ours."""
    backends = [backend(name, local=name == "home") for name in ("cloud", "home")]
    views = [a_view("cloud", parameters=None), a_view("home", parameters=8.0)]
    anywhere = an_ask(locality=Locality.ANY)
    choice = decide(a_snapshot(backends, views), anywhere, resolution=open_to(favours="quality"))
    assert terms(choice, "quality") == {"cloud": (1.0, 1.0), "home": (pytest.approx(0.587, abs=0.001), 1.0)}


def test_an_intent_that_favours_context_adds_a_term() -> None:
    snapshot = two({"context_tokens": 2048}, {"context_tokens": 8192})
    choice = decide(snapshot, resolution=open_to(favours="context"))
    assert terms(choice, "context") == {"a": (0.25, 1.0), "b": (1.0, 1.0)}
    assert order(choice) == ["b", "a"]
    assert set(terms(decide(two(), resolution=open_to(favours="context")), "context").values()) == {
        (1.0, 1.0)
    }


@pytest.mark.parametrize(
    ("ask", "favours", "weight"),
    [
        (an_ask(), "latency", 1.4),
        (an_ask(), "", 0.4),
        (an_ask(latency_level="ULTRA_LOW"), "quality", 1.4),
        (an_ask(latency_level="LOW"), "", 1.4),
        (an_ask(latency_level="HIGH"), "", 0.4),
    ],
)
def test_who_wants_it_fast_leans_on_latency(ask: Ask, favours: str, weight: float) -> None:
    assert terms(decide(two(), ask, open_to(favours=favours)), "latency")["a"][1] == weight


# ------------------------------------------------------------------------------------------------------ scores and ties


def scores(choice: Choice | None) -> dict[str, float]:
    assert choice is not None
    return {o.view.deployment.backend: total for o, total in zip(choice.options, choice.totals, strict=True)}


def test_a_score_is_the_weighted_mean_of_its_terms() -> None:
    choice = decide(two({"success": 0.5}))
    assert scores(choice) == {"a": pytest.approx(0.4 + 0.2 + 0.2), "b": pytest.approx(1.0)}


def test_weights_of_backend_deployment_and_doubt_multiply() -> None:
    backends = [backend("a", weight=0.5), backend("b"), backend("c", trust=0.5), backend("d"), backend("e")]
    heavy = a_view("b", deployment=Deployment("m", "b", "m", weight=3.0))
    snapshot = a_snapshot(backends, [a_view("a"), heavy, a_view("c"), a_view("d", trust=0.25), a_view("e")])
    assert scores(decide(snapshot)) == {
        "a": pytest.approx(0.5 / 3),
        "b": pytest.approx(1.0),
        "c": pytest.approx(0.5 / 3),
        "d": pytest.approx(0.25 / 3),
        "e": pytest.approx(1.0 / 3),
    }


def test_the_weights_of_a_models_deployments_are_shares_and_speak_for_it_against_no_other_model() -> None:
    """Seven and three of ten, for one model, are no reason to ask it in place of a better one."""
    seven, three = (
        Deployment("twins", name, "m", weight=weight) for name, weight in (("a", 7.0), ("b", 3.0))
    )
    twins = [a_view("a", deployment=seven, success=0.9), a_view("b", deployment=three, success=0.9)]
    snapshot = a_snapshot([backend("a"), backend("b"), backend("c")], [*twins, a_view("c", "better")])
    assert order(decide(snapshot)) == ["c", "a", "b"]
    alone = a_snapshot([backend("b"), backend("c")], [twins[1], a_view("c", "other", success=0.8)])
    assert order(decide(alone)) == ["b", "c"], "whoever is left of them has all of its model"


def test_equal_scores_go_by_the_name_of_the_backend_then_of_the_model() -> None:
    views = [a_view("b", "x"), a_view("a", "z"), a_view("a", "y"), a_view("c", "w")]
    for some in (views, views[::-1]):
        choice = decide(a_snapshot([backend(name) for name in "cab"], some))
        assert choice is not None
        found = [choice.options[i].view.deployment for i in ranking(choice)]
        assert [(d.backend, d.model) for d in found] == [("a", "y"), ("a", "z"), ("b", "x"), ("c", "w")]
        assert choice.best == ranking(choice)[0]


def test_weights_that_are_all_zero_leave_the_names() -> None:
    policy = Policy(latency_weight=0.0, success_weight=0.0, cost_weight=0.0)
    choice = choose(a_question(an_ask(), open_to()), two(), policy)
    assert order(choice) == ["a", "b"]


def test_the_state_of_a_model_alone_decides_nothing() -> None:
    assert order(decide(two({"state": LoadState.FAILED}, {}))) == ["a", "b"]
