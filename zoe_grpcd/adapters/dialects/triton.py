"""Triton's generate extension: one text in, one text out, as TensorRT-LLM's and vLLM's models on it have it.

What LiteLLM gets wrong here (1.106.2), and is put right: an error after the first piece is swallowed, a stream that is
cut looks whole, and no key is sent.
"""

from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import quote

from zoe_grpcd.adapters.dialects.completion import parsed
from zoe_grpcd.adapters.dialects.openai import broken, copied
from zoe_grpcd.adapters.dialects.refusals import Sign, refusal, sign
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Call, Generation, Json
from zoe_grpcd.ports import RawFacts

_SAMPLING: Final = "temperature top_p min_p top_k frequency_penalty presence_penalty repetition_penalty seed logit_bias".split()


class Triton:
    """A model's own parameters go by `backend_options`, as the model spells them."""

    provider = "triton"
    refuses = frozenset(
        {
            *(f"sampling.{name}" for name in _SAMPLING),
            "stop",
            "top_logprobs",
            "tools",
            "response_format.json_object",
            "response_format.json_schema",
            "response_format.grammar",
            "reasoning.effort",
            "messages.name",
            "messages.role",
        }
    )
    signs: tuple[Sign, ...] = (
        sign(r"stub process .{0,200} is not healthy", Fault.LOAD_FAILED),  # the model's process has died
        sign(r"exceeds maximum queue size", Fault.OVERLOADED, 503),
        sign(r"unknown model|no available versions|not ready", Fault.MODEL_MISSING),
        sign(r"failed to parse|unable to parse|expected .{0,80} to be|shape", Fault.REJECTED, 500),
    )

    def base(self, url: str, model: str) -> str:
        """The address that LiteLLM appends `_stream` to; the model is named nowhere else."""
        root = url.rstrip("/").removesuffix("/v2")
        return f"{root}/v2/models/{quote(model, safe='')}/generate"

    def spell(self, call: Call) -> tuple[Json, Json]:
        """See `Dialect`."""
        options, own = call.generation.options, call.generation.backend_options
        limit = {"max_tokens": options["max_output_tokens"]} if "max_output_tokens" in options else {}
        return limit, {"parameters": dict(own)} if own else {}

    def messages(self, generation: Generation) -> list[Json]:
        """Copies in plain text, which LiteLLM joins with a blank between them."""
        return [_plain(copied(message)) for message in generation.messages]

    def amend(self, body: Json, call: Call) -> None:
        """See `Dialect`: nothing to add."""

    def piece(self, raw: Json) -> tuple[str, str] | None:
        """See `Dialect`."""
        if (
            raw.get("is_finished") is not False
            or raw.get("error")
            or type(text := raw.get("text_output")) is not str
        ):
            return None
        return "text", text

    def read(self, raw: Json) -> RawFacts | None:
        """See `Dialect`. Where a model does not say which piece is its last, the end of the stream is taken for one."""
        if raw.get("error"):
            return RawFacts(error=broken(raw["error"], self.signs))
        if raw.get("is_finished") is False:
            return None
        return RawFacts(
            finish=raw.get("stop_reason") or "stop",
            final=raw.get("is_finished") is True,
            bare=not raw.get("text_output"),
        )

    def refusal(self, status: int, body: str, headers: Any) -> UpstreamError:
        """See `Dialect`. The refusal of a stream comes as its first piece."""
        return refusal(self.signs, status, body.removeprefix("data:").strip(), headers)


def chunk(raw: Json) -> SimpleNamespace:
    """A piece with the end in it, as LiteLLM would have it."""
    found: SimpleNamespace = parsed({"content": raw.get("text_output")})
    return found


def _plain(message: Json) -> Json:
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    return {"role": message["role"], "content": content or ""}
