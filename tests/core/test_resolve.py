"""From what the caller asked for to the models that may answer."""

from typing import Any

import pytest
from fakes import a_resolver, an_ask

from zoe_grpcd.core.ask import Ask, Target
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.errors import InvalidRequest, ModelNotFound
from zoe_grpcd.core.generation import Generation
from zoe_grpcd.core.resolve import Policy, Resolution

MODELS = dict.fromkeys(["qwen3:8b", "llama3:latest", "gpt", "tiny"])
ALIASES = {
    "fast": ("tiny",),
    "group": ("qwen3:8b", "llama3", "gone"),
    "of-groups": ("group", "fast"),
    "circle": ("other-half",),
    "other-half": ("circle", "gpt"),
    "self": ("self",),
    "dead": ("gone", "lost"),
    "gpt": ("tiny",),
}


def resolve(ask: Ask, intents: dict[str, dict[str, Any]] | None = None, **policy: Any) -> Resolution:
    policy = {"aliases": ALIASES, **policy}
    return a_resolver(Policy(**policy), intents).resolve(ask, MODELS)


def named(*models: str) -> frozenset[str]:
    return frozenset(models)


def models_of(resolution: Resolution) -> tuple[frozenset[str] | None, ...]:
    """The models of each tier; None: whoever auto may get."""
    return tuple(tier.models for tier in resolution.tiers)


@pytest.mark.parametrize(
    ("name", "reason", "models"),
    [
        ("tiny", Reason.EXACT_MODEL, ["tiny"]),
        ("llama3", Reason.EXACT_MODEL, ["llama3:latest"]),
        ("llama3:latest", Reason.EXACT_MODEL, ["llama3:latest"]),
        ("gpt", Reason.EXACT_MODEL, ["gpt"]),  # a model comes before an alias of its name
        ("fast", Reason.ALIAS, ["tiny"]),
        ("group", Reason.ALIAS, ["qwen3:8b", "llama3:latest"]),
        ("of-groups", Reason.ALIAS, ["qwen3:8b", "llama3:latest", "tiny"]),
        ("circle", Reason.ALIAS, ["gpt"]),
        ("other-half", Reason.ALIAS, ["gpt"]),
    ],
)
def test_a_name(name: str, reason: Reason, models: list[str]) -> None:
    resolution = resolve(an_ask(model=name))
    assert (models_of(resolution), resolution.reason) == ((named(*models),), reason)
    assert resolution.requested_model == name
    assert repr(name) in resolution.why
    assert (resolution.intent, resolution.defaults) == ("", {})


@pytest.mark.parametrize(
    ("name", "near"), [("qwen3:8", "qwen3:8b"), ("lama3", "llama3:latest"), ("grup", "group"), ("zzzzzz", "")]
)
def test_an_unknown_name_is_told_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        resolve(an_ask(model=name))
    assert caught.value.metadata["model"] == name
    assert caught.value.metadata["did_you_mean"].split(",")[0] == near
    assert repr(name) in caught.value.message


@pytest.mark.parametrize("name", ["dead", "self"])
def test_an_alias_of_nobody_says_so_and_does_not_propose_itself(name: str) -> None:
    with pytest.raises(ModelNotFound, match=f"alias '{name}' stands for") as caught:
        resolve(an_ask(model=name))
    assert name not in caught.value.metadata["did_you_mean"].split(",")


def test_fallback_models_follow_in_their_order() -> None:
    target = Target(model="tiny", fallback_models=("gpt", "gone", "group"))
    assert models_of(resolve(an_ask(target=target))) == (
        named("tiny"),
        named("gpt"),
        named("qwen3:8b", "llama3:latest"),
    )


def test_a_fallback_model_stands_in_for_an_unknown_one() -> None:
    resolution = resolve(an_ask(target=Target(model="gone", fallback_models=("gpt",))))
    assert (models_of(resolution), resolution.reason) == ((named("gpt"),), Reason.FAILOVER)
    with pytest.raises(ModelNotFound):
        resolve(an_ask(target=Target(model="gone", fallback_models=("lost",))))


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (Target(required=frozenset({"vision", "tools"})), "capability tools, capability vision"),
        (Target(preferred=frozenset({"code"})), "capability code"),
        (Target(labels={"gpu": "yes"}), "label gpu=yes"),
        (Target(min_context_tokens=8192), "a window of 8192 tokens"),
    ],
)
def test_capabilities_in_place_of_a_name(target: Target, why: str) -> None:
    resolution = resolve(an_ask("write a poem", target=target), default_model="tiny")
    assert (models_of(resolution), resolution.reason) == ((None,), Reason.CAPABILITY)
    assert (resolution.required, resolution.preferred) == (target.required, target.preferred)
    assert resolution.why == why
    assert (resolution.intent, resolution.defaults) == ("", {})


