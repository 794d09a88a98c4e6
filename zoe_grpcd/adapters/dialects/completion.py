"""llama-server's own `/completion`: a prompt of text and token ids, and nothing made of the answer."""

from types import SimpleNamespace
from typing import Any, Final

from zoe_grpcd.adapters.dialects.llamacpp import LlamaCpp
from zoe_grpcd.adapters.dialects.openai import broken, count, measured
from zoe_grpcd.core.answer import Usage
from zoe_grpcd.core.generation import Call, Json
from zoe_grpcd.ports import RawFacts

_ENDS: Final = {"eos": "stop", "word": "stop", "limit": "length"}
# OpenAI's names that this path does not know, or has no use for
_FOREIGN: Final = frozenset({"stream_options", "max_tokens"})


class LlamaCppCompletion(LlamaCpp):
    """Speaks for a call that goes on with an answer, whose prompt is ready."""

    def body(self, call: Call) -> Json:
        """The whole request. The limit on its tokens is what the prompt left of it."""
        assert call.continues is not None
        found, extras = self.spell(call)
        body = {name: value for name, value in {**found, **extras}.items() if name not in _FOREIGN}
        body.pop("chat_template_kwargs", None)  # the template has been applied
        if "max_tokens" in found:
            body["n_predict"] = found["max_tokens"]
        prompt = list(call.continues.prompt)
        return {**body, "model": call.backend_model, "prompt": prompt, "stream": True}

    def piece(self, raw: Json) -> tuple[str, str] | None:
        """See `Dialect`."""
        if raw.get("stop") is not False or type(text := raw.get("content")) is not str:
            return None
        return "text", text

    def read(self, raw: Json) -> RawFacts | None:
        """See `Dialect`."""
        if raw.get("error"):
            return RawFacts(error=broken(raw["error"]))
        if raw.get("stop") is not True:
            return None
        timings = raw.get("timings") or {}
        prompt, made = count(raw.get("tokens_evaluated")), count(raw.get("tokens_predicted"))
        return RawFacts(
            finish=_ENDS.get(raw.get("stop_type") or "", "stop"),
            usage=Usage(prompt or 0, made or 0, count(timings.get("cache_n")) or 0),
            measured=measured(timings),
            final=True,
            bare=not raw.get("content"),
        )


def parsed(raw: Json) -> Any:
    """A chunk with text in it as LiteLLM would have it."""
    delta = _Delta(content=raw.get("content"), tool_calls=None)
    return SimpleNamespace(choices=[SimpleNamespace(delta=delta)])


class _Delta(SimpleNamespace):
    """A piece of text, and nothing else."""

    def get(self, _name: str) -> None:
        """Nothing else."""
