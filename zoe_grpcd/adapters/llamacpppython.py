"""The server of the llama-cpp-python package, which serves one request at a time.

The one rule: nothing is asked of it but /openapi.json, beside the requests themselves. Whatever else arrives while it
answers cuts that answer short, even a question for its models (unless started with `--interrupt_requests false`).
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import aiohttp

from zoe_grpcd.adapters.dialects.llamacpppython import LlamaCppPython
from zoe_grpcd.adapters.inquiry import LLAMA_CPP_PYTHON, Inquiry, Unusable, observed, record, text
from zoe_grpcd.core.answer import Event
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Call, Json
from zoe_grpcd.core.observation import Observation
from zoe_grpcd.ports import Dispatcher

DIALECT: Final = LlamaCppPython()


class LlamaCppPythonProbe:
    """Looks at one such server. It tells its version, but neither its models nor what it does."""

    def __init__(self, session: aiohttp.ClientSession, backend: Backend, api_key: str = "") -> None:
        self._server = Inquiry(session, backend.url, api_key, backend.connect_timeout)

    async def __call__(self) -> Observation:
        """Never raises for what the server does."""
        return await observed(self._look)

    async def _look(self) -> Observation:
        schema = await self._server.ask("/openapi.json")
        if LLAMA_CPP_PYTHON not in schema.success().body:
            raise Unusable("it is no llama-cpp-python")
        version = text(record(schema.record().get("info")).get("version"))
        return Observation(ok=True, slots=1, detail=f"llama-cpp-python {version[:40]}".rstrip())


class LlamaCppPythonDispatcher:
    """See `Dispatcher`. Finds out why an answer has ended before it began, which a stream of 0.3.35 does not tell."""

    def __init__(self, session: aiohttp.ClientSession, streams: Dispatcher) -> None:
        self._session = session
        self._streams = streams

    async def stream(self, call: Call) -> AsyncGenerator[list[Event]]:
        """See `Dispatcher.stream`."""
        begun = False
        try:
            async with aclosing(self._streams.stream(call)) as upstream:
                async for batch in upstream:
                    begun = begun or bool(batch)
                    yield batch
        except UpstreamError as error:
            if begun or error.fault is not Fault.CUT:
                raise
            raise await self._reason(call, error) from error

    async def resumed(self, call: Call) -> Call:
        """See `Dispatcher.resumed`."""
        return await self._streams.resumed(call)

    async def _reason(self, call: Call, error: UpstreamError) -> UpstreamError:
        """What the server says to the same request for one token, and not streamed; `error` if it has no complaint."""
        body: Json = {"model": call.backend_model, "messages": DIALECT.messages(call.generation)}
        server = Inquiry(self._session, call.backend.url, call.api_key, call.backend.connect_timeout)
        try:
            reply = await server.ask("/v1/chat/completions", body=body | {"max_tokens": 1})
        except Unusable:
            return error
        if reply.status == 200:
            return error
        return DIALECT.refusal(reply.status, reply.body.decode(errors="replace"), reply.headers)
