"""A backend whose tokens arrive alone: each stream gets one token every few milliseconds, out of step with the others.

It speaks just enough HTTP/1.1 for a router with a connection pool, and answers the probes like a llama-server.
"""

import asyncio
import contextlib
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from .processes import free_port, running, wait_for_port
from .upstream import STREAM_TOKENS, first_event, last_events, probe_answers, token_event

INTERVAL_S = 0.005
CHAT = "/v1/chat/completions"


@contextlib.contextmanager
def trickle(folder: Path, core: int) -> Iterator[str]:
    """Runs the backend until the block ends; gives its base URL."""
    port = free_port()
    log = folder / "trickle.log"
    with running([sys.executable, "-m", "benchmarks.trickle", str(port)], core, log) as server:
        wait_for_port(port, server, log)
        yield f"http://127.0.0.1:{port}"


async def serve(port: int) -> None:
    """Serves on a loopback port until the process is ended."""
    server = await asyncio.start_server(answer_connection, "127.0.0.1", port)
    await server.serve_forever()


async def answer_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers one request after the other on a connection, until the other side leaves."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            await reader.readexactly(content_length(head))
            path = head.split(" ", 2)[1].partition("?")[0]
            if path == CHAT:
                await stream_tokens(writer)
            else:
                write_probe(writer, path.strip("/"))
    writer.close()


def content_length(head: str) -> int:
    """Returns the length of a request's body."""
    lines = (line.partition(":") for line in head.lower().split("\r\n"))
    return next((int(value) for name, _, value in lines if name == "content-length"), 0)


async def stream_tokens(writer: asyncio.StreamWriter) -> None:
    """Writes a chunked answer of STREAM_TOKENS tokens, each when its time has come."""
    loop = asyncio.get_running_loop()
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    writer.write(chunk(first_event()))
    due = loop.time() + random.uniform(0, INTERVAL_S)
    for number in range(STREAM_TOKENS):
        due += INTERVAL_S
        await asyncio.sleep(due - loop.time())
        writer.write(TOKEN_CHUNKS[number])
    writer.write(chunk(last_events(STREAM_TOKENS)) + b"0\r\n\r\n")
    await writer.drain()


def chunk(text: str) -> bytes:
    """Returns a chunk of HTTP/1.1's chunked coding."""
    return f"{len(text):x}\r\n{text}\r\n".encode()


def write_probe(writer: asyncio.StreamWriter, path: str) -> None:
    """Answers what a probe asks, and 404 to the rest."""
    answers = probe_answers("trickle")
    status = "200 OK" if path in answers else "404 Not Found"
    body = json.dumps(answers.get(path, {"error": {"code": 404, "message": "File Not Found"}})).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


TOKEN_CHUNKS = [chunk(token_event(number)) for number in range(STREAM_TOKENS)]

if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
