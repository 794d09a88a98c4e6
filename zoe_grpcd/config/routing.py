"""The section `routing`: how a request finds its model and its backend.

Rule: names of models are not checked here, since a backend may turn out to serve any.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from zoe_grpcd.config.backends import Sampling, Strategy
from zoe_grpcd.config.section import ON, Section, needed, option
from zoe_grpcd.config.values import (
    Billions,
    Conditions,
    Count,
    CountComparison,
    Expression,
    Flag,
    Name,
    Names,
    Number,
    Phrase,
    PositiveCount,
    Seconds,
    SizeComparison,
    Text,
    one_or_more,
)

Priority = Literal["batch", "low", "normal", "high", "critical"]
Priorities = Annotated[tuple[Priority, ...], Field(min_length=1), *one_or_more(*get_args(Priority))]
Kind = Literal["llamacpp", "llama-cpp-python", "ollama", "vllm", "openai", "anthropic", "triton", "litellm"]
Kinds = Annotated[tuple[Kind, ...], Field(min_length=1), *one_or_more(*get_args(Kind))]


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
    model: Name | None = option(None, "Model, alias or name of a pattern that gets it. Unset: the best one.")
    strategy: Strategy | None = option(None, "Strategy for it. Unset: routing.strategy.")
    system_prompt: Text | None = option(None, "System prompt for a request that brings none.")


class Pattern(Section):
    """Where names go that no model and no alias has. A model's own name comes first, and is preferred there."""

    pattern: Expression = needed(
        "Regular expression that has to match the whole name, like `llama.*`. Of the backends or kinds given here, those "
        "get it that serve a model of exactly that name, else of a name that matches too, else one model alone. A group named "
        "model is the name there: `openai/(?P<model>.+)` leaves the prefix out."
    )
    backends: Names | None = option(None, "Backends that get it. Either this or kinds.")
    kinds: Kinds | None = option(None, "Kinds that get it. Either this or backends.")
    fallback: Name | None = option(None, "Model, alias or fallback chain for when none of them can.")


class Capability(Section):
    """What a capability asks of a model, if a request names it or needs it.

    A request needs vision, tools, json_schema, reasoning or long_context by what it is. Models of `preferred_models`
    have the capability. One that no backend tells of, and no model is given, is defined here: whoever fits has it.
    """

    preferred_models: Names | None = option(
        None, "Models, aliases or names of a pattern to try first, best first."
    )
    min_model_size: Billions | None = option(
        None, "Smallest model, like 7B. A model of unknown size is taken for large."
    )
    min_context: PositiveCount | None = option(None, "Smallest context window, tokens.")
    strategy: Strategy | None = option(None, "Strategy for it. Unset: routing.strategy.")


class Size(Section):
    """Kinds by model size: a preference among models that can do as much, and one that sends nothing out of the house.

    The first entry that a model's size is in counts; an unknown size is in none. The size is what is configured, else
    what the backend tells, else what the model's name tells, like qwen2.5:3b; an 8B model that has 8.03 is one of 8B.
    """

    size: SizeComparison = needed('Sizes that this is about, like "< 8B", "8B - 13B" or "> 13B".')
    kinds: Kinds = needed("Kinds that get them.")
    fallback: Kinds | None = option(None, "Kinds when none of those can, before any other.")


class When(Section):
    """Which requests a rule is about: all that is given has to hold."""

    priority: Priorities | None = option(None, "One of these priorities; normal if a request has none.")
    stream: Flag | None = option(None, "Streamed or not.")
    batch_size: CountComparison | None = option(
        None, 'What the request\'s metadata has as batch_size, like ">= 8"; 1 if it has none.'
    )
    metadata: Mapping[str, str] = option({}, "The request's metadata has these values; * is any.")
    prompt_tokens: CountComparison | None = option(None, 'Length of the prompt, like "> 8000".')
    has_image: Flag | None = option(None, "With an image or without.")
    has_tools: Flag | None = option(None, "With tools or without.")


