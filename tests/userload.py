"""Stock gRPC clients that never stop asking: what happens to each of their calls while the daemon comes and goes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from waiting import wait_until

from zoe.inference.v1.inference_service_pb2 import (
    CompleteRequest,
    RouteRequest,
    StreamCompleteRequest,
)
from zoe.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from zoe.inference.v1.spec_pb2 import InferenceSpec
from zoe_client import build_spec

PROMPT = "tell me of the river and the clock"
KINDS = ("route", "route", "route", "complete", "stream", "stream")
TOKENS = 25
PACE = 0.005  # seconds between the calls of a caller: the daemon needs the core, too
LIMIT = 100.0  # seconds for a call


@dataclass
class Call:
    """One call. `began` is monotonic time; `error` is empty if all of it came."""

    kind: str
    began: float
    error: str = ""


@dataclass
class Load:
    """Callers, one for each of `KINDS`, each on a connection of its own."""

    target: str
    credentials: grpc.ChannelCredentials | None = None
    calls: dict[int, list[Call]] = field(default_factory=lambda: {n: [] for n in range(len(KINDS))})
    _stop: threading.Event = field(default_factory=threading.Event)

    def failed(self) -> list[Call]:
        return [call for calls in self.calls.values() for call in calls if call.error]

    def goes_on(self, number: int = 3, within: float = 100.0) -> None:
        """Returns when each caller has had so many more calls that went well."""
        wanted = {n: self._well(n) + number for n in self.calls}
        wait_until(lambda: all(self._well(n) >= wanted[n] for n in wanted), within)

    def _well(self, caller: int) -> int:
        return sum(not call.error for call in self.calls[caller])

    def run(self, caller: int) -> None:
        options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
        with self._channel(options) as channel:
            stub = InferenceServiceStub(channel)
            while not self._stop.wait(PACE):
                call = Call(KINDS[caller], time.monotonic())
                try:
                    call.error = _ask(stub, call.kind)
                except grpc.RpcError as error:
                    call.error = f"{error.code().name} {error.details()}"
                self.calls[caller].append(call)

    def _channel(self, options: tuple[tuple[str, int], ...]) -> grpc.Channel:
        if self.credentials is None:
            return grpc.insecure_channel(self.target, options)
        return grpc.secure_channel(self.target, self.credentials, options)

    def stop(self) -> None:
        self._stop.set()


def _ask(stub: InferenceServiceStub, kind: str) -> str:
    """What is wrong with the answer."""
    if kind == "route":
        return (
            ""
            if stub.Route(RouteRequest(spec=_spec(1)), timeout=LIMIT).HasField("decision")
            else "no decision"
        )
    if kind == "complete":
        return "" if stub.Complete(CompleteRequest(spec=_spec(1)), timeout=LIMIT).id else "no answer"
    last = None
    for event in stub.StreamComplete(StreamCompleteRequest(spec=_spec(TOKENS)), timeout=LIMIT):
        last = event
    whole = last is not None and last.completed.usage.completion_tokens == TOKENS
    return "" if whole else "not the whole stream"


def _spec(tokens: int) -> InferenceSpec:
    return build_spec(PROMPT, {"model": "endless", "max_output_tokens": tokens})


@contextmanager
def load_on(target: str, credentials: grpc.ChannelCredentials | None = None) -> Iterator[Load]:
    """Callers that ask until the end of the block; every call has ended after it."""
    load = Load(target, credentials)
    callers = [threading.Thread(target=load.run, args=(n,), daemon=True) for n in load.calls]
    for caller in callers:
        caller.start()
    try:
        yield load
    finally:
        load.stop()
        for caller in callers:
            caller.join(LIMIT)
