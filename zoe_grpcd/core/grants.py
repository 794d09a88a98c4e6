"""What a key may use: which models, how urgently, how far from home; and how that narrows a request.

Rule: a key only ever takes away. What it does not allow no fallback brings back, and what it changes is said in the
explanation.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fnmatch import translate
from functools import lru_cache

from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.errors import PermissionDenied
from zoe_grpcd.core.licence import Grant, Locality
from zoe_grpcd.core.line import RANKS
from zoe_grpcd.core.naming import Models
from zoe_grpcd.core.resolution import Resolution
from zoe_grpcd.core.resolve import AUTO
from zoe_grpcd.core.tiers import Selection

# The stricter, the higher.
STRICTNESS = {
    Locality.ANY: 0,
    Locality.UNSPECIFIED: 1,
    Locality.PREFER_LOCAL: 2,
    Locality.LOCAL_ONLY: 3,
}
_LATEST = ":latest"


def permission(globs: Iterable[str], aliases: Mapping[str, tuple[str, ...]]) -> Callable[[str], bool] | None:
    """Whether a key with these globs may use a model, by its public name; None: all.

    An alias that a glob matches grants the models that it stands for. Ollama's `:latest` may be left out.
    """
    globs = tuple(globs)
    if "*" in globs:
        return None
    matches = re.compile("|".join(map(translate, globs))).match
    behind = {name for alias in aliases if matches(alias) for name in _members(alias, aliases, frozenset())}

    @lru_cache(maxsize=4096)
    def permits(model: str) -> bool:
        plain = model.removesuffix(_LATEST)
        return bool(matches(model) or matches(plain)) or not behind.isdisjoint((model, plain))

    return permits


def _members(alias: str, aliases: Mapping[str, tuple[str, ...]], seen: frozenset[str]) -> Iterable[str]:
    for member in aliases.get(alias, ()):
        if member in aliases:
            yield from () if member in seen else _members(member, aliases, seen | {alias})
        else:
            yield from (member, member.removesuffix(_LATEST))


def narrow_ask(ask: Ask, grant: Grant) -> tuple[str, ...]:
    """Caps a request's priority, keeps it as near as the key says, and gives it the key's weight of cost.

    Returns what was changed, in words.
    """
    remarks = []
    ask.caller = grant.name
    if RANKS[ask.priority] > RANKS[grant.priority]:
        if ask.priority != "normal":
            remarks.append(
                f"priority {ask.priority} lowered to {grant.priority}, the highest of key {grant.name!r}"
            )
        ask.priority = grant.priority
    if STRICTNESS[grant.locality] > STRICTNESS[ask.locality]:
        ask.locality = grant.locality
        remarks.append(f"locality {grant.locality.lower()}, as key {grant.name!r} demands")
    if ask.cost_weight is None:
        ask.cost_weight = grant.cost_weight
    return tuple(remarks)


def catalogue(grant: Grant, models: Models) -> Models:
    """The models that a key may use: names lead to no others."""
    permits = grant.permits
    return models if permits is None else {model: None for model in models if permits(model)}


def narrowed(resolution: Resolution, grant: Grant, remarks: tuple[str, ...] = ()) -> Resolution:
    """The resolution for those models alone that the key may use. Raises PermissionDenied if it names another.

    `remarks`: what else the key has changed of the request, in words.
    """
    if grant.permits is not None:
        if resolution.reason not in (Reason.EXACT_MODEL, Reason.ALIAS):
            refuse(grant, resolution.requested_model)
        resolution = replace(resolution, require=(*resolution.require, Selection(permits=grant.permits)))
        remarks = (*remarks, _in_words(grant))
    if remarks:
        resolution = replace(resolution, why="; ".join((resolution.why, *remarks)))
    return resolution


def refuse(grant: Grant, model: str) -> None:
    """Raises PermissionDenied if a request names a model that its key may not use, whether there is such a model or not."""
    if model and model != AUTO and grant.permits is not None and not grant.permits(model):
        raise PermissionDenied(
            f"model {model!r} is not allowed: {_in_words(grant)}",
            metadata={"key": grant.name, "model": model},
        )


def _in_words(grant: Grant) -> str:
    return f"key {grant.name!r} may use {', '.join(grant.models)}"
