"""One question to a server over HTTP, and its answer read without trust; what probes and discovery have in common.

The one rule: whatever the server does comes back as `Unusable` with a reason in words, and nothing else is raised.
"""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

import aiohttp

from zoe_grpcd.core.generation import Json
from zoe_grpcd.core.observation import Observation

MAX_BODY_BYTES = 16 << 20
LLAMA_CPP_PYTHON = b"llama.cpp Python API"  # in the title of its /openapi.json, which it gives without harm


class Unusable(Exception):
    """The server gave no answer that can be used. The text is short and holds no secret."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer, of any status."""

    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def success(self) -> Self:
        """Itself; raises `Unusable` unless the status is 200."""
        if self.status != 200:
            raise Unusable(f"{self.path}: {self.status} {self._complaint()}".rstrip())
        return self

    def json(self) -> Any:
        """The body of a 200, parsed; raises `Unusable`."""
        try:
            return json.loads(self.success().body)
        except (ValueError, RecursionError):
            raise Unusable(f"{self.path}: the answer is no JSON") from None

    def record(self) -> Json:
        """The JSON object of a 200; raises `Unusable`."""
        value = self.json()
        if not isinstance(value, dict):
            raise Unusable(f"{self.path}: the answer is no JSON object")
        return value

    def listing(self, field: str, name: str) -> list[Json]:
        """The objects of the list `field`, each with a text in `name`; raises `Unusable` if any is something else."""
        entries = self.record().get(field)
        if not isinstance(entries, list) or any(not text(record(entry).get(name)) for entry in entries):
            raise Unusable(f"{self.path}: {field} is no list of models")
        return entries

    def _complaint(self) -> str:
        """The error text of the body, in the two shapes that these servers use."""
        try:
            error = record(json.loads(self.body)).get("error")
        except (ValueError, RecursionError):
            return ""
        return " ".join(text(record(error).get("message") or error).split())[:120]


class Inquiry:
    """Asks one server. `api_key` travels as a bearer token; redirects are not followed."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, api_key: str = "", connect_timeout: float = 1.0
    ) -> None:
        self._session = session
        self._root = url.rstrip("/").removesuffix("/v1")
        self._key = api_key
        self._limit = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout)

    async def ask(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        only_asks: bool = False,
    ) -> Reply:
        """GET, or POST with a `body`. Any status but a wrong key is a reply; no whole answer raises `Unusable`.

        `only_asks`: the POST changes nothing. It is sent once more, as aiohttp does with a GET, if the connection is gone
        before an answer begins: a server may close one that was kept just as it is used again.
        """
        try:
            reply = await self._answer(path, query, body, again=only_asks)
        except (aiohttp.ClientError, OSError) as exc:
            raise Unusable(in_words(exc)) from exc
        if reply.status == 401:
            raise Unusable("401: the api_key is wrong" if self._key else "401: it wants an api_key")
        return reply

    async def _answer(
        self, path: str, query: Mapping[str, str] | None, body: Json | None, *, again: bool
    ) -> Reply:
        try:
            return await self._exchange(path, query, body)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if not again:
                raise
        return await self._exchange(path, query, body)

    async def _exchange(self, path: str, query: Mapping[str, str] | None, body: Json | None) -> Reply:
        async with self._session.request(
            "GET" if body is None else "POST",
            self._root + path,
            params=query,
            json=body,
            headers={"Authorization": f"Bearer {self._key}"} if self._key else None,
            allow_redirects=False,
            timeout=self._limit,
        ) as response:
            content = bytearray()
            async for piece in response.content.iter_any():
                content += piece
                if len(content) > MAX_BODY_BYTES:
                    response.close()
                    raise Unusable(f"{path}: the answer is over {MAX_BODY_BYTES >> 20} MiB")
            return Reply(path, response.status, response.headers, bytes(content))


# The first that fits: narrower classes stand above those they derive from.
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ConnectionTimeoutError, "no connection in time"),
    (aiohttp.ClientConnectorDNSError, "unknown host"),
    (aiohttp.ClientConnectorCertificateError, "its certificate is not trusted"),
    (aiohttp.ClientSSLError, "it speaks no TLS"),
    (aiohttp.ServerDisconnectedError, "it closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "it broke off its answer"),
    (aiohttp.InvalidURL, "the url is wrong"),
    (aiohttp.ClientResponseError, "it speaks no HTTP"),
)


def in_words(exc: Exception) -> str:
    """Why there was no answer, or no whole one; short, and without addresses and secrets."""
    for kind, words in _WORDS:
        if isinstance(exc, kind):
            return words
    if isinstance(exc, OSError) and exc.errno is not None and exc.errno > 0:
        return os.strerror(exc.errno).lower()
    return f"no answer ({type(exc).__name__})"


_T = TypeVar("_T")


async def together(*questions: Awaitable[_T]) -> list[_T]:
    """The results of all, asked at the same time; the first failure is raised once nothing runs any more."""
    results = await asyncio.gather(*questions, return_exceptions=True)
    answers: list[_T] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        answers.append(result)
    return answers


async def observed(look: Callable[[], Awaitable[Observation]]) -> Observation:
    """What `look` saw with the time that it took; `Unusable` becomes an observation that is not ok."""
    begin = time.perf_counter()
    try:
        seen = await look()
    except Unusable as exc:
        seen = Observation(ok=False, error=str(exc))
    return replace(seen, duration=time.perf_counter() - begin)


def record(value: Any) -> Json:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def records(value: Any) -> list[Json]:
    """The JSON objects of a list; of anything else none."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def text(value: Any) -> str:
    """The value if it is text, else nothing."""
    return value if isinstance(value, str) else ""


def texts(value: Any) -> list[str]:
    """The texts of a list; of anything else none."""
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def count(value: Any, *, below: int = 1 << 31) -> int | None:
    """The value if it is an integer >= 0 that a count can be, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < below else None


def billions(value: Any) -> float | None:
    """A number of parameters in billions; None for what is no positive integer."""
    number = count(value, below=1 << 63)
    return number / 1e9 if number else None
