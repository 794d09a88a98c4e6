"""Sizes of models: what a name tells of one, and comparisons with sizes and counts as an operator writes them.

Sizes are billions of parameters, all experts of a mixture counted. A real size is seldom the one that people call a
model by (an 8B model has 8.03): that of its name counts, where the two are near each other.
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache

SLACK = 0.04  # of a size: what a model may have more, or less, than the number in its name
EDGE = 0.005  # of a bound: the same where no name tells a size; 13.02 is 13, and 13.1 is more
_BILLIONS = {"m": 0.001, "b": 1.0, "t": 1000.0}
_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"  # bounded, so that it stays finite
_MORE_OR_LESS = re.compile(rf"(<=|>=|<|>|=)? *({_NUMBER})([MBT]?)")
_FROM_TO = re.compile(rf"({_NUMBER})([MBT]?) *- *({_NUMBER})([MBT]?)")
# Behind a separator, so that neither the `A3B` of a mixture's active part nor the `4bit` of a file is read as a size.
_IN_A_NAME = re.compile(r"(?<![a-z0-9.])e?(?:([0-9]{1,3})x)?([0-9]{1,4}(?:\.[0-9]{1,3})?)([bmt])(?![a-z0-9])")


@lru_cache(maxsize=4096)
def size_in(name: str) -> float | None:
    """The size that a model's name tells: `qwen2.5:3b` 3, `Llama-3-8B-Instruct` 8, `mixtral-8x7b` 56; None: none."""
    found = [match.groups() for match in _IN_A_NAME.finditer(name.lower())]
    found.sort(key=lambda groups: groups[2] == "m")  # `-1M` behind `7B` is a window
    if not found:
        return None
    experts, number, unit = found[0]
    return int(experts or 1) * float(number) * _BILLIONS[unit]


def called(told: float, *names: str) -> float:
    """The size that people call a model by: that of a name, if the model is told to have as much with SLACK, else that."""
    named = (size_in(name) for name in names)
    return next((size for size in named if size and abs(told - size) <= SLACK * size), told)


@dataclass(frozen=True, slots=True)
class Bounds:
    """An interval; `value in bounds`."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False  # `low` itself is outside
    below: bool = False  # `high` itself is outside

    def __contains__(self, value: float) -> bool:
        over = value > self.low if self.above else value >= self.low
        under = value < self.high if self.below else value <= self.high
        return over and under


def count_bounds(text: str) -> Bounds:
    """`> 8000`, `>= 8`, `4`, `2 - 8`, both ends included. Raises ValueError, with what would be right."""
    return _bounds(text, 0.0, 'must be a comparison like "> 4000" or "100 - 200", without a unit')


def size_bounds(text: str) -> Bounds:
    """`< 8B`, `8B - 13B` (both ends included), `> 13B`, `500M`, with EDGE. Raises ValueError, with what would be right."""
    return _bounds(text, EDGE, 'must be a comparison of sizes like "< 8B", "8B - 13B" or ">= 500M"')


def _bounds(text: str, slack: float, rule: str) -> Bounds:
    if match := _FROM_TO.fullmatch(text):
        low, high = _number(match[1], match[2], slack, rule), _number(match[3], match[4], slack, rule)
        if low > high:
            raise ValueError("must begin with the smaller of its two numbers")
        return Bounds(low * (1 - slack), high * (1 + slack))
    if not (match := _MORE_OR_LESS.fullmatch(text)):
        raise ValueError(rule)
    bound = _number(match[2], match[3], slack, rule)
    return {
        "<": Bounds(high=bound, below=True),
        "<=": Bounds(high=bound * (1 + slack)),
        ">": Bounds(low=bound * (1 + slack), above=True),
        ">=": Bounds(low=bound * (1 - slack)),
    }.get(match[1], Bounds(bound * (1 - slack), bound * (1 + slack)))


def _number(digits: str, unit: str, slack: float, rule: str) -> float:
    if bool(unit) is not bool(slack):  # sizes have one, counts have none
        raise ValueError(rule)
    return float(digits) * _BILLIONS.get(unit.lower(), 1.0)
