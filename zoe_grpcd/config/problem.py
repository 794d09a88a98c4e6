"""What is wrong with a configuration, and where.

Rule: a message says what would be right, and never holds a value that may be a secret.
"""

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake, or one warning. `line` counts from 1; 0 is the file as a whole. `path` is like `backends[0].url`."""

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(filter(None, (place, self.path, self.message)))


class ConfigError(Exception):
    """The configuration can't be used; `problems` are all mistakes, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def path_text(path: Path) -> str:
    """("backends", 0, "url") -> `backends[0].url`; a key with unusual characters is quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = part if re.fullmatch(r"[\w.:/@*+-]{1,80}", part) else json.dumps(part[:80])
            text += f".{plain}" if text else plain
    return text


def did_you_mean(given: str, known: list[str]) -> str:
    """`; did you mean 'x'?`, or nothing when no known name is near."""
    near = get_close_matches(given.lower(), known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
