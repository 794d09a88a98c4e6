"""What a backend answers: pieces, the end, and what they were. Also how well two answers are joined."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class FinishReason(StrEnum):
    """Why a model stopped."""

    STOP = "STOP"
    LENGTH = "LENGTH"
    TOOL_CALLS = "TOOL_CALLS"
    CONTENT_FILTER = "CONTENT_FILTER"
    CANCELLED = "CANCELLED"
    OTHER = "OTHER"


class Seam(IntEnum):
    """How well an answer is spliced where its backend was lost; the smaller, the better."""

    EXACT_TOKENS = 1  # the same model file goes on from the same tokens
    TEXT_PREFILL = 2  # goes on from the text so far
    RESTART = 3  # the whole answer anew: the caller drops what it has
    NONE = 4  # no splice


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
