"""What capabilities ask of a model: the operator's word on each, and those that a request itself shows it needs."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.rules import guessed_tokens
from zoe_grpcd.core.sizes import Bounds

TOLD = frozenset(
    "chat completion embedding tools vision audio reasoning insert json_schema grammar logprobs".split()
)
"""Capabilities that backends tell of their models. Any other is what the operator says it is."""


@dataclass(frozen=True, slots=True)
class CapabilityRule:
    """The operator's word on one capability.

    `defined`: nobody else says who has it, so whoever fits has it. `min_size`: with its slack, billions.
    """

    preferred_models: tuple[str, ...] = ()
    min_size: float = 0.0
    min_context: int = 0
    strategy: str = ""
    defined: bool = False


class Wanted(NamedTuple):
    """What several capabilities ask together. `names`: those that the operator has a word on."""

    names: tuple[str, ...]
    models: tuple[str, ...]
    sizes: Bounds | None
    min_context: int
    strategy: str
    defined: frozenset[str]


NOTHING = Wanted((), (), None, 0, "", frozenset())


def wanted(names: Iterable[str], rules: Mapping[str, CapabilityRule]) -> Wanted:
    """The largest of what they ask for, the models of all in order, the first strategy."""
    if not rules:
        return NOTHING
    known = {name: rules[name] for name in names if name in rules}
    found = list(known.values())
    size = max((rule.min_size for rule in found), default=0.0)
    return Wanted(
        tuple(known),
        tuple(dict.fromkeys(model for rule in found for model in rule.preferred_models)),
        Bounds(size, math.inf) if size else None,
        max((rule.min_context for rule in found), default=0),
        next((rule.strategy for rule in found if rule.strategy), ""),
        frozenset(name for name, rule in known.items() if rule.defined),
    )


def implied(ask: Ask, long_context_tokens: int) -> list[str]:
    """The capabilities that a request needs by what it is, in the order in which they decide."""
    effort = ask.generation.options.get("reasoning_effort", "none")
    shows = {
        **dict.fromkeys(sorted(ask.needs, reverse=True), True),  # vision, tools
        "json_schema": ask.generation.response_format is not None,
        "reasoning": effort != "none",
        "long_context": guessed_tokens(ask) > long_context_tokens,
    }
    return [name for name, needed in shows.items() if needed]
