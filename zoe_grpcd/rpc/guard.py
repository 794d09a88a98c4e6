"""One wrapper around every handler: errors become statuses, bugs a fixed text, and each call ends as one outcome.

A handler is a coroutine. What ends it may be a result, a ZoeError, a cancelled task, or grpc's own InternalError out of
a blocked write; only a bug is anything else, and its text never reaches a client.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from zoe_grpcd.core.errors import InvalidRequest, ShuttingDown, TooLate, Violation, ZoeError
from zoe_grpcd.patience import Patience
from zoe_grpcd.rpc.statuses import code_of, message_of, trailers_of

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Callable[[Any, Context], Awaitable[Any]]

_BUG = "internal error; the daemon's log has the details"


class Gate:
    """Whether new calls are let in, how many run, and how long one may take without a deadline (seconds)."""

    def __init__(self, max_request_time: float = 600.0) -> None:
        self.max_request_time = max_request_time
        self.draining = False
        self._running = 0
        self._ended = asyncio.Event()

    def enter(self) -> None:
        """Counts a call in; raises ShuttingDown while the daemon drains."""
        if self.draining:
            raise ShuttingDown("the daemon is shutting down", retry_after=1.0)
        self._running += 1

    def leave(self) -> None:
        """Counts a call out."""
        self._running -= 1
        if self.draining:
            self._ended.set()

    async def drain(self) -> None:
        """Lets nobody in any more, and returns when the last call has ended."""
        self.draining = True
        while self._running:
            self._ended.clear()
            await self._ended.wait()


def unary(
    handler: Handler, request: type[Message], response: type[Message], gate: Gate | None = None
) -> "grpc.RpcMethodHandler[Any, Any]":
    """A unary method of a generic handler, guarded."""
    return grpc.unary_unary_rpc_method_handler(
        _guarded(handler, gate),
        request_deserializer=_reader(request),
        response_serializer=response.SerializeToString,
    )


def streaming(
    handler: Handler, request: type[Message], response: type[Message], gate: Gate | None = None
) -> "grpc.RpcMethodHandler[Any, Any]":
    """A server-streaming method of a generic handler, guarded; the handler writes to the context."""
    return grpc.unary_stream_rpc_method_handler(
        _guarded(handler, gate),
        request_deserializer=_reader(request),
        response_serializer=response.SerializeToString,
    )


def _reader(kind: type[Message]) -> Callable[[bytes], Message | InvalidRequest]:
    """Reads a request. What it cannot read is the guard's to refuse: grpc would answer with our exception's text."""

    def read(data: bytes) -> Message | InvalidRequest:
        try:
            return kind.FromString(data)
        except DecodeError:
            rule = f"must be a {kind.DESCRIPTOR.full_name}, with strings of valid UTF-8"
            return InvalidRequest(f"the request {rule}", violations=(Violation("", rule),))

    return read


def _guarded(handler: Handler, gate: Gate | None) -> Handler:
    """`gate` None: an admin or health method, which works while the daemon drains and has no limit of time."""

    async def guarded(request: Any, context: Context) -> Any:
        try:
            return await _answered(handler, gate, request, context)
        except (asyncio.CancelledError, grpc.aio.AbortError, GeneratorExit):
            raise
        except grpc.aio.InternalError:
            # how a blocked write learns that the client is gone; grpc would log it as an error of ours
            raise asyncio.CancelledError from None
        except Exception:
            request_id = request_id_of(getattr(request, "request_id", ""), context)[:128]
            log.exception("a bug in %s, request %s", handler.__qualname__, request_id)
            await _refuse(context, ZoeError(_BUG, metadata={"request_id": request_id}))

    return guarded


async def _answered(handler: Handler, gate: Gate | None, request: Any, context: Context) -> Any:
    """The answer; an expected error ends the call here, so that a mistake in its status is a bug like any other."""
    try:
        if isinstance(request, InvalidRequest):
            raise request
        if gate is None:
            return await handler(request, context)
        gate.enter()
        try:
            return await _in_time(handler, gate, request, context)
        finally:
            gate.leave()
    except ZoeError as error:
        await _refuse(context, error)


async def _in_time(handler: Handler, gate: Gate, request: Any, context: Context) -> Any:
    if context.time_remaining() is not None:
        return await handler(request, context)
    patience = Patience()
    try:
        with patience(gate.max_request_time):
            return await handler(request, context)
    except TimeoutError:
        if not patience.lost:
            raise
        text = f"the request took longer than {gate.max_request_time:g} s, and set no deadline of its own"
        raise TooLate(text) from None
    finally:
        patience.close()


async def _refuse(context: Context, error: ZoeError) -> None:
    """Ends the call with an error; trailers that were set before it stay. Waits for a client that does not read."""
    trailers = {**dict(context.trailing_metadata() or ()), **dict(trailers_of(error))}
    await context.abort(code_of(error), message_of(error), tuple(trailers.items()))


def request_id_of(field: str, context: Context) -> str:
    """The caller's id for the request: the field, else the metadata `x-request-id`, else a new one."""
    return field or metadata_of(context, "x-request-id")[:128] or f"{random.getrandbits(64):016x}"


def metadata_of(context: Context, name: str) -> str:
    """One value of the request's metadata; empty if there is none."""
    for key, value in context.invocation_metadata() or ():
        if key == name and isinstance(value, str):
            return value
    return ""
