"""What a decision looks at: pictures of the fleet at one moment, which nobody changes. A decision can be replayed from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from zoe_grpcd.core.backend import Backend, Deployment, Phase, Prefill
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.key import Key
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.core.timetable import Played, Shop, Task
from zoe_grpcd.core.turns import Owed, Scope


@dataclass(slots=True)
class BackendView:
    """A backend at the moment of a decision."""

    backend: Backend
    phase: Phase
    in_flight: int = 0  # requests of ours
    foreign: int = 0  # requests of others, as far as the last probe saw
    slots: int = 1  # requests it works on at the same time, >= 1
    service: float = 5.0  # seconds that a request keeps a slot, mean
    # What it has to do, in the order of arrival; empty: at most the numbers are known.
    tasks: tuple[Task, ...] = ()
    shop: Shop | None = None  # what it works with; None: only `slots` is known
    # model -> seconds of its load * its share of what is asked of the backend
    reloads: Mapping[str, float] = field(default_factory=dict)
    # What is held against it: a factor on its weight, 0..1; whether it cools down and one request may try; and until when
    # it cools down, on the clock of `Snapshot.at`.
    trust: float = 1.0
    trial: bool = False
    until: float | None = None
    neighbours: int = 0  # requests at work on other backends of its machine
    # The future of the tasks: kept here by whoever needs it first.
    played: Played | None = field(default=None, init=False, compare=False, repr=False)


class Known(NamedTuple):
    """Which times of a deployment were measured; the others are assumed."""

    load: bool = False
    prefill: bool = False
    token: bool = False


GUESSED = Known()


@dataclass(slots=True)
class DeploymentView:
    """A model on a backend at the moment of a decision: facts, warmth, and what was measured or is assumed."""

    deployment: Deployment
    state: LoadState
    capabilities: frozenset[str]
    context_tokens: int = 0  # 0: unknown
    parameters: float | None = None  # billions
    quality: Mapping[str, float] = field(default_factory=dict)
    load_seconds: float = 0.0  # until it is warm, 0 if it is
    seconds_per_prompt_token: float = 0.001
    seconds_per_token: float = 0.02
    overhead_seconds: float = 0.02  # of a request, whatever its size
    output_tokens: float = 200.0  # of an answer, mean
    bytes_per_token: float = 3.6  # of a prompt
    image_tokens: float = 600.0  # of a picture
    bytes_known: bool = False  # `bytes_per_token` was measured, not assumed
    success: float = 1.0  # 0..1
    response_p95: float | None = None  # seconds to a first token, wait and load left out; None: unknown
    quickest: float = 0.0  # of the same, the least; 0: unknown, or not needed since reading was measured
    input_usd_per_token: float = 0.0
    output_usd_per_token: float = 0.0
    spread: float = 1.8  # 0.9-quantile of truth / estimate
    served: bool = True  # False: configured, but the backend was seen not to serve it
    fingerprint: str = ""  # of file and template; empty: not known
    prefill: Prefill | None = None  # None: not known
    known: Known = GUESSED
    # What is held against it: a factor on its weight, 0..1; why it gets nothing, until when on the clock of `Snapshot.at`
    # (None: not known), and whether its backend asked for that.
    trust: float = 1.0
    barred: Reason | None = None
    until: float | None = None
    asked: bool = False

    @property
    def key(self) -> Key:
        """Whose it is."""
        return self.deployment.key


@dataclass(slots=True)
class Snapshot:
    """The whole fleet. `by_model` lists the deployments of each public name, ordered by backend.

    `number` changes with each request that is sent; random strategies draw from it. `owing`: where turns stand.
    `at`: when it was made, if anything in it passes with time that is told to callers; else 0.
    """

    backends: Mapping[str, BackendView]
    by_model: Mapping[str, tuple[DeploymentView, ...]]
    auto: tuple[DeploymentView, ...]  # those that a request which names no model may get
    number: int = 0
    owing: Mapping[Scope, Owed] = field(default_factory=dict)
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelReport:
    """A deployment as an operator sees it."""

    deployment: Deployment
    state: LoadState
    load_fraction: float
    context_tokens: int
    capabilities: frozenset[str]
    parameters: float | None  # billions
    expire_at: float | None
    size_bytes: int
    vram_bytes: int
    expected_load: float  # seconds, 0 if it is loaded


@dataclass(frozen=True, slots=True)
class BackendReport:
    """A backend as an operator sees it. `since` and `probed_at` are on the fleet's clock; `probed_at` None: never."""

    backend: Backend
    phase: Phase
    detail: str
    since: float
    models: tuple[ModelReport, ...]
    in_flight: int
    max_in_flight: int
    foreign: int
    deferred: int
    tokens_per_second: float  # 0: nothing measured
    prefill_tokens_per_second: float
    error_ratio: float
    ttft_p50: float | None
    ttft_p95: float | None
    kv_cache_usage: float | None
    probed_at: float | None
    probe_ok: bool
    probe_error: str
    probe_duration: float
    revision: int
    queued: int = 0  # requests of ours that wait for a place on it

    @property
    def is_asleep(self) -> bool:
        """It answers nothing until it is woken: of no other backend that is down a model sleeps."""
        return self.phase is Phase.DOWN and any(model.state is LoadState.SLEEPING for model in self.models)
