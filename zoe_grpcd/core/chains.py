"""Fallback chains: where a request goes on, step by step, when nobody before could serve it.

A chain belongs to a model, a capability or an intent of that name, is the `default` of all others, or is called by its
name. A step may have a condition, on why nobody could and on the size of the model that was asked for.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.errors import Fault
from zoe_grpcd.core.sizes import Bounds, size_bounds

DEFAULT = "default"

_BUSY = frozenset({Fault.OVERLOADED, Fault.LOADING})
_BROKEN = frozenset({Fault.REFUSED, Fault.SERVER, Fault.CUT, Fault.MODEL_MISSING, Fault.UNAUTHORIZED})
_LIMITED, _SLOW, _NO_LOAD = (
    frozenset({fault}) for fault in (Fault.RATE_LIMITED, Fault.TIMEOUT, Fault.LOAD_FAILED)
)
_SICK = frozenset({Reason.UNHEALTHY, Reason.CIRCUIT_OPEN, Reason.DRAINING, Reason.MODEL_NOT_SERVED})
_FULL = frozenset({Reason.SATURATED, Reason.LOADING})


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a deployment did not serve: what an attempt on it ended with, or what kept it from being tried."""

    faults: frozenset[Fault]
    reasons: frozenset[Reason]


CAUSES: dict[str, Cause] = {
    "unavailable": Cause(
        _BROKEN | _BUSY | _LIMITED | _SLOW | _NO_LOAD, _SICK | _FULL | frozenset({Reason.RATE_LIMITED})
    ),
    "failed": Cause(_BROKEN | _NO_LOAD, frozenset()),
    "timeout": Cause(_SLOW, frozenset()),
    "load_failed": Cause(_NO_LOAD, frozenset()),
    "rate_limited": Cause(_LIMITED, frozenset({Reason.RATE_LIMITED})),
    "overloaded": Cause(_BUSY, _FULL),
    "context_too_long": Cause(frozenset({Fault.CONTEXT_TOO_LONG}), frozenset({Reason.CONTEXT_TOO_LONG})),
    "incapable": Cause(frozenset(), frozenset({Reason.MISSING_CAPABILITY})),
    "too_expensive": Cause(frozenset(), frozenset({Reason.TOO_EXPENSIVE})),
}
"""What may stand in `when`. A request that a backend refuses as wrong, or whose content it refuses, goes nowhere."""

# The reasons of errors, as callers see them, mean the same.
_SPELLINGS = {
    "no_healthy_backend": "unavailable",
    "backend_failed": "failed",
    "backend_timeout": "timeout",
    "model_load_failed": "load_failed",
    "queue_full": "overloaded",
    "no_capable_backend": "incapable",
}
_SIZE = re.compile(r"model_size\s*(.+)")
RULE = f'must be one of {", ".join(CAUSES)}, or a size like "model_size >= 13B"; several of them are a list'


@dataclass(frozen=True, slots=True)
class Condition:
    """When a step may be taken: for one of the causes (none: for any), and for a model of such a size."""

    causes: frozenset[str] = frozenset()
    sizes: Bounds | None = None

    @property
    def of_causes(self) -> "Condition":
        """The same without the size."""
        return Condition(self.causes)

    def holds(self, faults: Iterable[Fault], reasons: Iterable[Reason]) -> bool:
        """Some deployment before did not serve for one of the causes. Nobody there at all is `unavailable`."""
        if not self.causes:
            return True
        known = [CAUSES[name] for name in self.causes]
        seen, kept = set(faults), set(reasons)
        if not seen and not kept:
            return "unavailable" in self.causes
        return any(cause.faults & seen or cause.reasons & kept for cause in known)


def condition_of(texts: Iterable[str]) -> Condition:
    """`["unavailable", "model_size >= 13B"]` -> the condition. Raises ValueError, with what would be right."""
    causes, sizes = set(), None
    for text in texts:
        word = text.strip().lower()
        name = _SPELLINGS.get(word, word)
        if match := _SIZE.fullmatch(text.strip()):
            if sizes is not None:
                raise ValueError('must name model_size once; a range is "model_size 8B - 13B"')
            sizes = size_bounds(match[1])
        elif name in CAUSES:
            causes.add(name)
        else:
            raise ValueError(RULE)
    return Condition(frozenset(causes), sizes)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: models or groups by name, or whatever is on these kinds or backends."""

    models: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()
    backends: frozenset[str] = frozenset()
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """The steps in order; attempts in all, and seconds before the same backend is tried again, where it has its own."""

    steps: tuple[Step, ...]
    max_attempts: int | None = None
    retry_delay: float | None = None


def chain_for(chains: Mapping[str, Chain], names: Iterable[str]) -> str:
    """The name of the chain: the first of `names` that has one, else `default` if there is that, else empty."""
    return next((name for name in (*names, DEFAULT) if name in chains), "")
