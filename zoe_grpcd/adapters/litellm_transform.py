"""Dispatch over LiteLLM's provider configs and our own HTTP session: a tenth of the cost of `acompletion`.

The one rule: always streamed upstream, so that closing the connection frees the backend at any moment.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from io import BytesIO
from json import dumps
from time import perf_counter
from typing import Any, Final, Protocol

import aiohttp
from yarl import URL

from zoe_grpcd.adapters.inquiry import in_words
from zoe_grpcd.adapters.litellm_provider import Form, Provider
from zoe_grpcd.adapters.reading import Reading
from zoe_grpcd.core.continuation import from_text
from zoe_grpcd.core.domain import Call, Event, Json
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.ports import Dialect

KEEP_ALIVE: Final = 4.0  # seconds; llama-server and uvicorn close an idle connection after 5
LONGEST_REFUSAL: Final = 64 * 1024  # bytes of an error body that are read
LARGE: Final = 1024 * 1024  # bytes; aiohttp wants a larger body as a file
READ_AHEAD: Final = 256 * 1024  # bytes of an answer that may wait for its reader
LINGER: Final = (
    0.05  # seconds to wait for the end of a finished answer's bytes, so that its connection is kept
)


def open_session() -> aiohttp.ClientSession:
    """The session that all transform dispatchers share: no limit of its own, no proxy, no cookies, no redirects."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE, ttl_dns_cache=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "zoe-grpcd", "Accept-Encoding": "identity"},
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
    )


class Writer(Protocol):
    """Writes requests, and reads chunks that the dialect does not."""

    def request(self, call: Call) -> Form:
        """URL, headers and body."""
        ...

    def parser(self, call: Call) -> Callable[[Json], Any]:
        """A fresh parser for one stream."""
        ...


class TransformDispatcher:
    """See `Dispatcher`. One for each kind; the session must come from `open_session`. `writer`: default, LiteLLM's."""

    def __init__(
        self, session: aiohttp.ClientSession, dialect: Dialect, writer: Writer | None = None
    ) -> None:
        self._session = session
        self._dialect = dialect
        self._provider = writer or Provider(dialect)
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._kept: dict[str, float] = {}  # when a backend's connection was last kept, by url

    async def stream(self, call: Call) -> AsyncGenerator[list[Event]]:
        """See `Dispatcher.stream`. An empty list comes first, when the backend has accepted the request."""
        response = await self._accepted(call)
        reading = Reading(
            self._dialect,
            lambda: self._provider.parser(call),
            call.generation.options.get("top_logprobs"),
        )
        try:
            yield []
            while not (reading.over or reading.error):
                data = await _read(response)
                if not data:
                    break
                if events := reading.feed(data):
                    yield events
            last = reading.end() if reading.error is None else []
            if reading.error is not None:
                if last:
                    yield last
                raise reading.error
            yield last
        finally:
            finished = reading.over and reading.error is None
            if finished:
                self._kept[call.backend.url] = perf_counter()
            await _leave(response, finished=finished)

    async def resumed(self, call: Call) -> Call:
        """See `Dispatcher.resumed`: from the text so far, whatever was hoped for."""
        return from_text(call)

    async def _accepted(self, call: Call) -> aiohttp.ClientResponse:
        """The response, with status 200. Raises `UpstreamError` for all else."""
        response = await self._post(call)
        if response.status == 200:
            return response
        try:
            with suppress(aiohttp.ClientError):
                body = await response.content.read(LONGEST_REFUSAL)
                text = body.decode(errors="replace")
                raise self._dialect.refusal(response.status, text, response.headers)
            raise self._dialect.refusal(response.status, "", response.headers)
        finally:
            response.close()

    async def _post(self, call: Call) -> aiohttp.ClientResponse:
        """Sends it; once more if a connection that was kept alive turns out to be closed."""
        url, headers, body = self._provider.request(call)
        data = dumps(body).encode()
        connect = call.backend.connect_timeout
        timeout = self._timeouts.get(connect) or self._timeouts.setdefault(
            connect, aiohttp.ClientTimeout(total=None, sock_connect=connect)
        )
        # only a connection that was kept can have been closed behind our back
        kept = perf_counter() - self._kept.get(call.backend.url, -KEEP_ALIVE) < KEEP_ALIVE
        for try_again in (True, False):
            try:
                return await _exchange(self._session, url, headers, data, timeout)
            except TimeoutError as error:
                text = f"no connection within {connect:g} s"
                raise UpstreamError(Fault.REFUSED, text) from error
            except (aiohttp.ServerDisconnectedError, OSError) as error:
                if not (try_again and kept) or isinstance(error, aiohttp.ClientConnectorError):
                    raise UpstreamError(Fault.REFUSED, in_words(error)) from error
            except (aiohttp.ClientError, ValueError) as error:
                raise UpstreamError(Fault.SERVER, in_words(error)) from error
        raise AssertionError("the second try returns or raises")


async def _exchange(
    session: aiohttp.ClientSession,
    url: str,
    headers: Mapping[str, str],
    data: bytes,
    timeout: aiohttp.ClientTimeout,
) -> aiohttp.ClientResponse:
    """A POST over one of the session's connections, until the head of the answer is here.

    It is what `session.post` comes down to without redirects, cookies, proxies, traces and timers, none of which a call
    has; deciding that anew for each call would be a fifth of what it costs.
    """
    connector = session.connector
    assert connector is not None
    request = aiohttp.ClientRequest(
        "POST",
        URL(url),
        headers={**session.headers, **headers},
        data=data if len(data) < LARGE else BytesIO(data),
        loop=asyncio.get_running_loop(),
        session=session,
    )
    connection = await connector.connect(request, traces=[], timeout=timeout)
    try:
        assert connection.protocol is not None
        connection.protocol.set_response_params(read_until_eof=True, read_bufsize=READ_AHEAD)
        response = await request.send(connection)
        try:
            return await response.start(connection)
        except BaseException:
            response.close()
            raise
    except BaseException:
        connection.close()
        raise


async def _read(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.content.readany()
    except (aiohttp.ClientError, OSError) as error:
        raise UpstreamError(Fault.CUT, f"the connection broke: {in_words(error)}") from error


async def _leave(response: aiohttp.ClientResponse, *, finished: bool) -> None:
    """Closes the connection, or gives it back if the answer's last byte is here or about to be."""
    try:
        if finished and not response.content.at_eof():
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with asyncio.timeout(LINGER):
                    await response.content.read(LONGEST_REFUSAL)
    finally:
        response.close()
