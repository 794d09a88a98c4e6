"""Brings a model into memory by a request that its kind is known to answer only then.

The one rule: it ends well when the model is there, else with an `UpstreamError` in the server's own words.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from zoe_grpcd.adapters.inquiry import Inquiry, Unusable
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Call, Json


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """A POST that asks for nothing, and is answered once the model is in memory."""

    path: str
    body: Json
    query: Mapping[str, str] | None = None


Loading = Callable[[Call, float | None], LoadRequest]
"""Makes it, from a call without messages and the seconds that the model shall stay there without requests: less than 0
for as long as the server lives, None as the deployment says. See `ports.Warmer`.
"""
Refusal = Callable[[int, str, Any], UpstreamError]


class HttpWarmer:
    """See `Warmer`. `refusal` reads an answer that is not 200, as the `Dialect` of the kind does."""

    def __init__(self, server: Inquiry, loading: Loading, refusal: Refusal, *, keeps: bool) -> None:
        self.keeps = keeps
        self._server = server
        self._loading = loading
        self._refusal = refusal

    async def __call__(self, call: Call, keep_alive: float | None) -> None:
        """See `Warmer`."""
        asked = self._loading(call, keep_alive)
        try:
            reply = await self._server.ask(asked.path, query=asked.query, body=asked.body)
        except Unusable as exc:
            raise _no_answer(exc) from exc
        if reply.status != 200:
            raise _failed(self._refusal(reply.status, reply.body.decode(errors="replace"), reply.headers))


def _no_answer(exc: Unusable) -> UpstreamError:
    """No connection says something of the server; that it gave up in the middle, of the model."""
    refused = isinstance(exc.__cause__, aiohttp.ClientConnectorError)
    return UpstreamError(Fault.REFUSED if refused else Fault.LOAD_FAILED, str(exc), gone=refused)


def _failed(error: UpstreamError) -> UpstreamError:
    """What is wrong with the server in general is, when it was asked for nothing else, wrong with the load."""
    if error.fault is not Fault.SERVER:
        return error
    return UpstreamError(Fault.LOAD_FAILED, error.message, http_status=error.http_status)