@pytest.mark.parametrize("target", [Target(), Target(model="auto")])
def test_auto_reads_the_intent(target: Target) -> None:
    resolution = resolve(an_ask("Write a Python function that reverses a list", target=target))
    assert resolution.intent == "code"
    assert resolution.reason is Reason.INTENT
    assert models_of(resolution) == (None,)
    assert resolution.defaults == {"temperature": 0.0}
    assert "code" in resolution.preferred
    assert resolution.required == frozenset(), "what was read is a wish"
    assert resolution.why.startswith("intent code (")


def test_an_intent_that_is_given_is_not_read_and_demands() -> None:
    resolution = resolve(an_ask("Write a Python function", target=Target(intent="vision")))
    assert resolution.intent == "vision"
    assert resolution.required == {"vision"}
    assert resolution.why == "intent vision, given by the caller"


def test_what_the_operator_says_an_intent_must_have_it_must_have_when_it_is_read_too() -> None:
    intents = {"private": {"keywords": ["my diary"], "required": ["safe"]}}
    resolution = resolve(an_ask("what is in my diary?"), intents=intents)
    assert resolution.intent == "private"
    assert resolution.required == {"safe"}


def test_an_unknown_intent_is_told_the_known_ones() -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve(an_ask(target=Target(intent="dance")))
    (violation,) = caught.value.violations
    assert violation.field == "spec.target.auto.intent"
    assert "chat" in violation.description


def test_an_image_is_a_sign() -> None:
    assert resolve(an_ask("What is this?", images=1)).intent == "vision"


def test_an_intent_may_have_its_model() -> None:
    resolution = resolve(
        an_ask(target=Target(intent="code", fallback_models=("gpt",))), intents={"code": {"model": "fast"}}
    )
    assert models_of(resolution) == (named("tiny"), None, named("gpt"))
    assert "whose model is 'fast'" in resolution.why


def test_an_intents_model_that_nobody_serves_is_left_out() -> None:
    resolution = resolve(an_ask(target=Target(intent="code")), intents={"code": {"model": "gone"}})
    assert models_of(resolution) == (None,)


@pytest.mark.parametrize(
    ("text", "tiers"),
    [
        ("hello", (named("tiny"), None)),
        ("Write a Python function that reverses a list", (None, named("tiny"))),
    ],
)
def test_the_default_model_is_for_chat_and_for_when_nobody_else_can(
    text: str, tiers: tuple[frozenset[str] | None, ...]
) -> None:
    resolution = resolve(an_ask(text), default_model="fast")
    assert models_of(resolution) == tiers
    (default,) = (tier for tier in resolution.tiers if tier.models)
    assert default.reason is Reason.DEFAULT_MODEL
    assert "'fast'" in default.why


@pytest.mark.parametrize("default", ["gone", ""])
def test_a_default_model_that_nobody_serves_is_none(default: str) -> None:
    assert models_of(resolve(an_ask(), default_model=default)) == (None,)


def test_a_long_prompt_outranks_the_intent() -> None:
    ask = an_ask("Write a Python function", prompt_bytes=30_000)
    resolution = resolve(ask, long_context_tokens=8000)
    assert (resolution.intent, resolution.favours) == ("code", "context")
    assert resolution.preferred == frozenset()
    assert "the prompt is long" in resolution.why
    assert resolve(ask, long_context_tokens=9000).favours == "quality"


def test_an_intents_limit_and_prompt_are_handed_on() -> None:
    entry = {"max_output_tokens": 9, "system_prompt": "Be brief.", "temperature": 0.1}
    resolution = resolve(an_ask(target=Target(intent="chat")), intents={"chat": entry})
    assert resolution.defaults == {"temperature": 0.1, "max_output_tokens": 9}
    assert resolution.system_prompt == "Be brief."


@pytest.mark.parametrize(
    ("generation", "defaults"),
    [
        ({}, {"temperature": 0.0, "max_output_tokens": 256}),
        ({"response_format": {"type": "json_object"}}, {"temperature": 0.0}),
    ],
)
def test_half_an_object_is_none_so_a_form_that_is_given_has_no_limit(
    generation: dict[str, Any], defaults: dict[str, Any]
) -> None:
    text = "Classify this review as positive or negative: I love it"
    message = {"role": "user", "content": text}
    resolution = resolve(an_ask(text, generation=Generation((message,), **generation)))
    assert (resolution.intent, resolution.defaults) == ("classification", defaults)


def test_tools_are_a_sign_whatever_the_text() -> None:
    tool = {"type": "function", "function": {"name": "add_item"}}
    generation = Generation(({"role": "user", "content": "bread"},), tools=(tool,))
    assert resolve(an_ask("bread", generation=generation)).intent == "action"
