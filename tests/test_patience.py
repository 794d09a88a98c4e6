"""One timer for all waits of all calls."""

import asyncio
from typing import Any

import pytest
from waiting import eventually

from zoe_grpcd.patience import NEVER, Patience

LONG, SHORT = 60.0, 0.005


async def never() -> None:
    await asyncio.Event().wait()


async def waiting_with(patience: Patience) -> asyncio.Task[None]:
    """A wait that has begun, and that nothing ends."""

    async def wait() -> None:
        with patience(LONG):
            await never()

    task = asyncio.create_task(wait())
    await eventually(lambda: patience.deadline != NEVER)
    return task


async def test_a_wait_that_takes_too_long_ends() -> None:
    patience = Patience()
    with pytest.raises(TimeoutError), patience(SHORT):
        await never()
    patience.close()


async def test_a_wait_in_time_passes_its_value_and_its_error() -> None:
    patience = Patience()
    with patience(LONG):
        assert await asyncio.sleep(0, "value") == "value"
    with pytest.raises(ValueError, match="its own"), patience(LONG):
        raise ValueError("its own")
    patience.close()


@pytest.mark.parametrize("limits", [(LONG, SHORT), (SHORT, SHORT), (LONG, LONG, SHORT)])
async def test_each_wait_has_its_own_limit(limits: tuple[float, ...]) -> None:
    patience = Patience()
    for limit in limits[:-1]:
        with patience(limit):
            await asyncio.sleep(0)
    with pytest.raises(TimeoutError), patience(limits[-1]):
        await never()
    patience.close()


async def test_what_happens_between_two_waits_has_no_limit() -> None:
    patience, loop = Patience(), asyncio.get_running_loop()
    with patience(SHORT):
        await asyncio.sleep(0)
    end = loop.time() + 3 * SHORT
    await eventually(lambda: loop.time() > end)
    with patience(LONG):
        await asyncio.sleep(0)
    patience.close()


async def test_a_short_wait_after_a_long_one_uses_the_timer_that_ran_already() -> None:
    """The timer of an earlier, shorter wait fires in a longer one, and moves itself on."""
    patience, loop = Patience(), asyncio.get_running_loop()
    with patience(SHORT):
        await asyncio.sleep(0)
    end = loop.time() + 3 * SHORT
    with patience(LONG):
        await eventually(lambda: loop.time() > end)
    with pytest.raises(TimeoutError), patience(SHORT):
        await never()
    patience.close()


async def test_many_calls_with_many_waits_make_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, made = asyncio.get_running_loop(), list[float]()
    call_at = loop.call_at

    def counted(at: float, *rest: Any) -> asyncio.TimerHandle:
        made.append(at)
        return call_at(at, *rest)

    monkeypatch.setattr(loop, "call_at", counted)
    for _ in range(100):
        patience = Patience()
        for _ in range(10):
            with patience(LONG):
                await asyncio.sleep(0)
        patience.close()
    assert len(made) == 1


async def test_calls_that_wait_at_the_same_time_end_each_at_its_own_limit() -> None:
    ended: list[float] = []

    async def wait(limit: float) -> None:
        patience = Patience()
        with pytest.raises(TimeoutError), patience(limit):
            await never()
        ended.append(limit)
        patience.close()

    patient = asyncio.create_task(wait(LONG))
    await asyncio.gather(*(wait(limit) for limit in (8 * SHORT, SHORT, 4 * SHORT)))
    assert ended == [SHORT, 4 * SHORT, 8 * SHORT]
    assert not patient.done()
    patient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await patient


async def test_a_call_that_has_ended_is_forgotten() -> None:
    patience = Patience()
    with patience(LONG):
        await asyncio.sleep(0)
    assert patience in patience._timer.watched
    patience.close()
    assert patience not in patience._timer.watched


async def test_after_a_time_out_the_task_is_not_cancelled() -> None:
    patience = Patience()
    with pytest.raises(TimeoutError), patience(SHORT):
        await never()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)
    patience.close()


async def test_a_cancel_from_outside_stays_a_cancel() -> None:
    patience = Patience()
    task = await waiting_with(patience)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    patience.close()


async def test_a_cancel_from_outside_in_the_very_moment_of_the_limit_wins() -> None:
    patience = Patience()
    task = await waiting_with(patience)
    patience.deadline = 0.0
    patience._timer.fire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    patience.close()


async def test_a_lost_wait_ends_at_once_and_may_be_lost_twice() -> None:
    patience = Patience()
    task = await waiting_with(patience)
    patience.lose()
    patience.lose()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task, 30)
    patience.close()


async def test_nothing_is_lost_when_nobody_waits() -> None:
    patience = Patience()
    patience.lose()
    with patience(LONG):
        await asyncio.sleep(0)
    patience.lose()
    await asyncio.sleep(0)
    patience.close()


async def test_an_answer_and_the_limit_in_one_turn_of_the_loop_leave_the_next_wait_alone() -> None:
    patience, answer = Patience(), asyncio.Event()

    async def wait() -> str:
        with patience(LONG):
            await answer.wait()
        with patience(LONG):
            await asyncio.sleep(0)
        return "both"

    task = asyncio.create_task(wait())
    await eventually(lambda: patience.deadline != NEVER)
    answer.set()
    patience.lose()
    patience._timer.fire()  # the limit comes before the task has seen its answer
    with pytest.raises(TimeoutError):
        await task
    patience.close()
