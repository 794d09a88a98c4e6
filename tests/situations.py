"""Whatever a fleet and a request may be: what the property tests of decisions draw from."""

from collections.abc import Sequence

from fakes import a_backend, a_question, a_resolver, a_snapshot, a_view, an_ask
from hypothesis import strategies as st

from zoe_grpcd.core.ask import Ask, Target
from zoe_grpcd.core.backend import Deployment, Phase
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.licence import Locality
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.core.resolve import Policy
from zoe_grpcd.core.views import BackendView, DeploymentView, Snapshot

RESOLVER = a_resolver(Policy(default_model="n"))
BACKENDS, MODELS, FEATURES = ("a", "b", "c"), ("m", "n"), ("sampling.top_k", "top_logprobs")


def some(values: Sequence[str]) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(values), max_size=2)


def backends(name: str) -> st.SearchStrategy[BackendView]:
    backend = st.builds(
        a_backend,
        st.just(name),
        local=st.booleans(),
        weight=st.floats(0.1, 10),
        max_in_flight=st.none() | st.integers(1, 3),
        refuses=some(FEATURES),
        truncates=st.booleans(),
        labels=st.sampled_from([{}, {"gpu": "yes"}]),
    )
    healthy = st.sampled_from([Phase.READY] * 3 + list(Phase))
    return st.builds(
        BackendView,
        backend,
        healthy,
        st.integers(0, 4),
        st.integers(0, 4),
        st.integers(1, 4),
        st.floats(0.01, 60),
        trust=st.sampled_from([1.0, 1.0, 0.5, 0.1]),
        trial=st.booleans(),
        until=st.none() | st.floats(0, 100),
        neighbours=st.sampled_from([0, 0, 1, 3]),
    )


def views(backend: str, model: str) -> st.SearchStrategy[DeploymentView]:
    return st.builds(
        a_view,
        st.just(backend),
        deployment=st.builds(
            Deployment,
            st.just(model),
            st.just(backend),
            st.just(model),
            st.floats(0.1, 10),
            auto=st.booleans(),
        ),
        state=st.sampled_from(LoadState),
        capabilities=some(("tools", "vision", "code")).map(lambda found: found | {"chat"}),
        context_tokens=st.sampled_from([0, 1, 512, 4096]),
        parameters=st.none() | st.floats(0.1, 400),
        quality=st.dictionaries(st.sampled_from(["code", "chat"]), st.floats(0, 1)),
        load_seconds=st.sampled_from([0.0, 3.0, 600.0]),
        seconds_per_prompt_token=st.floats(0, 1),
        seconds_per_token=st.floats(1e-6, 10),
        overhead_seconds=st.floats(0, 5),
        output_tokens=st.floats(0, 1e5),
        bytes_per_token=st.floats(1, 12),
        image_tokens=st.floats(1, 8000),
        bytes_known=st.booleans(),
        success=st.floats(0, 1),
        input_usd_per_token=st.sampled_from([0.0, 1e-6]),
        output_usd_per_token=st.sampled_from([0.0, 1e-5]),
        served=st.sampled_from([True, True, True, False]),
        trust=st.sampled_from([1.0, 1.0, 0.5, 0.1]),
        barred=st.sampled_from([None] * 4 + [Reason.CIRCUIT_OPEN, Reason.RATE_LIMITED]),
        until=st.none() | st.floats(0, 100),
        asked=st.booleans(),
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    pairs = [(backend, model) for backend in BACKENDS for model in MODELS if draw(st.booleans())]
    return a_snapshot([draw(backends(name)) for name in BACKENDS], [draw(views(*pair)) for pair in pairs])


TARGETS = st.builds(
    Target,
    model=st.sampled_from(["", "", *MODELS]),
    required=some(("tools", "vision")),
    preferred=some(("code", "tools")),
    labels=st.sampled_from([{}, {}, {"gpu": "yes"}]),
    min_context_tokens=st.sampled_from([0, 0, 1024]),
    fallback_models=st.lists(st.sampled_from(MODELS), max_size=2).map(tuple),
    allowed_backends=some(BACKENDS),
    excluded_backends=some(BACKENDS),
)


ASKS = st.builds(
    an_ask,
    st.sampled_from(["hello", "write a Python function", "why is the sky blue?", "tell me a story"]),
    target=TARGETS,
    prompt_bytes=st.sampled_from([0, 5, 3600, 100_000]),
    features=some(FEATURES),
    needs=some(("tools", "vision")),
    locality=st.sampled_from(Locality),
    latency_level=st.sampled_from(["", "LOW", "HIGH"]),
    cost_weight=st.none() | st.floats(0, 1),
    max_cost_usd=st.none() | st.floats(0, 1),
    options=st.sampled_from([{}, {"max_output_tokens": 0}, {"max_output_tokens": 50}]),
)


def question_of(snapshot: Snapshot, ask: Ask, excluded: frozenset[tuple[str, str]]) -> Question | None:
    if ask.target.model and ask.target.model not in snapshot.by_model:
        return None
    resolution = RESOLVER.resolve(ask, snapshot.by_model)
    return a_question(ask, resolution, excluded=excluded, min_window=ask.target.min_context_tokens)


EXCLUDED = st.frozensets(st.tuples(st.sampled_from(BACKENDS), st.sampled_from(MODELS)), max_size=2)
