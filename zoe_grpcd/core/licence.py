"""What a request may do: whether it may leave the house, and what its key allows."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from zoe_grpcd.core.answer import Usage


class Locality(StrEnum):
    """Whether a request may leave the operator's own machines."""

    UNSPECIFIED = "UNSPECIFIED"  # as PREFER_LOCAL, but what the operator prefers comes first
    LOCAL_ONLY = "LOCAL_ONLY"
    PREFER_LOCAL = "PREFER_LOCAL"
    ANY = "ANY"


@dataclass(frozen=True, slots=True)
class Grant:
    """What the operator allows a key. `name` is public, unlike the key. None: no limit.

    `permits`: whether it may use a model, by its public name; None: all. `models`: the globs that say so, for people.
    `rpm`, `tpm`: requests and tokens a minute. `cost_weight`: for requests that bring none, 0..1.
    """

    name: str
    models: tuple[str, ...] = ("*",)
    permits: Callable[[str], bool] | None = None
    priority: str = "normal"  # the highest
    locality: Locality = Locality.ANY  # the least strict
    cost_weight: float | None = None
    rpm: int | None = None
    tpm: int | None = None
    max_concurrent: int | None = None
    daily_budget_usd: float | None = None
    admin: bool = False


class Licence(Protocol):
    """What the key of a request lets it do, as its decisions ask, and what it has taken."""

    grant: Grant
    remarks: tuple[str, ...]  # what the grant changed of the request, in words

    def left(self) -> float | None:
        """US dollars that it may still cost; None: no limit."""
        ...

    def reserve(self, usd: float, *, beside: bool = False) -> bool:
        """An attempt begins that may cost so much; the one before is over.

        `beside`: that one goes on; False if there is not enough for both, and nothing is reserved then.
        """
        ...

    def spent(self, usage: Usage, usd: float) -> None:
        """An attempt is over, and has used and cost this, whoever ended it."""
        ...

    def broke(self) -> Exception:
        """What refuses a request that would cost more than is left."""
        ...
