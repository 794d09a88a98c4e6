"""The daemon from its start to its end: READY, drain, the second signal, a taken socket, and what it keeps."""

import asyncio
import json
import os
import queue
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from serving import START, Daemon, config_of, entry, environment, serving, short_folder
from waiting import LONG, eventually, wait_until

from zoe.inference.v1.inference_service_pb2 import RouteRequest
from zoe.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from zoe_client import Completed, Delta, ShuttingDown, ZoeError, build_spec, from_rpc_error
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.servers import Server, free_port

PROMPT = "tell me of the river and the clock"


@pytest.fixture(scope="module")
def llama(tools: Tools, tmp_path_factory: pytest.TempPathFactory, endless_gguf: Path) -> Iterator[Server]:
    options = LlamaServerOptions(endless_gguf, alias="endless", slots=4)
    with start_llama_server(tools, tmp_path_factory.mktemp("life"), options) as server:
        yield server


@pytest.fixture(scope="module")
def steady(llama: Server) -> Iterator[Daemon]:
    """A daemon that several tests use, none of which ends it."""
    with serving(backends=[entry("llama", llama)]) as daemon:
        yield daemon


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_ready_comes_after_the_first_look_at_all_backends(
    llama: Server, serve: Any, silent_port: int
) -> None:
    dead = {"name": "dead", "kind": "ollama", "url": f"http://127.0.0.1:{free_port()}"}
    silent = {"name": "silent", "kind": "llamacpp", "url": f"http://127.0.0.1:{silent_port}"}
    daemon = serve(backends=[entry("llama", llama), dead, silent])
    assert [daemon.state(name) for name in ("llama", "dead", "silent")] == ["READY", "DOWN", "DOWN"]
    assert daemon.client().complete(PROMPT, model="endless", max_output_tokens=1).text


async def test_sigterm_lets_streams_end_and_turns_new_calls_away(llama: Server, serve: Any) -> None:
    daemon: Daemon = serve(backends=[entry("llama", llama, probe_timeout="60s")])
    apart = [("grpc.use_local_subchannel_pool", 1)]
    async with (
        daemon.aclient() as client,
        grpc.aio.insecure_channel(daemon.target, apart) as known,
        grpc.aio.insecure_channel(daemon.target, apart) as new,
    ):
        health = health_pb2_grpc.HealthStub(known)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        stream = client.stream(PROMPT, model="endless", max_output_tokens=300)
        async for event in stream:
            if isinstance(event, Delta):
                break
        with frozen(llama):  # so that the stream has not ended before all of this
            daemon.signal()
            await asyncio.to_thread(daemon.wait_for, "STOPPING=1")
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert await watch.read() is grpc.aio.EOF
            for channel in (known, new):
                with pytest.raises(grpc.RpcError) as turned_away:
                    await InferenceServiceStub(channel).Route(
                        RouteRequest(spec=build_spec(PROMPT, {})), timeout=30
                    )
                error = from_rpc_error(turned_away.value, "")
                assert isinstance(error, ShuttingDown)
                assert error.retry_after == 1.0
            checked = await health.Check(health_pb2.HealthCheckRequest(), timeout=30)
            assert checked.status == health_pb2.HealthCheckResponse.NOT_SERVING
        events = [event async for event in stream]
        assert isinstance(events[-1], Completed)
        assert events[-1].usage.completion_tokens == 300
        assert await asyncio.to_thread(daemon.ended) == 0


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """Nothing comes of it inside."""
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


async def test_the_second_sigterm_ends_it_at_once(llama: Server, serve: Any) -> None:
    daemon: Daemon = serve(backends=[entry("llama", llama)], server={"drain_timeout": "60s"})
    async with daemon.aclient() as client:
        stream = client.stream(PROMPT, model="endless", max_output_tokens=3000)
        async for event in stream:
            if isinstance(event, Delta):
                break
        daemon.signal()
        await asyncio.to_thread(daemon.wait_for, "STOPPING=1")
        daemon.signal(signal.SIGINT)
        assert await asyncio.to_thread(daemon.ended, 10.0) == 0  # neither the stream's end nor the drain's
        with pytest.raises(ZoeError):
            [event async for event in stream]
    await eventually(lambda: not busy(llama))


async def test_the_drain_ends_with_its_time(llama: Server, serve: Any) -> None:
    daemon: Daemon = serve(backends=[entry("llama", llama)], server={"drain_timeout": "500ms"})
    async with daemon.aclient() as client:
        asking = asyncio.create_task(client.complete(PROMPT, model="endless", max_output_tokens=3000))
        await eventually(lambda: busy(llama))
        begin = time.monotonic()
        daemon.signal()
        assert await asyncio.to_thread(daemon.ended) == 0
        assert time.monotonic() - begin > 0.4
        with pytest.raises(ZoeError) as caught:
            await asking
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.ABORTED, "SHUTTING_DOWN")
    await eventually(lambda: not busy(llama))


def busy(server: Server) -> bool:
    return any(slot["is_processing"] for slot in json.loads(server.request("GET", "/slots")[1]))


