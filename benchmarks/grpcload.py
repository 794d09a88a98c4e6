"""Load on a gRPC server by a client that costs a fraction of the server.

grpc.aio's own client takes as much CPU as its server, so on one core it would be the limit of what it measures. Here
a request is two constant HTTP/2 frames, and of an answer only the frame headers, the messages and the status are read
(RFC 9113; framing of messages as in the gRPC over HTTP/2 protocol). Connections stay open; nothing is retried.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from .load import CONNECTIONS, Answered, Bounds
from .processes import BenchmarkError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE = 1, 4
LARGEST_WINDOW = 2**31 - 1
DEFAULT_WINDOW = 2**16 - 1
STATUS_OK = b"\x0bgrpc-status\x010"  # as a literal: we allow the server no table to abbreviate it with

Tokens = Callable[[bytes], int]


@dataclass(frozen=True)
class GrpcLoad:
    """One call over and over. `tokens` counts those in one response message; each answer must hold `expected`."""

    port: int
    method: str
    message: bytes
    tokens: Tokens
    expected: int

    async def __call__(self, bounds: Bounds) -> Answered:
        """Keeps `bounds.concurrency` calls in flight over CONNECTIONS connections until a bound is reached.

        Raises:
            BenchmarkError: a call failed.
        """
        loop = asyncio.get_running_loop()
        progress = Progress(bounds, time.monotonic() + bounds.seconds, loop.create_future())
        connections: list[Connection] = []
        for _ in range(CONNECTIONS):
            _, connection = await loop.create_connection(
                lambda: Connection(self, progress), "127.0.0.1", self.port
            )
            connections.append(connection)
        for n in range(bounds.concurrency):
            connections[n % CONNECTIONS].ask()
        try:
            for connection in connections:
                connection.flush()
            await progress.finished
        finally:
            for connection in connections:
                connection.transport.close()
        if progress.tokens != progress.done * self.expected:
            raise BenchmarkError(f"{progress.tokens} tokens in {progress.done} answers of {self.expected}")
        return Answered(progress.done, progress.tokens, progress.messages)


@dataclass
class Progress:
    """How far a load has come, over all its connections."""

    bounds: Bounds
    end: float
    finished: asyncio.Future[None]
    started: int = 0
    done: int = 0
    tokens: int = 0
    messages: int = 0

    def may_start(self) -> bool:
        """Tells whether one more call is within the bounds."""
        return self.started < self.bounds.requests and time.monotonic() < self.end

    def fail(self, reason: str) -> None:
        """Ends the load with an error."""
        if not self.finished.done():
            self.finished.set_exception(BenchmarkError(reason))


@dataclass
class Connection(asyncio.Protocol):
    """One HTTP/2 connection with any number of calls in flight."""

    load: GrpcLoad
    progress: Progress
    received: bytearray = field(default_factory=bytearray)
    unsent: list[bytes] = field(default_factory=list)
    bodies: dict[int, bytearray] = field(default_factory=dict)
    next_stream: int = 1
    transport: asyncio.Transport = field(init=False)
    headers: bytes = field(init=False)
    message: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Prepares the two parts of every request."""
        self.headers = header_block(self.load.method, self.load.port)
        self.message = b"\0" + len(self.load.message).to_bytes(4) + self.load.message

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Opens windows so wide that an answer never has to wait for us."""
        self.transport = cast("asyncio.Transport", transport)
        settings = setting(HEADER_TABLE_SIZE, 0) + setting(INITIAL_WINDOW_SIZE, LARGEST_WINDOW)
        window = (LARGEST_WINDOW - DEFAULT_WINDOW).to_bytes(4)
        self.transport.write(PREFACE + frame(SETTINGS, 0, 0, settings) + frame(WINDOW_UPDATE, 0, 0, window))

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that ends early ends the load."""
        self.progress.fail(f"the server closed a connection: {exc}")

    def ask(self) -> None:
        """Starts one more call, if the bounds allow it."""
        if not self.progress.may_start():
            return
        self.progress.started += 1
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        self.bodies[stream] = bytearray()
        self.unsent.append(frame(HEADERS, END_HEADERS, stream, self.headers))
        self.unsent.append(frame(DATA, END_STREAM, stream, self.message))

    def flush(self) -> None:
        """Sends all that is due in one piece, as a client with many calls in flight does."""
        if self.unsent:
            self.transport.write(b"".join(self.unsent))
            self.unsent.clear()

    def data_received(self, data: bytes) -> None:
        """Takes whole frames off the buffer."""
        buffer = self.received
        buffer += data
        start, size = 0, len(buffer)
        while size - start >= 9:
            end = start + 9 + int.from_bytes(buffer[start : start + 3])
            if end > size:
                break
            stream = int.from_bytes(buffer[start + 5 : start + 9])
            self.frame_received(buffer[start + 3], buffer[start + 4], stream, bytes(buffer[start + 9 : end]))
            start = end
        del buffer[:start]
        self.flush()

    def frame_received(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Acts on one frame."""
        if kind == DATA:
            self.bodies[stream] += payload
            self.read_messages(self.bodies[stream])
        elif kind == HEADERS and flags & END_STREAM:
            self.call_ended(stream, payload)
        elif kind in {SETTINGS, PING} and not flags & ACK:
            self.unsent.append(frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind in {RST_STREAM, GOAWAY}:
            self.progress.fail(f"the server ended a stream or the connection: {payload!r}")

    def read_messages(self, body: bytearray) -> None:
        """Counts the tokens of each whole message and takes it off the body."""
        while len(body) >= 5 and len(body) >= (end := 5 + int.from_bytes(body[1:5])):
            tokens = self.load.tokens(bytes(body[5:end]))
            self.progress.tokens += tokens
            self.progress.messages += tokens > 0
            del body[:end]

    def call_ended(self, stream: int, trailers: bytes) -> None:
        """Counts a call that went well and starts the next one."""
        progress = self.progress
        if STATUS_OK not in trailers or self.bodies.pop(stream):
            progress.fail(f"a call failed: {trailers!r}")
            return
        progress.done += 1
        self.ask()
        if progress.done == progress.started and not progress.finished.done():
            progress.finished.set_result(None)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Returns an HTTP/2 frame."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def setting(name: int, value: int) -> bytes:
    """Returns one entry of a SETTINGS frame."""
    return name.to_bytes(2) + value.to_bytes(4)


def header_block(method: str, port: int) -> bytes:
    """Returns the headers of a call, none of them compressed: the block is constant and needs no table."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method,
        ":authority": f"127.0.0.1:{port}",
        "te": "trailers",
        "content-type": "application/grpc",
        "grpc-timeout": "60S",
        "user-agent": "zoe-benchmark",
    }
    return b"".join(b"\0" + literal(name) + literal(value) for name, value in headers.items())


def literal(text: str) -> bytes:
    """Returns an HPACK string of up to 126 bytes, not Huffman-coded."""
    assert len(text) < 127
    return bytes((len(text),)) + text.encode()
