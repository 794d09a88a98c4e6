"""Kinds that only LiteLLM's own calls reach: their streams are read by LiteLLM, so these dialects merely spell."""

from dataclasses import replace

from zoe_grpcd.adapters.dialects.openai import OpenAI
from zoe_grpcd.adapters.dialects.refusals import Sign, sign
from zoe_grpcd.core.domain import Call, Json
from zoe_grpcd.core.errors import Fault


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
        }
    )

    signs: tuple[Sign, ...] = (
        sign(r"overloaded", Fault.OVERLOADED),  # status 529, of which LiteLLM 1.109.1 makes a 500
        sign(r"credit balance is too low", Fault.RATE_LIMITED),  # status 400, and no mistake of the caller
    )

    def base(self, url: str) -> str:
        """LiteLLM appends `/v1/messages` itself."""
        return url.rstrip("/")

    def spell(self, call: Call) -> tuple[Json, Json]:
        """See `Dialect`. What is beyond OpenAI's parameters goes as LiteLLM's keyword arguments.

        The service takes a temperature neither beside `top_p` nor while it thinks, so that one which is a mere default is
        left out there.
        """
        options = call.generation.options
        if "temperature" in call.defaults and not options.keys().isdisjoint(("top_p", "reasoning_effort")):
            kept = {name: value for name, value in options.items() if name != "temperature"}
            call = replace(call, generation=replace(call.generation, options=kept))
        found, extras = super().spell(call)
        return found | extras, {}


class LiteLLM(OpenAI):
    """Whatever LiteLLM supports: the backend's `litellm_params` and the model's prefix say what."""

    provider = ""
    refuses = frozenset({"response_format.grammar"})

    def base(self, url: str) -> str:
        """As it is: what is appended depends on the provider."""
        return url

    def spell(self, call: Call) -> tuple[Json, Json]:
        """See `Dialect`."""
        found, extras = super().spell(call)
        return found | extras, {}
