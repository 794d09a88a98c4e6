"""Holds thousands of idle streams open beside hundreds of running ones, and prints what that takes and what is left of it.

python -m benchmarks.soak                                  2,000 idle, 500 running, for 60 s
python -m benchmarks.soak --idle 200 --running 50 --seconds 10

The backend writes an idle stream's tokens 10 s apart, and a running one's 0.2 s apart; a running stream that has ended is
followed by another, and one in ten is cancelled in the middle.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import grpc

from zoe.admin.v1 import admin_service_pb2
from zoe.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from zoe.inference.v1 import inference_service_pb2 as pb
from zoe.inference.v1 import message_pb2
from zoe.inference.v1.inference_service_pb2_grpc import InferenceServiceStub

from .daemon import configuration, started
from .processes import BenchmarkError, Server, free_port, running, take_cores, wait_for_port
from .trickle import CHAT, chunk, content_length
from .upstream import first_event, last_events, probe_answers, token_event

IDLE, BUSY = "idle", "busy"
PACE = {IDLE: 10.0, BUSY: 0.2}  # seconds a token
TOKENS = {IDLE: 999, BUSY: 50}
# Streams on one connection; the daemon allows 512.
ON_ONE = 250
SETTLED_S = 5.0
# Streams that are opened at the same time.
OPENING = 50
BACKEND = {"kind": "llamacpp", "max_in_flight": 4000, "connect_timeout": "10s", "probe_timeout": "10s"}


@dataclass(frozen=True)
class Plan:
    """How many streams, and for how long."""

    idle: int = 2000
    running: int = 500
    seconds: float = 60.0


@dataclass
class Tally:
    """What came of it. Memory in millions of bytes."""

    completed: int = 0
    cancelled: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    open: int = 0
    memory: dict[str, float] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    left: str = ""
    lag: str = ""

    def note(self, when: str, server: Server) -> None:
        """Takes the memory and the open files of the daemon."""
        self.memory[when] = server.resident_mb()
        self.files[when] = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))


# ------------------------------------------------------------------------------------------------------ the backend


async def serve(name: str, port: int) -> None:
    """A backend with one model until the process is ended."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                await reader.readexactly(content_length(head))
                path = head.split(" ", 2)[1].partition("?")[0]
                await (write_answer(name, writer) if path == CHAT else write_probe(name, path, writer))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


@cache
def chunks(name: str) -> list[bytes]:
    """An answer in HTTP/1.1's chunked coding, event by event."""
    count = TOKENS[name]
    events = [first_event(), *(token_event(number) for number in range(count)), last_events(count)]
    return [chunk(text) for text in events]


