"""The settings of LiteLLM's router -> `routing`, `reliability` and what belongs to them.

Rule: LiteLLM reads most of them in several sections; the router's own section counts most here too.
"""

from dataclasses import dataclass
from typing import Any

from zoe_grpcd.config.litellm.models import Catalogue, public_name
from zoe_grpcd.config.litellm.references import References, seconds
from zoe_grpcd.config.litellm.source import Findings, Part
from zoe_grpcd.config.problem import Path

DEFAULT = "usage_based"
STRATEGIES = {
    "simple-shuffle": "simple_shuffle",
    "least-busy": "least_loaded",
    "usage-based-routing": DEFAULT,
    "usage-based-routing-v2": DEFAULT,
    "latency-based-routing": "fastest_response",
    "cost-based-routing": "lowest_cost",
}
"""LiteLLM's `routing_strategy` -> our `routing.strategy`."""


@dataclass(slots=True)
class Settings:
    """The sections that hold settings of the router, the one that counts most first."""

    parts: tuple[Part, ...]
    findings: Findings
    references: References

    def first(self, *keys: str) -> tuple[Any, Path]:
        """The value that counts, and its place; (None, ()): it is not given. All of them are taken by that."""
        found = [
            (value, (*part.path, key))
            for part in self.parts
            for key in keys
            if (value := part.take(key)) is not None
        ]
        for _, path in found[1:]:
            self.findings.note(path, "is given elsewhere too, which counts")
        return found[0] if found else (None, ())

    def all(self, key: str) -> list[tuple[Any, Path]]:
        """Every value of that key."""
        return [(value, (*part.path, key)) for part in self.parts if (value := part.take(key)) is not None]


def reliability_of(settings: Settings) -> dict[str, Any]:
    """Attempts, cool-downs and pauses."""
    section: dict[str, Any] = {}
    retries, _ = settings.first("num_retries", "max_retries")
    if isinstance(retries, int):
        section["max_attempts"] = max(1, retries + 1)
    fails, _ = settings.first("allowed_fails")
    if isinstance(fails, int):
        section |= {"error_threshold": max(1, fails + 1), "error_window": "60s"}
    cooldown, _ = settings.first("cooldown_time")
    if cooldown is not None:
        section["cooldown"] = seconds(cooldown)
    pause, _ = settings.first("retry_after")
    if pause is not None:
        section["retry_delay"] = seconds(pause)
    return section


def strategy_of(settings: Settings) -> str:
    """Ours; empty: the file names none."""
    strategy, path = settings.first("routing_strategy")
    known = STRATEGIES.get(str(strategy))
    if strategy is not None and not known:
        settings.findings.note(path, f"is none of {', '.join(STRATEGIES)}: usage_based is used")
        return DEFAULT
    return known or ""


def routing_of(settings: Settings, found: Catalogue, strategy: str) -> dict[str, Any]:
    """Strategy, aliases, patterns and fallback chains."""
    section: dict[str, Any] = {"strategy": strategy} if strategy else {}
    taken = {model["name"] for model in found.models} | found.groups.keys()
    aliases = {**found.groups, **_aliases(settings, taken)}
    if aliases:
        section["aliases"] = aliases
    if found.patterns:
        section["patterns"] = found.patterns
    if chains := _chains(settings):
        section["fallback_chains"] = chains
    return section


def _aliases(settings: Settings, taken: set[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in ("model_group_alias", "model_alias_map"):
        for aliases, path in settings.all(key):
            for alias, target in aliases.items() if isinstance(aliases, dict) else ():
                name, model = public_name(alias), target.get("model") if isinstance(target, dict) else target
                if isinstance(target, dict) and target.get("hidden"):
                    settings.findings.note((*path, alias), "is listed here, though it is hidden there")
                if name in taken:
                    settings.findings.note(
                        (*path, alias), "is the name of a model too, which comes first: left out"
                    )
                elif isinstance(model, str):
                    found[name] = [public_name(model)]
                else:
                    settings.findings.note((*path, alias), "names no model: left out")
    return found


def _chains(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    chains: dict[str, list[dict[str, Any]]] = {}
    for key, when in (("context_window_fallbacks", "context_too_long"), ("fallbacks", "")):
        for given, path in settings.all(key):
            for model, targets in _steps(given, path, settings.findings):
                steps = [{"models": [target]} | ({"when": when} if when else {}) for target in targets]
                known = chains.setdefault(model, [])
                known += [step for step in steps if step not in known]
    for given, path in settings.all("default_fallbacks"):
        targets = _names(given, path, settings.findings)
        if targets:
            chains.setdefault("default", []).extend({"models": [target]} for target in targets)
    return chains


def _steps(given: Any, path: Path, findings: Findings) -> list[tuple[str, list[str]]]:
    """`[{a: [b, c]}, ...]`, or one mapping of them; `*` is every model."""
    found = []
    for index, entry in enumerate(given if isinstance(given, list) else [given]):
        at = (*path, index) if isinstance(given, list) else path
        if not isinstance(entry, dict):
            findings.note(at, "is no mapping of a model to its fallbacks: left out")
            continue
        for model, targets in entry.items():
            names = _names(targets, (*at, model), findings)
            if names:
                found.append(("default" if model == "*" else public_name(model), names))
    return found


def _names(targets: Any, path: Path, findings: Findings) -> list[str]:
    names = []
    for index, target in enumerate(targets if isinstance(targets, list) else [targets]):
        model = target.get("model") if isinstance(target, dict) else target
        if isinstance(target, dict):
            findings.note(
                (*path, index), "is a fallback with parameters of its own, of which only the model counts"
            )
        if isinstance(model, str):
            names.append(public_name(model))
        else:
            findings.note((*path, index), "names no model: left out")
    return names
