"""llama.cpp's llama-server: OpenAI's API with its own sampling fields, grammars and measured times."""

from dataclasses import replace
from types import MappingProxyType
from typing import Final

from zoe_grpcd.adapters.dialects.openai import OpenAI, copied, count, parameters
from zoe_grpcd.adapters.dialects.refusals import sign
from zoe_grpcd.core.answer import Usage
from zoe_grpcd.core.errors import Fault
from zoe_grpcd.core.generation import Call, Generation, Json
from zoe_grpcd.ports import RawFacts

# llama.cpp keeps 32 bits of a seed, and takes them all set for "drawn anew each time" (b10434)
ANEW: Final = 2**32 - 1


class LlamaCpp(OpenAI):
    """Single-model and router mode."""

    refuses = frozenset()
    signs = (
        sign(r"loading model", Fault.LOADING, 503),
        sign(r"no slot available", Fault.OVERLOADED, 503),
        # a router answers 400 for a model that it doesn't have, or has and may not load
        sign(r"model '.*' not found|model name is missing|model is not found", Fault.MODEL_MISSING),
        sign(r"failed to load image|image input is not supported", Fault.REJECTED),
        sign(r"model is not loaded|failed to load|model .{0,200}exited", Fault.LOAD_FAILED),
        # the request could not be read: 500 from this server, but it would be the same anywhere
        sign(
            r"json\.exception|parse error|missing 'role'|Missing .{0,40}role|unknown reasoning format",
            Fault.REJECTED,
            500,
        ),
        *OpenAI.signs,
    )
    own_names = MappingProxyType(OpenAI.own_names | {"repetition_penalty": "repeat_penalty"})

    def spell(self, call: Call) -> tuple[Json, Json]:
        """See `Dialect`."""
        generation = call.generation
        found, extras = seeded(parameters(generation)), self.extras(generation)
        if found.get("top_logprobs") == 0:
            found["top_logprobs"] = 1  # 0 turns them off here; the one alternative is not passed on
        named = generation.tool_choice
        if generation.tools and isinstance(
            named, dict
        ):  # "required" is all it knows: leave it one to choose from
            name = named["function"]["name"]
            found["tools"] = [t for t in generation.tools if t["function"]["name"] == name]
            found["tool_choice"] = "required"
        if (effort := generation.options.get("reasoning_effort")) is not None:
            thinking = {"enable_thinking": False} if effort == "none" else {"reasoning_effort": effort}
            extras["chat_template_kwargs"] = thinking | extras.get("chat_template_kwargs", {})
        return found, extras

    def messages(self, generation: Generation) -> list[Json]:
        """Copies, with roles and fields that its chat templates know."""
        return [known(copied(m)) for m in generation.messages]

    def read(self, raw: Json) -> RawFacts | None:
        """See `Dialect`. Its `timings` count tokens too, should usage be missing."""
        facts = super().read(raw)
        timings = raw.get("timings")
        if facts is None or facts.usage is not None or not timings or "predicted_n" not in timings:
            return facts
        prompt, cached, made = (
            count(timings.get(name)) or 0 for name in ("prompt_n", "cache_n", "predicted_n")
        )
        usage = Usage(prompt + cached, made, cached)
        return replace(facts, usage=usage)


def seeded(found: Json) -> Json:
    """The same with a seed that gives the same answer again; -1 stays what it is to these servers, none."""
    if (seed := found.get("seed")) is not None and not -1 <= seed < ANEW:
        found["seed"] = seed % ANEW
    return found


def known(message: Json) -> Json:
    """A message for templates that know four roles and no refusals."""
    if message.get("role") == "developer":
        message["role"] = "system"
    if (refusal := message.pop("refusal", None)) and not message.get("content"):
        message["content"] = refusal
    return message
