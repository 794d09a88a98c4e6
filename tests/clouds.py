"""Cloud services on loopback that speak the wire formats of their public API references: Anthropic's messages, and
OpenAI's chat completions.

They are strict: what the real service answers with 400 is a 400 here, so that a request that passes would pass there.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Json = dict[str, Any]
Answer = Callable[["Cloud", web.Request], Awaitable[web.StreamResponse]]
Refusal = tuple[int, str, Mapping[str, str]]
KEY = "sk-test-0123456789"


@dataclass
class Cloud:
    """What a service was asked, and what it answers next.

    `events` are the pieces of a streamed answer; `refusal` is status, error type and headers in place of one. `cut`: the
    connection ends behind the events, without the closing ones.
    """

    events: list[Json] = field(default_factory=list)
    refusal: Refusal | None = None
    cut: bool = False
    hangs: bool = False  # behind the events, until the client leaves
    url: str = ""
    bodies: list[Json] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    left: int = 0  # clients that went before the end
    models: tuple[str, ...] = ("gpt-5-mini",)  # that OpenAI lists

    def note(self, request: web.Request, body: Json) -> None:
        """Keeps what was asked."""
        self.paths.append(request.path)
        self.bodies.append(body)


@asynccontextmanager
async def anthropic() -> AsyncIterator[Cloud]:
    """https://docs.anthropic.com/en/api/messages and /messages-streaming, on loopback."""
    async with served(_anthropic) as cloud:
        yield cloud


@asynccontextmanager
async def openai() -> AsyncIterator[Cloud]:
    """https://platform.openai.com/docs/api-reference/chat and /chat-streaming, on loopback."""
    async with served(_openai) as cloud:
        yield cloud


@asynccontextmanager
async def served(answer: Answer) -> AsyncIterator[Cloud]:
    """A service that answers like this."""
    cloud = Cloud()
    app = web.Application(client_max_size=64 * 1024 * 1024)

    async def handle(request: web.Request) -> web.StreamResponse:
        return await answer(cloud, request)

    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    cloud.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield cloud
    finally:
        await runner.cleanup()


async def streamed(cloud: Cloud, request: web.Request, lines: Iterable[str]) -> web.StreamResponse:
    """These lines, each by itself, and then whatever the service does at the end."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    try:
        for line in lines:
            await response.write(line.encode())
            await asyncio.sleep(0)
        if cloud.hangs:
            await asyncio.Event().wait()
    except (asyncio.CancelledError, ConnectionError):
        cloud.left += 1
        raise
    if cloud.cut and request.transport is not None:
        request.transport.close()
    return response


# --------------------------------------------------------------------------------------------------------- Anthropic

ANTHROPIC_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
_ANTHROPIC_FIELDS = {
    "model", "max_tokens", "messages", "system", "stream", "temperature", "top_p", "top_k", "stop_sequences", "tools",
    "tool_choice", "thinking", "metadata", "service_tier", "container", "context_management", "mcp_servers",
    "output_config", "output_format",
}  # fmt: skip


async def _anthropic(cloud: Cloud, request: web.Request) -> web.StreamResponse:
    body = json.loads(await request.text() or "{}")
    cloud.note(request, body)
    if request.headers.get("x-api-key") != KEY:
        return anthropic_error(401, "invalid x-api-key")
    if mistake := next(_anthropic_mistakes(request, body), ""):
        return anthropic_error(400, mistake)
    if cloud.refusal:
        status, text, headers = cloud.refusal
        return anthropic_error(status, text, headers)
    lines = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in cloud.events]
    return await streamed(cloud, request, lines)


def anthropic_error(status: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error as the service writes it."""
    error = {"type": ANTHROPIC_ERRORS.get(status, "api_error"), "message": text}
    body = {"type": "error", "error": error, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"}
    return web.json_response(body, status=status, headers=headers)


def _anthropic_mistakes(request: web.Request, body: Json) -> Iterator[str]:
    """What the service would answer with 400, the first thing first."""
    if request.method != "POST" or request.path != "/v1/messages":
        yield f"{request.method} {request.path} is nothing that a request may go to"
    if request.headers.get("anthropic-version") != "2023-06-01":
        yield "anthropic-version: header is required"
    yield from (f"{name}: Extra inputs are not permitted" for name in sorted(body.keys() - _ANTHROPIC_FIELDS))
    if not isinstance(body.get("max_tokens"), int):
        yield "max_tokens: Field required"
    yield from _mistakes_in_messages(body.get("messages") or [])
    for tool in body.get("tools", ()):
        if tool.get("type", "custom") == "custom" and "input_schema" not in tool:
            yield "tools.0.custom.input_schema: Field required"
    if "temperature" in body and "top_p" in body and "4-5" in body["model"]:
        yield "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    if (body.get("thinking") or {}).get("type") == "enabled":
        yield from _mistakes_in_thinking(body)


def _mistakes_in_messages(messages: list[Json]) -> Iterator[str]:
    if not messages or messages[0]["role"] != "user":
        yield 'messages: first message must use the "user" role'
    blocks = [block for m in messages if isinstance(m["content"], list) for block in m["content"]]
    for block in blocks:
        if block.get("type") not in _BLOCKS:
            yield f"messages: unknown block {block.get('type')!r}"
        elif block["type"] == "text" and not block["text"]:
            yield "messages: text content blocks must be non-empty"
        elif block["type"] == "image" and block["source"]["type"] not in ("base64", "url"):
            yield "messages: image.source.type"
    for one, other in itertools.pairwise(messages):
        if one["role"] == other["role"] == "assistant":
            yield "messages: roles must alternate"
    asked = {b["id"] for b in blocks if b["type"] == "tool_use"}
    if asked != {b["tool_use_id"] for b in blocks if b["type"] == "tool_result"}:
        yield "messages: `tool_use` ids were found without `tool_result` blocks immediately after"


def _mistakes_in_thinking(body: Json) -> Iterator[str]:
    budget = body["thinking"]["budget_tokens"]
    if budget >= body["max_tokens"]:
        yield "`max_tokens` must be greater than `thinking.budget_tokens`"
    if budget < 1024:
        yield "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
    if body.get("temperature", 1) != 1:
        yield "`temperature` may only be set to 1 when thinking is enabled"


_BLOCKS = {"text", "image", "tool_use", "tool_result", "thinking", "redacted_thinking", "document"}
USAGE = {
    "input_tokens": 25,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 12,
    "output_tokens": 1,
}


def anthropic_answer(
    *blocks: tuple[Json, list[Json]], stop: str = "end_turn", output: int = 15
) -> list[Json]:
    """A whole stream: each block with its deltas, usage at both ends, a ping in between."""
    message: Json = {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "claude-sonnet-4-5-20250929",
        "stop_reason": None,
        "stop_sequence": None,
        "usage": USAGE,
    }
    events: list[Json] = [{"type": "message_start", "message": message}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events.append({"type": "ping"})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": stop, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": output}})
    return [*events, {"type": "message_stop"}]


