"""OpenAI's chat completions, as OpenAI and the many servers that follow it speak them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from zoe_grpcd.adapters.dialects.refusals import Sign, refusal, said, sign
from zoe_grpcd.core.answer import Measured, Usage
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Call, Generation, Json
from zoe_grpcd.ports import RawFacts

# the contract's name -> OpenAI's; LiteLLM maps these on to what the provider wants
PARAMETERS: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "seed": "seed",
    "stop": "stop",
    "max_output_tokens": "max_tokens",
}

_PLAIN: Final = frozenset({"role", "content", "reasoning_content", "reasoning"})
_NUMBER: Final = (int, float)
MOST_TOKENS: Final = 1 << 40
LONGEST: Final = 1e8  # seconds: three years


def parameters(generation: Generation) -> Json:
    """What OpenAI's API has a name for."""
    options = generation.options
    found: Json = {theirs: options[ours] for ours, theirs in PARAMETERS.items() if ours in options}
    if "logit_bias" in options:
        found["logit_bias"] = {str(token): bias for token, bias in options["logit_bias"].items()}
    if "top_logprobs" in options:
        found |= {"logprobs": True, "top_logprobs": options["top_logprobs"]}
    if generation.tools:
        found["tools"] = list(generation.tools)
        if generation.tool_choice is not None:
            found["tool_choice"] = generation.tool_choice
        if "parallel_tool_calls" in options:
            found["parallel_tool_calls"] = options["parallel_tool_calls"]
    if generation.response_format is not None:
        found["response_format"] = generation.response_format
    found["stream_options"] = {"include_usage": True}
    return found


def copied(message: Json) -> Json:
    """A copy deep enough for LiteLLM, which rewrites content parts where they stand."""
    content = message.get("content")
    if isinstance(content, list):
        return {**message, "content": [dict(part) for part in content]}
    return dict(message)


class OpenAI:
    """Any server with `POST /v1/chat/completions`. What OpenAI has no name for goes as vLLM and others call it."""

    provider = "openai"
    refuses = frozenset(
        {
            "sampling.min_p",
            "sampling.top_k",
            "sampling.repetition_penalty",
            "response_format.grammar",
        }
    )
    signs: tuple[Sign, ...] = (
        sign(r"model_not_found|model .{0,200}(?:not found|does not exist)", Fault.MODEL_MISSING),
        sign(r"insufficient_quota|billing", Fault.RATE_LIMITED, 429),
        sign(
            r"overloaded|too many requests|queue is full|no slot available|at capacity", Fault.OVERLOADED, 503
        ),
        sign(r"loading|warming up|starting up", Fault.LOADING, 503),
    )
    own_names = MappingProxyType({name: name for name in ("min_p", "top_k", "repetition_penalty", "grammar")})

    def base(self, url: str, model: str) -> str:
        """The address that LiteLLM appends `/chat/completions` to."""
        root = url.rstrip("/")
        return root if root.endswith("/v1") or "/v1/" in root else root + "/v1"

    def spell(self, call: Call) -> tuple[Json, Json]:
        """See `Dialect`."""
        generation = call.generation
        found = parameters(generation)
        if "reasoning_effort" in generation.options:
            found["reasoning_effort"] = generation.options["reasoning_effort"]
        extras = self.extras(generation)
        if call.continues is not None:  # as vLLM and others want it; without, they would begin another turn
            extras |= {"continue_final_message": True, "add_generation_prompt": False}
        return found, extras

    def extras(self, generation: Generation) -> Json:
        """Fields of the body that OpenAI doesn't know: options by this server's names, then its own options."""
        options = generation.options
        own = {theirs: options[ours] for ours, theirs in self.own_names.items() if ours in options}
        return own | dict(generation.backend_options)

    def messages(self, generation: Generation) -> list[Json]:
        """Copies for LiteLLM to work on. Earlier reasoning is not sent back: OpenAI refuses the field."""
        return [{k: v for k, v in copied(m).items() if k != "reasoning_content"} for m in generation.messages]

    def amend(self, body: Json, call: Call) -> None:
        """See `Dialect`: nothing to add."""

    def piece(self, raw: Json) -> tuple[str, str] | None:
        """See `Dialect`. A chunk that only names the role is an empty piece of text."""
        choices = raw.get("choices")
        if not choices or len(choices) != 1 or "error" in raw:
            return None
        choice = choices[0]
        delta = choice.get("delta")
        if not delta or choice.get("finish_reason") or choice.get("logprobs"):
            return None
        if len(delta) == 1 and type(text := delta.get("content")) is str:
            return "text", text
        if not delta.keys() <= _PLAIN:
            return None
        text, reasoning = (
            delta.get("content") or "",
            delta.get("reasoning_content") or delta.get("reasoning") or "",
        )
        if (text and reasoning) or not (isinstance(text, str) and isinstance(reasoning, str)):
            return None
        return ("reasoning", reasoning) if reasoning else ("text", text)

    def read(self, raw: Json) -> RawFacts | None:
        """See `Dialect`."""
        if raw.get("error"):
            return RawFacts(error=broken(raw["error"]))
        choices = raw.get("choices") or [{}]
        finish = choices[0].get("finish_reason")
        usage, timings = raw.get("usage"), raw.get("timings")
        if not (finish or usage or timings):
            return None
        return RawFacts(
            finish=finish,
            usage=counted(usage) if usage else None,
            measured=measured(timings) if timings else None,
            bare=not choices[0].get("delta"),
        )

    def refusal(self, status: int, body: str, headers: Any) -> UpstreamError:
        """See `Dialect`."""
        return refusal(self.signs, status, body, headers)


def broken(error: Any, signs: tuple[Sign, ...] = ()) -> UpstreamError:
    """An error object in the middle of a stream: whatever it says but for the signs, this answer is cut."""
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 0
    text = str(error.get("message") or error) if isinstance(error, dict) else str(error)
    fault = next((s.fault for s in signs if s.pattern.search(text)), Fault.CUT)
    return UpstreamError(fault, said(text), http_status=status)


def counted(usage: Json) -> Usage:
    """OpenAI's usage object."""
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    return Usage(
        prompt_tokens=count(usage.get("prompt_tokens")) or 0,
        completion_tokens=count(usage.get("completion_tokens")) or 0,
        cached_prompt_tokens=(prompt and count(prompt.get("cached_tokens"))) or 0,
        reasoning_tokens=(completion and count(completion.get("reasoning_tokens"))) or 0,
    )


def measured(timings: Json) -> Measured:
    """llama.cpp's `timings`, which other servers leave out. `prompt_n` doesn't count cached tokens."""
    return Measured(
        prefill=seconds(timings.get("prompt_ms"), 1e3),
        prefill_tokens=count(timings.get("prompt_n")),
        decode=seconds(timings.get("predicted_ms"), 1e3),
        decode_tokens=count(timings.get("predicted_n")),
    )


def count(told: Any) -> int | None:
    """A number of tokens as a server tells it; None: it tells none, or what cannot be one."""
    return int(told) if isinstance(told, _NUMBER) and 0 <= told < MOST_TOKENS else None


def seconds(told: Any, a_second: float) -> float | None:
    """The same for a time; `a_second` is how many of the server's units it has."""
    return told / a_second if isinstance(told, _NUMBER) and 0 <= told < LONGEST * a_second else None
