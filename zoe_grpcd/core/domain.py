"""The values that all rooms share. No behaviour beyond what follows from the fields themselves.

Nobody changes a value that somebody else made. Those that last are frozen; those that are made anew for each request
are not, since freezing doubles what making one costs.

A *backend* is one server process. A *model* is a name that callers use. A *deployment* is a model on a backend.
Times are seconds (float), sizes are bytes, rates are seconds per token unless a name says otherwise.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple, Protocol

from zoe_grpcd.core.key import Key
from zoe_grpcd.core.trace import Trace
from zoe_grpcd.core.turns import Turn

Json = dict[str, Any]


class Phase(StrEnum):
    """Where a backend stands; `core.phases` holds the only table of moves between them."""

    UNKNOWN = "UNKNOWN"  # not probed yet
    READY = "READY"
    BUSY = "BUSY"  # ready, every slot taken
    LOADING = "LOADING"  # the server is up and loads its model
    DEGRADED = "DEGRADED"
    COOLING_DOWN = "COOLING_DOWN"
    DOWN = "DOWN"
    DRAINING = "DRAINING"
    DISABLED = "DISABLED"


class LoadState(StrEnum):
    """Whether a model is in a backend's memory."""

    UNLOADED = "UNLOADED"
    LOADING = "LOADING"
    LOADED = "LOADED"
    SLEEPING = "SLEEPING"
    FAILED = "FAILED"


class Reason(StrEnum):
    """Why a deployment was chosen, or why it could not be."""

    EXACT_MODEL = "EXACT_MODEL"
    ALIAS = "ALIAS"
    PATTERN = "PATTERN"
    CAPABILITY = "CAPABILITY"
    INTENT = "INTENT"
    DEFAULT_MODEL = "DEFAULT_MODEL"
    RULE = "RULE"
    AFFINITY = "AFFINITY"
    BEST_SCORE = "BEST_SCORE"
    ONLY_CANDIDATE = "ONLY_CANDIDATE"
    FAILOVER = "FAILOVER"
    UNHEALTHY = "UNHEALTHY"
    CIRCUIT_OPEN = "CIRCUIT_OPEN"
    RATE_LIMITED = "RATE_LIMITED"
    DRAINING = "DRAINING"
    LOADING = "LOADING"
    MODEL_NOT_SERVED = "MODEL_NOT_SERVED"
    MISSING_CAPABILITY = "MISSING_CAPABILITY"
    CONTEXT_TOO_LONG = "CONTEXT_TOO_LONG"
    SATURATED = "SATURATED"
    TOO_SLOW = "TOO_SLOW"
    TOO_EXPENSIVE = "TOO_EXPENSIVE"
    LOCALITY = "LOCALITY"
    EXCLUDED = "EXCLUDED"


class Locality(StrEnum):
    """Whether a request may leave the operator's own machines."""

    UNSPECIFIED = "UNSPECIFIED"  # as PREFER_LOCAL, but what the operator prefers comes first
    LOCAL_ONLY = "LOCAL_ONLY"
    PREFER_LOCAL = "PREFER_LOCAL"
    ANY = "ANY"


class Outcome(StrEnum):
    """How one attempt on one backend ended."""

    OK = "OK"
    FAILED = "FAILED"
    REJECTED = "REJECTED"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"
    LOST = "LOST"  # failed after its first token


class Seam(IntEnum):
    """How well an answer is spliced where its backend was lost; the smaller, the better."""

    EXACT_TOKENS = 1  # the same model file goes on from the same tokens
    TEXT_PREFILL = 2  # goes on from the text so far
    RESTART = 3  # the whole answer anew: the caller drops what it has
    NONE = 4  # no splice


class Prefill(StrEnum):
    """What a deployment makes of a conversation that ends with the beginning of an answer."""

    CONTINUES = "CONTINUES"  # writes on from there
    REPEATS = "REPEATS"  # writes on, and says the beginning once more
    CLOSES = "CLOSES"  # takes it for a whole answer and begins another


