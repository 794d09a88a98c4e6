"""Kinds that only LiteLLM's own calls reach: their streams are read by LiteLLM, so these dialects merely spell.

The one rule: what a caller sends never becomes an argument by which LiteLLM finds its way: an address, credentials,
another provider, a place for its logs. It has hundreds of these, so what is passed on is listed, and not what isn't.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from zoe_grpcd.adapters.dialects.openai import OpenAI
from zoe_grpcd.adapters.dialects.refusals import Sign, sign
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Call, Json

# Options of a backend that are the service's business alone.
PASSED_ON: Final = frozenset(
    {
        "cache_control",
        "chat_template_kwargs",
        "min_p",
        "min_tokens",
        "modalities",
        "prediction",
        "prompt_cache_key",
        "repetition_penalty",
        "safety_identifier",
        "service_tier",
        "store",
        "thinking",
        "top_k",
        "typical_p",
        "user",
        "verbosity",
    }
)


def _only_passed_on(options: Mapping[str, Any]) -> None:
    """Raises UpstreamError for any other option."""
    if unknown := sorted(options.keys() - PASSED_ON):
        raise UpstreamError(
            Fault.REJECTED,
            f"backend_options.{unknown[0]} is not passed on to a cloud service; these are: {', '.join(sorted(PASSED_ON))}",
        )


class Anthropic(OpenAI):
    """Anthropic's messages API."""

    provider = "anthropic"
    refuses = frozenset(
        {
            "sampling.min_p",
            "sampling.frequency_penalty",
            "sampling.presence_penalty",
            "sampling.repetition_penalty",
            "sampling.seed",
            "sampling.logit_bias",
            "top_logprobs",
            "response_format.grammar",
            "messages.name",
            "images.uri",  # LiteLLM would fetch it
        }
    )

    signs: tuple[Sign, ...] = (
        sign(r"overloaded", Fault.OVERLOADED),  # status 529, of which LiteLLM 1.109.1 makes a 500
        sign(r"credit balance is too low", Fault.RATE_LIMITED),  # status 400, and no mistake of the caller
    )

    def base(self, url: str, model: str) -> str:
        """LiteLLM appends `/v1/messages` itself."""
        return url.rstrip("/")

    def spell(self, call: Call) -> tuple[Json, Json]:
        """See `Dialect`. What is beyond OpenAI's parameters goes as LiteLLM's keyword arguments.

        The service takes a temperature neither beside `top_p` nor while it thinks, so that one which is a mere default is
        left out there.
        """
        _only_passed_on(call.generation.backend_options)
        provider, slash, _ = call.backend_model.partition("/")
        if slash and provider != self.provider:  # LiteLLM would ask that provider what it knows of the model
            raise UpstreamError(Fault.MODEL_MISSING, "the service has no models with a / in their names")
        options = call.generation.options
        if "temperature" in call.defaults and not options.keys().isdisjoint(("top_p", "reasoning_effort")):
            kept = {name: value for name, value in options.items() if name != "temperature"}
            call = replace(call, generation=replace(call.generation, options=kept))
        found, extras = super().spell(call)
        return found | extras, {}


class LiteLLM(OpenAI):
    """Whatever LiteLLM supports: the backend's `litellm_params` and the model's prefix say what."""

    provider = ""
    refuses = frozenset(
        {"response_format.grammar", "images.uri"}
    )  # which LiteLLM would fetch for some providers
    signs: tuple[Sign, ...] = (
        sign(r"API key not valid|API_KEY_INVALID", Fault.UNAUTHORIZED, 400),  # Gemini's
        *OpenAI.signs,
    )

    def base(self, url: str, model: str) -> str:
        """As it is: what is appended depends on the provider."""
        return url

    def spell(self, call: Call) -> tuple[Json, Json]:
        """See `Dialect`."""
        _only_passed_on(call.generation.backend_options)
        found, extras = super().spell(call)
        if "tools" in found:
            found["tools"] = _typed(found["tools"])
        return found | extras, {}


def _typed(schema: Any) -> Any:
    """The same, in which a list of texts to choose from says that they are: LiteLLM 1.106.2 drops it for Gemini otherwise."""
    if isinstance(schema, list):
        return [_typed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    typed = {name: _typed(part) for name, part in schema.items()}
    choices = typed.get("enum")
    if "type" not in typed and isinstance(choices, list) and all(isinstance(one, str) for one in choices):
        typed["type"] = "string"
    return typed
