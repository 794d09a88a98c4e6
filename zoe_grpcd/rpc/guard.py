"""One wrapper around every handler: errors become statuses, bugs a fixed text, and each call ends as one outcome.

A handler is a coroutine. What ends it may be a result, a ZoeError, a cancelled task, or grpc's own InternalError out of
a blocked write; only a bug is anything else, and its text never reaches a client.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from zoe_grpcd.access import Access, Caller, Visit
from zoe_grpcd.core.errors import CutShort, InvalidRequest, ShuttingDown, TooLate, Violation, ZoeError
from zoe_grpcd.core.trace import Trace
from zoe_grpcd.decisions import DecisionLog, Entry
from zoe_grpcd.eventloop import running_loop
from zoe_grpcd.patience import Patience
from zoe_grpcd.rpc.callers import Callers
from zoe_grpcd.rpc.statuses import code_of, message_of, outcome_of, trailers_of
from zoe_grpcd.rpc.together import Together

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Metadata = Iterable[tuple[str, str | bytes]] | None
Handler = Callable[..., Awaitable[Any]]
"""Takes a request and its context; one behind the gate takes its entry in the decision log, too."""
DECIDING = {"Route", "Complete", "StreamComplete"}

AUTHORIZATION = "authorization"
LONGEST_ID = 128  # characters of a request id

_BUG = "internal error; the daemon's log has the details"


Begin = Callable[[str, str], Trace]
"""Begins a request's part of a trace, given the caller's `traceparent` and `tracestate`."""


class Gate:
    """Whether new calls are let in, whose, how many run, how long one may take without a deadline (seconds), what came of
    it.
    """

    def __init__(self, max_request_time: float = 600.0, log: DecisionLog | None = None) -> None:
        self.max_request_time = max_request_time
        self.log = log or DecisionLog()
        self.traces: Begin | None = None  # None: nobody wants to see any
        self.callers = Callers()
        self.together = Together()
        self.draining = False
        self.access: Access | None = None  # None: no keys are asked for
        self.running = 0
        self.ready = asyncio.Event()  # calls wait for it
        self.ready.set()
        self._ended = asyncio.Event()
        self._calls: set[asyncio.Task[Any]] = set()
        self._cutting = False

    def enter(self) -> asyncio.Task[Any] | None:
        """Counts a call in, and returns its task; raises ShuttingDown while the daemon drains."""
        if self.draining:
            raise ShuttingDown("the daemon is shutting down", retry_after=1.0)
        self.running += 1
        if (task := asyncio.current_task(running_loop())) is not None:
            self._calls.add(task)
        return task

    def leave(self, task: asyncio.Task[Any] | None) -> None:
        """Counts a call out, by its task."""
        self.running -= 1
        if task is not None:
            self._calls.discard(task)
        if self.draining:
            self._ended.set()

    async def cut_short(self, limit: float) -> None:
        """Ends the calls that still run, which are told so; waits so many seconds for them to go."""
        self.draining = self._cutting = True
        for task in self._calls:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self.drain()

    def cause_of(self, error: BaseException) -> BaseException:
        """What the caller is told of that which ended its call."""
        if not (self._cutting and isinstance(error, asyncio.CancelledError | grpc.aio.InternalError)):
            return error
        if isinstance(error, asyncio.CancelledError) and (task := asyncio.current_task()) is not None:
            task.uncancel()
        return CutShort("the daemon is shutting down, and the time of running requests is over")

    async def drain(self) -> None:
        """Lets nobody in any more, and returns when the last call has ended."""
        self.draining = True
        while self.running:
            self._ended.clear()
            await self._ended.wait()


def unary(
    handler: Handler, request: type[Message], response: type[Message], gate: Gate | None = None
) -> "grpc.RpcMethodHandler[Any, Any]":
    """A unary method of a generic handler, guarded."""
    return grpc.unary_unary_rpc_method_handler(
        _guarded(handler, gate, _method(request)),
        request_deserializer=_reader(request),
        response_serializer=response.SerializeToString,
    )


def streaming(
    handler: Handler, request: type[Message], response: type[Message], gate: Gate | None = None
) -> "grpc.RpcMethodHandler[Any, Any]":
    """A server-streaming method of a generic handler, guarded; the handler writes to the context."""
    return grpc.unary_stream_rpc_method_handler(
        _guarded(handler, gate, _method(request)),
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


def _method(request: type[Message]) -> str:
    return request.DESCRIPTOR.name.removesuffix("Request")


def _guarded(handler: Handler, gate: Gate | None, method: str) -> Handler:
    """`gate` None: an admin or health method, which works while the daemon drains and has no limit of time."""
    admitted = partial(_read, handler) if gate is None else partial(_admitted, handler, gate, method)

    async def guarded(request: Any, context: Context) -> Any:
        try:
            try:
                return await admitted(request, context)
            except ZoeError as error:  # expected; a mistake in its status is a bug like any other
                await refuse(context, error)
        except (asyncio.CancelledError, grpc.aio.AbortError, GeneratorExit):
            raise
        except grpc.aio.InternalError:
            # how a blocked write learns that the client is gone; grpc would log it as an error of ours
            raise asyncio.CancelledError from None
        except Exception:
            field, metadata = getattr(request, "request_id", ""), context.invocation_metadata()
            request_id = request_id_of(field, metadata)[:LONGEST_ID]
            log.exception("a bug in %s, request %s", handler.__qualname__, request_id)
            await refuse(context, ZoeError(_BUG, metadata={"request_id": request_id}))

    return guarded


async def _read(handler: Handler, request: Any, context: Context) -> Any:
    """The answer of a handler that is behind no gate."""
    if isinstance(request, InvalidRequest):
        raise request
    return await handler(request, context)


async def _admitted(handler: Handler, gate: Gate, method: str, request: Any, context: Context) -> Any:
    """The answer of a handler behind the gate, noted in the decision log if it decides anything."""
    gate.together.arrive()
    if not gate.ready.is_set():
        await gate.ready.wait()
    caller = _caller_of(gate.access, gate.callers, context) if gate.access else None
    if isinstance(request, InvalidRequest):
        raise request
    task = gate.enter()
    entry = gate.log.begin(method) if method in DECIDING else Entry(0, method, 0.0)
    if caller is not None:
        entry.key_name, entry.visit = caller.name, Visit(caller)
    elif gate.callers:
        entry.key_name = gate.callers.certificate_name(context.peer())
    try:
        await gate.together.turn()
        call = handler(request, context, entry)
        answer = await (_in_time(call, gate) if context.time_remaining() is None else call)
        entry.ended("OK")
        return answer
    except BaseException as error:
        cause = gate.cause_of(error)
        entry.ended(*outcome_of(cause, context.time_remaining()))
        if cause is error:
            raise
        raise cause from None
    finally:
        if entry.visit is not None:
            entry.visit.close()
            entry.visit = None
        gate.leave(task)


def _caller_of(access: Access, callers: Callers, context: Context) -> Caller:
    return access.identify(metadata_of(context, AUTHORIZATION), callers.who(context.peer()))


async def _in_time(call: Awaitable[Any], gate: Gate) -> Any:
    """The answer to a call without a deadline."""
    patience = Patience()
    try:
        with patience(gate.max_request_time):
            return await call
    except TimeoutError:
        if not patience.lost:
            raise
        text = f"the request took longer than {gate.max_request_time:g} s, and set no deadline of its own"
        raise TooLate(text) from None
    finally:
        patience.close()


async def refuse(context: Context, error: ZoeError) -> None:
    """Ends the call with an error; trailers that were set before it stay.

    Waits for a client that does not read, until it reads or leaves, or its deadline passes: the status goes after what
    was written before, and grpc.aio 1.85 gives a handler no way to reset its stream. Nothing but the call is held then.
    Without this wait, as after a cancel of the handler's task, the client would never be told (seen: its read hangs); a
    maximum age of connections does end it, and with it all other calls of the connection.
    """
    trailers = {**dict(context.trailing_metadata() or ()), **dict(trailers_of(error))}
    await context.abort(code_of(error), message_of(error), tuple(trailers.items()))


def request_id_of(field: str, metadata: Metadata) -> str:
    """The caller's id for the request: the field, else `x-request-id` of the metadata, else a new one.

    Of one that is too long, so much that it is refused for that: the log of decisions keeps it.
    """
    told = field or first_of(metadata, "x-request-id")
    return told[: LONGEST_ID + 1] or f"{random.getrandbits(64):016x}"


def metadata_of(context: Context, name: str) -> str:
    """One value of the request's metadata; empty if there is none."""
    return first_of(context.invocation_metadata(), name)


def first_of(metadata: Metadata, name: str) -> str:
    """The first value of that name; empty if there is none."""
    for key, value in metadata or ():
        if key == name and isinstance(value, str):
            return value
    return ""
