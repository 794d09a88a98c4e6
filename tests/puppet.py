"""A server that answers whatever a test wants: for what no real server can be made to say."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

HANG: Final = None  # in place of an answer: none, for as long as the connection is open


def answer(value: Any, status: int = 200, **headers: str) -> bytes:
    """An HTTP answer with a JSON body; bytes are sent as they are."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Puppet:
    """Answers each path with the bytes it was given, `otherwise` for the rest; `asked` has the paths in order."""

    def __init__(self, answers: Mapping[str, bytes | None], otherwise: bytes | None) -> None:
        self.answers, self.otherwise = dict(answers), otherwise
        self.asked: list[str] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split()[1].decode().partition("?")[0]
            self.asked.append(path)
            reply = self.answers.get(path, self.otherwise)
            if reply is HANG:
                await reader.read()
            else:
                writer.write(reply)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(puppet: Puppet) -> AsyncIterator[Puppet]:
    """The puppet on a port of its own; its connections are closed with it."""
    async with await asyncio.start_server(puppet.serve, "127.0.0.1", 0) as server:
        puppet.port = server.sockets[0].getsockname()[1]
        yield puppet
