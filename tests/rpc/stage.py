"""A real server with the real router and fleet, before backends that do as they are told."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from zoe.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from zoe.inference.v1 import error_pb2
from zoe.inference.v1 import inference_service_pb2 as pb
from zoe.inference.v1 import message_pb2 as msg
from zoe.inference.v1 import spec_pb2 as spec
from zoe.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from zoe_grpcd.admission import WaitingRoom
from zoe_grpcd.core.answer import Delta, Event, Finish, FinishReason, Usage
from zoe_grpcd.core.backend import Backend, ModelFacts, Prefill
from zoe_grpcd.core.calls import Calls
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Call
from zoe_grpcd.core.intents import configured
from zoe_grpcd.core.observation import ModelStatus, Observation
from zoe_grpcd.core.resolve import Policy, Resolver
from zoe_grpcd.deciding import Rules
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.router import Router
from zoe_grpcd.rpc import admin, health, inference, reflection
from zoe_grpcd.rpc.connections import connected
from zoe_grpcd.rpc.counted import counted
from zoe_grpcd.rpc.guard import Gate
from zoe_grpcd.rpc.notice import Watchers
from zoe_grpcd.rpc.server import Locks, listen, make_server
from zoe_grpcd.rpc.stats import Figures
from zoe_grpcd.rpc.warming import Warmups
from zoe_grpcd.run import Around, Reliability
from zoe_grpcd.warming import Warming

if TYPE_CHECKING:  # the generated types know them, the generated code does not
    from zoe.admin.v1.admin_service_pb2_grpc import AdminServiceAsyncStub
    from zoe.inference.v1.inference_service_pb2_grpc import InferenceServiceAsyncStub

Step = Sequence[Event] | UpstreamError | asyncio.Event | Exception
END = Finish(FinishReason.STOP, Usage(7, 3))
HELLO: Sequence[Step] = [[Delta("Hello", tokens=1)], [Delta(" there", tokens=1)], [END]]
# A client's windows double with each probe of what the way can carry, also while nobody reads: some swallow 20 MB in a
# second. Without the probes they stay as large as they are at first, so that a write to who reads nothing surely waits.
STEADY = (("grpc.http2.bdp_probe", 0),)
ABLE = frozenset({"chat", "tools", "vision", "json_schema", "reasoning", "grammar", "logprobs"})


class Puppet:
    """A dispatcher whose answers are lists of steps: a batch to yield, an error to raise, an event to wait for.

    Notes in which task each answer was opened and closed.
    """

    def __init__(self) -> None:
        self.script: Sequence[Step] = HELLO
        self.calls: list[Call] = []
        self.sent = 0  # batches
        self.opened_in: list[asyncio.Task[Any] | None] = []
        self.closed_in: list[asyncio.Task[Any] | None] = []

    async def stream(self, call: Call) -> AsyncGenerator[list[Event]]:
        self.calls.append(call)
        self.opened_in.append(asyncio.current_task())
        try:
            for step in self.script:
                if isinstance(step, Sequence):
                    self.sent += 1
                    yield list(step)
                elif isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    raise step
        finally:
            self.closed_in.append(asyncio.current_task())

    async def resumed(self, call: Call) -> Call:
        return call


class FakeWarmer:
    """Loads at once, or when `hold` is set, or not at all, since `error`."""

    def __init__(self, *, keeps: bool = False) -> None:
        self.keeps = keeps
        self.asked: list[tuple[Call, float | None]] = []
        self.hold: asyncio.Event | None = None
        self.error: UpstreamError | None = None

    async def __call__(self, call: Call, keep_alive: float | None) -> None:
        self.asked.append((call, keep_alive))
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error


@dataclass
class Stage:
    """Everything that a test wants to reach."""

    calls: Calls
    fleet: Fleet
    puppets: dict[str, Puppet]
    gate: Gate
    waiting: WaitingRoom
    watchers: Watchers
    server: grpc.aio.Server
    target: str
    channel: grpc.aio.Channel
    warmers: dict[str, "FakeWarmer"]

    @property
    def inference(self) -> "InferenceServiceAsyncStub":
        """The stub of the inference service."""
        return InferenceServiceStub(self.channel)

    @property
    def admin(self) -> "AdminServiceAsyncStub":
        """The stub of the admin service."""
        return AdminServiceStub(self.channel)

    def refuse(self, *names: str) -> None:
        """These backends take no connection."""
        for name in names:
            self.puppets[name].script = [UpstreamError(Fault.REFUSED, "no connection")]

    @property
    def puppet(self) -> Puppet:
        """The only backend's, or the first one's."""
        return next(iter(self.puppets.values()))

    def observe(self, backend: str, *models: ModelStatus, **seen: Any) -> None:
        """A probe saw this."""
        observation = Observation(**{"ok": True, "models": models or None, "slots": 4, "busy": 0} | seen)
        self.fleet.health.observe(backend, observation, time.monotonic())


@dataclass(frozen=True)
class Setting:
    """How a stage is set up."""

    backends: tuple[Backend, ...] = (Backend("one", "llamacpp", "http://one.invalid"),)
    policy: Policy = field(default_factory=Policy)
    reliability: Reliability = field(default_factory=lambda: Reliability(3, 0.01))
    max_request_time: float = 600.0
    servicer: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, ModelFacts] = field(default_factory=dict)
    change_router: Callable[[Router], Any] = lambda router: router  # puts something else in its place


TWO = Setting(tuple(Backend(name, "llamacpp", f"http://{name}.invalid") for name in ("one", "two")))


def tiny(name: str = "tiny", **facts: Any) -> ModelStatus:
    """A model that can do everything."""
    able: dict[str, Any] = {"context_tokens": 8192, "capabilities": ABLE}
    return ModelStatus(name, **able | facts)


@asynccontextmanager
async def staged(setting: Setting | None = None) -> AsyncIterator[Stage]:
    """A server on a free port; everything is over at the end."""
    setting = setting or Setting()
    fleet, puppets = Fleet(setting.facts), {backend.name: Puppet() for backend in setting.backends}
    waiting, gate = WaitingRoom(8, 5.0, has_room=fleet.leases.has_room), Gate(setting.max_request_time)
    fleet.picture.subscribe(lambda _name: waiting.stir())
    around = Around(time.monotonic, lambda _name: None)
    watchers = Watchers(fleet.picture.subscribe)
    rules = Rules(Resolver(setting.policy, configured({})), setting.policy, setting.reliability)
    router = setting.change_router(Router(fleet, rules, puppets, waiting, around))
    calls, addresses = Calls(), list[str]()
    figures = Figures(gate.log, calls, lambda: connected(addresses))
    warmers = {b.name: FakeWarmer(keeps=b.kind == "ollama") for b in setting.backends if b.local}
    warming = Warming(fleet, rules, warmers, around)
    further = {**figures.handlers(), **Warmups(warming, fleet).handlers()}
    handlers = counted(
        calls,
        inference.InferenceServicer(router, gate, **setting.servicer).handlers(),
        admin.AdminServicer(fleet, watchers, around, setting.policy.aliases, further).handlers(),
        health.HealthServicer(fleet, watchers, around).handlers(),
        *reflection.handlers((inference.SERVICE, admin.SERVICE, health.SERVICE)),
    )
    server = make_server(
        (gate.together, *handlers),
        max_streams=100,
        max_receive_bytes=4 * 1024 * 1024,
    )
    target = listen(server, "127.0.0.1:0", Locks())
    addresses.append(target)
    await server.start()
    async with grpc.aio.insecure_channel(target, STEADY) as channel:
        stage = Stage(calls, fleet, puppets, gate, waiting, watchers, server, target, channel, warmers)
        for backend in setting.backends:
            fleet.add(replace(backend, prefill=Prefill.CONTINUES), time.monotonic())
            stage.observe(backend.name, tiny())
        try:
            yield stage
        finally:
            await warming.close()
            await server.stop(None)


# ------------------------------------------------------------------------------------------------- what is asked


def said(text: str = "Hello.", role: Any = msg.ROLE_USER) -> msg.Message:
    """A message of one text."""
    return msg.Message(role=role, parts=[msg.ContentPart(text=text)])


def asked(*messages: msg.Message, **fields: Any) -> spec.InferenceSpec:
    """A specification; without messages, one that says hello."""
    return spec.InferenceSpec(messages=messages or [said()], **fields)


def whole(*messages: msg.Message, **fields: Any) -> pb.CompleteRequest:
    """A CompleteRequest."""
    return pb.CompleteRequest(spec=asked(*messages, **fields))


def streamed(*messages: msg.Message, **fields: Any) -> pb.StreamCompleteRequest:
    """A StreamCompleteRequest."""
    return pb.StreamCompleteRequest(spec=asked(*messages, **fields))


# ------------------------------------------------------------------------------------------------- what came of it


@dataclass(frozen=True)
class Failure:
    """How a call failed, taken apart."""

    code: grpc.StatusCode
    text: str
    status: status_pb2.Status
    info: error_details_pb2.ErrorInfo
    details: dict[type[Message], Any]
    trailers: dict[str, str | bytes]

    def violations(self) -> list[tuple[str, str]]:
        """Field and description of each."""
        bad = self.details[error_details_pb2.BadRequest]
        return [(v.field, v.description) for v in bad.field_violations]


REASONS = {value.name.removeprefix("ERROR_REASON_") for value in error_pb2.ErrorReason.DESCRIPTOR.values}
DETAILS: tuple[type[Message], ...] = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.PreconditionFailure,
    error_details_pb2.QuotaFailure,
    error_details_pb2.ResourceInfo,
    error_details_pb2.RetryInfo,
    error_pb2.AttemptsDetail,
)


def unpacked(status: status_pb2.Status) -> dict[type[Message], Any]:
    """The details by their type; each is there once at most, and none is unknown."""
    found: dict[type[Message], Any] = {}
    for packed in status.details:
        kind = next(kind for kind in DETAILS if packed.Is(kind.DESCRIPTOR))
        assert kind not in found
        found[kind] = kind()
        packed.Unpack(found[kind])
    return found


def failure_of(error: grpc.RpcError | grpc.aio.AioRpcError) -> Failure:
    """Takes an error apart, and asserts what holds for every one."""
    assert isinstance(error, grpc.aio.AioRpcError)
    trailers = dict(error.trailing_metadata() or ())
    packed = trailers["grpc-status-details-bin"]
    assert isinstance(packed, bytes)
    assert len(packed) <= 4096
    status = status_pb2.Status.FromString(packed)
    details = unpacked(status)
    info = details[error_details_pb2.ErrorInfo]
    assert info.domain == "zoe-grpcd"
    assert info.reason in REASONS
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    return Failure(error.code(), error.details() or "", status, info, details, trailers)


async def failed(call: Any) -> Failure:
    """Awaits a call, or reads a stream to its end, that has to fail."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return failure_of(error)
    raise AssertionError("the call did not fail")


async def trailers_of(call: Any) -> dict[str, str | bytes]:
    """The trailers of a call that is over."""
    return dict(await call.trailing_metadata())


async def events_of(call: AsyncIterable[pb.StreamCompleteResponse]) -> list[pb.StreamCompleteResponse]:
    """All events, which are counted from 0 without gaps."""
    events = [event async for event in call]
    assert [event.sequence for event in events] == list(range(len(events)))
    return events


def kinds(events: Iterable[pb.StreamCompleteResponse]) -> list[str]:
    """What each event is."""
    return [event.WhichOneof("event") or "" for event in events]
