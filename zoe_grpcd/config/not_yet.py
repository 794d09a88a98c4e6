"""What the format has and this version does not act on: nothing that an operator sets is passed over in silence.

Rule: a line goes when its feature comes.
"""

from collections.abc import Iterator
from typing import Any

from zoe_grpcd.config.crosscheck import Finding, find

NOT_YET: dict[str, str] = {
    "cache": "no answer is kept",
    "state.url^=redis": "state is kept in a file, and nothing is shared with other daemons",
    "state.url^=unix": "state is kept in a file, and nothing is shared with other daemons",
}
"""Path, or path and the value that it is about, or how that begins -> what happens instead."""


def warnings(data: Any) -> Iterator[Finding]:
    """What this version passes over."""
    for key, instead in NOT_YET.items():
        path, equal, value = key.partition("=")
        begins = path.endswith("^")
        for at, given in find(data, path.removesuffix("^")):
            about = str(given).startswith(value) if begins else not equal or given == value
            if given not in (None, [], {}, "") and about:
                yield Finding(at, f"is not in effect yet: {instead}")
