"""What was decided: who was considered, what each was expected to take, and why it is the chosen one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from zoe_grpcd.core.answer import Seam
from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.turns import Turn


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
