"""What an answer other than 200 means. The one rule: words before status, since servers choose statuses freely."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from json import JSONDecodeError, loads
from time import time
from typing import Final

from zoe_grpcd.core.errors import Fault, UpstreamError

LONGEST_MESSAGE: Final = 500  # characters

_KEYS: Final = re.compile(
    r"(?i)(?:bearer|basic)\s+\S+|\b(?:sk|pk|gsk|xai|hf|key)[-_][\w.*-]{6,}|\bAIza[\w-]{20,}|\b[0-9a-f]{32,}\b"
    r"|(?<=api[-_ ]key[:=\"' ])[\"' ]*[^\s\"',}]{6,}|\beyJ[\w-]{10,}(?:\.[\w-]+)*"
)
_CONTEXT: Final = re.compile(
    r"(?i)exceed_context_size|context_length_exceeded|exceeds? the (?:available |maximum )?context"
    r"|maximum context length|(?:input|prompt) (?:is|was) too long|exceeds? (?:the )?(?:model'?s )?context (?:window|length|size)"
    r"|exceeds? (?:the )?max(?:imum)?[_ ]model[_ ]len"
)


@dataclass(frozen=True, slots=True)
class Sign:
    """Words of one kind of server, and the fault behind them. `status` 0: with any status."""

    pattern: re.Pattern[str]
    fault: Fault
    status: int = 0


def sign(words: str, fault: Fault, status: int = 0) -> Sign:
    """A `Sign` from a regular expression; case doesn't matter."""
    return Sign(re.compile(words, re.IGNORECASE), fault, status)


_BY_STATUS: Final[Mapping[int, Fault]] = {
    400: Fault.REJECTED,
    401: Fault.UNAUTHORIZED,
    402: Fault.RATE_LIMITED,
    403: Fault.UNAUTHORIZED,
    404: Fault.MODEL_MISSING,
    408: Fault.TIMEOUT,
    413: Fault.REJECTED,
    422: Fault.REJECTED,
    429: Fault.RATE_LIMITED,
    504: Fault.TIMEOUT,
    529: Fault.OVERLOADED,
}


def refusal(signs: tuple[Sign, ...], status: int, body: str, headers: Mapping[str, str]) -> UpstreamError:
    """The error for an answer: by the server's own signs, else by the words for a full context, else by status."""
    message = said(body)
    fault = next((s.fault for s in signs if s.status in (0, status) and s.pattern.search(body)), None)
    if fault is None:
        fault = Fault.CONTEXT_TOO_LONG if _CONTEXT.search(body) else _BY_STATUS.get(status, Fault.SERVER)
    return UpstreamError(
        fault, message or f"HTTP {status}", http_status=status, retry_after=retry_after(headers)
    )


def said(body: str) -> str:
    """The text of an error body, `{"error": {"message": ...}}`, `{"error": ...}` or plain: bounded, no keys in it."""
    try:
        found = loads(body)
    except (JSONDecodeError, RecursionError):
        found = body
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(name):
            found = found[name]
    return scrub(found if isinstance(found, str) else body)


def scrub(text: str) -> str:
    """The text without anything that looks like a credential, in one line, at most 500 characters."""
    return _KEYS.sub("[key]", " ".join(text[:4000].split()))[:LONGEST_MESSAGE]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for, given as seconds or as a date; None: not a word. Never negative."""
    value = headers.get("Retry-After") or headers.get("retry-after")
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except ValueError:
            return None
    return max(0.0, seconds) if seconds < float("inf") else None
