"""From the section `routing` to the values that decide: patterns, capabilities, sizes, rules and chains.

Rule: what is text in the file is read here, once; that it can be read, loading has made sure of.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from zoe_grpcd.config import Config
from zoe_grpcd.config import routing as sections
from zoe_grpcd.core.backend import ModelFacts
from zoe_grpcd.core.chains import Chain, Step, condition_of
from zoe_grpcd.core.demands import TOLD, CapabilityRule
from zoe_grpcd.core.naming import Pattern
from zoe_grpcd.core.rules import Rule, SizeRule, When
from zoe_grpcd.core.sizes import SLACK, Bounds, count_bounds, size_bounds
from zoe_grpcd.core.tiers import Selection


def patterns_of(routing: sections.Routing) -> tuple[Pattern, ...]:
    """The patterns, in their order."""
    return tuple(
        Pattern(
            re.compile(section.pattern), _set(section.backends), _set(section.kinds), section.fallback or ""
        )
        for section in routing.patterns
    )


def capabilities_of(config: Config) -> dict[str, CapabilityRule]:
    """What each capability asks for; one that nobody tells of, and that is stated of no model, is defined by it."""
    stated = {name for model in config.models for name in model.capabilities or ()}
    return {
        name: CapabilityRule(
            section.preferred_models or (),
            (section.min_model_size or 0.0) * (1 - SLACK),
            section.min_context or 0,
            section.strategy or "",
            name not in TOLD | stated,
        )
        for name, section in config.routing.capabilities.items()
    }


def sizes_of(routing: sections.Routing) -> tuple[SizeRule, ...]:
    """The kinds by size, in their order."""
    return tuple(
        SizeRule(size_bounds(section.size), frozenset(section.kinds), _set(section.fallback))
        for section in routing.sizes
    )


def rules_of(routing: sections.Routing) -> tuple[Rule, ...]:
    """The rules, each named by its number and what it says."""
    return tuple(_rule(number, section) for number, section in enumerate(routing.rules, 1))


def chains_of(routing: sections.Routing) -> dict[str, Chain]:
    """The fallback chains by name."""
    return {
        name: Chain(tuple(_step(step) for step in section.steps), section.max_attempts, section.retry_delay)
        for name, section in routing.fallback_chains.items()
    }


def granted(facts: Mapping[str, ModelFacts], routing: sections.Routing) -> dict[str, ModelFacts]:
    """The facts of models, with the capabilities that they are preferred for: whom the operator prefers has it."""
    granted = dict(facts)
    for name, section in routing.capabilities.items():
        for model in _behind(section.preferred_models or (), routing.aliases):
            known = granted.get(model, ModelFacts())
            granted[model] = replace(known, capabilities=(known.capabilities or frozenset()) | {name})
    return granted


def _behind(names: Iterable[str], aliases: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """The models that these names may stand for; that an alias leads into no circle, loading has made sure of."""
    for name in names:
        yield from (name, f"{name}:latest")
        yield from _behind(aliases.get(name, ()), aliases)


def _rule(number: int, section: sections.Rule) -> Rule:
    says = [
        *([f"prefers {_words(section.prefer)}"] if section.prefer else ()),
        *([f"requires {_words(section.require)}"] if section.require else ()),
        *([f"falls back on {section.fallback}"] if section.fallback else ()),
    ]
    return Rule(
        f"rule {number} {' and '.join(says)}",
        _when(section.when),
        _selection(section.prefer) if section.prefer else None,
        _selection(section.require) if section.require else None,
        section.fallback or "",
    )


def _when(section: sections.When) -> When:
    return When(
        frozenset(section.priority or ()),
        section.stream,
        _counts(section.batch_size),
        dict(section.metadata),
        _counts(section.prompt_tokens),
        section.has_image,
        section.has_tools,
    )


def _selection(section: sections.Selection) -> Selection:
    return Selection(
        _set(section.backends),
        _set(section.kinds),
        _set(section.models),
        dict(section.labels),
        section.local,
    )


def _words(section: sections.Selection) -> str:
    """`kinds vllm, ollama; labels room=study`."""
    lists = {"backends": section.backends, "kinds": section.kinds, "models": section.models}
    words = [f"{key} {', '.join(names)}" for key, names in lists.items() if names]
    if section.labels:
        words.append("labels " + ", ".join(f"{key}={value}" for key, value in section.labels.items()))
    if section.local is not None:
        words.append("local ones" if section.local else "ones that are not local")
    return "; ".join(words) or "anything"


def _step(section: sections.FallbackStep) -> Step:
    when = condition_of(section.when) if section.when else None
    return Step(section.models or (), _set(section.kinds), _set(section.backends), when)


def _counts(text: str | None) -> Bounds | None:
    return count_bounds(text) if text else None


def _set(names: Iterable[str] | None) -> frozenset[str]:
    return frozenset(names or ())
