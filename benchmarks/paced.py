"""A backend with one model that writes a token every so many seconds, to as many callers as come.

It speaks just enough HTTP/1.1 for a connection pool, and answers the probes like a llama-server.
"""

import asyncio
import contextlib
import json
import random
import sys
from dataclasses import dataclass, field

from .trickle import CHAT, chunk, content_length
from .upstream import first_event, last_events, probe_answers, token_event


@dataclass(frozen=True)
class Paced:
    """`pace`: seconds a token, more or less; `tokens`: of an answer."""

    name: str
    pace: float
    tokens: int
    chunks: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        pieces = (token_event(number) for number in range(self.tokens))
        self.chunks.extend(chunk(text) for text in (first_event(), *pieces, last_events(self.tokens)))

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one request after the other on a connection, until the other side leaves."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                await reader.readexactly(content_length(head))
                path = head.split(" ", 2)[1].partition("?")[0]
                await (self._write_answer(writer) if path == CHAT else self._write_probe(path, writer))
        writer.close()

    async def _write_answer(self, writer: asyncio.StreamWriter) -> None:
        """Token by token; the first at once, so that slow streams open quickly."""
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for number, piece in enumerate(self.chunks):
            writer.write(piece)
            await writer.drain()
            if number:
                await asyncio.sleep(self.pace * random.uniform(0.8, 1.2))
        writer.write(b"0\r\n\r\n")

    async def _write_probe(self, path: str, writer: asyncio.StreamWriter) -> None:
        """What a llama-server tells of itself."""
        told = probe_answers(self.name).get(path.strip("/"))
        body = json.dumps(told).encode() if told is not None else b"{}"
        status = "200 OK" if told is not None else "404 Not Found"
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()


async def serve(backend: Paced, port: int) -> None:
    """Serves on a loopback port until the process is ended."""
    server = await asyncio.start_server(backend.answer, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    name, pace, tokens, port = sys.argv[1:]
    asyncio.run(serve(Paced(name, float(pace), int(tokens)), int(port)))