def text(*pieces: str) -> tuple[Json, list[Json]]:
    """A block of text in so many pieces."""
    return {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces]


def thinking(*pieces: str) -> tuple[Json, list[Json]]:
    """A block of thoughts, signed."""
    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    return {"type": "thinking", "thinking": "", "signature": ""}, [
        *deltas,
        {"type": "signature_delta", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk"},
    ]


def tool_use(name: str, *pieces: str, number: int = 1) -> tuple[Json, list[Json]]:
    """A call of a tool, its arguments in so many pieces."""
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *pieces)]
    return {"type": "tool_use", "id": f"toolu_{number:024}", "name": name, "input": {}}, deltas


# ------------------------------------------------------------------------------------------------------------ OpenAI

OPENAI_FIELDS = {
    "model", "messages", "stream", "stream_options", "temperature", "top_p", "n", "stop", "max_tokens",
    "max_completion_tokens", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "user",
    "seed", "tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort", "verbosity", "store",
    "metadata", "service_tier", "prediction", "modalities", "audio", "prompt_cache_key", "safety_identifier",
}  # fmt: skip
_REASONS = ("o1", "o3", "o4", "gpt-5")


async def _openai(cloud: Cloud, request: web.Request) -> web.StreamResponse:
    if request.method == "GET":
        cloud.paths.append(request.path)
        return web.json_response(
            {"object": "list", "data": [{"id": name, "object": "model"} for name in cloud.models]}
        )
    body = json.loads(await request.text() or "{}")
    cloud.note(request, body)
    if request.headers.get("Authorization") != f"Bearer {KEY}":
        return openai_error(401, "Incorrect API key provided", code="invalid_api_key")
    if mistake := _openai_mistake(request, body):
        return openai_error(400, mistake)
    if cloud.refusal:
        status, text, headers = cloud.refusal
        return openai_error(status, text, headers)
    lines = [f"data: {json.dumps(event)}\n\n" for event in cloud.events]
    return await streamed(cloud, request, lines if cloud.cut else [*lines, "data: [DONE]\n\n"])


def openai_error(
    status: int, text: str, headers: Mapping[str, str] | None = None, code: str | None = None
) -> web.Response:
    """An error as the service writes it."""
    error = {"message": text, "type": "invalid_request_error", "param": None, "code": code}
    return web.json_response({"error": error}, status=status, headers=headers)


def _openai_mistake(request: web.Request, body: Json) -> str:
    if request.path != "/v1/chat/completions":
        return f"Unknown request URL: {request.method} {request.path}"
    if unknown := body.keys() - OPENAI_FIELDS:
        return f"Unrecognized request argument supplied: {min(unknown)}"
    if body["model"].startswith(_REASONS):
        if "max_tokens" in body:
            return "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'"
        if body.get("temperature", 1) != 1:
            return "Unsupported value: 'temperature' does not support this value with this model"
    elif "reasoning_effort" in body:
        return "Unrecognized request argument supplied: reasoning_effort"
    return ""


def openai_answer(*deltas: Json, finish: str = "stop", usage: Json | None = None) -> list[Json]:
    """A whole stream, its usage in a chunk of its own at the end."""
    head = {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion.chunk",
        "created": 1741569952,
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_06737a9306",
    }
    first = {"role": "assistant", "content": "", "refusal": None}
    choices = [
        {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} for delta in (first, *deltas)
    ]
    last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": finish}
    counted = usage or {
        "prompt_tokens": 19,
        "completion_tokens": 10,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 0},
    }
    return [
        *({**head, "choices": [choice], "usage": None} for choice in (*choices, last)),
        {**head, "choices": [], "usage": counted},
    ]
