"""Option names as operators and callers write them, brought to the contract's names.

The one rule: a key is either the contract's, or another spelling of one of those, or the backend's own business.
"""

from collections.abc import Mapping
from typing import Any, Final

from zoe_grpcd.core.generation import Json

ALIASES: Final[Mapping[str, str]] = {
    "num_predict": "max_output_tokens",
    "n_predict": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "repeat_penalty": "repetition_penalty",
}

LENGTHS: Final = frozenset(key for key, name in ALIASES.items() if name == "max_output_tokens")

CONTRACT: Final = frozenset(
    {
        "temperature",
        "top_p",
        "min_p",
        "top_k",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "seed",
        "logit_bias",
        "stop",
        "max_output_tokens",
        "top_logprobs",
        "parallel_tool_calls",
        "reasoning_effort",
        "grammar",
    }
)

# What would turn a call into another one: its model, prompt, shape, address or credentials.
HIJACKING: Final = frozenset(
    {
        "model",
        "messages",
        "prompt",
        "stream",
        "stream_options",
        "n",
        "tools",
        "tool_choice",
        "functions",
        "function_call",
        "response_format",
        "format",
        "options",
        "api_base",
        "base_url",
        "api_key",
        "api_version",
        "organization",
        "url",
        "headers",
        "timeout",
        "max_retries",
        "num_retries",
        "fallbacks",
        "mock_response",
        "custom_llm_provider",
        "litellm_params",
        "drop_params",
        "callbacks",
        "metadata",
        "client",
    }
)


def normalise(bundle: Mapping[str, Any]) -> tuple[Json, Json]:
    """Splits a bundle into options by the contract's names, and what only the backend knows.

    A value of None counts as not set. Where two spellings of one option are given, the contract's own wins.
    """
    options: Json = {}
    backend_options: Json = {}
    for key, value in bundle.items():
        if value is None:
            continue
        name = ALIASES.get(key, key)
        if name not in CONTRACT:
            backend_options[key] = value
        elif key == name or name not in options:
            options[name] = value
    if isinstance(options.get("stop"), str):
        options["stop"] = [options["stop"]]
    return options, backend_options


def forbidden(backend_options: Mapping[str, Any]) -> list[str]:
    """The keys that may not be set this way, sorted: they would change what is called, or how."""
    return sorted(k for k in backend_options if k in HIJACKING or k.startswith(("extra_", "_", "litellm_")))


def length_in(backend_options: Json) -> int | None:
    """Takes out how long an answer may be, by whatever name: no two kinds of servers call it the same. None: unsaid.

    What is no number of tokens stays: -1 or a word may mean something to a server.
    """
    for key in sorted(backend_options.keys() & LENGTHS):
        if type(length := backend_options[key]) is int and length > 0:
            del backend_options[key]
            return length
    return None


def repeated(backend_options: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, str]:
    """The keys that say once more what `options` says, each with its name there."""
    return {key: name for key in backend_options if (name := ALIASES.get(key, key)) in options}
