"""Every call that a server answers, counted by method and code.

Rule: only methods that exist are counted, so that no caller makes a new label.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NamedTuple

import grpc

from zoe_grpcd.core.histogram import Histogram
from zoe_grpcd.rpc.statuses import is_late

# Whether requests and responses are streams -> the kind of a method, and where its handler keeps it.
KINDS = {
    (False, False): ("unary", "unary_unary"),
    (False, True): ("server_stream", "unary_stream"),
    (True, False): ("client_stream", "stream_unary"),
    (True, True): ("bidi_stream", "stream_stream"),
}
Context = grpc.aio.ServicerContext[Any, Any]


class Method(NamedTuple):
    """A method of a service. `kind`: unary, server_stream, client_stream or bidi_stream."""

    kind: str
    service: str
    name: str


@dataclass(slots=True)
class Calls:
    """Calls that began, calls that ended by the name of their code, and how long they took."""

    started: Counter[Method] = field(default_factory=Counter)
    handled: Counter[tuple[Method, str]] = field(default_factory=Counter)
    seconds: dict[Method, Histogram] = field(default_factory=dict)

    @property
    def active(self) -> int:
        """Calls that run now."""
        return self.started.total() - self.handled.total()

    def counted(self, *handlers: grpc.GenericRpcHandler) -> tuple[grpc.GenericRpcHandler, ...]:
        """Generic handlers, counted here."""
        return tuple(Counted(handler, self) for handler in handlers)

    def counting(self, method: Method, handle: Callable[[Any, Context], Any]) -> Callable[..., Any]:
        """A method's handler, counted."""
        seconds = self.seconds.setdefault(method, Histogram())

        async def counted(request: Any, context: Context) -> Any:
            self.started[method] += 1
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
                self.handled[method, code] += 1
                seconds.add(perf_counter() - began)

        return counted


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
        handle = self._calls.counting(Method(kind, service, name), getattr(found, attribute))
        return found._replace(**{attribute: handle})  # it is a named tuple


def _name_of(code: Any) -> str:
    return str(code.name) if isinstance(code, grpc.StatusCode) else "UNKNOWN"
