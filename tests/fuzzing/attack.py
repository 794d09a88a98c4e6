"""A daemon under attack, and what of its answers nobody should ever see.

The one rule: an answer is good if it is OK or an error that was meant: never INTERNAL or UNKNOWN, never late, never with
the text of an exception in it; and the daemon's log has no error and no trace.
"""

import asyncio
import itertools
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
from fuzzing.backend import backend
from fuzzing.frames import attacks
from fuzzing.messages import Maker, methods
from serving import Daemon, serving

from zoe.admin.v1.admin_service_pb2 import UndrainBackendRequest
from zoe_client import AsyncClient, NoHealthyBackend

PATIENCE = 60.0  # seconds for an answer: later is a hang
LEAK = re.compile(
    r"Traceback|Exception|\w+Error\b(?<!StatusError)|0x[0-9a-f]{6,}|File \"|site-packages|\.py\b|<class|object at|NoneType"
)
MOST_READ = 40  # messages of a stream
WATCHED = 0.2  # seconds: what watches has no end, and no news either
OPTIONS = (("grpc.use_local_subchannel_pool", 1),)


@dataclass
class Findings:
    """What came of it: how often each status, what each method answered with OK, and what was wrong, as method, request in hexadecimal, and answer."""

    statuses: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0


@asynccontextmanager
async def besieged() -> AsyncIterator[Daemon]:
    """A daemon with three kinds of backends."""
    async with backend() as url:
        kinds = {"one": "openai", "two": "llamacpp", "three": "ollama"}
        backends = [{"name": name, "kind": kind, "url": url, "local": True} for name, kind in kinds.items()]
        daemon = serving(backends=backends, images={"allow_http": True})
        running = await asyncio.to_thread(daemon.__enter__)
        try:
            yield running
        finally:
            await asyncio.to_thread(daemon.__exit__, None, None, None)


async def send_messages(daemon: Daemon, seed: int, number: int, workers: int = 16) -> Findings:
    """That many requests of all methods."""
    findings = Findings()
    known = methods()
    streams = {path for path, _, streamed in known if streamed}
    # calls that do the most get the most
    weight = {"inference.v1": 8, "admin.v1": 2}
    kinds = [
        (path, kind)
        for path, kind, _ in known
        for _ in range(next((w for k, w in weight.items() if k in path), 1))
    ]
    requests = itertools.islice(Maker(seed).requests(kinds), number)
    async with (
        grpc.aio.insecure_channel(daemon.target, OPTIONS) as data,
        grpc.aio.insecure_channel(daemon.admin_target, OPTIONS) as admin,
    ):
        channels = {"zoe.admin": admin, "": data}
        undrain = asyncio.create_task(_undrain(daemon))
        await asyncio.gather(*(_work(requests, channels, streams, findings) for _ in range(workers)))
        undrain.cancel()
    return findings


async def _work(
    requests: Iterator[tuple[str, bytes]],
    channels: dict[str, grpc.aio.Channel],
    streams: set[str],
    findings: Findings,
) -> None:
    for method, request in requests:
        channel = next(channel for sign, channel in channels.items() if sign in method)
        began = time.monotonic()
        status, text = await _answer(channel, method, request, streamed=method in streams)
        findings.slowest = max(findings.slowest, time.monotonic() - began)
        findings.statuses[status] += 1
        findings.answered[method.rpartition("/")[2]] += status == "OK"
        if status in ("INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED", "LOST") or LEAK.search(text):
            findings.wrong.append(f"{method} {request[:600].hex()} -> {status}: {text[:600]}")


async def _answer(
    channel: grpc.aio.Channel, method: str, request: bytes, *, streamed: bool
) -> tuple[str, str]:
    """Status and text; LOST: the connection broke, or nobody of ours wrote the status."""
    made: Any = channel.unary_stream(method) if streamed else channel.unary_unary(method)
    answer = made(request, timeout=PATIENCE)
    try:
        if streamed:
            await _read(answer, WATCHED if "Watch" in method else None)
        else:
            await answer
    except grpc.aio.AioRpcError as error:
        details = dict(error.trailing_metadata() or ())
        lost = error.code() is grpc.StatusCode.UNAVAILABLE and "grpc-status-details-bin" not in details
        return "LOST" if lost else error.code().name, str(error.details())
    return "OK", ""


async def _read(answer: Any, within: float | None) -> None:
    """The stream, as far as it is interesting."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            for _ in range(MOST_READ):
                if await answer.read() is grpc.aio.EOF:
                    return
    answer.cancel()


async def _undrain(daemon: Daemon) -> None:
    """What is drained by a request of ours comes back, else nothing would be sent any more."""
    async with AsyncClient(daemon.target, admin_target=daemon.admin_target) as client:
        while True:
            for name in ("one", "two", "three"):
                with suppress(grpc.aio.AioRpcError):
                    await client.admin.UndrainBackend(UndrainBackendRequest(name=name), timeout=PATIENCE)
            await asyncio.sleep(0.2)


async def send_bytes(daemon: Daemon, seed: int, number: int) -> Findings:
    """That many conversations on the port, and a call of a good client behind each ten of them."""
    findings = Findings()
    host, _, port = daemon.address.rpartition(":")
    async with AsyncClient(daemon.address, max_retries=0) as client:
        for n, said in enumerate(itertools.islice(attacks(seed), number)):
            await _converse(host, int(port), said)
            if n % 10 == 0:
                findings.statuses[await _good_call(client)] += 1
    return findings


async def _good_call(client: AsyncClient) -> str:
    """What a good client is told meanwhile; a drained fleet is an answer, too."""
    async with asyncio.timeout(PATIENCE):
        try:
            return (await client.route("hello")).chosen.model
        except NoHealthyBackend as error:
            return error.reason


async def _converse(host: str, port: int, said: bytes) -> None:
    """Says it, and listens as long as the other side has something to say at once."""
    with suppress(OSError, TimeoutError):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            async with asyncio.timeout(2):
                writer.write(said)
                await writer.drain()
                writer.write_eof()
                while await reader.read(1 << 16):
                    pass
        finally:
            writer.transport.abort()


async def say_nothing(daemon: Daemon, number: int) -> float:
    """That many callers who never speak; returns after how many seconds all were let go."""
    host, _, port = daemon.address.rpartition(":")
    began = time.monotonic()
    silent = [await asyncio.open_connection(host, int(port)) for _ in range(number)]
    async with AsyncClient(daemon.address, max_retries=0) as client, asyncio.timeout(PATIENCE):
        await _good_call(client)  # nobody else is kept waiting
        for reader, _ in silent:
            with suppress(ConnectionError):
                while await reader.read(1 << 16):
                    pass
    for _, writer in silent:
        writer.close()
    return time.monotonic() - began
