"""What the tests of dispatch share: calls, a server that plays back bytes, and what came of an answer."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from zoe_grpcd.core.answer import Delta, Event, Finish, FinishReason, ToolDelta, Usage
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.generation import Call, Generation
from zoe_grpcd.ports import Dispatcher

HELLO = ({"role": "user", "content": "Hello."},)
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Looks out of the window.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def call(kind: str, url: str, generation: Generation | None = None, **more: Any) -> Call:
    model = more.pop("model", "m")
    backend = Backend("b", kind, url, **more)
    return Call(backend, model, generation or Generation(HELLO))


@dataclass
class Heard:
    """All of an answer, put together as a client would."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tools: dict[int, list[str]] = field(default_factory=dict)  # index -> [name, arguments]
    ids: list[str] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    tokens: int = 0
    logprobs: list[tuple[str, float, int]] = field(default_factory=list)
    finishes: list[Finish] = field(default_factory=list)
    batches: list[list[Event]] = field(default_factory=list)

    def add(self, batch: list[Event]) -> None:
        self.batches.append(batch)
        for event in batch:
            assert not self.finishes, f"{event} after the end"
            match event:
                case Delta():
                    self.text += event.text
                    self.reasoning += event.reasoning
                    self.refusal += event.refusal
                    self.tokens += event.tokens
                    self.logprobs += [(p.token, p.logprob, len(p.top)) for p in event.logprobs]
                case ToolDelta():
                    made = self.tools.setdefault(event.index, ["", ""])
                    made[0] += event.name
                    made[1] += event.arguments
                    self.ids += [event.id] if event.id else []
                    self.done += [event.index] if event.done else []
                case Finish():
                    self.finishes.append(event)

    @property
    def finish(self) -> Finish:
        assert len(self.finishes) == 1
        return self.finishes[0]

    @property
    def said(self) -> tuple[str, str, list[list[str]], FinishReason, Usage | None]:
        """What any two ways to the same answer have to agree on."""
        return self.text, self.reasoning, list(self.tools.values()), self.finish.reason, self.finish.usage


async def hear(dispatcher: Dispatcher, asked: Call, heard: Heard | None = None) -> Heard:
    """The whole answer; `heard` keeps what came before an error."""
    heard = heard or Heard()
    async with aclosing(dispatcher.stream(asked)) as stream:
        async for batch in stream:
            heard.add(batch)
    return heard


@dataclass
class Playback:
    """A server that answers every POST with the same bytes, cut where it is told to."""

    reply: bytes = b""
    cuts: Sequence[int] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    url: str = ""
    paths: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        self.seen.append(dict(request.headers))
        self.bodies.append(await request.json())
        response = web.StreamResponse(status=self.status, headers=self.headers)
        await response.prepare(request)
        edges = [0, *sorted(c for c in set(self.cuts) if c < len(self.reply)), len(self.reply)]
        for start, end in itertools.pairwise(edges):
            await response.write(self.reply[start:end])
            await asyncio.sleep(0)  # lets the reader have this piece by itself
        await response.write_eof()
        return response


@asynccontextmanager
async def playing(playback: Playback) -> AsyncIterator[Playback]:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/{path:.*}", playback.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    playback.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield playback
    finally:
        await runner.cleanup()
