"""Schemas and grammars that a server never comes to an end with, or ends by: these are refused before one sees them.

llama-server b10434 counts from the most down to the least, and where that is upside down it goes on until the machine's
memory is full; groups within groups within groups end its stack. The one rule: what is refused here matches no text
at all, or nobody can read it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from zoe_grpcd.core.generation import Json

DEEPEST: Final = 500  # groups within each other; a tenth of what its stack holds
PAIRS: Final = (
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minProperties", "maxProperties"),
    ("minimum", "maximum"),
    ("exclusiveMinimum", "exclusiveMaximum"),
)
_DATA: Final = frozenset({"const", "default", "enum", "examples"})  # may look like schemas, and are none
_NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_NUMBER: Final = (int, float)
_REPEATED: Final = re.compile(r"\{\s*(\d+)\s*,\s*(\d+)\s*\}")
_NO_GROUP: Final = re.compile(r"[^()]+")
# What stands for itself, so that a brace or bracket in it means nothing; what is never closed goes on to the end.
_CLASS: Final = r"\[(?:[^\]\\]|\\.?)*+(?:\]|\Z)"
_GRAMMARS_TEXT: Final = re.compile(rf'"(?:[^"\\]|\\.?)*+(?:"|\Z)|{_CLASS}|#[^\n]*', re.DOTALL)
_PATTERNS_TEXT: Final = re.compile(rf"\\.|{_CLASS}", re.DOTALL)


def of_schema(schema: Json) -> str:
    """What is upside down in a JSON Schema, or ""."""
    waiting: list[tuple[str, Any]] = [("", schema)]
    while waiting:
        path, here = waiting.pop()
        if isinstance(here, list):
            waiting += ((f"{path}[{index}]", item) for index, item in enumerate(here))
        elif isinstance(here, dict):
            if problem := _upside_down(here):
                return f"must be a schema that something matches: {path} {problem}".replace(":  ", ": ")
            waiting += _within(path, here)
    return ""


def of_grammar(grammar: str) -> str:
    """What is upside down, or nested too deeply, in a grammar (GBNF), or ""."""
    return _of_groups(_GRAMMARS_TEXT.sub(" ", grammar))


def _upside_down(schema: Mapping[str, Any]) -> str:
    for least, most in PAIRS:
        low, high = schema.get(least), schema.get(most)
        if isinstance(low, _NUMBER) and isinstance(high, _NUMBER) and low > high:
            return f"{least} {low} is above {most} {high}"
    pattern = schema.get("pattern")
    problem = _of_groups(_PATTERNS_TEXT.sub(" ", pattern)) if isinstance(pattern, str) else ""
    return f"pattern {problem}" if problem else ""


def _within(path: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The schemas in a schema; names of properties are no keywords."""
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, dict):
            yield from ((f"{path}[{key!r}][{name!r}]", item) for name, item in value.items())
        elif key not in _DATA and isinstance(value, (dict, list)):
            yield f"{path}[{key!r}]", value


def _size(digits: str) -> tuple[int, str]:
    """Sorts as the number does, which may be longer than Python reads."""
    significant = digits.lstrip("0")
    return len(significant), significant


def _of_groups(text: str) -> str:
    for least, most in _REPEATED.findall(text):
        if _size(least) > _size(most):
            return f"must not repeat at least {least[:20]} and at most {most[:20]} times"
    depth = 0
    for bracket in _NO_GROUP.sub("", text):
        depth += 1 if bracket == "(" else -1
        if depth > DEEPEST:
            return f"must not have groups within each other {DEEPEST} deep"
    return ""
