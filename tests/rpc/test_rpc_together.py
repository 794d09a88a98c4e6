"""Calls that come close upon one another are begun together, and nobody waits for what is not there."""

import asyncio
from itertools import groupby
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from rpc.stage import Stage, asked

from zoe.inference.v1 import inference_service_pb2 as pb
from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.statistics import Statistics
from zoe_grpcd.rpc import together
from zoe_grpcd.rpc.together import MOST, PATHS, TURNS, Together

ROUTE = "/zoe.inference.v1.InferenceService/Route"


class Calls:
    """Calls as gRPC brings them; `begun` has their names, in order."""

    def __init__(self) -> None:
        self.together = Together()
        self.begun: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def taken_up(self, number: int = 1, path: str = ROUTE) -> None:
        """gRPC takes up so many."""
        details: Any = SimpleNamespace(method=path)
        for _ in range(number):
            self.together.service(details)

    async def here(self, *names: str) -> None:
        """Their messages are here; returns when the event loop has done what it can do about it."""
        for name in names:
            self.together.arrive()
            self.tasks[name] = asyncio.create_task(self._call(name))
        await self.some_turns()

    async def some_turns(self) -> None:
        """More than a call lets pass to see whether there is another one."""
        for _ in range(TURNS + 5):
            await asyncio.sleep(0)

    async def all_begun(self) -> None:
        """Returns when nobody waits any more."""
        async with asyncio.timeout(30):
            await asyncio.gather(*self.tasks.values())

    async def _call(self, name: str) -> None:
        await self.together.turn()
        self.begun.append(name)


@pytest.fixture
async def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Nobody is given up, however slow the machine is."""
    monkeypatch.setattr(together, "PATIENCE", 600.0)
    return Calls()


async def test_who_is_alone_waits_for_some_turns_of_the_loop_only(calls: Calls) -> None:
    calls.taken_up()
    await calls.here("a")
    assert calls.begun == ["a"]


async def test_a_call_waits_for_one_that_was_taken_up_and_is_begun_before_it(calls: Calls) -> None:
    calls.taken_up(2)
    await calls.here("a")
    assert calls.begun == []

    await calls.here("b")
    assert calls.begun == ["a", "b"]


async def test_no_more_than_so_many_wait_for_one_another(calls: Calls) -> None:
    names = [str(number) for number in range(MOST)]
    calls.taken_up(MOST + 1)
    await calls.here(*names[:-1])
    assert calls.begun == []

    await calls.here(names[-1])
    assert calls.begun == names


async def test_a_call_whose_message_does_not_come_is_given_up_once(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "PATIENCE", 0.005)
    calls.taken_up(2)
    await calls.here("a")
    await calls.all_begun()

    calls.taken_up()
    await calls.here("b")
    assert calls.begun == ["a", "b"]


async def test_nobody_waits_for_a_call_that_was_refused(calls: Calls) -> None:
    calls.taken_up(2)
    await calls.here("a")
    calls.together.arrive()  # a bad key: it never asks for its turn
    await calls.some_turns()
    assert calls.begun == ["a"]


async def test_a_cancelled_call_keeps_nobody_waiting(calls: Calls) -> None:
    calls.taken_up(2)
    await calls.here("a")
    calls.tasks.pop("a").cancel()
    await calls.here("b")
    assert calls.begun == ["b"]


async def test_other_services_are_not_waited_for(calls: Calls) -> None:
    calls.taken_up(path="/grpc.health.v1.Health/Check")
    calls.taken_up(path="/zoe.inference.v1.InferenceService/NoSuchMethod")
    calls.taken_up()
    await calls.here("a")
    assert calls.begun == ["a"]


def test_every_inference_method_is_known() -> None:
    assert ROUTE in PATHS
    assert len(PATHS) == 4


async def test_grpc_takes_up_the_next_call_while_one_waits(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails with another grpcio: see TURNS."""
    seen: list[str] = []
    takes_up, decides = Together.service, Statistics.decided

    def service(self: Together, details: grpc.HandlerCallDetails) -> None:
        seen.append("taken up")
        takes_up(self, details)

    def decided(self: Statistics, decision: Decision, now: float) -> None:
        seen.append("decided")
        decides(self, decision, now)

    monkeypatch.setattr(Together, "service", service)
    monkeypatch.setattr(Statistics, "decided", decided)
    await asyncio.gather(*(stage.inference.Route(pb.RouteRequest(spec=asked())) for _ in range(40)))

    runs = [len(list(run)) for what, run in groupby(seen) if what == "decided"]
    assert sum(runs) == 40
    assert max(runs) >= 2


async def test_a_caller_who_sends_no_message_keeps_nobody_waiting(stage: Stage) -> None:
    silent: Any = stage.channel.stream_unary(ROUTE)()
    for _ in range(3):
        answer = await stage.inference.Route(pb.RouteRequest(spec=asked()), timeout=30)
        assert answer.decision.chosen.backend == "one"
    assert not silent.done()
    silent.cancel()
