"""Where the servers listen, and what they are made of."""

import asyncio
import os
import socket
import stat
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from rpc.stage import Stage, whole

import zoe_grpcd
from zoe_grpcd.rpc import server as servers
from zoe_grpcd.rpc.doors import CannotListen
from zoe_grpcd.rpc.server import Locks, Server, listen, make_server


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = make_server((), max_streams=10, max_receive_bytes=1024)
    yield server
    await server.stop(None)


@pytest.fixture
def locks() -> Iterator[Locks]:
    locks = Locks()
    yield locks
    locks.close()


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose path leaves room for a socket's name."""
    return tmp_path_factory.mktemp("s")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_port_of_zero_becomes_a_real_one(server: Server, locks: Locks) -> None:
    address = listen(server, "127.0.0.1:0", locks)

    host, _, port = address.rpartition(":")
    assert host == "127.0.0.1"
    assert int(port) > 0


async def test_a_port_that_is_taken_is_named(server: Server, locks: Locks) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(CannotListen, match=f"^{address} cannot be listened on: it is in use, or not"):
            listen(server, address, locks)


async def test_two_daemons_do_not_share_a_port(server: Server, locks: Locks) -> None:
    address = listen(server, "127.0.0.1:0", locks)
    await server.start()
    second = make_server((), max_streams=10, max_receive_bytes=1024)

    with pytest.raises(CannotListen, match="it is in use"):
        listen(second, address, locks)
    await second.stop(None)


@pytest.mark.parametrize("address", ["192.0.2.1:0", "127.0.0.1:what", "no.such.host.invalid:0"])
async def test_an_address_that_cannot_be_used_is_named(server: Server, locks: Locks, address: str) -> None:
    with pytest.raises(CannotListen, match=f"^{address} cannot be listened on"):
        listen(server, address, locks)


async def test_a_socket_and_its_folder_are_their_owners_alone(
    server: Server, locks: Locks, folder: Path
) -> None:
    path = folder / "run" / "zoe.sock"
    before = os.umask(0)
    try:
        assert listen(server, f"unix:{path}", locks) == f"unix:{path}"
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    await server.start()

    assert stat.S_ISSOCK(path.stat().st_mode)
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700


async def test_a_socket_of_a_daemon_that_runs_is_not_taken_over(
    server: Server, locks: Locks, folder: Path
) -> None:
    path = folder / "zoe.sock"
    listen(server, f"unix:{path}", locks)
    await server.start()
    second = make_server((), max_streams=10, max_receive_bytes=1024)

    with pytest.raises(CannotListen, match=r"is in use by another zoe-grpcd$"):
        listen(second, f"unix:{path}", Locks())
    await second.stop(None)


async def test_a_socket_that_a_dead_daemon_left_is_taken_over(
    server: Server, locks: Locks, folder: Path
) -> None:
    path = folder / "zoe.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    listen(server, f"unix:{path}", locks)
    await server.start()

    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        await asyncio.wait_for(channel.channel_ready(), 30)


async def test_locks_that_are_closed_are_free(locks: Locks, folder: Path) -> None:
    first = Locks()
    first.take(folder / "zoe.sock")
    first.close()

    locks.take(folder / "zoe.sock")


async def test_a_file_in_the_way_stays(server: Server, locks: Locks, folder: Path) -> None:
    path = folder / "zoe.sock"
    path.write_text("precious")

    with pytest.raises(CannotListen, match=r"cannot be listened on: a file is in the way$"):
        listen(server, f"unix:{path}", locks)
    assert path.read_text() == "precious"


async def test_a_folder_that_cannot_be_made_is_named(server: Server, locks: Locks, folder: Path) -> None:
    (folder / "file").touch()

    with pytest.raises(
        CannotListen, match=r"unix:.*zoe\.sock cannot be listened on: .*(Not a directory|File exists)"
    ):
        listen(server, f"unix:{folder}/file/zoe.sock", locks)


async def test_a_path_that_is_too_long_for_a_socket_is_named(
    server: Server, locks: Locks, folder: Path
) -> None:
    path = folder / ("x" * 120)

    with pytest.raises(CannotListen, match="cannot be listened on"):
        listen(server, f"unix:{path}", locks)


async def test_a_message_beyond_the_limit_is_refused(stage: Stage) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stage.inference.Complete(whole(context="x" * 5_000_000))

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_method_that_does_not_exist_is_unimplemented(stage: Stage) -> None:
    sing: Any = stage.channel.unary_unary("/zoe.inference.v1.InferenceService/Sing")

    assert await sing(b"").code() is grpc.StatusCode.UNIMPLEMENTED


def test_no_method_is_ever_registered_which_would_slow_down_every_call() -> None:
    sources = Path(zoe_grpcd.__file__).parent.rglob("*.py")

    for source in sources:
        text = source.read_text()
        assert "add_registered_method_handlers" not in text, source
        assert "Servicer_to_server" not in text, source


async def _kept_waiting(seconds: float) -> grpc.StatusCode:
    """How the last of some calls ends that come when the event loop has no time for them for so long."""
    begun = threading.Event()

    def be_busy() -> None:
        begun.set()
        time.sleep(seconds)

    async def serve(request: bytes, _: Any) -> bytes:
        if request:
            be_busy()
        return request

    def call(port: int) -> grpc.StatusCode:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            method: Any = channel.unary_unary("/s/m")
            method(b"")
            first = method.future(b"be busy")
            begun.wait(60)
            others = [method.future(b"") for _ in range(5)]
            assert first.exception(60) is None
            code: grpc.StatusCode = others[-1].code()
            return code

    methods: dict[str, Any] = {"m": grpc.unary_unary_rpc_method_handler(serve)}
    handler = grpc.method_handlers_generic_handler("s", methods)
    server = make_server([handler], max_streams=10, max_receive_bytes=1024)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        return await asyncio.to_thread(call, port)
    finally:
        await server.stop(None)


async def test_a_call_that_is_taken_up_late_is_served_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await _kept_waiting(1.2) is grpc.StatusCode.OK
    monkeypatch.setattr(servers, "TAKEN_UP_WITHIN", 1)
    for seconds in (1.2, 3.0, 9.0):  # it is not known when the call has arrived
        if await _kept_waiting(seconds) is grpc.StatusCode.CANCELLED:
            return
    raise AssertionError("gRPC does not know that option")
