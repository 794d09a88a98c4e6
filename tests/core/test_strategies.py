"""How one of several that may serve is chosen: a table for each strategy, and what holds for all of them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from fakes import a_backend, a_question, a_resolver, a_snapshot, a_view, an_ask
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.ask import Ask, Target
from zoe_grpcd.core.backend import Deployment, Phase
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.demands import CapabilityRule
from zoe_grpcd.core.eligible import why_not
from zoe_grpcd.core.explain import decision_of
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.core.resolve import Policy
from zoe_grpcd.core.scoring import Choice, candidate_of, choose, ranking
from zoe_grpcd.core.strategies import STRATEGIES
from zoe_grpcd.core.turns import remembered
from zoe_grpcd.core.views import BackendView, DeploymentView, Snapshot

COLD = {"state": LoadState.UNLOADED, "load_seconds": 5.0}
NOBODY: frozenset[tuple[str, str]] = frozenset()


def place(name: str, busy: int = 0, slots: int = 4, phase: Phase = Phase.READY, **fields: Any) -> BackendView:
    return BackendView(a_backend(name, weight=fields.pop("weight", 1.0)), phase, busy, slots=slots, **fields)


def house(
    views: Mapping[str, dict[str, Any]], places: Mapping[str, dict[str, Any]] | None = None
) -> Snapshot:
    """One deployment of `m` on each backend; `share` is its weight."""
    found = []
    for name, fields in views.items():
        share = fields.get("share", 1.0)
        rest = {key: value for key, value in fields.items() if key != "share"}
        found.append(a_view(name, deployment=Deployment("m", name, "m", share), **rest))
    return a_snapshot([place(name, **(places or {}).get(name, {})) for name in views], found)


def decide(
    strategy: str,
    snapshot: Snapshot,
    policy: Policy | None = None,
    ask: Ask | None = None,
    excluded: frozenset[tuple[str, str]] = NOBODY,
) -> Choice:
    asked = replace(ask or an_ask(model="m"), strategy=strategy)
    question = a_question(asked, a_resolver().resolve(asked, snapshot.by_model), excluded=excluded)
    choice = choose(question, snapshot, policy or Policy())
    assert choice is not None
    return choice


def winner(choice: Choice) -> str:
    return choice.options[choice.best].view.deployment.backend


def order(choice: Choice) -> str:
    return "".join(choice.options[index].view.deployment.backend for index in ranking(choice))


def values(choice: Choice, term: str) -> dict[str, float]:
    column = choice.scores.columns[choice.scores.names.index(term)]
    return {
        option.view.deployment.backend: round(value, 6)
        for option, value in zip(choice.options, column, strict=True)
    }


def after(snapshot: Snapshot, choice: Choice) -> Snapshot:
    """The same picture when the request is sent, and over."""
    owing = remembered(snapshot.owing, choice.turn) if choice.turn else snapshot.owing
    return replace(snapshot, number=snapshot.number + 1, owing=owing)


def sequence(strategy: str, snapshot: Snapshot, count: int, policy: Policy | None = None) -> str:
    """Who serves one request after the other."""
    served = []
    for _ in range(count):
        choice = decide(strategy, snapshot, policy)
        served.append(winner(choice))
        snapshot = after(snapshot, choice)
    return "".join(served)


# --------------------------------------------------------------------------------------------------------- round_robin


@pytest.mark.parametrize(
    ("views", "places", "served"),
    [
        ({"a": {}, "b": {}}, {}, "abababab"),
        ({"b": {}, "c": {}, "a": {}}, {}, "abcabcabc"),
        ({"a": {"share": 7.0}, "b": {}}, {"b": {"weight": 5.0}}, "abababab"),  # shares are for weighted
        ({"a": {"share": 0.0}, "b": {}}, {}, "bbbb"),
        ({"a": {"share": 0.0}, "b": {"share": 0.0}}, {}, "abab"),  # somebody has to
        ({"a": {}, "b": {}}, {"a": {"trust": 0.5}}, "babbabbab"),  # half a turn
        ({"a": {}, "b": {}}, {"a": {"busy": 9}}, "abab"),  # whatever waits there
        ({"a": {}, "b": COLD, "c": {}}, {}, "acacac"),
        ({"a": COLD, "b": COLD}, {}, "abab"),
        ({"a": {}, "b": COLD}, {"a": {"busy": 4}}, "abab"),  # who is warm is full
        ({"a": {"share": 0.0}, "b": COLD}, {}, "aa"),  # rather than load
    ],
)
def test_round_robin_takes_all_in_turn(views: Any, places: Any, served: str) -> None:
    assert sequence("round_robin", house(views, places), len(served)) == served


def test_round_robin_loads_where_the_operator_does_not_mind() -> None:
    assert sequence("round_robin", house({"a": {}, "b": COLD}), 4, Policy(prefer_warm=False)) == "abab"


def test_whoever_comes_back_has_its_turn_and_no_more() -> None:
    snapshot = house({"a": {}, "b": {}, "c": {}})
    for _ in range(50):
        snapshot = after(snapshot, decide("round_robin", snapshot, excluded=frozenset({("c", "m")})))
    assert Counter(sequence("round_robin", snapshot, 9)) == {"a": 3, "b": 3, "c": 3}


def test_each_set_of_models_has_turns_of_its_own() -> None:
    """Two callers who ask for different models in turn would else each get the same backend always."""
    views = [a_view(backend, model) for backend in "ab" for model in ("m", "n")]
    snapshot = a_snapshot([place("a"), place("b")], views)
    served: dict[str, str] = {"m": "", "n": ""}
    for _ in range(4):
        for model in served:
            choice = decide("round_robin", snapshot, ask=an_ask(model=model))
            served[model] += winner(choice)
            snapshot = after(snapshot, choice)
    assert served == {"m": "abab", "n": "abab"}


def test_a_decision_alone_takes_no_turn() -> None:
    snapshot = house({"a": {}, "b": {}})
    assert [winner(decide("round_robin", snapshot)) for _ in range(3)] == ["a", "a", "a"]


# ------------------------------------------------------------------------------------------------------------ weighted


@pytest.mark.parametrize(
    ("views", "places", "served"),
    [
        ({"a": {"share": 7.0}, "b": {"share": 3.0}}, {}, "abaaabaaba" * 2),
        ({"a": {"share": 0.7}, "b": {"share": 0.3}}, {}, "abaaabaaba" * 2),
        ({"a": {"share": 70.0}, "b": {"share": 30.0}}, {}, "abaaabaaba" * 2),
        ({"a": {}, "b": {}}, {"a": {"weight": 0.5}}, "babbab"),
        ({"a": {"share": 2.0}, "b": {}}, {"b": {"weight": 2.0}}, "ababab"),
        ({"a": {"share": 2.0}, "b": {}}, {"a": {"trust": 0.5}}, "ababab"),
        ({"a": {"share": 0.0}, "b": {}}, {}, "bbbb"),
        ({"a": {"share": 0.0}, "b": {"share": 0.0}}, {}, "abab"),
        ({"a": {}, "b": COLD}, {}, "abab"),  # it was stated
        ({"a": {}, "b": {}}, {"a": {"busy": 9}}, "abab"),
    ],
)
def test_weighted_keeps_the_shares_that_were_stated(views: Any, places: Any, served: str) -> None:
    assert sequence("weighted", house(views, places), len(served)) == served


def test_weighted_tells_the_shares() -> None:
    choice = decide("weighted", house({"a": {"share": 7.0}, "b": {"share": 3.0}}))
    assert values(choice, "share") == {"a": 0.7, "b": 0.3}
    assert values(choice, "turn") == {"a": 1.0, "b": 0.0}
    assert [term[::2] for term in candidate_of(choice, 0).terms] == [("turn", 1.0), ("share", 0.0)]


def test_weighted_shares_by_model_too() -> None:
    """A group of two models, one on each backend."""
    views = [
        a_view("a", deployment=Deployment("big", "a", "big", 1.0)),
        a_view("b", deployment=Deployment("small", "b", "small", 3.0)),
    ]
    snapshot = a_snapshot([place("a"), place("b")], views)
    policy = Policy(aliases={"any": ("big", "small")})
    served = ""
    for _ in range(8):
        ask = an_ask(model="any", strategy="weighted")
        resolution = a_resolver(policy).resolve(ask, snapshot.by_model)
        choice = choose(a_question(ask, resolution), snapshot, policy)
        assert choice is not None
        served, snapshot = served + winner(choice), after(snapshot, choice)
    assert Counter(served) == {"a": 2, "b": 6}


# -------------------------------------------------------------------------------------------------------- least_loaded


@pytest.mark.parametrize(
    ("views", "places", "load", "best"),
    [
        ({"a": {}, "b": {}}, {"a": {"busy": 1}}, {"a": 0.8, "b": 1.0}, "b"),
        ({"a": {}, "b": {}}, {"a": {"busy": 2}, "b": {"busy": 3, "slots": 12}}, {"a": 0.666667, "b": 0.8}, "b"),
        ({"a": {}, "b": {}}, {"a": {"foreign": 1}}, {"a": 0.8, "b": 1.0}, "b"),  # others' requests count
        ({"a": {}, "b": {}}, {"a": {"busy": 8}, "b": {"busy": 9}}, {"a": 0.333333, "b": 0.307692}, "a"),
        ({"a": {}, "b": {"seconds_per_token": 0.001}}, {}, {"a": 1.0, "b": 1.0}, "b"),  # equal, but faster
        ({"a": {}, "b": {}}, {"a": {"weight": 0.5}, "b": {"busy": 2}}, {"a": 1.0, "b": 0.666667}, "b"),
        ({"a": {}, "b": {}}, {"a": {"trust": 0.5}, "b": {"busy": 2}}, {"a": 1.0, "b": 0.666667}, "b"),
        ({"a": COLD, "b": {}}, {"b": {"busy": 3}}, {"a": 1.0, "b": 0.571429}, "b"),  # no load while a slot is free
        ({"a": COLD, "b": {}}, {"b": {"busy": 4}}, {"a": 1.0, "b": 0.5}, "a"),
    ],
)  # fmt: skip
def test_least_loaded_takes_whoever_has_the_least_to_do_for_its_slots(
    views: Any, places: Any, load: dict[str, float], best: str
) -> None:
    choice = decide("least_loaded", house(views, places))
    assert values(choice, "load") == load
    assert winner(choice) == best


# ---------------------------------------------------------------------------------------------------- fastest_response

QUICK = {"response_p95": 0.2}
BUSY = {"busy": 1, "slots": 1, "service": 2.0}


@pytest.mark.parametrize(
    ("views", "places", "response", "best"),
    [
        ({"a": {"response_p95": 0.8}, "b": QUICK}, {}, {"a": 0.25, "b": 1.0}, "b"),
        ({"a": {"response_p95": 0.8}, "b": {"overhead_seconds": 0.1, "seconds_per_prompt_token": 0.0}}, {},
         {"a": 0.125, "b": 1.0}, "b"),  # not measured: as expected
        ({"a": QUICK, "b": {"response_p95": 1.1}}, {"a": BUSY}, {"a": 0.5, "b": 1.0}, "b"),  # 2 s to wait
        ({"a": {**QUICK, "load_seconds": 1.8}, "b": {"response_p95": 1.0}}, {}, {"a": 0.5, "b": 1.0}, "b"),
        ({"a": QUICK, "b": {**QUICK, "seconds_per_token": 0.001}}, {}, {"a": 1.0, "b": 1.0}, "b"),
        ({"a": QUICK, "b": {"response_p95": 0.3}}, {"a": {"weight": 0.5}}, {"a": 1.0, "b": 0.666667}, "b"),
        ({"a": QUICK, "b": {"response_p95": 0.3}}, {"a": {"trust": 0.5}}, {"a": 1.0, "b": 0.666667}, "b"),
        ({"a": {"response_p95": 0.0}, "b": QUICK}, {}, {"a": 1.0, "b": 0.0}, "a"),
    ],
)  # fmt: skip
def test_fastest_response_takes_the_shortest_time_to_first_token(
    views: Any, places: Any, response: dict[str, float], best: str
) -> None:
    choice = decide("fastest_response", house(views, places))
    assert values(choice, "response") == response
    assert winner(choice) == best


def test_fastest_response_forgets_the_load_where_the_operator_does_not_mind() -> None:
    snapshot = house({"a": {**QUICK, "load_seconds": 9.0}, "b": {"response_p95": 1.0}})
    assert winner(decide("fastest_response", snapshot)) == "b"
    assert winner(decide("fastest_response", snapshot, Policy(prefer_warm=False))) == "a"


# ------------------------------------------------------------------------------------------------------- most_capacity

SMALL, LARGE = {"context_tokens": 2000}, {"context_tokens": 8000}


@pytest.mark.parametrize(
    ("views", "places", "capacity", "best"),
    [
        ({"a": SMALL, "b": LARGE}, {}, {"a": 0.25, "b": 1.0}, "b"),
        ({"a": SMALL, "b": LARGE}, {"a": {"slots": 32}}, {"a": 1.0, "b": 0.5}, "a"),
        ({"a": LARGE, "b": LARGE}, {"a": {"busy": 2}, "b": {"foreign": 1}}, {"a": 0.666667, "b": 1.0}, "b"),
        ({"a": LARGE, "b": SMALL}, {"a": {"busy": 4}}, {"a": 0.0, "b": 1.0}, "b"),
        ({"a": {}, "b": {}}, {"a": {"busy": 1}}, {"a": 0.75, "b": 1.0}, "b"),  # windows nobody knows
        ({"a": {}, "b": LARGE}, {"a": {"slots": 8}}, {"a": 1.0, "b": 0.5}, "a"),  # taken for the smallest
        ({"a": LARGE, "b": LARGE}, {"a": {"busy": 9, "service": 3.0}, "b": {"busy": 4}}, {"a": 1.0, "b": 1.0}, "b"),
        ({"a": LARGE, "b": {**LARGE, **COLD}}, {"a": {"busy": 3}}, {"a": 0.25, "b": 1.0}, "a"),
        ({"a": LARGE, "b": LARGE}, {"b": {"trust": 0.5}, "a": {"busy": 1}}, {"a": 0.75, "b": 1.0}, "a"),
    ],
)  # fmt: skip
def test_most_capacity_takes_the_largest_free_context(
    views: Any, places: Any, capacity: dict[str, float], best: str
) -> None:
    choice = decide("most_capacity", house(views, places))
    assert values(choice, "capacity") == capacity
    assert winner(choice) == best


# --------------------------------------------------------------------------------------------------------- lowest_cost

CHEAP, DEAR = {"output_usd_per_token": 1e-6}, {"output_usd_per_token": 4e-6}


@pytest.mark.parametrize(
    ("views", "places", "cost", "best"),
    [
        ({"a": DEAR, "b": CHEAP}, {}, {"a": 0.25, "b": 1.0}, "b"),
        ({"a": DEAR, "b": {}}, {}, {"a": 0.0, "b": 1.0}, "b"),
        ({"a": CHEAP, "b": COLD}, {}, {"a": 0.0, "b": 1.0}, "b"),  # a load costs no money
        ({"a": {}, "b": COLD}, {}, {"a": 1.0, "b": 1.0}, "a"),
        ({"a": COLD, "b": {}}, {}, {"a": 1.0, "b": 1.0}, "b"),
        ({"a": {}, "b": {"seconds_per_token": 0.001}}, {}, {"a": 1.0, "b": 1.0}, "b"),
        ({"a": DEAR, "b": {}}, {"b": {"trust": 0.5}}, {"a": 0.0, "b": 1.0}, "b"),
        ({"a": {"output_usd_per_token": 1.5e-6}, "b": CHEAP}, {"b": {"trust": 0.5}},
         {"a": 0.666667, "b": 1.0}, "a"),
    ],
)  # fmt: skip
def test_lowest_cost_takes_the_cheapest(views: Any, places: Any, cost: dict[str, float], best: str) -> None:
    choice = decide("lowest_cost", house(views, places))
    assert values(choice, "cost") == cost
    assert winner(choice) == best


# ------------------------------------------------------------------------------------------------------ simple_shuffle


@pytest.mark.parametrize(
    ("views", "places", "chances"),
    [
        ({"a": {}, "b": {}}, {}, {"a": 0.5, "b": 0.5}),
        ({"a": {}, "b": {}, "c": {}}, {}, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}),
        ({"a": {"share": 7.0}, "b": {"share": 3.0}}, {}, {"a": 0.7, "b": 0.3}),
        ({"a": {}, "b": {}}, {"a": {"weight": 3.0}}, {"a": 0.75, "b": 0.25}),
        ({"a": {}, "b": {}}, {"a": {"trust": 0.5}}, {"a": 1 / 3, "b": 2 / 3}),
        ({"a": {"share": 0.0}, "b": {}}, {}, {"b": 1.0}),
        ({"a": {}, "b": COLD, "c": {}}, {}, {"a": 0.5, "c": 0.5}),
        ({"a": {"share": 1e-3}, "b": {"share": 1e6}}, {}, {"b": 1.0}),
    ],
)
def test_simple_shuffle_draws_by_weight(views: Any, places: Any, chances: dict[str, float]) -> None:
    count = 4000  # 0.03 is 3.8 standard deviations, and the draws are always the same
    served = Counter(sequence("simple_shuffle", house(views, places), count))
    assert {name: found / count for name, found in served.items()} == pytest.approx(chances, abs=0.03)


def test_simple_shuffle_draws_each_request_anew() -> None:
    """Which of two served says nothing of the next: all four pairs are equally frequent."""
    served = sequence("simple_shuffle", house({"a": {}, "b": {}}), 4000)
    pairs = Counter(served[i : i + 2] for i in range(len(served) - 1))
    assert {pair: found / 4000 for pair, found in pairs.items()} == pytest.approx(
        dict.fromkeys(("aa", "ab", "ba", "bb"), 0.25), abs=0.03
    )


def test_the_same_picture_draws_the_same_and_another_number_something_else() -> None:
    snapshot = house({name: {} for name in "abcdefgh"})
    orders = [order(decide("simple_shuffle", replace(snapshot, number=n))) for n in (1, 1, 2, 2**62)]
    assert orders[0] == orders[1]
    assert len(set(orders)) == 3


def test_whoever_drops_out_changes_nobody_elses_lot() -> None:
    snapshot = house({name: {} for name in "abcdefgh"})
    first = order(decide("simple_shuffle", snapshot))
    later = order(decide("simple_shuffle", snapshot, excluded=frozenset({(first[0], "m")})))
    assert later == first[1:]


# ------------------------------------------------------------------------------------------------------ all of them


@pytest.mark.parametrize("strategy", sorted(set(STRATEGIES) - {"simple_shuffle"}))
def test_equals_go_by_the_name_of_the_backend_then_of_the_model(strategy: str) -> None:
    views = [a_view("b", "x"), a_view("a", "z"), a_view("a", "y")]
    for some in (views, views[::-1]):
        snapshot = a_snapshot([place("b"), place("a")], some)
        choice = decide(strategy, snapshot, ask=an_ask())
        found = [choice.options[i].view.deployment for i in ranking(choice)]
        assert [(d.backend, d.model) for d in found] == [("a", "y"), ("a", "z"), ("b", "x")]
        assert choice.best == ranking(choice)[0]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_whose_share_is_nothing_gets_nothing_while_there_is_another(strategy: str) -> None:
    ideal = {"share": 0.0, "seconds_per_token": 1e-4, "context_tokens": 10**6, "response_p95": 1e-3}
    poor = {"context_tokens": 1000, "success": 0.1, **DEAR}
    assert winner(decide(strategy, house({"a": ideal, "b": poor}, {"b": {"busy": 3}}))) == "b"
    assert winner(decide(strategy, house({"a": ideal}))) == "a"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_has_its_formula_in_its_docstring(strategy: str) -> None:
    function = STRATEGIES[strategy]
    assert function.__name__ == strategy
    text = function.__doc__ or ""
    for name in decide(strategy, house({"a": {}, "b": COLD})).scores.names:
        assert name in ("latency", "warm") or name in text
    assert "v = " in text


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_decision_says_which_one_chose(strategy: str) -> None:
    snapshot = house({"a": {}, "b": {}})
    ask = an_ask(model="m", strategy=strategy)
    question = a_question(ask, a_resolver().resolve(ask, snapshot.by_model))
    choice = choose(question, snapshot, Policy())
    assert choice is not None
    decision = decision_of(question, choice, snapshot, Policy(), explain=True)
    assert decision.strategy == strategy
    assert (f"best of 2 by {strategy}" in decision.explanation) == (strategy != "usage_based")
    assert (decision.turn is not None) == (strategy in ("round_robin", "weighted"))


@pytest.mark.parametrize(
    ("of_request", "of_model", "of_intent", "globally", "used"),
    [
        ("weighted", "round_robin", "least_loaded", "lowest_cost", "weighted"),
        ("", "round_robin", "least_loaded", "lowest_cost", "round_robin"),
        ("", "", "least_loaded", "lowest_cost", "least_loaded"),
        ("", "", "", "lowest_cost", "lowest_cost"),
        ("", "", "", "usage_based", "usage_based"),
        ("usage_based", "weighted", "", "lowest_cost", "usage_based"),
    ],
)
def test_the_nearest_word_decides(
    of_request: str, of_model: str, of_intent: str, globally: str, used: str
) -> None:
    policy = Policy(strategy=globally, model_strategies={"m": of_model} if of_model else {})
    resolver = a_resolver(policy, {"chat": {"strategy": of_intent}} if of_intent else {})
    snapshot = house({"a": {}, "b": {}})
    ask = an_ask("hello there", strategy=of_request)
    choice = choose(a_question(ask, resolver.resolve(ask, snapshot.by_model)), snapshot, policy)
    assert choice is not None
    assert choice.strategy == used


def test_a_capability_has_its_word_after_the_model_and_before_the_intent() -> None:
    capabilities = {"tools": CapabilityRule(strategy="round_robin")}
    intents = {name: {"strategy": "least_loaded"} for name in ("action", "chat")}
    snapshot = house({name: {"capabilities": frozenset({"chat", "tools"})} for name in "ab"})
    used = []
    for stated in ({}, {"m": "weighted"}):
        policy = Policy(capabilities=capabilities, model_strategies=stated)
        resolver = a_resolver(policy, intents)
        for ask in (an_ask(needs=frozenset({"tools"})), an_ask(target=Target(required=frozenset({"tools"})))):
            choice = choose(a_question(ask, resolver.resolve(ask, snapshot.by_model)), snapshot, policy)
            assert choice is not None
            used.append(choice.strategy)
    assert used == ["round_robin", "round_robin", "weighted", "weighted"]


@pytest.mark.parametrize(
    ("stated", "used"),
    [
        ({"m": "weighted"}, "lowest_cost"),
        ({"m": "weighted", "n": "round_robin"}, "lowest_cost"),
        ({"m": "weighted", "n": "weighted"}, "weighted"),
    ],
)
def test_among_several_models_theirs_counts_if_they_agree(stated: dict[str, str], used: str) -> None:
    policy = Policy(strategy="lowest_cost", model_strategies=stated)
    snapshot = a_snapshot([place("a")], [a_view("a", "m"), a_view("a", "n")])
    ask = an_ask()
    choice = choose(a_question(ask, a_resolver().resolve(ask, snapshot.by_model)), snapshot, policy)
    assert choice is not None
    assert choice.strategy == used


# ------------------------------------------------------------------------------------------------------ whatever comes

WEIGHTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 20), min_size=1)


@given(st.sets(st.sampled_from("abcdefgh"), min_size=1), st.integers(1, 40))
def test_nobody_is_a_turn_ahead_of_another(names: set[str], count: int) -> None:
    served = Counter(sequence("round_robin", house({name: {} for name in names}), count))
    numbers = [served[name] for name in names]
    assert max(numbers) - min(numbers) <= 1


@given(WEIGHTS)
def test_shares_are_exact_after_as_many_requests_as_the_weights_add_up_to(weights: dict[str, int]) -> None:
    snapshot = house({name: {"share": float(weight)} for name, weight in weights.items()})
    whole = sum(weights.values())
    served = sequence("weighted", snapshot, 2 * whole)
    assert Counter(served[:whole]) == Counter(served[whole:]) == weights
    for count in range(1, whole):
        found = Counter(served[:count])
        assert all(found[name] <= weight / whole * count + 1 for name, weight in weights.items())


SOMETIMES = st.lists(
    st.frozensets(st.sampled_from([(name, "m") for name in "abcd"]), max_size=3), min_size=1, max_size=40
)


@given(SOMETIMES, st.sampled_from(["round_robin", "weighted"]))
def test_who_is_away_now_and_then_is_never_owed_more_than_a_round(
    away: list[frozenset[tuple[str, str]]], strategy: str
) -> None:
    snapshot = house({name: {} for name in "abcd"})
    for excluded in away:
        choice = decide(strategy, snapshot, excluded=excluded)
        assert (winner(choice), "m") not in excluded
        snapshot = after(snapshot, choice)
    (owed,) = snapshot.owing.values()
    assert all(-4 <= due <= 4 for due in owed.values())


def views(backend: str, model: str) -> st.SearchStrategy[DeploymentView]:
    return st.builds(
        a_view,
        st.just(backend),
        deployment=st.builds(
            Deployment,
            st.just(model),
            st.just(backend),
            st.just(model),
            st.sampled_from([0.0, 0.3, 1.0, 7.0]),
        ),
        capabilities=st.sampled_from([frozenset({"chat"}), frozenset({"chat", "tools"})]),
        context_tokens=st.sampled_from([0, 512, 8192]),
        load_seconds=st.sampled_from([0.0, 4.0]),
        response_p95=st.none() | st.floats(0, 20),
        seconds_per_token=st.floats(1e-6, 1),
        output_usd_per_token=st.sampled_from([0.0, 1e-6, 1e-3]),
        served=st.sampled_from([True, True, False]),
        trust=st.sampled_from([1.0, 0.5, 0.1]),
        barred=st.sampled_from([None, None, None, Reason.CIRCUIT_OPEN, Reason.RATE_LIMITED]),
        asked=st.booleans(),
    )


PLACES = st.tuples(
    st.sampled_from([Phase.READY, Phase.READY, *Phase]),
    st.integers(0, 5),
    st.integers(0, 3),
    st.integers(1, 4),
    st.none() | st.integers(1, 3),
)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    found, places = [], []
    for name in "abc":
        phase, busy, foreign, slots, limit = draw(PLACES)
        places.append(BackendView(a_backend(name, max_in_flight=limit), phase, busy, foreign, slots=slots))
        found += [draw(views(name, model)) for model in ("m", "n") if draw(st.booleans())]
    return replace(a_snapshot(places, found), number=draw(st.integers(0, 2**63)))


@given(
    snapshots(),
    st.sampled_from(sorted(STRATEGIES)),
    st.sampled_from([an_ask(), an_ask(model="m"), an_ask(needs=frozenset({"tools"})), an_ask(prompt_bytes=9000)]),
    st.frozensets(st.tuples(st.sampled_from("abc"), st.sampled_from("mn")), max_size=2),
    st.booleans(),
)  # fmt: skip
def test_no_strategy_ever_takes_whoever_may_not_serve(
    snapshot: Snapshot, strategy: str, ask: Ask, excluded: frozenset[tuple[str, str]], prefer_warm: bool
) -> None:
    if ask.target.model and ask.target.model not in snapshot.by_model:
        return
    asked = replace(ask, strategy=strategy)
    question = a_question(asked, a_resolver().resolve(asked, snapshot.by_model), excluded=excluded)
    policy = Policy(prefer_warm=prefer_warm)
    for _ in range(6):
        choice = choose(question, snapshot, policy)
        if choice is None:
            return
        chosen = choice.options[choice.best].view
        asked_for = replace(question, panic=choice.panic)
        assert not why_not(asked_for, chosen, snapshot.backends[chosen.deployment.backend])
        for index in range(len(choice.options)):
            candidate = candidate_of(choice, index)
            assert candidate.score <= choice.totals[choice.best]
            assert all(0.0 <= term.value <= 1.0 for term in candidate.terms), candidate
        backwards = {model: found[::-1] for model, found in snapshot.by_model.items()}
        again = choose(question, replace(snapshot, by_model=backwards, auto=snapshot.auto[::-1]), policy)
        assert again is not None
        assert again.options[again.best].view is chosen
        assert again.turn == choice.turn
        snapshot = after(snapshot, choice)