class FinishReason(StrEnum):
    """Why a model stopped."""

    STOP = "STOP"
    LENGTH = "LENGTH"
    TOOL_CALLS = "TOOL_CALLS"
    CONTENT_FILTER = "CONTENT_FILTER"
    CANCELLED = "CANCELLED"
    OTHER = "OTHER"


# ------------------------------------------------------------------------------------------- what an operator set up


@dataclass(frozen=True, slots=True)
class Backend:
    """One server process, as configured or discovered."""

    name: str
    kind: str
    url: str
    local: bool = True
    weight: float = 1.0  # multiplies the score of its deployments; > 0
    max_in_flight: int | None = None  # None: no limit of ours; what exceeds its slots waits inside it
    labels: Mapping[str, str] = field(default_factory=dict)
    api_key: str = field(default="", repr=False)
    probe_interval: float = 5.0
    probe_timeout: float = 2.0
    connect_timeout: float = 1.0
    first_token_timeout: float | None = None  # None: sized by the estimate
    idle_timeout: float = 30.0  # longest silence between two chunks of an answer
    refuses: frozenset[str] = (
        frozenset()
    )  # request features, by their proto path, that this kind cannot honour
    truncates: bool = False  # this kind silently cuts a prompt that is too long, so we must not send one
    assumed: frozenset[str] = frozenset()  # capabilities of its models that this kind does not tell
    loads_in_turn: bool = (
        False  # this kind loads one model after the other; who waits for memory holds up all behind
    )
    usual_slots: int = 1  # requests that this kind works on at the same time, where the server does not tell
    prefill: Prefill | None = None  # what all servers of this kind do; None: it depends, and is found out
    takes_tokens: bool = False  # goes on from token ids, so that a seam can be exact


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens. `cached`: for a prompt token that the backend still had; None: as `input`."""

    input: float = 0.0
    output: float = 0.0
    cached: float | None = None

    def of(self, usage: "Usage") -> float:
        """US dollars for an answer."""
        known = usage.cached_prompt_tokens if self.cached is not None else 0
        fresh = max(0, usage.prompt_tokens - known)
        paid = fresh * self.input + known * (self.cached or 0.0) + usage.completion_tokens * self.output
        return paid / 1e6


FREE = Price()


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model on a backend: how callers name it, how the server names it, and what goes along with each request."""

    model: str
    backend: str
    backend_model: str
    weight: float = 1.0
    options: Mapping[str, Any] = field(
        default_factory=dict
    )  # the bundle, by the names of `Generation.options`
    backend_options: Mapping[str, Any] = field(
        default_factory=dict
    )  # the rest of it, as the backend spells it
    auto: bool = True  # False: reachable by its exact name only, since a configured name stands for it
    price: Price | None = None  # where it differs from that of the model elsewhere
    any_name: bool = False  # a server's sole model is meant, whatever the server calls it

    @property
    def key(self) -> Key:
        """Its name."""
        return self.backend, self.model


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the operator states about a model; None or empty: what the backend tells."""

    context_tokens: int | None = None
    capabilities: frozenset[str] | None = None
    parameters: float | None = None  # billions
    quality: Mapping[str, float] = field(default_factory=dict)  # intent or capability -> 0..1
    price: Price | None = None


# ------------------------------------------------------------------------------------------------ what a probe tells


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model as its server tells of it. `name` is the server's own name for it."""

    name: str
    state: LoadState = LoadState.LOADED
    context_tokens: int | None = None  # window that one request really gets
    capabilities: frozenset[str] = frozenset({"chat"})
    parameters: float | None = None  # billions
    size_bytes: int = 0  # in memory if loaded, else on disk; 0: unknown
    vram_bytes: int = 0
    load_fraction: float | None = None  # 0..1 while LOADING, where the server tells
    expire_at: float | None = None  # unix seconds at which the server will unload it
    alias: str | None = None  # a better public name than `name`, e.g. a file name without its folder
    fingerprint: str = ""  # of file and template: where it is equal, the same tokens follow; empty: not known
    price: Price | None = None  # None: the backend does not tell
    complete: bool = False  # `capabilities` are all that it has: what its kind is taken to have is not added
    sole: bool = False  # the server has no other model and gives this one to whoever asks, whatever the name


