"""llama-cpp-python's server: OpenAI's API with llama.cpp's sampling fields, and stricter about messages than others."""

from types import MappingProxyType

from zoe_grpcd.adapters.dialects.llamacpp import LlamaCpp, known, seeded
from zoe_grpcd.adapters.dialects.openai import OpenAI, copied, parameters
from zoe_grpcd.adapters.dialects.refusals import sign
from zoe_grpcd.core.errors import Fault
from zoe_grpcd.core.generation import Call, Generation, Json


class LlamaCppPython(OpenAI):
    """A field that it does not know is ignored, a value that it does not expect is a 500 (0.3.35)."""

    refuses = frozenset({"reasoning.effort"})
    signs = (
        # the request could not be read: 500 from this server, but it would be the same anywhere
        sign(r"\d+ validation errors?:|can only concatenate str", Fault.REJECTED, 500),
        *OpenAI.signs,
    )
    own_names = MappingProxyType(dict(LlamaCpp.own_names))

    def spell(self, call: Call) -> tuple[Json, Json]:
        """See `Dialect`."""
        generation = call.generation
        found, extras = seeded(parameters(generation)), self.extras(generation)
        if found.get("top_logprobs") == 0:
            found["top_logprobs"] = 1  # 0 turns them off here; the one alternative is not passed on
        wanted = found.get("response_format") or {}
        if wanted.get("type") == "json_schema":  # which it knows by another name only
            del found["response_format"]
            extras["response_format"] = {"type": "json_object", "schema": wanted["json_schema"]["schema"]}
        if generation.tool_choice == "required" and len(generation.tools) == 1:
            # it is held to a tool only by its name
            name = generation.tools[0]["function"]["name"]
            found["tool_choice"] = {"type": "function", "function": {"name": name}}
        return found, extras

    def messages(self, generation: Generation) -> list[Json]:
        """Copies, with roles and fields that its chat templates know, and texts in one piece."""
        return [_plain(known(copied(m))) for m in generation.messages]


def _plain(message: Json) -> Json:
    """Parts of text joined, since templates add them up; no `content` where there is none, since null is a 500."""
    content = message.get("content")
    if content is None:
        return {name: value for name, value in message.items() if name != "content"}
    if isinstance(content, list) and all(part.get("type") == "text" for part in content):
        message["content"] = "".join(part["text"] for part in content)
    return message
