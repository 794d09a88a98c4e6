"""A backend that answers everything at once: an Ollama, a llama-server and an OpenAI-compatible server on one port."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

CHUNK = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "tiny"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
PROPS = {"default_generation_settings": {"n_ctx": 8192}, "total_slots": 64, "modalities": {"vision": True}}
PAGES: dict[str, Any] = {
    "/health": {"status": "ok"},
    "/props": {**PROPS, "chat_template": "{{ tools }}", "model_path": "tiny.gguf"},
    "/slots": [],
    "/v1/models": {
        "object": "list",
        "data": [{"id": "tiny", "object": "model"}, {"id": "other", "object": "model"}],
    },
    "/api/version": {"version": "0.9.3"},
    "/api/tags": {"models": [{"name": "tiny:latest", "model": "tiny:latest", "size": 1, "details": {}}]},
    "/api/ps": {"models": []},
    "/api/show": {"capabilities": ["completion", "tools", "vision"], "model_info": {}, "details": {}},
}


def _sse() -> bytes:
    said = {
        **CHUNK,
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": "yes"}, "finish_reason": None}],
    }
    end = {**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE}
    return b"".join(b"data: " + json.dumps(o).encode() + b"\n\n" for o in (said, end)) + b"data: [DONE]\n\n"


def _ndjson() -> bytes:
    said = {"model": "tiny", "message": {"role": "assistant", "content": "yes"}, "done": False}
    end = {
        "model": "tiny",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
    }
    counts = {"prompt_eval_count": 3, "eval_count": 1}
    return b"".join(json.dumps(o).encode() + b"\n" for o in (said, end | counts))


ANSWERS = {
    "/v1/chat/completions": ("text/event-stream", _sse()),
    "/api/chat": ("application/x-ndjson", _ndjson()),
}


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
            await reader.readexactly(int(fields.get(b"content-length", 0)))
            kind, body = _answer(head.split()[1].decode().partition("?")[0])
            status = b"200 OK" if body else b"404 Not Found"
            length = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            writer.write(b"HTTP/1.1 " + status + b"\r\n" + length + body)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


def _answer(path: str) -> tuple[str, bytes]:
    if path in ANSWERS:
        return ANSWERS[path]
    return "application/json", json.dumps(PAGES[path]).encode() if path in PAGES else b""


@asynccontextmanager
async def backend() -> AsyncIterator[str]:
    """Its address."""
    async with await asyncio.start_server(_serve, "127.0.0.1", 0, limit=1 << 20) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