@dataclass(frozen=True, slots=True)
class Observation:
    """What one probe saw. `models` None: the server was not asked or could not say; keep what is known."""

    ok: bool
    duration: float = 0.0
    loading: bool = False  # the whole server is loading its model
    sleeping: bool = False
    error: str = ""
    models: tuple[ModelStatus, ...] | None = None
    slots: int | None = None  # requests it works on at the same time; None: it does not tell
    busy: int | None = None  # slots taken now, ours included
    # (task, tokens read) of each prompt that is being read; None: it does not tell
    reading: tuple[tuple[int, int], ...] | None = None
    deferred: int | None = None  # requests that wait inside it
    kv_cache_usage: float | None = None  # 0..1
    detail: str = ""


# ----------------------------------------------------------------------------------------------- what a caller asks


@dataclass(slots=True)
class Target:
    """What the caller wants to be answered by. All empty: auto."""

    model: str = ""
    required: frozenset[str] = frozenset()
    preferred: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    min_context_tokens: int = 0
    intent: str = ""  # set: no classification
    fallback_models: tuple[str, ...] = ()
    allowed_backends: frozenset[str] = frozenset()  # empty: all
    excluded_backends: frozenset[str] = frozenset()


@dataclass(slots=True)
class Generation:
    """What reaches a backend, in OpenAI's chat shape, with the contract's names for the options.

    `options` holds only what was set: temperature, top_p, min_p, top_k, frequency_penalty, presence_penalty,
    repetition_penalty, seed, logit_bias, stop, max_output_tokens, top_logprobs, parallel_tool_calls,
    reasoning_effort ("none", "low", "medium", "high"), grammar.
    """

    messages: tuple[Json, ...]
    tools: tuple[Json, ...] = ()
    tool_choice: str | Json | None = None  # "auto", "none", "required" or {"type": "function", ...}
    response_format: Json | None = (
        None  # {"type": "json_object"} or {"type": "json_schema", "json_schema": {...}}
    )
    options: Mapping[str, Any] = field(default_factory=dict)
    backend_options: Mapping[str, Any] = field(default_factory=dict)  # passed on as the backend spells them


@dataclass(slots=True)
class Continuation:
    """What a call goes on from: the last message of its generation is the answer so far.

    `prompt`: the whole of it as text and token ids, for a backend that takes those in place of messages.
    """

    seam: Seam
    text: str
    tokens: int  # of `text`, as far as it is known
    reasoning: str = ""  # what was thought before it
    repeats: bool = True  # the answer may begin with the text so far, once more
    prompt: tuple[str | int, ...] = ()


@dataclass(slots=True)
class Call:
    """One attempt, ready to be sent: the caller's values, then the deployment's bundle, then the intent's defaults.

    `defaults`: names of the options that are the intent's, so that nobody misses them where a model does not take them.
    """

    backend: Backend
    backend_model: str
    generation: Generation
    continues: Continuation | None = None
    priority: str = "normal"  # of the request, for a backend that has a queue of its own
    defaults: frozenset[str] = frozenset()
    trace: tuple[tuple[str, str], ...] = ()  # headers that tell the backend which trace it belongs to

    @property
    def api_key(self) -> str:
        """The backend's key, empty if it wants none."""
        return self.backend.api_key


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a request is about. `confidence` is 0..1; `signs` say why and hold no text but the operator's keywords."""

    intent: str
    confidence: float
    signs: tuple[str, ...] = ()


class Limits(NamedTuple):
    """How long a request may take, seconds from now; None: no limit.

    `deadline` passes and the answer is worth nothing; the others are what the caller would like, and no backend that is
    slower than that is used.
    """

    deadline: float | None = None
    first_token: float | None = None
    total: float | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Grant:
    """What the operator allows a key. `name` is public, unlike the key. None: no limit.

    `permits`: whether it may use a model, by its public name; None: all. `models`: the globs that say so, for people.
    `rpm`, `tpm`: requests and tokens a minute. `cost_weight`: for requests that bring none, 0..1.
    """

    name: str
    models: tuple[str, ...] = ("*",)
    permits: Callable[[str], bool] | None = None
    priority: str = "normal"  # the highest
    locality: Locality = Locality.ANY  # the least strict
    cost_weight: float | None = None
    rpm: int | None = None
    tpm: int | None = None
    max_concurrent: int | None = None
    daily_budget_usd: float | None = None
    admin: bool = False


