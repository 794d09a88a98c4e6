"""One wrapper around every handler: errors become statuses, bugs a fixed text, and each call ends as one outcome.

A handler is a coroutine. What ends it may be a result, a ZoeError, a cancelled task, or grpc's own InternalError out of
a blocked write; only a bug is anything else, and its text never reaches a client.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import Message

from zoe_grpcd.core.errors import ShuttingDown, ZoeError
from zoe_grpcd.rpc.statuses import code_of, trailers_of

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Callable[[Any, Context], Awaitable[Any]]

_BUG = "internal error; the daemon's log has the details"


class Gate:
    """Whether new calls are let in, and how long one may take that sets no deadline of its own (seconds)."""

    def __init__(self, max_request_time: float = 600.0) -> None:
        self.max_request_time = max_request_time
        self.draining = False

    def check(self) -> None:
        """Raises ShuttingDown while the daemon drains."""
        if self.draining:
            raise ShuttingDown("the daemon is shutting down", retry_after=1.0)


def unary(
    handler: Handler, request: type[Message], response: type[Message], gate: Gate | None = None
) -> "grpc.RpcMethodHandler[Any, Any]":
    """A unary method of a generic handler, guarded."""
    return grpc.unary_unary_rpc_method_handler(
        _guarded(handler, gate),
        request_deserializer=request.FromString,
        response_serializer=response.SerializeToString,
    )


def streaming(
    handler: Handler, request: type[Message], response: type[Message], gate: Gate | None = None
) -> "grpc.RpcMethodHandler[Any, Any]":
    """A server-streaming method of a generic handler, guarded; the handler writes to the context."""
    return grpc.unary_stream_rpc_method_handler(
        _guarded(handler, gate),
        request_deserializer=request.FromString,
        response_serializer=response.SerializeToString,
    )


def _guarded(handler: Handler, gate: Gate | None) -> Handler:
    """`gate` None: an admin or health method, which works while the daemon drains and has no limit of time."""

    async def guarded(request: Any, context: Context) -> Any:
        try:
            if gate is None:
                return await handler(request, context)
            gate.check()
            if context.time_remaining() is not None:
                return await handler(request, context)
            async with asyncio.timeout(gate.max_request_time):
                return await handler(request, context)
        except ZoeError as error:
            await context.abort(code_of(error), error.message[:600], trailers_of(error))
        except (asyncio.CancelledError, grpc.aio.InternalError, grpc.aio.AbortError, GeneratorExit):
            raise
        except TimeoutError:
            await context.abort(
                grpc.StatusCode.DEADLINE_EXCEEDED, "the request took longer than the daemon allows"
            )
        except Exception:
            log.exception("a bug in %s", handler.__qualname__)
            await context.abort(grpc.StatusCode.INTERNAL, _BUG, trailers_of(ZoeError(_BUG)))

    return guarded


def request_id_of(field: str, context: Context) -> str:
    """The caller's id for the request: the field, else the metadata `x-request-id`, else a new one."""
    if field:
        return field
    for key, value in context.invocation_metadata() or ():
        if key == "x-request-id" and isinstance(value, str) and value:
            return value[:128]
    return secrets.token_hex(8)
