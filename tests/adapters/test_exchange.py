"""One POST and its answer, as a small server sees it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from waiting import eventually

from zoe_grpcd.adapters.exchange import Address, StaleConnection
from zoe_grpcd.adapters.litellm_transform import open_session

HALF = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Server:
    """Answers every request of every connection; notes the heads, and which connections have ended."""

    def __init__(self, answer: bytes) -> None:
        self.answer: bytes | None = answer  # None: it closes the connection
        self.connections = 0
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.left = asyncio.Event()
        self.cuts = False  # it closes the connection behind the answer
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().partition("content-length:")[2].split("\r\n")[0])
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(length))
                if self.answer is None:
                    break
                writer.write(self.answer)
                await writer.drain()
                if self.cuts:
                    break
        except (asyncio.IncompleteReadError, ConnectionResetError):
            self.left.set()
        writer.close()


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[Server]:
    served = Server(answer)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    async with server:
        served.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat?x=1"
        yield served


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


async def test_a_request_says_what_http_wants_and_what_is_asked_for(
    session: aiohttp.ClientSession,
) -> None:
    async with serving(OK) as server:
        reply = await Address(session, server.url, {"Authorization": "Bearer k"}, 30.0).post(b"body")
        assert (reply.status, reply.headers["Content-Length"]) == (200, "2")
        assert await reply.content.read() == b"hi"
        reply.close()
        await session.close()
    start, *lines = server.heads[0].removesuffix("\r\n\r\n").split("\r\n")
    assert start == "POST /v1/chat?x=1 HTTP/1.1"
    headers = dict(line.split(": ") for line in lines)
    assert headers["Host"] == server.url.split("/")[2]
    assert headers["Authorization"] == "Bearer k"
    assert headers["User-Agent"] == "zoe-grpcd"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Content-Length"] == "4"
    assert server.bodies == [b"body"]


async def test_a_connection_is_kept_when_the_answer_has_ended(session: aiohttp.ClientSession) -> None:
    async with serving(OK) as server:
        address = Address(session, server.url, {}, 30.0)
        for _ in range(3):
            reply = await address.post(b"")
            assert await reply.content.read() == b"hi"
            reply.close()
        await session.close()
    assert (server.connections, len(server.heads)) == (1, 3)


async def test_of_several_connections_that_were_kept_and_are_closed_each_is_told_from_a_new_one(
    session: aiohttp.ClientSession,
) -> None:
    async with serving(OK) as server:
        address = Address(session, server.url, {}, 30.0)
        for reply in [await address.post(b"") for _ in range(3)]:
            await reply.content.read()
            reply.close()
        server.answer = None
        for _ in range(3):
            with pytest.raises(StaleConnection):
                await address.post(b"")
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await address.post(b"")
        await session.close()


async def test_a_connection_is_closed_when_the_answer_is_left(session: aiohttp.ClientSession) -> None:
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhi") as server:
        reply = await Address(session, server.url, {}, 30.0).post(b"")
        assert await reply.content.readany() == b"hi"
        reply.close()
        await asyncio.wait_for(server.left.wait(), 30)


async def test_a_connection_is_closed_when_the_wait_for_an_answer_is_cancelled(
    session: aiohttp.ClientSession,
) -> None:
    async with serving(b"") as server:
        waiting = asyncio.create_task(Address(session, server.url, {}, 30.0).post(b"x"))
        await eventually(lambda: bool(server.bodies))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait_for(server.left.wait(), 30)


async def test_an_answer_on_the_way_is_not_the_answer(session: aiohttp.ClientSession) -> None:
    async with serving(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK) as server:
        reply = await Address(session, server.url, {}, 30.0).post(b"")
        assert reply.status == 200
        reply.close()
        await session.close()


async def test_what_is_no_http_is_an_error_of_the_server(session: aiohttp.ClientSession) -> None:
    async with serving(b"220 mail.example ESMTP\r\n") as server:
        with pytest.raises(aiohttp.ClientResponseError):
            await Address(session, server.url, {}, 30.0).post(b"")
        await asyncio.wait_for(server.left.wait(), 30)


async def test_a_header_cannot_smuggle_another(session: aiohttp.ClientSession) -> None:
    with pytest.raises(ValueError, match="control character") as caught:
        Address(session, "http://127.0.0.1/", {"Authorization": "Bearer secret\r\nX-Other: 1"}, 1.0)
    assert "secret" not in str(caught.value)


async def test_what_came_before_the_connection_broke_is_not_lost(session: aiohttp.ClientSession) -> None:
    async with serving(HALF) as server:
        server.cuts = True
        reply = await Address(session, server.url, {}, 30.0).post(b"")
        await eventually(lambda: reply.content.exception() is not None)
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.content.readany()
        assert [reply.left(), reply.left()] == [b"hello", b""]
        reply.close()
