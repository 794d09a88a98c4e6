"""The waiting room by itself; with a router around it: test_router.py."""

import asyncio

import pytest
from waiting import eventually

from zoe_grpcd.admission import Seat, WaitingRoom
from zoe_grpcd.core.errors import Exhausted, ShuttingDown


async def test_a_stir_wakes_everybody_in_the_order_of_their_arrival() -> None:
    room, order = WaitingRoom(), list[int]()

    async def wait(number: int) -> None:
        with room.seat() as seat:
            await seat.change()
            order.append(number)

    tasks = [asyncio.create_task(wait(number)) for number in range(5)]
    await eventually(lambda: len(room) == 5)
    room.stir()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]
    assert len(room) == 0


async def test_who_looks_in_vain_keeps_its_place_before_those_who_come_later() -> None:
    room, looks = WaitingRoom(), list[str]()

    async def wait(name: str, times: int) -> None:
        with room.seat() as seat:
            for _ in range(times):
                await seat.change()
                looks.append(name)

    tasks = [asyncio.create_task(wait("early", 2))]
    await eventually(lambda: len(room) == 1)
    room.stir()
    tasks.append(asyncio.create_task(wait("late", 1)))
    await eventually(lambda: len(room) == 2 and looks == ["early"])
    room.stir()
    await asyncio.gather(*tasks)
    assert looks == ["early", "early", "late"]


async def test_who_sits_is_not_turned_away_by_a_room_that_filled_up() -> None:
    room = WaitingRoom(max_queue=1)

    async def wait_twice(seat: Seat) -> None:
        await seat.change()
        await seat.change()

    with room.seat() as seat:
        task = asyncio.create_task(wait_twice(seat))
        await eventually(lambda: len(room) == 1)
        room.stir()
        with room.seat() as other, pytest.raises(Exhausted) as caught:
            await other.change()
        assert caught.value.reason == "QUEUE_FULL"
        await eventually(lambda: not seat.stirred.is_set())
        room.stir()
        await task
    assert len(room) == 0


async def test_a_seat_costs_nothing_until_it_is_needed() -> None:
    room = WaitingRoom(max_queue=1)
    with room.seat(), room.seat(), room.seat():
        assert len(room) == 0


async def test_the_limit_holds_for_all_waits_of_a_seat_together() -> None:
    room = WaitingRoom()
    loop = asyncio.get_running_loop()
    with room.seat() as seat:
        started = loop.time()
        loop.call_soon(room.stir)
        await seat.change(0.3)
        await eventually(lambda: loop.time() > started + 0.3)
        again = asyncio.create_task(seat.change(0.3))
        for _ in range(5):
            await asyncio.sleep(0)
        assert again.done(), "it waits no more"
        with pytest.raises(Exhausted) as caught:
            await again
    assert caught.value.reason == "QUEUE_TIMEOUT"
    assert caught.value.retry_after == 1.0


async def test_zero_refuses_to_wait() -> None:
    room = WaitingRoom()
    with room.seat() as seat, pytest.raises(Exhausted, match="within 0 s"):
        await seat.change(0.0)
    assert len(room) == 0


async def test_a_closed_room_lets_nobody_wait() -> None:
    room = WaitingRoom()
    with room.seat() as seat:
        waiter = asyncio.create_task(seat.change())
        await eventually(lambda: len(room) == 1)
        room.close()
        await waiter
        with pytest.raises(ShuttingDown):
            await seat.change()
