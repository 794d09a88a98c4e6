"""The entries, put together: one backend a server, one model a name, one deployment an entry.

Rule: entries of one name are deployments of one model, unless two of them are different models of one server; then
the name is an alias for a model each.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from zoe_grpcd.config.litellm.entries import Entry
from zoe_grpcd.config.litellm.source import Findings
from zoe_grpcd.config.problem import Path

SHUFFLE = "simple_shuffle"


@dataclass(slots=True)
class Catalogue:
    """The sections that the entries make; `origins`: where each part of them comes from."""

    backends: list[dict[str, Any]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)  # aliases
    patterns: list[dict[str, Any]] = field(default_factory=list)
    origins: dict[Path, Path] = field(default_factory=dict)


def catalogue(
    entries: list[Entry], findings: Findings, strategy: str = "", default_timeout: Any = None
) -> Catalogue:
    """All of them. `strategy`: ours, if the file names one; only a shuffle goes by shares, which is LiteLLM's default."""
    if strategy not in ("", SHUFFLE):
        _without_shares(entries, findings)
    made = Catalogue()
    servers: dict[str, list[Entry]] = {}
    for entry in entries:
        servers.setdefault(entry.server, []).append(entry)
    names: dict[str, str] = {}
    for server, members in servers.items():
        names[server] = _unused(members[0].backend_name, names.values())
        made.origins["backends", len(made.backends)] = members[0].path
        made.backends.append(_backend(names[server], members, findings, default_timeout))
    _models([entry for entry in entries if not entry.wildcard], names, made, findings)
    if not strategy:
        _shuffled(made)
    for entry in entries:
        if entry.wildcard:
            _wildcard(entry, names[entry.server], made, findings)
    return made


def _without_shares(entries: list[Entry], findings: Findings) -> None:
    """As there: `weight` and `rpm` are shares for a shuffle alone."""
    for entry in entries:
        if entry.weight is not None:
            findings.note(
                (*entry.path, "litellm_params", "weight"), "has no effect but with simple-shuffle, as there"
            )
        entry.weight = entry.rate = None


def _shuffled(made: Catalogue) -> None:
    """Where shares are given, and no strategy is: our own default would take the largest share for the best."""
    groups = [{name} for name in (model["name"] for model in made.models)] + [
        set(g) for g in made.groups.values()
    ]
    for group in groups:
        members = [model for model in made.models if model["name"] in group]
        if any("weight" in deployment for model in members for deployment in model["deployments"]):
            for model in members:
                model["strategy"] = SHUFFLE


def _wildcard(entry: Entry, where: str, made: Catalogue, findings: Findings) -> None:
    """All models of a server, which callers name as the server does, and with what stands around the star as well."""
    before, _, after = entry.model_name.partition("*")
    if (before or after) and "*" not in after:
        pattern = {"pattern": f"{re.escape(before)}(?P<model>.+){re.escape(after)}", "backends": [where]}
        made.patterns += [pattern] if pattern not in made.patterns else []
    findings.note(entry.path, f"stands for all models that backend {where} lists")


def _backend(name: str, members: list[Entry], findings: Findings, default_timeout: Any) -> dict[str, Any]:
    place = members[0].place
    section: dict[str, Any] = {"name": name, "kind": place.kind}
    if place.url:
        section["url"] = place.url
    if place.api_key:
        section["api_key"] = place.api_key
    if members[0].litellm_params:
        section["litellm_params"] = members[0].litellm_params
        _placed(section)
    _limits(section, members, default_timeout)
    tags = members[0].tags
    for other in members:
        if other.tags != tags:
            findings.note(
                other.path,
                f"has other tags than the rest of backend {name}, whose labels are those of all: left out",
            )
            tags = ()
    if tags:
        section["labels"] = dict.fromkeys(tags, "yes")
    return section


def _placed(section: dict[str, Any]) -> None:
    """A server of one's own stays in house, even if only LiteLLM can speak to it."""
    from zoe_grpcd.config.address import is_private

    base = str(section["litellm_params"].get("api_base", ""))
    if base and not base.startswith("${") and is_private(base):
        section["local"] = True


