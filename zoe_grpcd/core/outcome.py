"""How a request went, as its caller is told: its attempts, its changes of backend, its end."""

from dataclasses import dataclass
from enum import StrEnum

from zoe_grpcd.core.answer import FinishReason, Seam, Usage
from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.decision import Candidate


class Outcome(StrEnum):
    """How one attempt on one backend ended."""

    OK = "OK"
    FAILED = "FAILED"
    REJECTED = "REJECTED"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"
    LOST = "LOST"  # failed after its first token


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
