"""Who serves, as the operator set it up or as it was found.

A *backend* is one server process. A *model* is a name that callers use. A *deployment* is a model on a backend.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from zoe_grpcd.core.answer import Usage
from zoe_grpcd.core.key import Key


class Phase(StrEnum):
    """Where a backend stands; `core.phases` holds the only table of moves between them."""

    UNKNOWN = "UNKNOWN"  # not probed yet
    READY = "READY"
    BUSY = "BUSY"  # ready, every slot taken
    LOADING = "LOADING"  # the server is up and loads its model
    DEGRADED = "DEGRADED"
    COOLING_DOWN = "COOLING_DOWN"
    DOWN = "DOWN"
    DRAINING = "DRAINING"
    DISABLED = "DISABLED"


class Prefill(StrEnum):
    """What a deployment makes of a conversation that ends with the beginning of an answer."""

    CONTINUES = "CONTINUES"  # writes on from there
    REPEATS = "REPEATS"  # writes on, and says the beginning once more
    CLOSES = "CLOSES"  # takes it for a whole answer and begins another


@dataclass(frozen=True, slots=True)
class Backend:
    """One server process, as configured or discovered."""

    name: str
    kind: str
    url: str
    local: bool = True
    weight: float = 1.0  # multiplies the score of its deployments; > 0
    max_in_flight: int | None = None  # None: no limit of ours; what exceeds its slots waits inside it
    labels: Mapping[str, str] = field(default_factory=dict)
    api_key: str = field(default="", repr=False)
    probe_interval: float = 5.0
    probe_timeout: float = 2.0
    connect_timeout: float = 1.0
    first_token_timeout: float | None = None  # None: sized by the estimate
    idle_timeout: float = 30.0  # longest silence between two chunks of an answer
    # request features, by their proto path, that this kind cannot honour
    refuses: frozenset[str] = frozenset()
    truncates: bool = False  # this kind silently cuts a prompt that is too long, so we must not send one
    assumed: frozenset[str] = frozenset()  # capabilities of its models that this kind does not tell
    # this kind loads one model after the other; who waits for memory holds up all behind
    loads_in_turn: bool = False
    usual_slots: int = 1  # requests that this kind works on at the same time, where the server does not tell
    prefill: Prefill | None = None  # what all servers of this kind do; None: it depends, and is found out
    takes_tokens: bool = False  # goes on from token ids, so that a seam can be exact


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens. `cached`: for a prompt token that the backend still had; None: as `input`."""

    input: float = 0.0
    output: float = 0.0
    cached: float | None = None

    def of(self, usage: Usage) -> float:
        """US dollars for an answer."""
        known = usage.cached_prompt_tokens if self.cached is not None else 0
        fresh = max(0, usage.prompt_tokens - known)
        paid = fresh * self.input + known * (self.cached or 0.0) + usage.completion_tokens * self.output
        return paid / 1e6


FREE = Price()


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model on a backend: how callers name it, how the server names it, and what goes along with each request."""

    model: str
    backend: str
    backend_model: str
    weight: float = 1.0
    # the bundle, by the names of `Generation.options`, and the rest of it, as the backend spells it
    options: Mapping[str, Any] = field(default_factory=dict)
    backend_options: Mapping[str, Any] = field(default_factory=dict)
    auto: bool = True  # False: reachable by its exact name only, since a configured name stands for it
    price: Price | None = None  # where it differs from that of the model elsewhere
    any_name: bool = False  # a server's sole model is meant, whatever the server calls it

    @property
    def key(self) -> Key:
        """Its name."""
        return self.backend, self.model


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the operator states about a model; None or empty: what the backend tells."""

    context_tokens: int | None = None
    capabilities: frozenset[str] | None = None
    parameters: float | None = None  # billions
    quality: Mapping[str, float] = field(default_factory=dict)  # intent or capability -> 0..1
    price: Price | None = None
