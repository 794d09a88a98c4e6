"""The client for asyncio, on gRPC's asynchronous stack. The one for threads in `sync` has the same shape."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

import grpc

from zoe.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from zoe.inference.v1.decision_pb2 import RouteDecision
from zoe.inference.v1.inference_service_pb2 import StreamCompleteRequest, StreamCompleteResponse
from zoe.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from zoe.inference.v1.response_pb2 import Delta
from zoe_client.answer import Answer, Event, Transcript
from zoe_client.call import Call, prepare
from zoe_client.channel import channel_options
from zoe_client.options import Messages, Options, StreamingOptions
from zoe_client.settings import Connection, ConnectionOptions
from zoe_client.status import from_rpc_error
from zoe_client.target import admin_target

if TYPE_CHECKING:  # exist in the type stubs only
    from zoe.admin.v1.admin_service_pb2_grpc import AdminServiceAsyncStub
    from zoe.inference.v1.inference_service_pb2_grpc import InferenceServiceAsyncStub

Response = TypeVar("Response")


class AsyncClient:
    """Talks to a daemon over one channel, which it opens when it is first needed. For one event loop.

    Args:
        target: Where the daemon is. None: `$ZOE_GRPCD_TARGET`, else its unix socket, else `127.0.0.1:50051`.
        options: See ConnectionOptions.

    Raises:
        TypeError: An option is unknown or of the wrong type.
        ValueError: An option has a wrong value.
    """

    def __init__(self, target: str | None = None, **options: Unpack[ConnectionOptions]) -> None:
        self._connection = Connection.of(target, options)
        self._channels: list[grpc.aio.Channel] = []

    async def complete(self, messages: Messages | None = None, **options: Unpack[Options]) -> Answer:
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
        return Answer(await _unary(self.inference.Complete, call.complete_request(), call))

    def stream(self, messages: Messages | None = None, **options: Unpack[StreamingOptions]) -> "AsyncStream":
        """Returns the answer as it is generated; arguments are those of `complete` and StreamingOptions.

        Use it in an `async with` block, so that leaving early cancels the call. Reading from it raises ZoeError.
        """
        call = prepare(messages, options, self._connection.defaults)
        return AsyncStream(self.inference, call)

    async def route(self, messages: Messages | None = None, **options: Unpack[Options]) -> RouteDecision:
        """Returns where a request would go, and why; arguments and errors are those of `complete`."""
        call = prepare(messages, options, self._connection.defaults)
        return (await _unary(self.inference.Route, call.route_request(), call)).decision

    @cached_property
    def inference(self) -> "InferenceServiceAsyncStub":
        """The raw stub of zoe.inference.v1. It raises grpc.RpcError and takes `headers` as its metadata."""
        return InferenceServiceStub(self._open(self._connection.target))

    @cached_property
    def admin(self) -> "AdminServiceAsyncStub":
        """The raw stub of zoe.admin.v1, on a channel of its own."""
        return AdminServiceStub(self._open(admin_target(self._connection.admin_target)))

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Metadata that carries the key, for calls of the raw stubs."""
        return self._connection.defaults.headers

    async def close(self) -> None:
        """Closes the channels; calls that run are cancelled."""
        for channel in self._channels:
            await channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def _open(self, target: str) -> grpc.aio.Channel:
        options = channel_options(target, retries=self._connection.defaults.grpc_repeats)
        credentials = self._connection.credentials_for(target)
        if credentials is None:
            channel = grpc.aio.insecure_channel(target, options)
        else:
            channel = grpc.aio.secure_channel(target, credentials, options)
        self._channels.append(channel)
        return channel


class AsyncStream:
    """An answer as it is generated: an iterator of events, and a context manager that cancels what is left.

    Yields RouteDecision, Progress, Delta, ToolCallDelta, BackendSwitched and Completed. It ends after Completed;
    a stream that breaks off raises.
    """

    def __init__(self, stub: "InferenceServiceAsyncStub", call: Call) -> None:
        self._stub = stub
        self._call = call
        self._responses: grpc.aio.UnaryStreamCall[StreamCompleteRequest, StreamCompleteResponse] | None = None
        self._transcript = Transcript(call.request_id)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while (response := await self._read()) is not None:
            self._call.patience.commit()
            event = self._transcript.add(response)
            if event is not None:
                return event
        self._transcript.answer()
        raise StopAsyncIteration

    def text_stream(self) -> AsyncIterator[str]:
        """Yields the answer's text as it comes.

        Raises:
            ValueError: `minimum_seam` is `"restart"`: text may have to be taken back, which only events can tell.
        """
        self._call.refuse_restart()
        return (event.text async for event in self if isinstance(event, Delta) and event.text)

    async def final(self) -> Answer:
        """Reads the stream to its end and returns the whole answer."""
        async for _ in self:
            pass
        return self._transcript.answer()

    def close(self) -> None:
        """Cancels the call if it still runs."""
        if self._responses is not None:
            self._responses.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def _read(self) -> StreamCompleteResponse | None:
        """Returns the next message, or None at the end; begins anew where the daemon asks for it."""
        while True:
            if self._responses is None:
                timeout, headers = self._call.patience.remaining(), self._call.headers
                request = self._call.stream_request()
                self._responses = self._stub.StreamComplete(request, timeout=timeout, metadata=headers)
            try:
                response = await self._responses.read()
            except grpc.RpcError as error:
                await _wait(error, self._call)
                self._responses = None
            else:
                return response if isinstance(response, StreamCompleteResponse) else None


async def _unary(method: Callable[..., Awaitable[Response]], request: object, call: Call) -> Response:
    while True:
        try:
            return await method(request, timeout=call.patience.remaining(), metadata=call.headers)
        except grpc.RpcError as error:
            await _wait(error, call)


async def _wait(error: grpc.RpcError, call: Call) -> None:
    """Waits as the daemon advises, or raises what the error means."""
    await asyncio.sleep(call.patience.pause_after(from_rpc_error(error, call.request_id)))