class Licence(Protocol):
    """What the key of a request lets it do, as its decisions ask, and what it has taken."""

    grant: Grant
    remarks: tuple[str, ...]  # what the grant changed of the request, in words

    def left(self) -> float | None:
        """US dollars that it may still cost; None: no limit."""
        ...

    def reserve(self, usd: float, *, beside: bool = False) -> bool:
        """An attempt begins that may cost so much; the one before is over.

        `beside`: that one goes on; False if there is not enough for both, and nothing is reserved then.
        """
        ...

    def spent(self, usage: "Usage", usd: float) -> None:
        """An attempt is over, and has used and cost this, whoever ended it."""
        ...

    def broke(self) -> Exception:
        """What refuses a request that would cost more than is left."""
        ...


@dataclass(slots=True)
class Ask:
    """One request, checked."""

    generation: Generation
    target: Target = field(default_factory=Target)
    request_id: str = ""
    text: str = ""  # the last user message: what the intent is read from
    prompt_bytes: int = 0  # UTF-8 bytes of all text, tools and context included
    images: int = 0
    has_context: bool = False
    features: frozenset[str] = frozenset()  # proto paths of what it uses that some kinds refuse
    needs: frozenset[str] = frozenset()  # capabilities that the request itself demands: vision, tools
    locality: Locality = Locality.UNSPECIFIED
    strategy: str = ""
    latency_level: str = ""  # "", "ULTRA_LOW", "LOW", "MEDIUM", "HIGH"
    cost_weight: float | None = None  # in place of the configured weight of cost, 0..1
    max_cost_usd: float | None = None
    max_queue_time: float | None = None  # seconds; None: the configured one
    max_attempts: int | None = None
    hedge_after: float | None = None  # seconds of silence after which a second backend is asked; None: never
    allow_different_model: bool = False
    minimum_seam: Seam = Seam.TEXT_PREFILL  # the worst that is acceptable after the first token
    include_reasoning: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    priority: str = "normal"  # "batch", "low", "normal", "high" or "critical"
    stream: bool = False
    limits: Limits = NO_LIMITS  # when it came
    caller: str = ""  # whose it is, for a fair queue
    licence: Licence | None = None  # of its key; None: no keys are asked for
    verdict: Verdict | None = None  # what it is about, where that was found before the decision
    trace: Trace | None = None  # None: nobody follows it
    # hears of every decision that is acted on, and of every attempt that failed
    observer: Callable[["Decision | Attempt"], None] | None = None

    @property
    def max_output_tokens(self) -> int | None:
        """The caller's own limit on the answer, if it set one."""
        return self.generation.options.get("max_output_tokens")


# --------------------------------------------------------------------------------------------- what a backend answers


@dataclass(slots=True)
class TokenLogprob:
    """One token with its log probability; `top` are the alternatives, best first."""

    token: str
    logprob: float
    raw: bytes = b""
    top: tuple["TokenLogprob", ...] = ()


@dataclass(slots=True)
class Delta:
    """A piece of an answer. `tokens` counts the chunks it was merged from."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tokens: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(slots=True)
class ToolDelta:
    """A piece of a tool call. `id` and `name` come with its first piece."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    done: bool = False


