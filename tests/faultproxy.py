"""A proxy in front of a real server that does one thing wrong, at once or in the middle of an answer.

The one rule: only what asks for an answer is struck; probes see the server as it is, unless nobody listens.
"""

import asyncio
import contextlib
import re
import socket
import struct
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Self

from zoe_grpcd.localbackends.servers import free_port

ASKS = re.compile(
    rb"POST /(?:v1/chat/completions|v1/completions|completion|api/chat|v2/models/[^ /]+/generate_stream)[ ?]"
)
PIECE = re.compile(
    rb'"(?:content|arguments|reasoning_content|text_output)": ?"'
)  # in every piece of an answer, whoever says it; the empty ones are null
WORDS = {429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}
TRICKLE = 64, 0.001  # bytes, and the seconds between them


class How(Enum):
    """What goes wrong."""

    REFUSE = auto()  # nobody listens, and what is open is closed
    RESET = auto()  # RST
    BLACKHOLE = auto()  # nothing more comes, and the connection stays open
    DELAY = auto()  # a pause, and all is well
    CUT = auto()  # the connection ends, in the middle of a chunk if there is one
    END = auto()  # a clean end without a finish reason
    TRICKLE = auto()  # a few bytes at a time
    ERROR = auto()  # a status, or in the middle of an answer an error object
    GARBAGE = auto()  # no HTTP, or in the middle of an answer no JSON


@dataclass(frozen=True, slots=True)
class Fault:
    """`after`: pieces of the answer that pass first. `seconds`: of a delay. `retry_after`: the header of an error."""

    how: How
    after: int = 0
    seconds: float = 0.0
    status: int = 500
    retry_after: str = ""


class FaultProxy:
    """In front of 127.0.0.1:`port`, in a thread of its own. As a context manager it listens inside."""

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.open = 0  # requests for an answer that somebody still waits for, or somebody still works on
        self.asked = 0  # requests for an answer in all
        self._behind = port
        self._fault: Fault | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def strike(self, fault: Fault) -> None:
        """From now on each request for an answer meets this."""
        self._fault = fault
        if fault.how is How.REFUSE and not fault.after:
            self._do(self._deafen())

    def heal(self) -> None:
        """From now on all is well."""
        self._fault = None
        self._do(self._listen())

    def _do(self, what: Any) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    # ----------------------------------------------------------------------------------------------- in the thread

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
            self._listener.setblocking(False)
            self._loop.add_reader(self._listener, self._let_in, self._listener)

    def _let_in(self, listener: socket.socket) -> None:
        """One caller. asyncio's own server loses those whom it lets in while it is closed."""
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            caller, _ = listener.accept()
            caller.setblocking(False)
            task = self._loop.create_task(self._serve(caller))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deafen(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _close(self) -> None:
        await self._deafen()
        await asyncio.sleep(0)  # whoever was let in last is served by now
        await self._end()
        await asyncio.sleep(0)  # what was closed is gone by now
        await asyncio.sleep(0)

    async def _serve(self, caller: socket.socket) -> None:
        """One request; a connection is good for no more."""
        try:
            reader, writer = await asyncio.open_connection(sock=caller, limit=2**20)
        except BaseException:
            caller.close()
            raise
        try:
            await self._exchange(reader, writer)
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            request = await _request(reader)
            asks = ASKS.match(request) is not None
            self.open += asks
            self.asked += asks
            answering = asyncio.ensure_future(self._answer(request, writer))
            gone = asyncio.ensure_future(reader.read())  # ends when the one who asks has gone
            try:
                await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
            finally:
                answering.cancel()
                gone.cancel()
                await asyncio.gather(answering, gone, return_exceptions=True)
                self.open -= asks

    async def _answer(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        fault = self._fault if ASKS.match(request) else None
        if fault and not fault.after and await self._struck(fault, request, writer):
            return
        slowly = fault is not None and fault.how is How.TRICKLE
        left = fault.after if fault else 0
        async for line in self._ask(request):
            await (_trickle if slowly and left <= 0 else _write)(writer, line)
            left -= PIECE.search(line) is not None
            if fault and fault.after and left <= 0 and (line == b"\r\n" or fault.how is How.CUT):
                if await self._struck(fault, request, writer):
                    return
                fault = None

    async def _ask(self, request: bytes) -> AsyncIterator[bytes]:
        """The lines that the server behind answers with; it ends the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._behind, limit=2**20)
        try:
            writer.write(request)
            while line := await reader.readline():
                yield line
        finally:
            writer.close()

    async def _struck(self, fault: Fault, request: bytes, writer: asyncio.StreamWriter) -> bool:
        """Does what is wrong; True: that was the end of it."""
        match fault.how:
            case How.REFUSE:
                await self._deafen()
            case How.RESET:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
            case How.BLACKHOLE:
                await asyncio.Event().wait()
            case How.DELAY:
                await asyncio.sleep(fault.seconds)
            case How.END:
                await _write(writer, b"0\r\n\r\n" if fault.after else _reply(b"", 200))
            case How.ERROR:
                await _write(writer, _error(fault, streams_lines=b"/api/" in request[:20]))
            case How.GARBAGE:
                await _write(
                    writer, _chunk(b"data: {\xff\x00]\n{\xff]\n\n") if fault.after else b"\xff\x00?\n" * 9
                )
        return fault.how not in (How.DELAY, How.TRICKLE)


async def _request(reader: asyncio.StreamReader) -> bytes:
    """A whole request, which asks for the connection to be closed after it."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    body = await reader.readexactly(int(length[1])) if length else b""
    head = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head)
    return head[:-2] + b"Connection: close\r\n\r\n" + body


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def _trickle(writer: asyncio.StreamWriter, data: bytes) -> None:
    size, pause = TRICKLE
    for start in range(0, len(data), size):
        await _write(writer, data[start : start + size])
        await asyncio.sleep(pause)


def _error(fault: Fault, *, streams_lines: bool) -> bytes:
    text = b'{"error":"out of order"}' if streams_lines else b'{"error":{"message":"out of order"}}'
    if fault.after:
        return _chunk(text + b"\n" if streams_lines else b"data: " + text + b"\n\n") + b"0\r\n\r\n"
    return _reply(text, fault.status, f"Retry-After: {fault.retry_after}\r\n" if fault.retry_after else "")


def _reply(body: bytes, status: int, header: str = "") -> bytes:
    first = f"HTTP/1.1 {status} {WORDS.get(status, 'OK')}\r\nContent-Type: application/json\r\n"
    return f"{first}{header}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
