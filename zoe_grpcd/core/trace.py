"""The trace that a request belongs to, in the form of W3C Trace Context: who began it, and the spans of its attempts."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
LONGEST_STATE = 512


@dataclass(slots=True)
class Trace:
    """One request in a trace.

    Args:
        trace_id: 32 hex digits.
        span_id: that of the request, 16 hex digits.
        new_id: makes further ones.
        parent_id: that of the caller's span; empty: it began here.
        sampled: whether its spans are sent to anybody.
        state: what other systems keep along with it, passed on as it is.
        attempts: backend and span of each attempt, in the order in which they were sent.
    """

    trace_id: str
    span_id: str
    new_id: Callable[[], str]
    parent_id: str = ""
    sampled: bool = True
    state: str = ""
    attempts: list[tuple[str, str]] = field(default_factory=list)

    def headers(self, backend: str) -> tuple[tuple[str, str], ...]:
        """A new attempt: what tells its backend where it belongs."""
        span_id = self.new_id()
        self.attempts.append((backend, span_id))
        parent = ("traceparent", f"00-{self.trace_id}-{span_id}-{self.sampled:02x}")
        return (parent, ("tracestate", self.state)) if self.state else (parent,)

    def span_of(self, backend: str) -> str:
        """The span of the first attempt on a backend that was not asked for yet; a new one if there is none."""
        for index, (name, span_id) in enumerate(self.attempts):
            if name == backend:
                del self.attempts[index]
                return span_id
        return self.new_id()


def read(traceparent: str) -> tuple[str, str, bool] | None:
    """Trace, span and whether it is sampled, of a caller's `traceparent`; None: there is none that can be gone on with."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return trace_id, span_id, bool(int(flags, 16) & 1)


def passable(state: str) -> str:
    """A caller's `tracestate`, if it can be passed on."""
    return state if state.isascii() and state.isprintable() and len(state) <= LONGEST_STATE else ""
