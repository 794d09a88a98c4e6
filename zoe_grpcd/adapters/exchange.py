"""One POST to a backend and its answer, over a session's connections but past the session itself.

Redirects, cookies, proxies, traces and a task to write the body are more than half of what `ClientSession.post` costs,
and no call has a use for them. The one rule: what all requests to an address have in common is made once.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakSet

import aiohttp
from aiohttp.http import HttpProcessingError
from yarl import URL

READ_AHEAD: Final = 256 * 1024  # bytes of an answer that may wait for their reader
# Connections that were asked something before, by whatever address: those that a server may have closed meanwhile.
_USED: Final = WeakSet[Any]()


@dataclass(slots=True)
class Reply:
    """An answer whose head is here. To be closed; its connection is kept if the answer has ended by then."""

    status: int
    headers: Mapping[str, str]
    content: aiohttp.StreamReader
    _connection: aiohttp.connector.Connection

    def left(self) -> bytes:
        """What came before the connection broke and waits for its reader: aiohttp 3.14 tells of the break alone."""
        return self.content._read_nowait(-1)  # noqa: SLF001 - all others ask for the break first

    def close(self) -> None:
        """Gives the connection back. The connector closes it, at once, if anything of the answer is still to come."""
        self._connection.release()

    def drop(self) -> None:
        """Closes the connection: a server whose answer went wrong is about to do so, and would do so to the next one."""
        self._connection.close()


class StaleConnection(Exception):
    """A connection that had been kept turns out to be closed: nothing was answered, and another one may be."""


class Address:
    """Where requests of one kind go, and all that they have in common: headers, and the seconds that a connection may take.

    Raises ValueError for what can be no address or header.
    """

    def __init__(
        self, session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], connect_timeout: float
    ) -> None:
        assert session.connector is not None
        self._connector = session.connector
        # never sent: it is how a connector is told where to, and it knows the headers that HTTP wants
        self._request = aiohttp.ClientRequest(
            "POST", URL(url), headers={**session.headers, **headers}, loop=asyncio.get_running_loop()
        )
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout)
        lines = [f"{k}: {v}" for k, v in self._request.headers.items() if k != aiohttp.hdrs.CONTENT_LENGTH]
        if not all(line.isprintable() for line in lines):
            raise ValueError("a header holds a control character")
        start = f"POST {self._request.url.raw_path_qs} HTTP/1.1"
        self._head = "\r\n".join((start, *lines, "Content-Length: ")).encode()

    async def post(self, body: bytes, further: Iterable[tuple[str, str]] = ()) -> Reply:
        """Sends a body, with further headers.

        Raises aiohttp's errors, StaleConnection, and TimeoutError where no connection was made in time.
        """
        more = "".join([f"{name}: {value}\r\n" for name, value in further]).encode()
        connection = await self._connector.connect(self._request, traces=[], timeout=self._timeout)
        kept = False
        try:
            protocol = connection.protocol
            assert protocol is not None
            assert protocol.transport is not None
            kept = protocol in _USED
            if not kept:
                _USED.add(protocol)
            protocol.set_response_params(read_until_eof=True, read_bufsize=READ_AHEAD)
            protocol.transport.writelines((b"%b%d\r\n%b\r\n" % (self._head, len(body), more), body))
            message, content = await protocol.read()
            while message.code < 200:  # "wait a moment", in one of its forms
                message, content = await protocol.read()
        except HttpProcessingError as error:
            connection.close()
            info = self._request.request_info
            raise aiohttp.ClientResponseError(info, (), status=error.code, message=error.message) from error
        except (aiohttp.ServerDisconnectedError, OSError) as error:
            connection.close()
            if kept:
                raise StaleConnection from error
            raise
        except BaseException:
            connection.close()
            raise
        return Reply(message.code, message.headers, content, connection)
