"""vLLM: OpenAI's API with its own sampling fields, priorities, and prompts of token ids."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from zoe_grpcd.adapters.dialects.openai import OpenAI
from zoe_grpcd.adapters.dialects.refusals import Sign, sign
from zoe_grpcd.core.errors import Fault
from zoe_grpcd.core.generation import Call, Generation, Json
from zoe_grpcd.ports import RawFacts

PRIORITIES: Final[Mapping[str, int]] = {"critical": -2, "high": -1, "low": 1, "batch": 2}
"""The smaller, the sooner; only a vLLM started with `--scheduling-policy priority` looks at it (0.32.0)."""


class VLLM(OpenAI):
    """Its answer may end in an error and `[DONE]`, under a 200: the error counts.

    It puts what it has said since the last chunk into one, which may be many tokens: it is asked to count them.
    """

    refuses = frozenset()
    signs: tuple[Sign, ...] = (
        sign(r"engine is currently busy", Fault.OVERLOADED, 503),
        *OpenAI.signs,
    )
    own_names = MappingProxyType({name: name for name in ("min_p", "top_k", "repetition_penalty")})

    def spell(self, call: Call) -> tuple[Json, Json]:
        """See `Dialect`."""
        found, extras = super().spell(call)
        found["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
        if call.priority in PRIORITIES:
            extras.setdefault("priority", PRIORITIES[call.priority])
        if found.get("reasoning_effort") == "none":  # which templates know by another name
            del found["reasoning_effort"]
            thinking = {"enable_thinking": False}
            extras["chat_template_kwargs"] = thinking | extras.get("chat_template_kwargs", {})
        return found, extras

    def extras(self, generation: Generation) -> Json:
        """See `OpenAI.extras`."""
        own = super().extras(generation)
        if "grammar" in generation.options:
            own["structured_outputs"] = {"grammar": generation.options["grammar"]}
        return own


# what the chat alone has a use for
_CHAT: Final = frozenset({"continue_final_message", "add_generation_prompt", "chat_template_kwargs"})


class VLLMCompletion(VLLM):
    """Speaks for a call that goes on with an answer from token ids, through `/v1/completions`."""

    def body(self, call: Call) -> Json:
        """The whole request. It says how long the answer may become, which would be 16 here."""
        assert call.continues is not None
        found, extras = self.spell(call)
        body = {name: value for name, value in {**found, **extras}.items() if name not in _CHAT}
        prompt = list(call.continues.prompt)
        return {**body, "model": call.backend_model, "prompt": prompt, "stream": True}

    def piece(self, raw: Json) -> tuple[str, str] | None:
        """See `Dialect`."""
        choices = raw.get("choices")
        if not choices or choices[0].get("finish_reason") or type(text := choices[0].get("text")) is not str:
            return None
        return "text", text

    def read(self, raw: Json) -> RawFacts | None:
        """See `Dialect`."""
        facts = super().read(raw)
        if facts is not None:
            choices = raw.get("choices") or [{}]
            facts.bare = not choices[0].get("text")
        return facts
