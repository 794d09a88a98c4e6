"""Ollama's own `/api/chat`. What it calls options goes into `options` by its own names."""

from collections.abc import Mapping
from typing import Any, Final

from zoe_grpcd.adapters.dialects.llamacpp import known, seeded
from zoe_grpcd.adapters.dialects.openai import broken, copied, count, seconds
from zoe_grpcd.adapters.dialects.refusals import refusal, sign
from zoe_grpcd.core.answer import Measured, Usage
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Call, Generation, Json
from zoe_grpcd.ports import RawFacts

# LiteLLM's mapping of these is right; its frequency_penalty would become Ollama's repeat_penalty, another thing
_PARAMETERS: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "stop": "stop",
    "max_output_tokens": "max_tokens",
    "reasoning_effort": "reasoning_effort",
}
_OPTIONS: Final[Mapping[str, str]] = {
    "min_p": "min_p",
    "top_k": "top_k",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "repetition_penalty": "repeat_penalty",
}
_TOP_LEVEL: Final = frozenset({"keep_alive", "think", "truncate", "shift"})
# A picture or schema that it cannot read is told in an answer that has begun, with status 200; it would be the same
# anywhere.
_UNREADABLE: Final = sign(
    r"failed to process inputs|invalid JSON schema|unable to create sampling context", Fault.REJECTED
)
_PLAIN: Final = frozenset({"role", "content", "thinking"})


class Ollama:
    """Ollama 0.4 and newer."""

    provider = "ollama_chat"
    refuses = frozenset(
        {
            "sampling.logit_bias",
            "top_logprobs",
            "parallel_tool_calls",
            "tool_choice.required",
            "tool_choice.function",
            "tools.strict",
            "response_format.grammar",
            "images.uri",
            "messages.name",
        }
    )
    signs = (
        _UNREADABLE,
        sign(r"server busy|maximum pending requests", Fault.OVERLOADED),
        sign(r"model .{0,200}not found|try pulling it", Fault.MODEL_MISSING),
        sign(
            r"requires more system memory|failed to load|unable to load model|error loading",
            Fault.LOAD_FAILED,
        ),
        sign(r"llama runner process has terminated|timed out waiting for llama runner", Fault.LOAD_FAILED),
        sign(r"must be of (?:type|an array)|cannot unmarshal", Fault.REJECTED, 500),
    )

    def base(self, url: str, model: str) -> str:
        """The address that LiteLLM appends `/api/chat` to."""
        return url.rstrip("/")

    def spell(self, call: Call) -> tuple[Json, Json]:
        """See `Dialect`."""
        generation = call.generation
        options = generation.options
        found = seeded({theirs: options[ours] for ours, theirs in _PARAMETERS.items() if ours in options})
        if generation.tools and generation.tool_choice != "none":
            found["tools"] = list(generation.tools)
        if generation.response_format is not None:
            found["response_format"] = generation.response_format
        own = generation.backend_options
        raw: Json = {k: v for k, v in own.items() if k in _TOP_LEVEL}
        settings = {theirs: options[ours] for ours, theirs in _OPTIONS.items() if ours in options}
        settings |= {k: v for k, v in own.items() if k not in _TOP_LEVEL}
        if settings:
            raw["options"] = settings
        return found, raw

    def messages(self, generation: Generation) -> list[Json]:
        """Copies for LiteLLM to work on."""
        return [known(copied(m)) for m in generation.messages]

    def amend(self, body: Json, call: Call) -> None:
        """Names the tool behind each result, as Ollama's templates want; LiteLLM leaves the name out."""
        names = {
            made["id"]: made["function"]["name"]
            for message in call.generation.messages
            for made in message.get("tool_calls") or ()
        }
        for message in body["messages"]:
            if message.get("role") == "tool" and (name := names.get(message.get("tool_call_id"))):
                message["tool_name"] = name

    def piece(self, raw: Json) -> tuple[str, str] | None:
        """See `Dialect`."""
        if raw.get("done") is not False:
            return None
        message = raw.get("message")
        if not message or not message.keys() <= _PLAIN:
            return None
        text, reasoning = message.get("content") or "", message.get("thinking") or ""
        if (text and reasoning) or not (isinstance(text, str) and isinstance(reasoning, str)):
            return None
        return ("reasoning", reasoning) if reasoning else ("text", text)

    def read(self, raw: Json) -> RawFacts | None:
        """See `Dialect`."""
        if raw.get("error"):
            return RawFacts(error=broken(raw["error"], (_UNREADABLE,)))
        if raw.get("done") is not True:
            return None
        counted, prompt = count(raw.get("eval_count")), count(raw.get("prompt_eval_count"))
        return RawFacts(
            finish=raw.get("done_reason") or "stop",
            usage=Usage(prompt or 0, counted or 0) if counted is not None or prompt is not None else None,
            measured=Measured(
                load=seconds(raw.get("load_duration"), 1e9),
                prefill=seconds(raw.get("prompt_eval_duration"), 1e9),
                prefill_tokens=None,  # its count includes cached ones
                decode=seconds(raw.get("eval_duration"), 1e9),
                decode_tokens=counted,
            ),
            final=True,
            bare=not any(
                (raw.get("message") or {}).get(name) for name in ("content", "thinking", "tool_calls")
            ),
        )

    def refusal(self, status: int, body: str, headers: Any) -> UpstreamError:
        """See `Dialect`."""
        return refusal(self.signs, status, body, headers)
