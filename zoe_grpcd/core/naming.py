"""From a name to the tiers that it stands for: a model, an alias or group, a pattern, a fallback chain.

Rule: the first of these that knows the name decides, in this order.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from zoe_grpcd.core.chains import Chain, Step
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.tiers import Selection, Tier

Models = Mapping[str, object]
"""Public names of models as keys."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Names that match as a whole, where they go, and what they get when nobody there can serve.

    What a group named `model` matches is the name there: `openai/(?P<model>.+)` has the prefix left out.
    """

    expression: re.Pattern[str]
    backends: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    fallback: str = ""

    @property
    def place(self) -> Selection:
        """Where they go."""
        return Selection(backends=self.backends, kinds=self.kinds)

    def __str__(self) -> str:
        """`pattern 'llama.*' (kinds vllm)`."""
        places = sorted(self.backends or self.kinds)
        what = "backends" if self.backends else "kinds"
        return f"pattern {self.expression.pattern!r} ({what} {', '.join(places)})"


class Found(NamedTuple):
    """What a name stands for, and which step of the hierarchy knew it."""

    tiers: tuple[Tier, ...]
    reason: Reason
    why: str
    fallback: str = ""  # the pattern's own
    place: Selection | None = None  # a model's name that a pattern matches too: where it should be


@dataclass(frozen=True, slots=True)
class Names:
    """What names may stand for."""

    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patterns: Sequence[Pattern] = ()
    chains: Mapping[str, Chain] = field(default_factory=dict)

    def find(self, name: str, models: Models) -> Found | None:
        """What a name stands for; None: nobody knows it."""
        if exact := self.model(name, models):
            pattern = self.pattern(name)
            if pattern is None:
                return _exactly(name, exact)
            tier = Tier(frozenset((exact,)))
            why = f"model {name!r} by name, preferred where {pattern} says"
            return Found((tier,), Reason.EXACT_MODEL, why, place=pattern.place)
        if members := self.members(name, models):
            return Found((Tier(members),), Reason.ALIAS, f"alias {name!r}")
        if pattern := self.pattern(name):
            why = f"model {name!r} by {pattern}"
            return Found(_tiers_of(name, pattern), Reason.PATTERN, why, pattern.fallback)
        return self._alias_of_pattern(name)

    def _alias_of_pattern(self, name: str, seen: frozenset[str] = frozenset()) -> Found | None:
        """An alias of which no member is a model, for the first member that a pattern matches."""
        for member in self.aliases.get(name, ()):
            if pattern := self.pattern(member):
                why = f"alias {name!r} for {member!r} by {pattern}"
                return Found(_tiers_of(member, pattern), Reason.PATTERN, why, pattern.fallback)
            if member not in seen and (found := self._alias_of_pattern(member, seen | {name})):
                return found
        return None

    def model(self, name: str, models: Models) -> str:
        """The model of this name, Ollama's `:latest` left out or not; empty: there is none."""
        if name in models:
            return name
        return latest if (latest := f"{name}:latest") in models else ""

    def members(self, name: str, models: Models) -> frozenset[str]:
        """The models behind an alias, through aliases of aliases; beside one that is a model's own name, also those that
        a pattern has another name for.
        """
        members = {member: self.model(member, models) for member in self._behind(name, models)}
        found = set(filter(None, members.values()))
        if found and len(found) < len(members):
            found |= {own for member in members if (own := self._matched(member)) in models}
        return frozenset(found)

    def _behind(self, name: str, models: Models, seen: frozenset[str] = frozenset()) -> Iterator[str]:
        """The names behind an alias: models, and what is no alias; a circle ends where it began."""
        for member in self.aliases.get(name, ()):
            if member not in self.aliases or self.model(member, models):
                yield member
            elif member not in seen:
                yield from self._behind(member, models, seen | {name})

    def _matched(self, name: str) -> str:
        """What a name is called where a pattern sends it; empty: no pattern has another name for it."""
        pattern = self.pattern(name)
        match = pattern.expression.fullmatch(name) if pattern else None
        return (match and match.groupdict().get("model")) or ""

    def pattern(self, name: str) -> Pattern | None:
        """The first pattern that the whole of a name matches."""
        if not self.patterns:
            return None
        return next((pattern for pattern in self.patterns if pattern.expression.fullmatch(name)), None)

    def group(self, names: Sequence[str], models: Models) -> frozenset[str]:
        """All models that these names of models and groups stand for."""
        found: set[str] = set()
        for name in names:
            exact = self.model(name, models)
            found |= {exact} if exact else self.members(name, models)
        return frozenset(found)

    def fallback(self, name: str, models: Models) -> tuple[Tier, ...]:
        """What to try for a name that somebody gave as a fallback: what it stands for, else the chain of that name."""
        found = self.meant(name, models, Reason.FAILOVER, f"fallback {name!r}")
        return found or self.chain(name, models, named=True)

    def meant(
        self, name: str, models: Models, reason: Reason | None = None, why: str = ""
    ) -> tuple[Tier, ...]:
        """What stands for a name that the operator gives, with the reason of the place where; empty: nobody knows it."""
        found = self.find(name, models)
        return tuple(tier._replace(reason=reason, why=why) for tier in found.tiers) if found else ()

    def is_chain(self, name: str, models: Models) -> bool:
        """A fallback of this name is a chain, and nothing else."""
        return name in self.chains and self.find(name, models) is None

    def chain(self, name: str, models: Models, *, named: bool) -> tuple[Tier, ...]:
        """The steps of a chain; none if there is no such chain.

        `named`: the request names a model, whose size conditions are about; else they are about each of a step's.
        """
        chain = self.chains.get(name)
        steps = (self._step(name, step, models, named=named) for step in chain.steps) if chain else ()
        return tuple(tier for tiers in steps for tier in tiers)

    def _step(self, chain: str, step: Step, models: Models, *, named: bool) -> Iterator[Tier]:
        """The models of a step together, then each of its names that only a pattern knows."""
        why, when = f"fallback chain {chain!r}", step.when
        sizes = when.sizes if when and not named else None
        if when and not named:
            when = when.of_causes
        to = Tier(when=when, reason=Reason.FAILOVER, why=why)
        if not step.models:
            yield to._replace(only=Selection(step.backends, step.kinds, sizes=sizes))
            return
        yield to._replace(
            models=self.group(step.models, models), only=Selection(sizes=sizes) if sizes else None
        )
        for name in step.models:
            if not self.group((name,), models):
                for tier in self.meant(name, models):
                    only = replace(tier.only, sizes=sizes) if tier.only else None
                    yield to._replace(only=only, alone=tier.alone)


@lru_cache(maxsize=1024)
def _exactly(name: str, model: str) -> Found:
    """What nearly all requests ask for; made once."""
    return Found((Tier(frozenset((model,))),), Reason.EXACT_MODEL, f"model {name!r} by name")


def _tiers_of(name: str, pattern: Pattern) -> tuple[Tier, ...]:
    """The deployments there of exactly that name, those whose name the pattern matches, and the one model of a backend
    that has no other.
    """
    where: dict[str, Any] = {"backends": pattern.backends, "kinds": pattern.kinds}
    match = pattern.expression.fullmatch(name)
    own = (match and match.groupdict().get("model")) or name
    tiers = [
        Tier(only=Selection(**where, named=is_meant), reason=Reason.PATTERN)
        for is_meant in (own.__eq__, pattern.expression.fullmatch)
    ]
    why = "the only model of its backend"
    return (*tiers, Tier(only=Selection(**where), alone=True, reason=Reason.PATTERN, why=why))
