"""What a caller asks: one request, checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from zoe_grpcd.core.answer import Seam
from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.generation import Generation
from zoe_grpcd.core.licence import Licence, Locality
from zoe_grpcd.core.outcome import Attempt
from zoe_grpcd.core.trace import Trace


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
class Verdict:
    """What a request is about. `confidence` is 0..1; `signs` say why and hold no text but the operator's keywords."""

    intent: str
    confidence: float
    signs: tuple[str, ...] = ()


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
    observer: Callable[[Decision | Attempt], None] | None = None

    @property
    def max_output_tokens(self) -> int | None:
        """The caller's own limit on the answer, if it set one."""
        return self.generation.options.get("max_output_tokens")
