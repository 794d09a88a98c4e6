"""The client for threads, on gRPC's synchronous stack. The asynchronous one in `aio` has the same shape."""

import time
from collections.abc import Callable, Iterator
from functools import cached_property
from types import TracebackType
from typing import Protocol, Self, TypeVar, Unpack

import grpc

from zoe.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from zoe.inference.v1.decision_pb2 import RouteDecision
from zoe.inference.v1.inference_service_pb2 import StreamCompleteResponse
from zoe.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from zoe.inference.v1.response_pb2 import Delta
from zoe_client.answer import Answer, Event, Transcript
from zoe_client.call import Call, prepare
from zoe_client.channel import channel_options
from zoe_client.options import Messages, Options, StreamingOptions
from zoe_client.settings import Connection, ConnectionOptions
from zoe_client.status import from_rpc_error
from zoe_client.target import admin_target

Response = TypeVar("Response")
# s; a Ctrl-C that comes in the very moment in which a sleep begins is noticed when that sleep ends
NAP = 0.5


class _Responses(Protocol):
    """A stream of responses that can be cancelled."""

    def __next__(self) -> StreamCompleteResponse: ...
    def __iter__(self) -> Iterator[StreamCompleteResponse]: ...
    def cancel(self) -> object: ...


class Client:
    """Talks to a daemon over one channel, which it opens when it is first needed. Safe to share among threads.

    Args:
        target: Where the daemon is. None: `$ZOE_GRPCD_TARGET`, else its unix socket, else `127.0.0.1:50051`.
        options: See ConnectionOptions.

    Raises:
        TypeError: An option is unknown or of the wrong type.
        ValueError: An option has a wrong value.
    """

    def __init__(self, target: str | None = None, **options: Unpack[ConnectionOptions]) -> None:
        self._connection = Connection.of(target, options)
        self._channels: list[grpc.Channel] = []

    def complete(self, messages: Messages | None = None, **options: Unpack[Options]) -> Answer:
        """Returns the whole answer to a prompt or a conversation.

        Args:
            messages: What to answer; left out if `spec` is given.
            options: See Options.

        Raises:
            ZoeError: The call failed; the class tells what can be done.
            TypeError: An argument is unknown or of the wrong type.
            ValueError: An argument has a wrong value.
        """
        call = prepare(messages, options, self._connection.defaults)
        return Answer(_unary(self.inference.Complete, call.complete_request(), call))

    def stream(self, messages: Messages | None = None, **options: Unpack[StreamingOptions]) -> "Stream":
        """Returns the answer as it is generated; arguments are those of `complete` and StreamingOptions.

        Use it in a `with` block, so that leaving early cancels the call. Reading from it raises ZoeError.
        """
        call = prepare(messages, options, self._connection.defaults)
        return Stream(self.inference, call)

    def route(self, messages: Messages | None = None, **options: Unpack[Options]) -> RouteDecision:
        """Returns where a request would go, and why; arguments and errors are those of `complete`."""
        call = prepare(messages, options, self._connection.defaults)
        return _unary(self.inference.Route, call.route_request(), call).decision

    @cached_property
    def inference(self) -> InferenceServiceStub:
        """The raw stub of zoe.inference.v1. It raises grpc.RpcError and takes `headers` as its metadata."""
        return InferenceServiceStub(self._open(self._connection.target))

    @cached_property
    def admin(self) -> AdminServiceStub:
        """The raw stub of zoe.admin.v1, on a channel of its own."""
        return AdminServiceStub(self._open(admin_target(self._connection.admin_target)))

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Metadata that carries the key, for calls of the raw stubs."""
        return self._connection.defaults.headers

    def close(self) -> None:
        """Closes the channels; calls that run are cancelled."""
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _open(self, target: str) -> grpc.Channel:
        options = channel_options(target, retries=self._connection.defaults.grpc_repeats)
        credentials = self._connection.credentials_for(target)
        if credentials is None:
            channel = grpc.insecure_channel(target, options)
        else:
            channel = grpc.secure_channel(target, credentials, options)
        self._channels.append(channel)
        return channel


class Stream:
    """An answer as it is generated: an iterator of events, and a context manager that cancels what is left.

    Yields RouteDecision, Progress, Delta, ToolCallDelta, BackendSwitched and Completed. It ends after Completed;
    a stream that breaks off raises.
    """

    def __init__(self, stub: InferenceServiceStub, call: Call) -> None:
        self._stub = stub
        self._call = call
        self._responses: _Responses | None = None
        self._transcript = Transcript(call.request_id)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while (response := self._read()) is not None:
            self._call.patience.commit()
            event = self._transcript.add(response)
            if event is not None:
                return event
        self._transcript.answer()
        raise StopIteration

    def text_stream(self) -> Iterator[str]:
        """Yields the answer's text as it comes.

        Raises:
            ValueError: `minimum_seam` is `"restart"`: text may have to be taken back, which only events can tell.
        """
        self._call.refuse_restart()
        return (event.text for event in self if isinstance(event, Delta) and event.text)

    def final(self) -> Answer:
        """Reads the stream to its end and returns the whole answer."""
        for _ in self:
            pass
        return self._transcript.answer()

    def close(self) -> None:
        """Cancels the call if it still runs."""
        if self._responses is not None:
            self._responses.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _read(self) -> StreamCompleteResponse | None:
        """Returns the next message, or None at the end; begins anew where the daemon asks for it."""
        while True:
            if self._responses is None:
                self._responses = self._start()
            try:
                return next(self._responses, None)
            except grpc.RpcError as error:
                _wait(error, self._call)
                self._responses = None

    def _start(self) -> _Responses:
        timeout, headers = self._call.patience.remaining(), self._call.headers
        return self._stub.StreamComplete(self._call.stream_request(), timeout=timeout, metadata=headers)


def _unary(method: Callable[..., Response], request: object, call: Call) -> Response:
    while True:
        try:
            return method(request, timeout=call.patience.remaining(), metadata=call.headers)
        except grpc.RpcError as error:
            _wait(error, call)


def _wait(error: grpc.RpcError, call: Call) -> None:
    """Waits as the daemon advises, or raises what the error means."""
    end = time.monotonic() + call.patience.pause_after(from_rpc_error(error, call.request_id))
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, NAP))
