"""A daemon for the tests of its client: a real gRPC server that records what it is asked and answers by script."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as rpc
from google.rpc.status_pb2 import Status

from zoe.inference.v1 import decision_pb2, inference_service_pb2, message_pb2, response_pb2
from zoe.inference.v1.inference_service_pb2_grpc import InferenceServiceServicer

Event = inference_service_pb2.StreamCompleteResponse


@dataclass(frozen=True)
class Refusal:
    """A failed call."""

    code: grpc.StatusCode
    reason: str = ""
    message: str = "it did not work"
    details: tuple[Message, ...] = ()
    domain: str = "zoe-grpcd"
    trailers: tuple[tuple[str, str], ...] = ()

    def status(self) -> bytes:
        info = rpc.ErrorInfo(domain=self.domain, reason=self.reason, metadata={"did_you_mean": "tiny"})
        packed = [any_pb2.Any() for _ in range(len(self.details) + 1)]
        for box, detail in zip(packed, [info, *self.details], strict=True):
            box.Pack(detail)
        status = Status(code=self.code.value[0], message=self.message, details=packed)
        return bytes(status.SerializeToString())


@dataclass(frozen=True)
class Wait:
    """A pause in a stream that only the end of the call ends."""


@dataclass
class Daemon(InferenceServiceServicer):
    """Answers each call with the next entry of `script`, and records the call."""

    target: str = ""
    script: deque[Any] = field(default_factory=deque)
    requests: list[Any] = field(default_factory=list)
    headers: list[dict[str, str | bytes]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    # The RPCs have the names of the contract.
    async def Route(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._next(request, context)

    async def Complete(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._next(request, context)

    async def RateResponse(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._next(request, context)

    async def StreamComplete(self, request: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        self._record(request, context)
        entry = self.script.popleft()
        try:
            for event in [entry] if isinstance(entry, Refusal | Wait) else entry:
                await self._send(event, context)
        finally:
            self.ended.set()

    async def _send(self, event: Any, context: Any) -> None:
        if isinstance(event, Refusal):
            await refuse(event, context)
        elif isinstance(event, Wait):
            await asyncio.Event().wait()
        else:
            await context.write(event)

    async def _next(self, request: Any, context: Any) -> Any:
        self._record(request, context)
        entry = self.script.popleft()
        if isinstance(entry, Wait):
            await asyncio.Event().wait()
        if isinstance(entry, Refusal):
            await refuse(entry, context)
        return entry

    def _record(self, request: Any, context: Any) -> None:
        self.requests.append(request)
        self.headers.append(dict(context.invocation_metadata()))
        self.seconds.append(context.time_remaining())


async def refuse(refusal: Refusal, context: Any) -> None:
    details = ("grpc-status-details-bin", refusal.status())
    await context.abort(refusal.code, refusal.message, (details, *refusal.trailers))


def retry_info(seconds: float) -> rpc.RetryInfo:
    delay = duration_pb2.Duration()
    delay.FromNanoseconds(int(seconds * 1e9))
    return rpc.RetryInfo(retry_delay=delay)


def decision(backend: str = "left") -> decision_pb2.RouteDecision:
    return decision_pb2.RouteDecision(chosen=decision_pb2.BackendRef(backend=backend, model="tiny"))


def answer(text: str) -> inference_service_pb2.CompleteResponse:
    parts = [message_pb2.ContentPart(text=text)]
    return inference_service_pb2.CompleteResponse(
        id="a-1",
        model="tiny",
        message=message_pb2.Message(role=message_pb2.ROLE_ASSISTANT, parts=parts),
        finish_reason=response_pb2.FINISH_REASON_STOP,
        usage=response_pb2.Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5),
        decision=decision(),
    )


def completed() -> response_pb2.Completed:
    return response_pb2.Completed(
        id="a-1",
        model="tiny",
        finish_reason=response_pb2.FINISH_REASON_STOP,
        usage=response_pb2.Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5),
    )


def events(*messages: Message) -> list[Event]:
    """Returns the messages as the numbered events of a stream."""
    kinds: dict[Any, str] = {each.message_type: each.name for each in Event.DESCRIPTOR.oneofs[0].fields}
    stream = [Event(sequence=number) for number in range(len(messages))]
    for event, message in zip(stream, messages, strict=True):
        getattr(event, kinds[message.DESCRIPTOR]).CopyFrom(message)
    return stream


def spoken(texts: Iterable[str]) -> list[Event]:
    """Returns a whole stream that says these texts."""
    return events(decision(), *(response_pb2.Delta(text=text, token_count=1) for text in texts), completed())
