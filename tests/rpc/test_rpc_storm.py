"""A storm on a real server: hundreds of calls that end in every way there is, and nothing that is left of them."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from rpc.stage import END, HELLO, Setting, Stage, Step, failed, staged, streamed, whole
from waiting import eventually

from zoe.admin.v1 import admin_service_pb2
from zoe.inference.v1 import inference_service_pb2 as pb
from zoe_grpcd.core.answer import Delta
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.run import Reliability

CALLS = 300
PRIORITIES = ("batch", "low", "normal", "high", "critical")
SCRIPTS: Sequence[Sequence[Step]] = (
    HELLO,
    HELLO,
    [[Delta(" x", tokens=1)] for _ in range(40)] + [[END]],
    [UpstreamError(Fault.REFUSED, "no connection")],
    [UpstreamError(Fault.SERVER, "no", http_status=500)],
    [[Delta("half", tokens=1)], UpstreamError(Fault.CUT, "cut")],
    [[Delta("half", tokens=1)]],
)
FLEET = Setting(
    tuple(
        Backend(name, "llamacpp", f"http://{name}.invalid", max_in_flight=3)
        for name in ("one", "two", "three")
    ),
    reliability=Reliability(3, 0.01, return_time=0.1),
)


class Shuffled(list[Any]):
    """A script that is another one for each answer; some answers hang for longer than most of their callers wait."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance

    def __iter__(self) -> Any:
        if self._chance.random() < 0.1:
            over = asyncio.Event()
            asyncio.get_running_loop().call_later(0.7, over.set)
            return iter([[Delta("and then", tokens=1)], over])
        return iter(self._chance.choice(SCRIPTS))


async def one(stage: Stage, chance: random.Random) -> str:
    """One call of some kind with some end; how it ended."""
    spec = {"routing": {"priority": PRIORITIES.index(chance.choice(PRIORITIES)) + 1}}
    deadline = chance.choice((0.05, 0.5, 60.0, 60.0))  # a busy machine answers those who wait, too
    metadata = (("x-request-id", f"storm-{chance.random()}"),)
    call: Any
    if chance.random() < 0.4:
        call = stage.inference.Complete(whole(**spec), timeout=deadline, metadata=metadata)
    else:
        request = streamed(**spec)
        request.options.progress = chance.random() < 0.5
        call = stage.inference.StreamComplete(request, timeout=deadline, metadata=metadata)
    if chance.random() < 0.25:
        asyncio.get_running_loop().call_later(chance.random() * 0.2, call.cancel)
    try:
        if isinstance(call, grpc.aio.UnaryStreamCall):
            await read(call)
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    except asyncio.CancelledError:
        return "CANCELLED"
    return "OK"


async def read(call: Any) -> None:
    """Reads a stream to its end, which is whole and in order."""
    events: list[pb.StreamCompleteResponse] = [event async for event in call]
    assert [event.sequence for event in events] == list(range(len(events)))
    assert [event.WhichOneof("event") for event in events].count("completed") == 1
    assert events[-1].HasField("completed")


@pytest.mark.parametrize("seed", [1])
async def test_after_a_storm_nothing_is_left(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(seed)
    async with staged(FLEET) as stage:
        await stage.inference.Complete(whole())
        tasks_before = len(asyncio.all_tasks())
        for puppet in stage.puppets.values():
            puppet.script = Shuffled(chance)
        ends: Counter[str] = Counter()
        for _ in range(CALLS // 30):
            ends.update(await asyncio.gather(*(one(stage, chance) for _ in range(30))))
            for name in stage.puppets:  # whatever was found of it is forgiven
                stage.observe(name, ok=False, error="refused")
                stage.observe(name)
        assert ends["OK"] > 20
        assert ends["CANCELLED"] > 10
        assert len(ends) >= 4

        await eventually(lambda: stage.gate.running == 0)
        await eventually(lambda: not any(stage.fleet.leases.in_flight(name) for name in stage.puppets))
        assert len(stage.waiting) == 0
        assert not stage.waiting.line
        for puppet in stage.puppets.values():
            assert len(puppet.closed_in) == len(puppet.opened_in) > 0
            puppet.script = HELLO
        await eventually(lambda: len(asyncio.all_tasks()) <= tasks_before)
        assert (await stage.inference.Complete(whole())).message.parts[0].text == "Hello there"
        assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_route_health_and_admin_answer_while_the_queue_is_full() -> None:
    async with staged(FLEET) as stage:
        hold = asyncio.Event()
        for puppet in stage.puppets.values():
            puppet.script = [hold, *HELLO]
        calls = [asyncio.ensure_future(stage.inference.Complete(whole())) for _ in range(9 + 8)]
        await eventually(lambda: len(stage.waiting) == 8)
        begun = time.monotonic()
        for _ in range(4):
            refusals = await asyncio.gather(*(failed(stage.inference.Complete(whole())) for _ in range(50)))
            assert {(f.code, f.info.reason) for f in refusals} == {
                (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
            }
            assert all(RetryInfo in f.details for f in refusals)
        route = await stage.inference.Route(pb.RouteRequest(spec=whole().spec))
        assert "would wait" in route.decision.explanation
        await HealthStub(stage.channel).Check(health_pb2.HealthCheckRequest())
        await stage.admin.ListBackends(admin_service_pb2.ListBackendsRequest())
        assert time.monotonic() - begun < 20
        hold.set()
        await asyncio.gather(*calls)
        assert len(stage.waiting) == 0
