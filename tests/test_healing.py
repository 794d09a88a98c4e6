"""A model that has stopped answering, though its server lists it as loaded: when it is unloaded, and when never."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes import ANSWER, BROKEN, Hang, World, a_status, an_ask, fault, seen
from waiting import eventually

from zoe_grpcd.core.errors import BackendFailed, Fault, UpstreamError, ZoeError
from zoe_grpcd.core.observation import LoadState, ModelStatus, Observation
from zoe_grpcd.fleet.stalls import ENOUGH
from zoe_grpcd.healing import AGAIN, LOOKS, REST, Healing, Times
from zoe_grpcd.run import Around, Reliability

SILENT = 0.001  # s; all that a first token may take
COLD = LoadState.UNLOADED
TWICE = range(ENOUGH)


@dataclass
class Ward(World):
    """Servers of one slot, of which some can be told to unload a model; what they are seen to have follows from that."""

    reliability: Reliability = field(default_factory=lambda: Reliability(max_attempts=1, return_time=0.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.warmers: dict[str, Unloader] = {}
        self.looks = 0
        self.seen: Callable[[], Observation] = self._as_loaded
        around = Around(self.clock, self.nudged.append, look=self.see)
        self.healing = Healing(self.fleet, self.dispatchers, self.warmers, around, Times(0.0, SILENT))

    def ailing(self, name: str = "a", *, keeps: bool = True, **fields: Any) -> "Unloader":
        """A backend that says nothing from now on."""
        self.add(name, [Hang()], **{"first_token_timeout": SILENT, "loads_in_turn": True, **fields})
        self.warmers[name] = Unloader(keeps=keeps)
        return self.warmers[name]

    async def see(self, names: Any, _limit: float) -> None:
        self.looks += 1
        for name in names:
            self.observe(name, self.seen())

    def _as_loaded(self) -> Observation:
        gone = any(warmer.unloaded for warmer in self.warmers.values())
        return seen(a_status(state=COLD if gone else LoadState.LOADED))

    async def stall(self, model: str = "m") -> None:
        """A request that nobody answers."""
        with pytest.raises(ZoeError):
            await self.run(an_ask(model=model))

    async def leave(self, after: float = 5.0) -> None:
        """A request whose caller leaves before it has anything, after so many seconds."""
        dispatcher = self.dispatchers["a"]
        before = len(dispatcher.calls)
        task = asyncio.create_task(self.run(an_ask(model="m")))
        await eventually(lambda: len(dispatcher.calls) > before)
        self.clock.advance(after)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def looked(self) -> None:
        """Returns when it has looked often enough to act."""
        before = self.looks
        await eventually(lambda: self.looks > before + 2 * LOOKS + 1)

    def detail(self, name: str = "a") -> str:
        return self.fleet.report(name, self.clock()).detail


class Unloader:
    """Unloads what it is told to."""

    def __init__(self, *, keeps: bool) -> None:
        self.keeps = keeps
        self.asked: list[tuple[str, float | None]] = []
        self.unloaded = False
        self.error: UpstreamError | None = None

    async def __call__(self, call: Any, keep_alive: float | None) -> None:
        self.asked.append((call.backend_model, keep_alive))
        if self.error is not None:
            raise self.error
        self.unloaded = True


async def test_a_loaded_model_that_is_silent_twice_in_a_row_is_unloaded_once_and_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ward = Ward()
    unloader = ward.ailing()
    for _ in TWICE:
        assert unloader.asked == []
        await ward.stall()
    with caplog.at_level(logging.WARNING, "zoe_grpcd.healing"):
        await eventually(lambda: "unloaded" in ward.detail())
    assert unloader.asked == [("m", 0.0)]
    assert ward.detail().endswith("m: unloaded 0 s ago, since it had stopped answering")
    assert "m @ a had stopped answering, and was unloaded" in caplog.text
    ward.clock.advance(REST)
    assert "unloaded" not in ward.detail()


async def test_after_the_unload_the_next_request_is_let_through_at_once_and_ends_the_matter() -> None:
    ward = Ward()
    unloader = ward.ailing()
    for _ in range(5):
        await ward.stall()
    assert "next trial in 300 s" in ward.detail()
    await eventually(lambda: unloader.unloaded and "unloaded" in ward.detail())
    assert "the next request is its trial" in ward.detail()
    ward.dispatchers["a"].scripts = [ANSWER]
    ward.dispatchers["a"].calls.clear()
    await ward.run()
    assert "trial" not in ward.detail()
    assert ward.fleet.health.stalled("a") is None


async def test_an_answer_in_between_shows_that_it_is_only_slow() -> None:
    ward = Ward()
    unloader = ward.ailing()
    await ward.stall()
    ward.dispatchers["a"].scripts = [[Hang()], ANSWER, [Hang()], [Hang()]]
    await ward.run()
    await ward.stall()
    assert ward.fleet.health.stalled("a") is None
    await ward.stall()
    await eventually(lambda: unloader.asked)


async def test_whoever_has_no_patience_is_followed_by_one_who_has() -> None:
    ward = Ward()
    unloader = ward.ailing(first_token_timeout=None)
    for _ in TWICE:
        assert unloader.asked == []
        await ward.leave()
    await eventually(lambda: unloader.asked)
    assert [len(call.generation.messages) for call in ward.dispatchers["a"].calls] == [1] * 4
    assert ward.dispatchers["a"].calls[-1].generation.options == {"max_output_tokens": 1}
    await eventually(lambda: not ward.left_behind)


async def test_a_model_that_only_its_callers_had_no_time_for_is_left_alone() -> None:
    ward = Ward()
    unloader = ward.ailing(first_token_timeout=None)
    ward.dispatchers["a"].scripts = [[Hang()], [Hang()], ANSWER, [Hang()]]
    for _ in TWICE:
        await ward.leave()
    await eventually(lambda: len(ward.dispatchers["a"].calls) == 3)
    await eventually(lambda: not ward.healing._tasks)
    for _ in range(4):
        await ward.leave()
    assert not ward.healing._tasks, "it is asked again too soon"
    ward.clock.advance(AGAIN)
    await ward.leave()
    assert ward.healing._tasks
    assert unloader.asked == []
    await ward.healing.close()
    assert ward.left_behind == 0


@pytest.mark.parametrize("waits", [0.5, 30.0])
async def test_whoever_leaves_at_once_or_during_a_load_says_nothing_of_a_model(waits: float) -> None:
    ward = Ward()
    cold = waits > 1.0
    ward.ailing(seen_as=seen(a_status(state=COLD if cold else LoadState.LOADED)), first_token_timeout=None)
    for _ in range(3):
        await ward.leave(waits)
    ward.observe("a", seen("m"))
    assert ward.fleet.health.doubtful("a") is None
    assert not ward.healing._tasks


async def test_what_is_still_being_loaded_has_not_stalled() -> None:
    ward = Ward()
    unloader = ward.ailing(seen_as=seen(a_status(state=COLD)))
    ward.seen = lambda: seen(a_status(state=COLD))
    for _ in range(4):
        await ward.stall()
    ward.observe("a", seen("m"))
    assert ward.fleet.health.stalled("a") is None
    assert unloader.asked == []


async def test_it_waits_for_requests_of_ours_that_are_there_by_whatever_name() -> None:
    ward = Ward()
    both = seen(ModelStatus("file", alias="m"))
    unloader = ward.ailing(seen_as=both, max_in_flight=9)
    ward.seen = lambda: both
    lease = None
    for number in TWICE:
        await ward.stall()
        if not number:
            [view] = ward.fleet.picture.snapshot(ward.clock()).by_model["m"]
            lease = ward.fleet.leases.take(view.deployment, ward.clock())
    assert lease is not None
    await ward.looked()
    assert unloader.asked == []
    ward.fleet.leases.release(lease, None, ward.clock())
    await eventually(lambda: unloader.asked)


async def test_it_is_left_alone_while_somebody_else_is_seen_to_use_it() -> None:
    ward = Ward()
    unloader = ward.ailing()
    others = iter(range(1000, 100_000, 5))
    ward.seen = lambda: seen(a_status(expire_at=float(next(others))))
    for _ in TWICE:
        await ward.stall()
    await ward.looked()
    assert unloader.asked == []
    ward.seen = lambda: seen(a_status(expire_at=99_999.0))
    await eventually(lambda: unloader.asked)


@pytest.mark.parametrize("how", [{"keeps": False}, {"local": False}])
async def test_only_a_local_server_that_can_unload_is_told_to(how: dict[str, Any]) -> None:
    ward = Ward()
    unloader = ward.ailing(**how)
    for _ in range(3):
        await ward.stall()
    assert not ward.healing._tasks, "it has begun"
    assert unloader.asked == []


async def test_a_model_is_not_unloaded_again_soon() -> None:
    ward = Ward()
    unloader = ward.ailing()
    for _ in TWICE:
        await ward.stall()
    await eventually(lambda: "unloaded" in ward.detail())
    unloader.unloaded = False
    ward.observe("a", seen("m"))
    ward.clock.advance(REST / 2)
    for _ in range(3):
        await ward.stall()
    assert len(unloader.asked) == 1
    ward.clock.advance(REST)
    await ward.stall()
    await eventually(lambda: len(unloader.asked) == 2)


async def test_one_that_cannot_be_unloaded_is_reported_and_left_to_the_breaker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ward = Ward()
    unloader = ward.ailing()
    unloader.error = fault(Fault.REFUSED, "connection refused")
    for _ in TWICE:
        await ward.stall()
    await eventually(lambda: "could not be unloaded: connection refused" in caplog.text)
    assert "unloaded" not in ward.detail()
    with pytest.raises(BackendFailed):
        await ward.run()
    assert len(unloader.asked) == 1


async def test_a_server_that_dies_or_is_taken_away_meanwhile_needs_no_healing() -> None:
    ward = Ward()
    unloader = ward.ailing()
    ward.seen = lambda: BROKEN
    for _ in TWICE:
        await ward.stall()
    await eventually(lambda: "connection refused" in ward.detail())
    ward.fleet.retire("a", ward.clock())
    await ward.healing.close()
    assert unloader.asked == []
    assert ward.left_behind == 0
