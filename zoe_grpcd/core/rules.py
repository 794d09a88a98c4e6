"""Rules: what the operator prefers or demands for some requests, and for models of some sizes.

All rules that apply count: every demand has to be met, and what is preferred is preferred in their order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.sizes import Bounds
from zoe_grpcd.core.tiers import Selection

ANY_VALUE = "*"
BATCH_SIZE = "batch_size"  # key of the request's metadata
GUESSED_BYTES_PER_TOKEN = 3.6


@dataclass(frozen=True, slots=True)
class When:
    """Which requests: all that is given has to hold; empty or None: it does not matter."""

    priorities: frozenset[str] = frozenset()
    stream: bool | None = None
    batch_size: Bounds | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    prompt_tokens: Bounds | None = None
    has_image: bool | None = None
    has_tools: bool | None = None

    def holds(self, ask: Ask) -> bool:
        """The request is one of them."""
        return (
            (not self.priorities or ask.priority in self.priorities)
            and self.stream in (None, ask.stream)
            and self.has_image in (None, ask.images > 0)
            and self.has_tools in (None, bool(ask.generation.tools))
            and (self.prompt_tokens is None or guessed_tokens(ask) in self.prompt_tokens)
            and (self.batch_size is None or _batch_size(ask) in self.batch_size)
            and all(_is(ask.metadata.get(key), value) for key, value in self.metadata.items())
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """`name` is for the explanation. `fallback`: a model, a group or a chain for these requests."""

    name: str
    when: When = When()
    prefer: Selection | None = None
    require: Selection | None = None
    fallback: str = ""


@dataclass(frozen=True, slots=True)
class SizeRule:
    """The kinds that models of some sizes go to, and those that come next."""

    sizes: Bounds
    kinds: frozenset[str]
    fallback: frozenset[str] = frozenset()


def guessed_tokens(ask: Ask) -> float:
    """Tokens of the prompt, before a tokenizer is known."""
    return ask.prompt_bytes / GUESSED_BYTES_PER_TOKEN


def applying(rules: Sequence[Rule], ask: Ask) -> tuple[Rule, ...]:
    """The rules for this request, in their order."""
    return tuple(rule for rule in rules if rule.when.holds(ask))


def rule_for(sizes: Sequence[SizeRule], parameters: float | None) -> SizeRule | None:
    """The first that is about models of this size."""
    return None if parameters is None else next((rule for rule in sizes if parameters in rule.sizes), None)


def rank(sizes: Sequence[SizeRule], parameters: float | None, backend: Backend) -> int:
    """0: of the kind for its size, or of no size that there is a rule for; 1: of a fallback kind; 2: of another."""
    rule = rule_for(sizes, parameters)
    if rule is None:
        return 0
    return 0 if backend.kind in rule.kinds else 1 if backend.kind in rule.fallback else 2


def _is(given: str | None, wanted: str) -> bool:
    return given is not None and wanted in (ANY_VALUE, given)


def _batch_size(ask: Ask) -> int:
    told = ask.metadata.get(BATCH_SIZE, "")
    return int(told) if told.isdecimal() and len(told) < 10 else 1