def _limits(section: dict[str, Any], members: list[Entry], default_timeout: Any) -> None:
    timeouts = [entry.timeout for entry in members if entry.timeout is not None]
    if timeouts or default_timeout is not None:
        section["first_token_timeout"] = max(timeouts, key=_length) if timeouts else default_timeout
    slots = [entry.slots for entry in members]
    if all(slots):
        section["max_in_flight"] = sum(slot or 0 for slot in slots)


def _length(duration: Any) -> float:
    text = str(duration)
    try:
        return float(text.removesuffix("ms")) / 1000 if text.endswith("ms") else float(text.removesuffix("s"))
    except ValueError:
        return 0.0


def _models(entries: list[Entry], names: dict[str, str], made: Catalogue, findings: Findings) -> None:
    by_name: dict[str, list[Entry]] = {}
    for entry in entries:
        by_name.setdefault(public_name(entry.model_name), []).append(entry)
        if public_name(entry.model_name) != entry.model_name:
            findings.note((*entry.path, "model_name"), f"is {public_name(entry.model_name)} here")
    for name, members in by_name.items():
        distinct = _without_repeats(members, findings)
        shares = _shares(distinct)
        if len({entry.server for entry in distinct}) == len(distinct):
            _add(made, name, distinct, shares, names)
            continue
        taken = {*by_name, *(model["name"] for model in made.models)}
        for entry, share in zip(distinct, shares, strict=True):
            own = _unused(entry.place.model if entry.place.kind != "litellm" else name, taken)
            taken.add(own)
            made.groups.setdefault(name, []).append(own)
            _add(made, own, [entry], [share], names)


def _add(
    made: Catalogue, name: str, members: list[Entry], shares: list[float], names: dict[str, str]
) -> None:
    number = len(made.models)
    model: dict[str, Any] = {"name": name, "deployments": []}
    costs = [entry.cost for entry in members]
    same = all(cost == costs[0] for cost in costs)
    for index, (entry, share) in enumerate(zip(members, shares, strict=True)):
        made.origins["models", number, "deployments", index] = entry.path
        deployment: dict[str, Any] = {"backend": names[entry.server]}
        if entry.place.kind != "litellm":
            deployment["model"] = entry.place.model
        if entry.place.kind == "auto":
            deployment["any_name"] = True
        if share != 1.0:
            deployment["weight"] = share
        if entry.bundle:
            deployment["params"] = dict(entry.bundle)
        if entry.cost and not same:
            deployment["cost"] = dict(entry.cost)
        model["deployments"].append(deployment)
    windows = [entry.context_tokens for entry in members if entry.context_tokens]
    if windows:
        model["context_tokens"] = min(windows, key=lambda window: window if isinstance(window, int) else 0)
    if capabilities := sorted({name for entry in members for name in entry.capabilities}):
        model["capabilities"] = capabilities
    if costs[0] and same:
        model["cost"] = dict(costs[0])
    made.origins["models", number] = members[0].path
    made.models.append(model)


def _without_repeats(members: list[Entry], findings: Findings) -> list[Entry]:
    kept: dict[tuple[str, str], Entry] = {}
    for entry in members:
        key = (entry.server, entry.place.model)
        if key in kept:
            findings.note(entry.path, "is the same model on the same server as an earlier entry: left out")
        kept.setdefault(key, entry)
    return list(kept.values())


def _shares(members: list[Entry]) -> list[float]:
    """Weights as LiteLLM has them: `weight`, else requests a minute; the largest is 1."""
    for given in ([entry.weight for entry in members], [entry.rate for entry in members]):
        if any(given):
            largest = max(share or 0.0 for share in given)
            return [round((share or 0.0) / largest, 4) for share in given]
    return [1.0] * len(members)


def public_name(name: str) -> str:
    """A name as ours may be: without blanks, and not `auto`, which asks the daemon to choose."""
    plain = "-".join(name.split())
    return "auto-model" if plain == "auto" else plain


def _unused(name: str, taken: Iterable[str]) -> str:
    names = set(taken)
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, 10_000))) if n not in names)
