"""What we lean on in LiteLLM's inner classes, as samples that are run at every start.

The one rule: a sample that comes out differently costs speed (the full dispatcher takes over), never correctness.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from zoe_grpcd.core.generation import Json

_TOOL: Final[Json] = {
    "type": "function",
    "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}},
}
_MESSAGES: Final[tuple[Json, ...]] = (
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
)


@dataclass(frozen=True, slots=True)
class Promise:
    """A provider's samples: what goes in, and what has to come out."""

    base: str
    url: str
    parameters: Json
    body: Json
    chunk: Json  # with a text or a tool call
    delta: Json  # what LiteLLM has to make of it
    headers: Mapping[str, str] = field(default_factory=lambda: {"Authorization": "Bearer k"})
    messages: tuple[Json, ...] = _MESSAGES


PROMISES: Final[Mapping[str, Promise]] = {
    "openai": Promise(
        base="http://host/v1",
        url="http://host/v1/chat/completions",
        parameters={
            "temperature": 0.5,
            "max_tokens": 7,
            "stop": ["END"],
            "logit_bias": {"5": 1.0},
            "logprobs": True,
            "top_logprobs": 1,
            "tools": [_TOOL],
            "tool_choice": "required",
            "stream_options": {"include_usage": True},
        },
        body={
            "model": "m",
            "messages": list(_MESSAGES),
            "temperature": 0.5,
            "max_tokens": 7,
            "stop": ["END"],
            "logit_bias": {"5": 1.0},
            "logprobs": True,
            "top_logprobs": 1,
            "tools": [_TOOL],
            "tool_choice": "required",
            "stream": True,
            "stream_options": {"include_usage": True},
        },
        chunk={
            "id": "x",
            "created": 1,
            "model": "m",
            "object": "chat.completion.chunk",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": None,
                    "delta": {
                        "content": "a",
                        "reasoning_content": "b",
                        "tool_calls": [
                            {
                                "index": 1,
                                "id": "c",
                                "type": "function",
                                "function": {"name": "look", "arguments": "{"},
                            }
                        ],
                    },
                }
            ],
        },
        delta={"content": "a", "reasoning": "b", "calls": [(1, "look", "{")]},
    ),
    "ollama_chat": Promise(
        base="http://host",
        url="http://host/api/chat",
        parameters={
            "temperature": 0.5,
            "max_tokens": 7,
            "stop": ["END"],
            "seed": 3,
            "top_p": 0.9,
            "tools": [_TOOL],
            "response_format": {"type": "json_object"},
            "reasoning_effort": "none",
        },
        body={
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief.", "images": []},
                {"role": "user", "content": "What is it?", "images": ["QUJD"]},
                {
                    "role": "assistant",
                    "content": "",
                    "images": [],
                    "tool_calls": [{"function": {"name": "look", "arguments": {"at": 1}}}],
                },
                {"role": "tool", "content": "a cat", "images": [], "tool_call_id": "c1"},
            ],
            "options": {"temperature": 0.5, "num_predict": 7, "stop": ["END"], "seed": 3, "top_p": 0.9},
            "stream": True,
            "format": "json",
            "tools": [_TOOL],
            "think": False,
        },
        chunk={
            "model": "m",
            "created_at": "2026-01-01T00:00:00Z",
            "message": {
                "role": "assistant",
                "content": "a",
                "tool_calls": [{"function": {"name": "look", "arguments": {"at": 1}}}],
            },
            "done": False,
        },
        delta={"content": "a", "reasoning": None, "calls": [(0, "look", '{"at": 1}')]},
    ),
    "triton": Promise(
        base="http://host/v2/models/m/generate",
        url="http://host/v2/models/m/generate_stream",
        parameters={"max_tokens": 7},
        body={"text_input": "Be brief. What is it?", "parameters": {"max_tokens": 7}, "stream": False},
        chunk={"text_output": "a", "is_finished": False, "stop_reason": ""},
        delta={"content": "a", "reasoning": None, "calls": []},
        headers={"Content-Type": "application/json"},
        messages=(
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is it?"},
        ),
    ),
}


def broken_promise(provider: str) -> str | None:
    """What of this provider's samples comes out differently; None: all is as expected. LiteLLM has to be loaded."""
    promise = PROMISES.get(provider)
    if promise is None:
        return f"no samples for {provider}"
    try:
        found = _found(provider, promise)
    except Exception as error:  # noqa: BLE001 a changed signature, a moved name: whatever it is, it is the finding
        return f"{type(error).__name__}: {error}"
    expected = {"url": promise.url, "headers": True, "body": promise.body, "delta": promise.delta}
    wrong = [f"{part}: {found[part]!r}" for part, value in expected.items() if found[part] != value]
    return "; ".join(wrong)[:2000] or None


def _found(provider: str, promise: Promise) -> Json:
    from copy import deepcopy

    from litellm import LlmProviders, ProviderConfigManager
    from litellm.utils import get_optional_params

    config: Any = ProviderConfigManager.get_provider_chat_config(model="m", provider=LlmProviders(provider))
    optional = get_optional_params(
        model="m",
        custom_llm_provider=provider,
        stream=True,
        drop_params=False,
        **deepcopy(promise.parameters),
    )
    optional.pop("extra_body", None)
    optional.pop("max_retries", None)
    where: Json = {"custom_llm_provider": provider, "api_base": promise.base}
    common = {"api_key": "k", "api_base": promise.base, "model": "m", "optional_params": {}}
    headers = config.validate_environment(headers={}, messages=[], litellm_params=where, **common)
    url = config.get_complete_url(stream=True, litellm_params=where, **common)
    body = config.transform_request(
        model="m",
        messages=deepcopy(list(PROMISES[provider].messages)),
        optional_params=optional,
        litellm_params=where,
        headers=dict(headers),
    )
    parser = config.get_model_response_iterator(streaming_response=(), sync_stream=False)
    return {
        "url": url,
        "headers": promise.headers.items() <= headers.items(),
        "body": body,
        "delta": _delta(parser.chunk_parser(deepcopy(promise.chunk))),
    }


def _delta(parsed: Any) -> Json:
    """What LiteLLM made of a chunk, in either of its two shapes."""
    if isinstance(parsed, dict):
        return {"content": parsed["text"], "reasoning": None, "calls": []}
    delta = parsed.choices[0].delta
    calls = [(call.index, call.function.name, call.function.arguments) for call in delta.tool_calls]
    return {
        "content": delta.content,
        "reasoning": getattr(delta, "reasoning_content", None),
        "calls": calls,
    }
