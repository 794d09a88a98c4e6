"""The section `routing`: how a request finds its model and its backend.

Rule: names of models are not checked here, since a backend may turn out to serve any.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator

from zoe_grpcd.config.backends import Kind, Sampling, Strategy
from zoe_grpcd.config.section import ON, Section, needed, option
from zoe_grpcd.config.values import (
    Billions,
    Comparison,
    Count,
    Expression,
    Flag,
    Name,
    Names,
    Number,
    Phrase,
    PositiveCount,
    Seconds,
    Text,
)

Priority = Literal["batch", "low", "normal", "high", "critical"]


class Weights(Section):
    """What usage_based looks at, and how much. Any scale: only the ratio counts."""

    latency: Number = option(0.4, "Of the expected time until the answer is complete.")
    success_rate: Number = option(0.4, "Of the share of requests that succeeded.")
    cost: Number = option(0.2, "Of the price.")


def normalised(weights: Weights) -> Weights:
    """The same ratio with a sum of 1; a term that is not given counts with its default."""
    total = weights.latency + weights.success_rate + weights.cost
    if total == 0:
        raise ValueError("must not all be 0, or nothing would decide")
    latency, success_rate = (round(part / total, 12) for part in (weights.latency, weights.success_rate))
    return Weights(latency=latency, success_rate=success_rate, cost=round(1 - latency - success_rate, 12))


class Intent(Sampling):
    """What a request is about, with the sampling defaults for what a caller leaves open.

    For an intent that ships with the daemon, an unset key keeps what ships.
    """

    enabled: Flag = option(ON, "false removes it.")
    keywords: tuple[Phrase, ...] | None = option(
        None, "Words and phrases that speak for it, besides those that ship."
    )
    patterns: tuple[Expression, ...] | None = option(
        None, "Regular expressions that speak for it, on the message in lower case."
    )
    examples: tuple[Text, ...] | None = option(None, "Requests like it, for classifier embeddings.")
    required: tuple[Text, ...] | None = option(None, "Capabilities that a model must have for it.")
    preferred: tuple[Text, ...] | None = option(None, "Capabilities that a model should have for it.")
    favours: Literal["latency", "quality", "context"] | None = option(
        None, "What counts most among the models that can do it."
    )
    model: Name | None = option(None, "Model or alias that gets it. Unset: the best one.")
    strategy: Strategy | None = option(None, "Strategy for it. Unset: routing.strategy.")
    system_prompt: Text | None = option(None, "System prompt for a request that brings none.")


class Pattern(Section):
    """Model names by pattern."""

    pattern: Text = needed("Shell-style pattern on the model's name, like `llama*`.")
    backends: Names | None = option(None, "Backends that may serve it. Either this or kinds.")
    kinds: tuple[Kind, ...] | None = option(None, "Kinds that may serve it. Either this or backends.")
    fallback: Name | None = option(None, "Model to use when none of them can.")


class Capability(Section):
    """What a capability asks of a model."""

    preferred_models: tuple[Name, ...] = option((), "Models to try first, best first.")
    min_model_size: Billions | None = option(None, "Smallest model, like 7B.")
    min_context: PositiveCount | None = option(None, "Smallest context window, tokens.")
    strategy: Strategy | None = option(None, "Strategy for it. Unset: routing.strategy.")


class Size(Section):
    """Kinds by model size."""

    size: Comparison = needed('Sizes that this is about, like "< 8B".')
    kinds: tuple[Kind, ...] = needed("Kinds that get them.")
    fallback: tuple[Kind, ...] = option((), "Kinds when none of those can.")


class When(Section):
    """Which requests a rule is about: all that is given has to hold."""

    priority: tuple[Priority, ...] | None = option(None, "One of these priorities.")
    stream: Flag | None = option(None, "Streamed or not.")
    batch_size: Comparison | None = option(None, 'Requests of one batch, like ">= 8".')
    metadata: Mapping[str, str] = option({}, "The request's metadata has these values.")
    prompt_tokens: Comparison | None = option(None, 'Length of the prompt, like "> 8000".')
    has_image: Flag | None = option(None, "With an image or without.")
    has_tools: Flag | None = option(None, "With tools or without.")


class Selection(Section):
    """Deployments by what they are: all that is given has to hold."""

    backends: Names | None = option(None, "On one of these backends.")
    kinds: tuple[Kind, ...] | None = option(None, "Of one of these kinds.")
    models: Names | None = option(None, "One of these models.")
    labels: Mapping[str, str] = option({}, "On a backend with these labels.")
    local: Flag | None = option(None, "In house or not.")


class Rule(Section):
    """Either a preference or a demand for some requests."""

    when: When = option({}, "Which requests.")
    prefer: Selection | None = option(None, "What they should get if it is there.")
    require: Selection | None = option(None, "What they must get.")


class FallbackStep(Section):
    """One step of a chain."""

    kinds: tuple[Kind, ...] | None = option(None, "Kinds to try.")
    models: Names | None = option(None, "Models to try.")
    backends: Names | None = option(None, "Backends to try.")
    when: Text | None = option(None, "Reason of the failure that leads here. Unset: any.")


class Warm(Section):
    """Models that are in memory."""

    prefer: Flag = option(ON, "Count the time that loading would take.")
    check_timeout: Seconds = option(
        "100ms", "Time to ask a backend anew before a decision that depends on it."
    )


class Routing(Section):
    """How a request finds its model and its backend."""

    classifier: Literal["keywords", "embeddings"] = option("keywords", "How an intent is found.")
    strategy: Strategy = option("usage_based", "How one of several capable deployments is chosen.")
    weights: Annotated[Weights, AfterValidator(normalised)] = option({}, "What usage_based looks at.")
    aliases: Mapping[Name, Names] = option({}, "Name -> a model, or a list of models that share it.")
    patterns: tuple[Pattern, ...] = option((), "Model names by pattern.")
    capabilities: Mapping[Name, Capability] = option({}, "What a capability asks of a model.")
    intents: Mapping[Name, Intent] = option({}, "Changes to the intents that ship, and new ones.")
    sizes: tuple[Size, ...] = option((), "Kinds by model size.")
    rules: tuple[Rule, ...] = option((), "Preferences and demands for some requests.")
    fallback_chains: Mapping[Name, tuple[FallbackStep, ...]] = option({}, "Where to go after a failure.")
    default_model: Name | None = option(
        None, "Model or alias when nothing else decides. Unset: the best one."
    )
    warm: Warm = option({}, "Models that are in memory.")
    long_context_tokens: Count = option(8000, "Prompts above this count as long, which outranks the intent.")
