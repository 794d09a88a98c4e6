"""What a request resolves to: the models that may answer, in tiers, and what is wanted of them.

Rule: it says what is wanted, and knows nothing of who is up; `core.resolve` makes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoe_grpcd.core.chains import Chain
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.tiers import Selection, Tier


@dataclass(slots=True)
class Resolution:
    """Which models may answer, in tiers, and what is wanted of them."""

    tiers: tuple[Tier, ...]
    reason: Reason
    requested_model: str
    why: str  # in words, for the explanation
    intent: str = ""
    required: frozenset[str] = frozenset()
    preferred: frozenset[str] = frozenset()
    favours: str = ""  # "latency", "quality", "context" or "" for the plain weights
    defaults: Mapping[str, Any] = field(
        default_factory=dict
    )  # options of the intent, where the caller set nothing
    system_prompt: str = ""  # of the intent, where the caller sent none
    strategy: str = ""  # of the intent or capability; empty: the configured one
    min_context: int = 0  # of the capability, tokens
    rules: str = ""  # in words: the rules that apply
    demands: str = ""  # in words: those of them that require something
    prefer: tuple[Selection, ...] = ()  # by the operator, in this order
    require: tuple[Selection, ...] = ()  # by the operator, whatever the tier
    chain: Chain | None = None  # whose attempts and pauses count
    fallback: str = ""  # of the pattern: a model, a group or a chain
    undecided: bool = False  # nothing that was asked for decides: the default model comes first
