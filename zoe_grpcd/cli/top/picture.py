"""What the screen shows: values that nobody changes. Made in `reading`; all text in them can be printed.

Times are unix seconds, lengths of time are seconds; None is "not measured" or "not known".
"""

from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "warn", "bad", "active", "idle"]
"""How something stands: as it should, look at it, broken, on its way, of no interest."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model on a backend. `left`: until it is unloaded if nothing comes."""

    name: str
    state: str
    fraction: float
    left: float | None
    context_tokens: int
    size: str
    expected_load: float | None
    backend_name: str
    id: str = ""  # its name as the daemon has it


@dataclass(frozen=True, slots=True)
class Row:
    """A backend."""

    id: str  # its name as the daemon has it
    name: str
    kind: str
    state: str
    tone: Tone
    detail: str
    since: float | None
    in_flight: int
    places: int
    others: int
    queued: int
    tokens_per_second: float
    prefill_per_second: float
    first_p50: float | None
    first_p95: float | None
    error_ratio: float
    cache: float | None
    endpoint: str
    labels: str
    models: tuple[Model, ...]
    probe: str

    @property
    def load(self) -> float:
        """Part of its places that are taken or waited for; may exceed 1."""
        return (self.in_flight + self.others + self.queued) / max(1, self.places)


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate of a decision."""

    place: str
    score: float | None
    total: float | None
    reasons: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A request with what was decided. `outcome`: `waiting` for a backend, `running`, `ok`, or what went wrong."""

    id: str
    at: float
    asked: str
    place: str
    intent: str
    why: str
    explanation: str
    score: float | None
    first: float | None
    total: float | None
    tokens: int
    attempts: int
    outcome: str
    tone: Tone
    choices: tuple[Choice, ...]
    strategy: str
    caller: str
    tries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """All requests of the last minute, and the daemon itself."""

    requests_per_second: float
    tokens_per_second: float
    first_p50: float | None
    first_p95: float | None
    failed: float  # 0..1
    version: str
    started: float | None
    memory: str
    lag: float | None


@dataclass(frozen=True, slots=True)
class Picture:
    """All that is shown. `serving` of `rows` take requests."""

    now: float
    rows: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]
    totals: Totals | None
    serving: int
    running: int
    waiting: int
    lost: str = ""
    lost_for: float = 0.0


def brief(seconds: float) -> str:
    """A length of time in its largest unit: 40s, 12m, 3h, 2d."""
    for unit, length in (("s", 60.0), ("m", 60.0), ("h", 24.0)):
        if seconds < length * 0.995:
            return f"{seconds:.0f}{unit}"
        seconds /= length
    return f"{seconds:.0f}d"
