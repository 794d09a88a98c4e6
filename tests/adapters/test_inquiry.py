"""A question whose connection the server has just closed: asked once more if it only asks, and never otherwise."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from puppet import answer

from zoe_grpcd.adapters.inquiry import Inquiry, Unusable

KEPT = answer({"ok": True}).replace(b"Connection: close", b"Connection: keep-alive")


@dataclass
class Fickle:
    """Answers the first request on each of its connections, and closes it when the second has come."""

    asked: list[str] = field(default_factory=list)
    answers: int = 1  # on a connection
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(self.answers):
            await self._take(reader)
            writer.write(KEPT)
            await writer.drain()
        await self._take(reader)
        writer.close()

    async def _take(self, reader: asyncio.StreamReader) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:  # the client has left
            return
        if b"POST" in head:
            await reader.readexactly(len('{"a": 1}'))
        self.asked.append(head.split()[0].decode())


@asynccontextmanager
async def fickle(answers: int = 1) -> AsyncIterator[Fickle]:
    server = Fickle(answers=answers)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield server


@pytest.mark.parametrize(
    "how", [{}, {"body": {"a": 1}, "only_asks": True}], ids=["GET", "POST that only asks"]
)
async def test_a_question_is_asked_again_on_a_new_connection(
    session: aiohttp.ClientSession, how: dict[str, Any]
) -> None:
    async with fickle() as server:
        inquiry = Inquiry(session, server.url)
        for _ in range(2):
            assert (await inquiry.ask("/x", **how)).json() == {"ok": True}
    assert len(server.asked) == 3


async def test_what_does_something_is_not_sent_twice(session: aiohttp.ClientSession) -> None:
    async with fickle() as server:
        inquiry = Inquiry(session, server.url)
        await inquiry.ask("/load", body={"a": 1})
        with pytest.raises(Unusable, match="closed the connection without an answer"):
            await inquiry.ask("/load", body={"a": 1})
    assert server.asked == ["POST", "POST"]


async def test_a_question_that_is_never_answered_is_asked_no_third_time(
    session: aiohttp.ClientSession,
) -> None:
    async with fickle(answers=0) as server:
        with pytest.raises(Unusable, match="closed the connection without an answer"):
            await Inquiry(session, server.url).ask("/x", body={"a": 1}, only_asks=True)
    assert server.asked == ["POST", "POST"]