class Selection(Section):
    """Deployments by what they are: all that is given has to hold."""

    backends: Names | None = option(None, "On one of these backends.")
    kinds: Kinds | None = option(None, "Of one of these kinds.")
    models: Names | None = option(None, "One of these models, or of these groups.")
    labels: Mapping[str, str] = option({}, "On a backend with these labels.")
    local: Flag | None = option(None, "In house or not.")


class Rule(Section):
    """What some requests should or must get, and where they go when nobody can serve them. All rules that apply count."""

    when: When = option({}, "Which requests. Unset: all.")
    prefer: Selection | None = option(
        None, "What they get as long as it can serve them; before what earlier steps and other wishes leave."
    )
    require: Selection | None = option(
        None, "What they must get, whatever model is named and whatever fails. Not together with prefer."
    )
    fallback: Name | None = option(None, "Model, alias or fallback chain for when nobody else can.")


class FallbackStep(Section):
    """One step of a chain. Of several models, kinds or backends in it, the strategy chooses."""

    kinds: Kinds | None = option(None, "Whatever model is on one of these kinds.")
    models: Names | None = option(None, "One of these models or groups.")
    backends: Names | None = option(None, "Whatever model is on one of these backends.")
    when: Conditions = option(
        (),
        "Why nobody before could: unavailable (down, failed, full or limited), failed, timeout, load_failed, "
        "rate_limited, overloaded, context_too_long, incapable, too_expensive; of several, one has to hold. And "
        'the size of the model that was asked for, like "model_size >= 13B" (of the step\'s own, if none was named). '
        "Unset: any.",
    )


class FallbackChain(Section):
    """Where to go when nobody else can serve a request. A list stands for the steps alone."""

    LIST = "steps"
    steps: Annotated[tuple[FallbackStep, ...], Field(min_length=1)] = needed("The steps, in order.")
    max_attempts: PositiveCount | None = option(
        None, "Backends that such a request is tried on. Unset: reliability.max_attempts."
    )
    retry_delay: Seconds | None = option(
        None, "Pause before the same one is tried again. Unset: reliability.retry_delay."
    )


class Warm(Section):
    """Models that are in memory."""

    prefer: Flag = option(ON, "Count the time that loading would take.")
    check_timeout: Seconds = option(
        "100ms",
        "Time to ask backends once more what they have in memory, before a model is loaded that another one may have by now, "
        "or used that may have been pushed out. Nobody is asked who was within the last second. 0: never.",
    )


class Routing(Section):
    """How a request finds its model and its backend."""

    classifier: Literal["keywords", "embeddings"] = option("keywords", "How an intent is found.")
    strategy: Strategy = option("usage_based", "How one of several capable deployments is chosen.")
    weights: Annotated[Weights, AfterValidator(normalised)] = option({}, "What usage_based looks at.")
    aliases: Mapping[Name, Names] = option({}, "Name -> a model, or a list of models that share it.")
    patterns: tuple[Pattern, ...] = option(
        (), "Where names go that no model has; the first that matches counts."
    )
    capabilities: Mapping[Name, Capability] = option({}, "What a capability asks of a model.")
    intents: Mapping[Name, Intent] = option({}, "Changes to the intents that ship, and new ones.")
    sizes: tuple[Size, ...] = option((), "Kinds by model size.")
    rules: tuple[Rule, ...] = option((), "Preferences and demands for some requests.")
    fallback_chains: Mapping[Name, FallbackChain] = option(
        {},
        "Where to go when nobody else can serve, by the name of a model, alias, capability or intent, `default` for all "
        "others, or any name that a fallback calls.",
    )
    default_model: Name | None = option(
        None,
        "Model, alias or name of a pattern for a request that asks for nothing else (chat). Unset: the best one.",
    )
    warm: Warm = option({}, "Models that are in memory.")
    long_context_tokens: Count = option(8000, "Prompts above this count as long, which outranks the intent.")
