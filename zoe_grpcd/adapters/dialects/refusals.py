"""What an answer other than 200 means. The one rule: words before status, since servers choose statuses freely."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from json import JSONDecodeError, loads
from time import time
from typing import Final

from zoe_grpcd.core.errors import Fault, UpstreamError

LONGEST_MESSAGE: Final = 500  # characters
LONGEST_PAUSE: Final = 30 * 24 * 3600.0  # seconds; a quota of a month, say

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
    """The text without anything that looks like a credential, in one line that can be shown, at most 500 characters."""
    line = _KEYS.sub("[key]", " ".join(text[:4000].split()))[:LONGEST_MESSAGE]
    return line if line.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in line)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds until the server wants to be asked again; None: not a word. Never negative, nor more than 30 days.

    `Retry-After`, as seconds or as a date, comes first; then `retry-after-ms`; then the last of those limits to be reset
    of which nothing remains, as OpenAI (`x-ratelimit-reset-tokens: 6m0s`) and Anthropic
    (`anthropic-ratelimit-tokens-reset: 2026-01-02T03:04:05Z`) tell them.
    """
    told = {name.lower(): value for name, value in headers.items()}
    if value := told.get("retry-after"):
        return _seconds_until(value)
    if (value := told.get("retry-after-ms")) and (milliseconds := _seconds_until(value)) is not None:
        return milliseconds / 1000
    resets = (_seconds_until(told.get(_reset_of(name), "")) for name in told if _is_used_up(name, told[name]))
    return max((seconds for seconds in resets if seconds is not None), default=None)


_RETRY_DELAY: Final = re.compile(r'"retryDelay": ?"(\d{1,6}(?:\.\d{1,9})?)s"')


def retry_delay(body: str) -> float | None:
    """Seconds of Google's `RetryInfo`, which is in the body of a refusal in place of a header."""
    found = _RETRY_DELAY.search(body)
    return float(found[1]) if found else None


_LIMIT: Final = re.compile(r"(?:anthropic|x)-ratelimit-")
_DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:([\d.]+)s)?(?:(\d+)ms)?")


def _is_used_up(name: str, value: str) -> bool:
    return "remaining" in name and bool(_LIMIT.match(name)) and value.strip() == "0"


def _reset_of(name: str) -> str:
    """`x-ratelimit-remaining-tokens` -> `x-ratelimit-reset-tokens`; Anthropic has the words the other way round."""
    return name.replace("remaining", "reset")


def _seconds_until(value: str) -> float | None:
    """Seconds of a number, a duration such as `1m30.5s` or `20ms`, or until a date in either of its forms."""
    seconds: float | None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _of_duration(value) if value[:1].isdigit() and value[-1:] == "s" else _until_date(value)
    return min(max(0.0, seconds), LONGEST_PAUSE) if seconds is not None and seconds < float("inf") else None


def _of_duration(value: str) -> float | None:
    found = _DURATION.fullmatch(value)
    if found is None:
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds + milliseconds / 1000


def _until_date(value: str) -> float | None:
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError):
            return parse(value).timestamp() - time()
    return None
