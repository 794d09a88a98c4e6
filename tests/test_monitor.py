"""The probe loops, with probes that do what a test says."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from fakes import BROKEN, Clock, Hang, a_backend, fault, seen
from waiting import eventually

from zoe_grpcd.core.backend import Deployment, Phase
from zoe_grpcd.core.breaker import Caution
from zoe_grpcd.core.errors import Fault
from zoe_grpcd.core.observation import Observation
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.monitor import Monitor

NEVER = 3600.0


class FakeProbe:
    """Answers with the next of its answers, the last one again and again; an answer may be a silence or a bug."""

    def __init__(self, *answers: Observation | Hang | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.cancelled = 0

    async def __call__(self) -> Observation:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Hang):
            try:
                await answer.over.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            return seen("m")
        return answer


@asynccontextmanager
async def monitoring(caution: Caution | None = None) -> AsyncIterator[tuple[Fleet, Monitor]]:
    fleet = Fleet(caution=caution)
    monitor = Monitor(fleet, Clock())
    try:
        yield fleet, monitor
    finally:
        await monitor.close()


def watch(monitor: Monitor, name: str, probe: Callable[[], Awaitable[Observation]], **fields: float) -> None:
    monitor.watch(a_backend(name, **{"probe_interval": NEVER, "probe_timeout": NEVER, **fields}), probe)  # type: ignore[arg-type]


async def test_a_backend_is_looked_at_at_once() -> None:
    async with monitoring() as (fleet, monitor):
        watch(monitor, "a", FakeProbe(seen("m")))
        assert fleet.health.phase("a") is Phase.UNKNOWN
        await monitor.first_round(30.0)
        assert fleet.health.phase("a") is Phase.READY


async def test_one_that_hangs_delays_no_other() -> None:
    async with monitoring() as (fleet, monitor):
        watch(monitor, "hangs", FakeProbe(Hang()))
        others = {name: FakeProbe(seen("m")) for name in "abc"}
        for name, probe in others.items():
            watch(monitor, name, probe, probe_interval=0.001)
        await eventually(lambda: all(probe.asked >= 2 for probe in others.values()))
        assert {fleet.health.phase(name) for name in others} == {Phase.READY}
        assert fleet.health.phase("hangs") is Phase.UNKNOWN


async def test_the_first_round_does_not_wait_for_one_that_hangs() -> None:
    async with monitoring() as (fleet, monitor):
        watch(monitor, "hangs", FakeProbe(Hang()))
        watch(monitor, "a", FakeProbe(seen("m")))
        await monitor.first_round(0.01)
        await eventually(lambda: fleet.health.phase("a") is Phase.READY)
        assert fleet.health.phase("hangs") is Phase.UNKNOWN


async def test_a_first_round_of_nobody_ends_at_once() -> None:
    async with monitoring() as (_, monitor):
        await asyncio.wait_for(monitor.first_round(NEVER), 30)


async def test_two_silences_in_a_row_are_a_death_and_the_second_comes_soon() -> None:
    async with monitoring() as (fleet, monitor):
        hang = Hang()
        probe = FakeProbe(seen("m"), hang)
        phases: list[Phase] = []
        watch(monitor, "a", probe, probe_timeout=0.001)
        fleet.picture.subscribe(lambda name: phases.append(fleet.health.phase(name)))
        await eventually(lambda: fleet.health.phase("a") is Phase.READY)
        monitor.nudge("a")
        await eventually(lambda: fleet.health.phase("a") is Phase.DOWN)
        assert phases == [Phase.READY, Phase.DEGRADED, Phase.DOWN]
        assert probe.cancelled == 2, "a probe that is too late is ended"


async def test_a_doubt_leads_to_a_look_at_once() -> None:
    async with monitoring() as (fleet, monitor):
        probe = FakeProbe(seen("m"), BROKEN)
        watch(monitor, "a", probe)
        await monitor.first_round(30.0)
        monitor.nudge("a")
        await eventually(lambda: fleet.health.phase("a") is Phase.DOWN)


async def test_a_doubt_during_a_look_leads_to_another_look() -> None:
    async with monitoring() as (_, monitor):
        hang = Hang()
        probe = FakeProbe(hang, seen("m"))
        watch(monitor, "a", probe)
        await eventually(lambda: probe.asked == 1)
        monitor.nudge("a")
        hang.over.set()
        await eventually(lambda: probe.asked == 2)


async def test_many_doubts_are_one_look() -> None:
    async with monitoring() as (_, monitor):
        probe = FakeProbe(seen("m"))
        watch(monitor, "a", probe)
        await monitor.first_round(30.0)
        for _ in range(1000):
            monitor.nudge("a")
        await eventually(lambda: probe.asked == 2)
        assert probe.asked == 2


async def test_doubts_about_a_stranger_are_nothing() -> None:
    async with monitoring() as (_, monitor):
        monitor.nudge("nobody")


async def test_a_load_is_followed_closely() -> None:
    async with monitoring() as (fleet, monitor):
        watch(monitor, "a", FakeProbe(seen(loading=True), seen(loading=True), seen("m")))
        await eventually(lambda: fleet.health.phase("a") is Phase.READY)


async def test_a_bug_in_a_probe_does_not_end_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    async with monitoring() as (fleet, monitor):
        watch(monitor, "a", FakeProbe(ValueError("a bug"), seen("m")))
        await monitor.first_round(30.0)
        monitor.nudge("a")
        await eventually(lambda: fleet.health.phase("a") is Phase.READY)
    assert "the probe of a failed" in caplog.text


async def test_a_bug_in_a_subscriber_does_not_end_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: str) -> None:
        raise ValueError("a bug")

    async with monitoring() as (fleet, monitor):
        probe = FakeProbe(seen("m"), Hang(), seen("m", "n"))
        watch(monitor, "a", probe, probe_timeout=0.001)
        await monitor.first_round(30.0)
        leave = fleet.picture.subscribe(broken)
        monitor.nudge("a")
        await eventually(lambda: probe.asked == 2 and "a bug" in caplog.text)
        leave()
        await eventually(lambda: fleet.health.phase("a") is Phase.READY and probe.asked == 3)


async def test_changes_of_phase_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with monitoring() as (_, monitor):
        watch(monitor, "a", FakeProbe(BROKEN))
        await monitor.first_round(30.0)
    assert [r.getMessage() for r in caplog.records] == ["backend a: unknown -> down connection refused"]


async def test_close_ends_every_task() -> None:
    before = asyncio.all_tasks()
    async with monitoring() as (_, monitor):
        hanging = FakeProbe(Hang())
        watch(monitor, "hangs", hanging)
        watch(monitor, "a", FakeProbe(seen("m")))
        await eventually(lambda: hanging.asked == 1)
        assert len(asyncio.all_tasks() - before) == 3  # two loops, and the look that hangs
    assert asyncio.all_tasks() == before
    assert hanging.cancelled == 1


def fail(fleet: Fleet, name: str) -> None:
    """A request there has failed."""
    now = Clock().now
    lease = fleet.leases.take(Deployment("m", name, "m"), now)
    fleet.health.failed(lease, fault(Fault.SERVER, http_status=500), now)


async def test_the_end_of_a_cooldown_is_looked_at_in_time() -> None:
    async with monitoring(Caution(error_threshold=1, cooldown=0.05)) as (fleet, monitor):
        probe = FakeProbe(seen("m"))
        watch(monitor, "a", probe)
        await monitor.first_round(30.0)
        fail(fleet, "a")
        monitor.nudge("a")
        await eventually(lambda: probe.asked >= 3)


async def test_what_a_request_finds_out_is_logged_as_well(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with monitoring(Caution(error_threshold=1, cooldown=100.0)) as (fleet, monitor):
        watch(monitor, "a", FakeProbe(seen("m")))
        await monitor.first_round(30.0)
        fail(fleet, "a")
    told = "backend a: ready -> cooling_down HTTP 500. 1 error in 60 s; next trial in 100 s"
    assert told in [record.getMessage() for record in caplog.records]