def test_sigterm_before_ready_ends_it_as_one_after_does(silent_port: int) -> None:
    silent = {"name": "silent", "kind": "llamacpp", "url": f"http://127.0.0.1:{silent_port}"}
    metrics = f"127.0.0.1:{free_port()}"
    with short_folder() as folder:
        config = config_of(folder, backends=[silent], server={"metrics_listen": metrics})
        daemon = Daemon(folder, config, environment()).start()
        try:
            wait_until(lambda: is_open(metrics), START)
            daemon.signal()
            assert daemon.ended() == 0
            assert daemon.complaints() == []
            assert "stopped before it was ready" in daemon.log
            assert "ready on" not in daemon.log
        finally:
            daemon.kill()


# Makes the first argument a listening socket of its own, as a service manager's, and becomes the rest.
SOCKET_OF_THE_MANAGER = """
import os, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.bind(sys.argv[1])
sock.listen()
os.dup2(sock.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_who_was_let_in_before_ready_is_answered_though_sigterm_comes(
    llama: Server, silent_port: int
) -> None:
    silent = {"name": "silent", "kind": "llamacpp", "url": f"http://127.0.0.1:{silent_port}"}
    metrics = f"127.0.0.1:{free_port()}"
    with short_folder() as folder:
        path = f"{folder}/grpcd.sock"
        server = {"listen": [f"unix:{path}"], "metrics_listen": metrics}
        config = config_of(folder, backends=[entry("llama", llama), silent], server=server)
        daemon = Daemon(folder, config, environment())
        daemon.argv = [sys.executable, "-c", SOCKET_OF_THE_MANAGER, path, *daemon.argv]
        try:
            daemon.start()
            wait_until(Path(path).exists, START)
            with grpc.insecure_channel(daemon.target) as channel:
                request = RouteRequest(spec=build_spec(PROMPT, {"model": "endless"}))
                answer = InferenceServiceStub(channel).Route.future(
                    request, timeout=START, wait_for_ready=True
                )
                wait_until(lambda: 'grpc_method="Route"' in seen_at(metrics), START)
                daemon.signal()
                assert answer.result().decision.chosen.backend == "llama"
            assert daemon.ended() == 0
        finally:
            daemon.kill()


def is_open(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), LONG).close()
    except ConnectionRefusedError:
        return False
    return True


def seen_at(metrics: str) -> str:
    """The calls that have begun there; empty: nobody answers yet."""
    try:
        with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=LONG) as page:
            text = page.read().decode()
    except OSError:
        return ""
    return "\n".join(line for line in text.splitlines() if line.startswith("grpc_server_started_total"))


def test_a_second_daemon_does_not_take_the_socket_of_the_first(steady: Daemon) -> None:
    with short_folder() as folder:
        second = Daemon(
            folder, {**config_of(folder), "server": config_of(steady.folder)["server"]}, environment()
        )
        second.start()
        try:
            assert second.ended() == 1
        finally:
            second.kill()
        assert "in use by another zoe-grpcd" in second.log
        assert "Traceback" not in second.log
    assert steady.client().complete(PROMPT, model="endless", max_output_tokens=1).text


def test_a_taken_port_is_said(serve: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, short_folder() as folder:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        daemon = Daemon(folder, config_of(folder, server={"listen": [address]}), environment()).start()
        try:
            assert daemon.ended() == 1
        finally:
            daemon.kill()
        assert address in daemon.log
        assert "Traceback" not in daemon.log


def test_a_socket_left_by_a_killed_daemon_is_taken_over(llama: Server) -> None:
    with short_folder() as folder:
        config = config_of(folder, backends=[entry("llama", llama)])
        first = Daemon(folder, config, environment()).start()
        first.wait_for("READY=1")
        first.kill()
        (folder / "notify").unlink()
        with Daemon(folder, config, environment()) as second:
            assert second.client().complete(PROMPT, model="endless", max_output_tokens=1).text
            assert oct((folder / "grpcd.sock").stat().st_mode & 0o777) == "0o600"


async def test_nothing_is_left_of_three_hundred_requests(llama: Server, steady: Daemon) -> None:
    async with steady.aclient() as client:

        async def round_of(number: int) -> None:
            for start in range(0, number, 10):
                await asyncio.gather(*(one(start + place) for place in range(10)))

        async def one(place: int) -> None:
            if place % 3 == 0:
                await client.complete(PROMPT, model="endless", max_output_tokens=2)
            elif place % 3 == 1:
                await client.stream(PROMPT, model="endless", max_output_tokens=2).final()
            else:
                async with client.stream(PROMPT, model="endless", max_output_tokens=500) as stream:
                    await anext(aiter(stream))

        await round_of(50)
        await eventually(lambda: steady.in_flight() == 0)
        memory, sockets = resident(steady), steady.connections()
        await round_of(250)
        await eventually(lambda: steady.in_flight() == 0)
        await eventually(lambda: steady.connections() <= sockets + 4)  # kept-alive connections come and go
        assert resident(steady) - memory < 10 << 20
    await eventually(lambda: not busy(llama))


def resident(daemon: Daemon) -> int:
    """Bytes of memory that the daemon has."""
    fields = Path(f"/proc/{daemon.process.pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_reader_that_stalls_slows_nobody_else(steady: Daemon) -> None:
    client = steady.client()
    with client.stream(PROMPT, model="endless", max_output_tokens=3000) as stalled:
        next(iter(stalled))
        answers = queue.SimpleQueue[str]()
        threading.Thread(
            target=lambda: answers.put(client.complete(PROMPT, model="endless", max_output_tokens=10).text),
            daemon=True,
        ).start()
        assert answers.get(timeout=30)
