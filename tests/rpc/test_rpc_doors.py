"""Inherited sockets: who waits at them is served, comes directly from then on, and is never refused."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from rpc.lives import Life, lived
from waiting import eventually

from zoe_grpcd.rpc.callers import Callers
from zoe_grpcd.rpc.doors import CannotListen, Doors
from zoe_grpcd.rpc.front import Fronts
from zoe_grpcd.rpc.handover import Handover
from zoe_grpcd.rpc.server import make_server

Call = Callable[..., Any]


def tcp_socket() -> socket.socket:
    """As systemd makes it for [::ffff:127.0.0.1]."""
    sock = socket.socket(socket.AF_INET6)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::ffff:127.0.0.1", 0))
    sock.listen()
    return sock


def unix_socket(folder: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(folder / "s"))
    sock.listen()
    return sock


@pytest.fixture(params=["tcp", "unix"])
async def inherited(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[socket.socket]:
    with tcp_socket() if request.param == "tcp" else unix_socket(tmp_path) as sock:
        yield sock


def address_of(sock: socket.socket) -> str:
    name = sock.getsockname()
    return f"unix:{name}" if sock.family == socket.AF_UNIX else f"127.0.0.1:{name[1]}"


class OnSocket(Life):
    """On an inherited one. Its method answers with the life's name, after `held` is set."""

    def __init__(self, name: bytes, sock: socket.socket) -> None:
        super().__init__()
        self.name = name
        self._doors = Doors([sock.dup()])
        self.handover = Handover(self._doors, Fronts(None, Callers()))
        method: Any = grpc.unary_unary_rpc_method_handler(self._answer)
        self.server = make_server(
            [grpc.method_handlers_generic_handler("t.T", {"M": method})],
            max_streams=100,
            max_receive_bytes=1 << 20,
            beside_inherited=True,
        )
        address = address_of(sock)
        self.handover.listen(self.server, address, self.locks)
        self._doors.all_claimed()

    async def _answer(self, request: bytes, context: object) -> bytes:
        self.running += 1
        await self.held.wait()
        self.running -= 1
        return self.name


@asynccontextmanager
async def living(name: bytes, sock: socket.socket) -> AsyncIterator[OnSocket]:
    async with lived(OnSocket(name, sock)) as life:
        yield life


@asynccontextmanager
async def calling(sock: socket.socket) -> AsyncIterator[Call]:
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
    async with grpc.aio.insecure_channel(address_of(sock), options) as channel:
        yield channel.unary_unary("/t.T/M")


async def test_who_waits_is_served_and_then_comes_directly(inherited: socket.socket) -> None:
    async with calling(inherited) as call:
        waiting = asyncio.ensure_future(call(b"", timeout=30))
        async with living(b"first", inherited) as life:
            assert await waiting == b"first"
            await eventually(lambda: not life.handover._relay.names, 30)
            assert await call(b"", timeout=30) == b"first"
            assert not life.handover._relay.names


async def test_one_life_follows_another_and_no_call_is_lost(inherited: socket.socket) -> None:
    async with living(b"first", inherited) as first, calling(inherited) as old, calling(inherited) as new:
        assert await old(b"", timeout=30) == b"first"
        first.held.clear()
        running = asyncio.ensure_future(old(b"", timeout=30))
        await eventually(lambda: first.running, 30)
        ending = asyncio.create_task(first.end())
        first.held.set()
        assert await running == b"first"
        await ending
        late = [asyncio.ensure_future(call(b"", timeout=30)) for call in (old, new)]
        async with living(b"second", inherited):
            assert [await call for call in late] == [b"second", b"second"]


def reached(heard: list[list[bytes]], name: bytes) -> bool:
    """Every caller has had an answer of that life."""
    return all(name in answers for answers in heard)


async def test_many_callers_that_never_stop_lose_nothing(inherited: socket.socket) -> None:
    """gRPC's own stop would cancel a call of most of them."""
    heard: list[list[bytes]] = [[] for _ in range(8)]
    stop = asyncio.Event()

    async def caller(answers: list[bytes]) -> None:
        async with calling(inherited) as call:
            while not stop.is_set():
                answers.append(await call(b"", timeout=60))

    async with asyncio.TaskGroup() as callers:
        for answers in heard:
            callers.create_task(caller(answers))
        for name in (b"1", b"2", b"3"):
            async with living(name, inherited):
                await eventually(partial(reached, heard, name), 60)
                if name == b"3":
                    stop.set()


def test_an_ipv4_socket_is_refused_with_what_to_write() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        door = Doors([sock]).claim(address_of(sock))
        assert door is not None
        with pytest.raises(CannotListen, match=r"\[::ffff:ADDRESS\]:PORT"):
            door.listen(lambda _address: 0)


def test_a_socket_that_nobody_claims_is_said() -> None:
    with tcp_socket() as sock:
        doors = Doors([sock])
        assert doors.claim("127.0.0.1:1") is None
        with pytest.raises(CannotListen, match=address_of(sock)):
            doors.all_claimed()


async def test_a_path_leads_to_the_socket_that_stays_whether_a_daemon_lives_or_dies(tmp_path: Path) -> None:
    with unix_socket(tmp_path) as sock:
        inode = (tmp_path / "s").stat().st_ino
        async with living(b"first", sock), calling(sock) as call:
            assert await call(b"", timeout=30) == b"first"
            assert (tmp_path / "s").stat().st_ino == inode
        assert (tmp_path / "s").stat().st_ino == inode


async def test_only_connections_of_callers_are_written_to(inherited: socket.socket) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        async with living(b"first", inherited) as life, calling(inherited) as call:
            assert await call(b"", timeout=30) == b"first"
            await life.end()
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
