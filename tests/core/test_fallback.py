"""What may be tried after which failure, and that no way leads where a request may not go."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fakes import a_backend, a_question, a_resolver, a_snapshot, a_view, an_ask
from hypothesis import given, settings
from hypothesis import strategies as st

from zoe_grpcd.core.ask import Ask, Target, Verdict
from zoe_grpcd.core.awaited import once_over
from zoe_grpcd.core.backend import Deployment, Phase
from zoe_grpcd.core.chains import CAUSES, Chain, Step, condition_of
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.demands import CapabilityRule
from zoe_grpcd.core.eligible import Question, question_of
from zoe_grpcd.core.errors import Fault, ZoeError
from zoe_grpcd.core.fallback import ELSEWHERE, Elsewhere, next_question
from zoe_grpcd.core.intents import SHIPPED
from zoe_grpcd.core.licence import Locality
from zoe_grpcd.core.naming import Pattern
from zoe_grpcd.core.reading import Shape
from zoe_grpcd.core.resolve import Policy, Resolution, Resolver
from zoe_grpcd.core.rules import Rule, SizeRule, When
from zoe_grpcd.core.scoring import Choice, choose
from zoe_grpcd.core.sizes import size_bounds
from zoe_grpcd.core.strategies import STRATEGIES
from zoe_grpcd.core.tiers import ANY, Selection, Tier
from zoe_grpcd.core.views import BackendView, Snapshot

INTENTS = ("chat", "code")
TWINS = [("a", "m"), ("a", "n"), ("b", "m"), ("b", "n")]


def fleet(pairs: list[tuple[str, str]] = TWINS, **windows: int) -> Snapshot:
    backends = sorted({backend for backend, _ in pairs})
    return a_snapshot(
        [BackendView(a_backend(name), Phase.READY) for name in backends],
        [a_view(b, m, context_tokens=windows.get(f"{b}_{m}", 0)) for b, m in pairs],
    )


def asked(*models: str, **fields: Any) -> Question:
    tiers = tuple(Tier(frozenset((model,))) for model in models)
    return a_question(an_ask(model="m", **fields), Resolution(tiers, Reason.EXACT_MODEL, "m", ""))


def course(question: Question, snapshot: Snapshot, fault: Fault) -> Iterator[str]:
    """Who is tried, one after the other, if everybody fails in the same way."""
    following: Question | None = question
    for _ in range(20):
        if following is None or (choice := choose(following, snapshot, Policy())) is None:
            return
        deployment = choice.options[choice.best].view.deployment
        yield f"{deployment.model}@{deployment.backend}"
        following = next_question(following, deployment, fault, snapshot)
    yield "..."


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        # to another provider at once, and only then to another model of the same
        (Fault.RATE_LIMITED, ["m@a", "m@b", "n@a", "n@b"]),
        (Fault.UNAUTHORIZED, ["m@a", "m@b", "n@a", "n@b"]),
        (Fault.SERVER, ["m@a", "m@b", "n@a", "n@b"]),
        (Fault.TIMEOUT, ["m@a", "m@b", "n@a", "n@b"]),
        (Fault.REJECTED, ["m@a"]),
        (Fault.LOADING, ["m@a"] * 20 + ["..."]),
    ],
)
def test_the_course_of_a_request(fault: Fault, expected: list[str]) -> None:
    assert list(course(asked("m", "n"), fleet(), fault)) == expected


def test_429_goes_to_another_provider_before_another_model_of_the_same() -> None:
    pairs = [("a", "m"), ("a", "n"), ("b", "o")]
    assert list(course(asked("m", "n", "o"), fleet(pairs), Fault.RATE_LIMITED)) == ["m@a", "o@b", "n@a"]
    assert list(course(asked("m", "n", "o"), fleet(pairs), Fault.SERVER)) == ["m@a", "n@a", "o@b"]


def test_too_long_goes_to_a_larger_window() -> None:
    snapshot = fleet([("a", "m"), ("b", "m"), ("c", "m"), ("d", "m")], a_m=100, b_m=50, c_m=100, d_m=101)
    assert list(course(asked("m"), snapshot, Fault.CONTEXT_TOO_LONG)) == ["m@a", "m@d"]


def test_too_long_goes_along_the_chain_to_a_larger_window() -> None:
    policy = Policy(
        chains={"m": Chain((Step(("n",), when=condition_of(["context_too_long"])), Step(("o",))))}
    )
    snapshot = fleet([("a", "m"), ("a", "n"), ("a", "o")], a_m=100, a_n=200, a_o=100)
    for fault, way in ((Fault.CONTEXT_TOO_LONG, ["m@a", "n@a"]), (Fault.SERVER, ["m@a", "o@a"])):
        question = a_question(
            an_ask(model="m"), a_resolver(policy).resolve(an_ask(model="m"), snapshot.by_model)
        )
        assert list(course(question, snapshot, fault)) == way


def test_every_fault_has_its_place() -> None:
    assert set(ELSEWHERE) == set(Fault)
    assert [fault for fault, place in ELSEWHERE.items() if place is Elsewhere.NOWHERE] == [Fault.REJECTED]
    assert [fault for fault, place in ELSEWHERE.items() if place is Elsewhere.ANYWHERE] == [Fault.LOADING]


def test_any_model_if_the_caller_allows() -> None:
    question = asked("m", allow_different_model=True)
    assert list(course(question, fleet([("a", "m"), ("b", "n")]), Fault.SERVER)) == ["m@a", "n@b"]
    assert list(course(asked("m"), fleet([("a", "m"), ("b", "n")]), Fault.SERVER)) == ["m@a"]


def test_any_model_is_added_once() -> None:
    question = asked("m", allow_different_model=True)
    for name in ("a", "b"):
        following = next_question(question, Deployment("m", name, "m"), Fault.SERVER, fleet())
        assert following is not None
        question = following
    assert sum(tier.models is None for tier in question.resolution.tiers) == 1
    assert ANY not in question.resolution.tiers, "it says why"


# ------------------------------------------------------------------------------------------------------- locality

BACKENDS, MODELS, KINDS = ("a", "b", "c", "d"), ("m", "n", "o"), ("ollama", "openai", "vllm")
NAMES = (*MODELS, "group", "x-1", "chain")


def some(values: tuple[str, ...]) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(values), min_size=1, max_size=2)


SELECTIONS = st.builds(
    Selection,
    backends=st.just(frozenset()) | some(BACKENDS),
    kinds=st.just(frozenset()) | some(KINDS),
    models=st.just(frozenset()) | some((*MODELS, "group")),
    local=st.sampled_from([None, None, True, False]),
)
CONDITIONS = st.none() | st.sampled_from([*CAUSES, "model_size >= 7B"]).map(lambda text: condition_of([text]))
STEPS = st.one_of(
    st.builds(Step, models=some((*MODELS, "group")).map(tuple), when=CONDITIONS),
    st.builds(Step, kinds=some(KINDS), when=CONDITIONS),
    st.builds(Step, backends=some(BACKENDS), when=CONDITIONS),
)
CHAINS = st.dictionaries(
    st.sampled_from(["default", "chain", "m", "vision"]),
    st.builds(Chain, st.lists(STEPS, min_size=1, max_size=3).map(tuple)),
)
PATTERNS = st.lists(
    st.builds(
        Pattern,
        st.sampled_from(["x-.*", "m|n", ".*"]).map(re.compile),
        kinds=some(KINDS),
        fallback=st.sampled_from(["", *NAMES]),
    ),
    max_size=2,
).map(tuple)
RULES = st.lists(
    st.builds(
        Rule,
        st.just("rule"),
        st.builds(When, stream=st.sampled_from([None, True])),
        prefer=st.none() | SELECTIONS,
        require=st.none() | SELECTIONS,
        fallback=st.sampled_from(["", *NAMES]),
    ),
    max_size=2,
).map(tuple)
CAPABILITIES = st.dictionaries(
    st.sampled_from(["vision", "wish", "long_context"]),
    st.builds(
        CapabilityRule,
        preferred_models=st.lists(st.sampled_from(NAMES), max_size=2).map(tuple),
        min_size=st.sampled_from([0.0, 7.0]),
        strategy=st.sampled_from(["", *STRATEGIES]),
        defined=st.booleans(),
    ),
)
POLICIES = st.builds(
    Policy,
    strategy=st.sampled_from(list(STRATEGIES)),
    capabilities=CAPABILITIES,
    aliases=st.dictionaries(
        st.just("group"), st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(tuple)
    ),
    default_model=st.sampled_from(["", *MODELS]),
    patterns=PATTERNS,
    sizes=st.sampled_from([(), (SizeRule(size_bounds("< 8B"), frozenset({"openai"})),)]),
    rules=RULES,
    chains=CHAINS,
)
ASKS = st.builds(
    an_ask,
    st.just("hello"),
    target=st.builds(
        Target,
        model=st.sampled_from(["", *NAMES]),
        intent=st.sampled_from(["", *INTENTS]),
        required=st.just(frozenset()) | some(("vision", "wish")),
        preferred=st.just(frozenset()) | some(("vision", "wish")),
        fallback_models=st.lists(st.sampled_from(NAMES), max_size=2).map(tuple),
        excluded_backends=st.just(frozenset()) | some(BACKENDS),
    ),
    strategy=st.sampled_from(["", *STRATEGIES]),
    verdict=st.sampled_from(INTENTS).map(lambda intent: Verdict(intent, 1.0)),
    prompt_bytes=st.sampled_from([5, 100_000]),
    cost_weight=st.none() | st.just(0.5),
    stream=st.booleans(),
    allow_different_model=st.booleans(),
    locality=st.just(Locality.LOCAL_ONLY),
)


@st.composite
def fleets(draw: st.DrawFn) -> Snapshot:
    backends = [
        BackendView(
            a_backend(name, kind=draw(st.sampled_from(KINDS)), local=draw(st.booleans())),
            draw(st.sampled_from([Phase.READY, Phase.READY, *Phase])),
        )
        for name in BACKENDS
    ]
    pairs = [(b, m) for b in BACKENDS for m in MODELS if draw(st.booleans())]
    sizes = st.none() | st.sampled_from([3.0, 8.0, 70.0])
    held = st.sampled_from([None, None, Reason.CIRCUIT_OPEN, Reason.RATE_LIMITED])
    able = st.just(frozenset({"chat"})) | st.just(frozenset({"chat", "vision"}))
    views = [
        a_view(
            b,
            m,
            parameters=draw(sizes),
            barred=draw(held),
            capabilities=draw(able),
            load_seconds=draw(st.sampled_from([0.0, 3.0])),
            context_tokens=draw(st.sampled_from([0, 4096])),
        )
        for b, m in pairs
    ]
    return a_snapshot(backends, views)


def resolver(policy: Policy, model: str) -> Resolver:
    """Two intents, the second with a model of its own; the caller's word, or the verdict, says which."""
    chat, code = (intent for intent in SHIPPED if intent.name in INTENTS)
    return Resolver(policy, (chat, replace(code, model=model)), NobodyAsked())


