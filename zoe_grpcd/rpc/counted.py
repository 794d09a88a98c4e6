"""Every call that a server answers, counted by method and code.

Rule: only methods that exist are counted, so that no caller makes a new label.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Any

import grpc

from zoe_grpcd.core.calls import Calls, Method
from zoe_grpcd.rpc.statuses import is_late

# Whether requests and responses are streams -> the kind of a method, and where its handler keeps it.
KINDS = {
    (False, False): ("unary", "unary_unary"),
    (False, True): ("server_stream", "unary_stream"),
    (True, False): ("client_stream", "stream_unary"),
    (True, True): ("bidi_stream", "stream_stream"),
}
Context = grpc.aio.ServicerContext[Any, Any]


class Counted(grpc.GenericRpcHandler):
    """Generic handlers, counted."""

    def __init__(self, handlers: grpc.GenericRpcHandler, calls: Calls) -> None:
        self._handlers = handlers
        self._calls = calls
        self._known: dict[str, Any] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """See grpc.GenericRpcHandler."""
        path = handler_call_details.method
        if path in self._known:
            return self._known[path]
        found: Any = self._handlers.service(handler_call_details)
        if found is not None:
            found = self._known[path] = self._counted(path, found)
        return found

    def _counted(self, path: str, found: Any) -> Any:
        service, _, name = path.strip("/").rpartition("/")
        kind, attribute = KINDS[found.request_streaming, found.response_streaming]
        handle = _counting(self._calls, Method(kind, service, name), getattr(found, attribute))
        return found._replace(**{attribute: handle})  # it is a named tuple


def counted(calls: Calls, *handlers: grpc.GenericRpcHandler) -> tuple[grpc.GenericRpcHandler, ...]:
    """Generic handlers whose calls are counted."""
    return tuple(Counted(handler, calls) for handler in handlers)


def _counting(calls: Calls, method: Method, handle: Callable[[Any, Context], Any]) -> Callable[..., Any]:
    async def counting(request: Any, context: Context) -> Any:
        calls.started[method] += 1
        began, code = perf_counter(), "UNKNOWN"
        try:
            answer = await handle(request, context)
            code = "OK"
            return answer
        except asyncio.CancelledError:
            code = "DEADLINE_EXCEEDED" if is_late(context.time_remaining()) else "CANCELLED"
            raise
        except grpc.aio.AbortError:
            code = _name_of(context.code())
            raise
        finally:
            calls.ended(method, code, perf_counter() - began)

    return counting


def _name_of(code: Any) -> str:
    return str(code.name) if isinstance(code, grpc.StatusCode) else "UNKNOWN"
