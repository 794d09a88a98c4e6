"""What the operator set up for deciding, as plain values: weights, names, rules, chains. Made anew when the config changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from zoe_grpcd.core.chains import Chain
from zoe_grpcd.core.demands import CapabilityRule
from zoe_grpcd.core.naming import Pattern
from zoe_grpcd.core.rules import Rule, SizeRule


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator set up for deciding."""

    latency_weight: float = 0.4
    success_weight: float = 0.4
    cost_weight: float = 0.2
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    default_model: str = ""
    strategy: str = "usage_based"
    model_strategies: Mapping[str, str] = field(default_factory=dict)  # by public model
    long_context_tokens: int = 8000
    prefer_warm: bool = True  # False: the time to load does not count in the score
    check_timeout: float = (
        0.1  # seconds to ask a backend what it has in memory, where a choice hangs on it; 0: never
    )
    drop_params: bool = False  # True: what a backend cannot honour is dropped and reported, not refused
    config_generation: int = 1
    patterns: tuple[Pattern, ...] = ()
    capabilities: Mapping[str, CapabilityRule] = field(default_factory=dict)
    sizes: tuple[SizeRule, ...] = ()
    rules: tuple[Rule, ...] = ()
    chains: Mapping[str, Chain] = field(default_factory=dict)