async def write_answer(name: str, writer: asyncio.StreamWriter) -> None:
    """An answer, token by token; the first at once, so that idle streams open quickly."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for number, piece in enumerate(chunks(name)):
        writer.write(piece)
        await writer.drain()
        if number:
            await asyncio.sleep(PACE[name] * random.uniform(0.8, 1.2))
    writer.write(b"0\r\n\r\n")


async def write_probe(name: str, path: str, writer: asyncio.StreamWriter) -> None:
    """What a llama-server tells of itself."""
    told = probe_answers(name).get(path.strip("/"))
    body = json.dumps(told).encode() if told is not None else b"{}"
    status = "200 OK" if told is not None else "404 Not Found"
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


# --------------------------------------------------------------------------------------------------------- the load


def request_for(name: str) -> pb.StreamCompleteRequest:
    """A stream of one of the models."""
    request = pb.StreamCompleteRequest()
    request.spec.target.model = f"static-{name}"
    message = request.spec.messages.add(role=message_pb2.ROLE_USER)
    message.parts.add(text="tell me")
    return request


class Load:
    """All callers."""

    def __init__(self, plan: Plan, channels: Sequence[grpc.aio.Channel], tally: Tally) -> None:
        self._plan = plan
        self._stubs = [InferenceServiceStub(channel) for channel in channels]
        self._tally = tally
        self._over = asyncio.Event()
        self._opened, self._tried, self._door = asyncio.Event(), 0, asyncio.Semaphore(OPENING)

    async def run(self, server: Server) -> None:
        """Opens everything, lets it run, and closes it."""
        idle = [asyncio.create_task(self._hold(n)) for n in range(self._plan.idle)]
        await self._opened.wait()
        busy = [asyncio.create_task(self._repeat(n)) for n in range(self._plan.running)]
        await asyncio.sleep(self._plan.seconds / 2)
        self._tally.note("half-way", server)
        await asyncio.sleep(self._plan.seconds / 2)
        self._tally.note("at the end", server)
        self._over.set()
        for task in idle:
            task.cancel()
        await asyncio.gather(*idle, *busy, return_exceptions=True)

    async def _hold(self, number: int) -> None:
        await self._door.acquire()
        call = self._stubs[number // ON_ONE].StreamComplete(request_for(IDLE), timeout=3600)
        try:
            async for event_ in call:
                if event_.HasField("delta"):
                    self._tally.open += 1
                    self._try()
                    break
            await self._over.wait()
        except grpc.aio.AioRpcError as error:
            self._fail(error)
            self._try()
        finally:
            call.cancel()

    def _try(self) -> None:
        self._tried += 1
        self._door.release()
        if self._tried >= self._plan.idle:
            self._opened.set()

    async def _repeat(self, number: int) -> None:
        stub = self._stubs[(self._plan.idle + number) // ON_ONE]
        while not self._over.is_set():
            call = stub.StreamComplete(request_for(BUSY), timeout=600)
            leaves = random.random() < 0.1
            try:
                async for event_ in call:
                    if leaves and event_.sequence > 20:
                        call.cancel()
                        self._tally.cancelled += 1
                        break
                else:
                    self._tally.completed += 1
            except grpc.aio.AioRpcError as error:
                self._fail(error)

    def _fail(self, error: grpc.aio.AioRpcError) -> None:
        what = f"{error.code().name}: {error.details()}"
        self._tally.failed[what] = self._tally.failed.get(what, 0) + 1


async def what_is_left(admin: AdminServiceStub, tally: Tally, server: Server) -> None:
    """Waits until nothing is in flight, and notes what there is then."""
    limit = time.monotonic() + 30
    while True:
        backends = (await admin.ListBackends(admin_service_pb2.ListBackendsRequest())).backends
        flying = sum(backend.load.in_flight for backend in backends)
        queued = sum(backend.load.queued for backend in backends)
        tally.left = f"{flying} in flight, {queued} queued"
        if not (flying or queued) or time.monotonic() > limit:
            break
        await asyncio.sleep(0.1)
    process = (await admin.GetStats(admin_service_pb2.GetStatsRequest())).process
    p50, p99 = (getattr(process.loop_lag, name).ToTimedelta().total_seconds() for name in ("p50", "p99"))
    tally.lag = f"{p50 * 1000:.1f} ms in the median, {p99 * 1000:.1f} ms at P99"
    await asyncio.sleep(SETTLED_S)  # until connections that nobody needs are closed
    tally.note("afterwards", server)


async def soak(folder: Path, plan: Plan) -> Tally:
    """Runs it; raises BenchmarkError where something does not start."""
    cores, tally, port = take_cores(), Tally(), free_port()
    with contextlib.ExitStack() as stack:
        urls = {}
        for name in (IDLE, BUSY):
            theirs, log = free_port(), folder / f"{name}.log"
            command = [sys.executable, "-m", "benchmarks.soak", "--serve", name, str(theirs)]
            wait_for_port(theirs, stack.enter_context(running(command, cores.load, log)), log)
            urls[name] = f"http://127.0.0.1:{theirs}"
        config = configuration(port, urls)
        config["server"] = {
            "listen": [f"127.0.0.1:{port}"],
            "admin_listen": f"unix:{folder}/a",
            "metrics_listen": "off",
        }
        config["backends"] = [{"name": name, "url": url, **BACKEND} for name, url in urls.items()]
        server, _ = stack.enter_context(started(folder, cores.server, config))
        tally.note("at first", server)
        async with contextlib.AsyncExitStack() as connections:
            count = -(-(plan.idle + plan.running) // ON_ONE)
            apart = (("grpc.use_local_subchannel_pool", 1),)
            channels = [
                await connections.enter_async_context(
                    grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=apart)
                )
                for _ in range(count)
            ]
            await Load(plan, channels, tally).run(server)
        async with grpc.aio.insecure_channel(f"unix:{folder}/a") as channel:
            await what_is_left(AdminServiceStub(channel), tally, server)
    return tally


def table_of(tally: Tally, plan: Plan) -> str:
    """What came of it, for people."""
    lines = [
        f"{tally.open} idle streams of {plan.idle} open beside {plan.running} running ones for {plan.seconds:g} s:",
        f"{tally.completed} completed, {tally.cancelled} cancelled, {sum(tally.failed.values())} failed",
        f"left: {tally.left}",
        f"lag of the event loop: {tally.lag}",
        *(f"  {count} x {what}" for what, count in sorted(tally.failed.items())),
        "",
        f"{'WHEN':12}{'MEMORY MB':>10}{'OPEN FILES':>12}",
        *(f"{when:12}{mb:10.1f}{tally.files[when]:12}" for when, mb in tally.memory.items()),
    ]
    return "\n".join(lines)


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Many streams, for long.")
    parser.add_argument("--serve", nargs=2, metavar=("NAME", "PORT"), help=argparse.SUPPRESS)
    parser.add_argument("--idle", type=int, default=Plan.idle, help="streams that hardly move")
    parser.add_argument("--running", type=int, default=Plan.running, help="streams that run")
    parser.add_argument("--seconds", type=float, default=Plan.seconds, help="for how long")
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.serve[0], int(arguments.serve[1])))
        return 0
    plan = Plan(arguments.idle, arguments.running, arguments.seconds)
    try:
        with tempfile.TemporaryDirectory(prefix="zoe-soak-") as folder:
            print(table_of(asyncio.run(soak(Path(folder), plan)), plan))
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
