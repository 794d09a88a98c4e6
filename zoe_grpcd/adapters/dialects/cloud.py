"""Kinds that only LiteLLM's own calls reach: their streams are read by LiteLLM, so these dialects merely spell."""

from zoe_grpcd.adapters.dialects.openai import OpenAI
from zoe_grpcd.core.domain import Call, Json


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

    def base(self, url: str) -> str:
        """LiteLLM appends `/v1/messages` itself."""
        return url.rstrip("/")

    def spell(self, call: Call) -> tuple[Json, Json]:
        """See `Dialect`. What is beyond OpenAI's parameters goes as LiteLLM's keyword arguments."""
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