@dataclass(slots=True)
class Usage:
    """Tokens of one answer. `estimated`: the backend did not count, we did."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_prompt_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """What the backend itself measured, seconds; None: it does not tell."""

    load: float | None = None
    prefill: float | None = None
    prefill_tokens: int | None = None  # really computed, cached ones not counted
    decode: float | None = None
    decode_tokens: int | None = None


@dataclass(slots=True)
class Finish:
    """The proper end of an answer. A stream without it has failed, however clean it looks."""

    reason: FinishReason
    usage: Usage | None = None
    measured: Measured = Measured()
    model: str = ""  # as the backend names what answered


Event = Delta | ToolDelta | Finish


# ------------------------------------------------------------------------------------------------------- a decision


class Estimate(NamedTuple):
    """Expected times of this request on one deployment, seconds. `total` is until its last token.

    A tuple, since one is made for every deployment at every decision.
    """

    queue: float
    load: float
    prefill: float
    decode: float
    tokens_per_second: float
    cost_usd: float
    ninety: float = 0.0  # in nine of ten cases it ends within that
    slowdown: float = 1.0  # of prefill and decode, by those beside it; >= 1
    burden: float = 0.0  # seconds that other requests lose by it

    @property
    def time_to_first_token(self) -> float:
        """Queue, load and prefill."""
        return self.queue + self.load + self.prefill

    @property
    def total(self) -> float:
        """Queue, load, prefill and decode."""
        return self.queue + self.load + self.prefill + self.decode


class ScoreTerm(NamedTuple):
    """One part of a score: `value` is 0..1 over the candidates, `weight` comes from the config."""

    name: str
    value: float
    weight: float


@dataclass(slots=True)
class Candidate:
    """A deployment that was considered. Not eligible: `reasons` say why, and there are no terms."""

    deployment: Deployment
    kind: str
    local: bool
    eligible: bool
    score: float = 0.0
    terms: tuple[ScoreTerm, ...] = ()
    reasons: tuple[Reason, ...] = ()
    estimate: Estimate | None = None


@dataclass(slots=True)
class Decision:
    """The choice and why. `candidates` begins with the chosen one; the rest only when asked for.

    Whoever asked for it signs it with `id` and `decide_seconds`, once.
    """

    chosen: Candidate
    candidates: tuple[Candidate, ...]
    requested_model: str
    intent: str
    strategy: str
    reason: Reason
    explanation: str
    defaults: Mapping[str, Any] = field(default_factory=dict)  # of the intent, where the caller set nothing
    dropped: frozenset[str] = frozenset()  # features that the chosen one cannot honour and may be dropped
    id: str = ""
    decide_seconds: float = 0.0
    config_generation: int = 1
    turn: Turn | None = None  # the one that it takes when it is sent
    doubtful: frozenset[str] = frozenset()  # backends to ask what they have in memory before it is acted on
    seam: Seam | None = None  # at which the answer was joined to the one of a backend that was lost


@dataclass(slots=True)
class Attempt:
    """One try on one backend, as it is reported to the caller."""

    number: int
    deployment: Deployment
    kind: str
    local: bool
    outcome: Outcome
    start_offset: float
    duration: float
    error_reason: str = ""
    http_status: int = 0
    output_tokens: int = 0


@dataclass(slots=True)
class Timings:
    """Where the time of a finished request went, seconds."""

    queue: float = 0.0
    load: float = 0.0
    connect: float = 0.0
    time_to_first_token: float = 0.0
    generation: float = 0.0
    total: float = 0.0
    tokens_per_second: float = 0.0


@dataclass(slots=True)
class Completed:
    """The end of a request that succeeded."""

    model: str
    finish: FinishReason
    usage: Usage
    timings: Timings
    attempts: tuple[Attempt, ...]
    cost_usd: float = 0.0


@dataclass(slots=True)
class Progress:
    """What a request waits for before its first token. `state` is QUEUED, WAKING, LOADING or PREFILLING.

    `expected_wait`: seconds to the first token; None: not known. `ahead`: requests before it in the queue. `fraction` of
    the state that is done, 0..1; 0: not known.
    """

    state: str
    expected_wait: float | None
    ahead: int = 0
    fraction: float = 0.0


@dataclass(slots=True)
class Switched:
    """The request goes on elsewhere. Before anything was sent nothing is lost by it, which is an exact seam."""

    previous: Candidate
    current: Candidate
    failed_attempt: Attempt
    seam: Seam = Seam.EXACT_TOKENS
    tokens_kept: int = 0  # of the answer so far


@dataclass(slots=True)
class Moved:
    """The request starts elsewhere than it was announced while it waited; nothing has failed."""

    previous: Candidate
    current: Candidate
