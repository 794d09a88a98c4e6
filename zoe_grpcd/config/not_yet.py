"""What the format has and this version does not act on: nothing that an operator sets is passed over in silence.

Rule: what would make the daemon less safe than its configuration says is an error; the rest is a warning. A line
goes when its feature comes.
"""

from collections.abc import Iterator
from typing import Any

from zoe_grpcd.config.crosscheck import Finding, find

_UNSAFE = "is not supported by this version, which refuses to start: "
_LATER = "is not in effect yet: "


ERROR, WARNING = "error", "warning"

NOT_YET: dict[str, tuple[str, str]] = {
    "backends.[].kind=triton": (WARNING, "it gets no requests"),
    "backends.[].kind=vllm": (WARNING, "it gets no requests; kind openai speaks to the same server"),
    "cache": (WARNING, "no answer is kept"),
    "state.url^=redis": (WARNING, "state is kept in a file, and nothing is shared with other daemons"),
    "state.url^=unix": (WARNING, "state is kept in a file, and nothing is shared with other daemons"),
    "telemetry": (WARNING, "no traces are sent"),
}
"""Path, or path and the value that it is about, or how that begins -> (severity, what happens instead)."""


def errors(data: Any) -> Iterator[Finding]:
    """What this version refuses to start with."""
    return (Finding(at.path, _UNSAFE + at.message) for at in _set(data, ERROR))


def warnings(data: Any) -> Iterator[Finding]:
    """What this version passes over."""
    return (Finding(at.path, _LATER + at.message) for at in _set(data, WARNING))


def _set(data: Any, severity: str) -> Iterator[Finding]:
    for key, (its_severity, instead) in NOT_YET.items():
        path, equal, value = key.partition("=")
        begins = path.endswith("^")
        for at, given in find(data, path.removesuffix("^")):
            about = str(given).startswith(value) if begins else not equal or given == value
            if its_severity == severity and given not in (None, [], {}, "") and about:
                yield Finding(at, instead)