class NobodyAsked:
    """Every request brings its verdict."""

    def classify(self, text: str, shape: Shape) -> Verdict:
        raise AssertionError


def local(snapshot: Snapshot, choice: Choice | None) -> bool:
    """Everybody who was an option is; nobody at all is fine."""
    options = choice.options if choice else ()
    return all(snapshot.backends[o.view.deployment.backend].backend.local for o in options)


@settings(max_examples=300, deadline=None)
@given(
    fleets(),
    POLICIES,
    ASKS,
    st.sampled_from(["", *NAMES]),
    st.lists(st.tuples(st.sampled_from(Fault), st.none() | st.just("b")), min_size=8, max_size=8),
)
def test_what_has_to_stay_local_reaches_no_cloud_backend_whatever_fails(
    snapshot: Snapshot, policy: Policy, ask: Ask, model: str, faults: list[tuple[Fault, str | None]]
) -> None:
    """After some failures only backend `b` can go on with the answer."""
    try:
        question = question_of(
            ask, resolver(policy, model).resolve(ask, snapshot.by_model), drop_params=False
        )
    except ZoeError:
        return
    for fault, only in faults:
        if (later := once_over(question, snapshot)) is not None:
            assert local(later, choose(question, later, policy)), "what it would wait for"
        narrowed = None if only is None else frozenset({(only, m) for m in MODELS})
        choice = choose(replace(question, only=narrowed), snapshot, policy)
        assert local(snapshot, choice)
        if choice is None:
            return
        deployment = choice.options[choice.best].view.deployment
        following = next_question(question, deployment, fault, snapshot)
        if following is None:
            return
        question = following
