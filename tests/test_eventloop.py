"""The loop that runs is found without asking the kernel."""

import asyncio
import threading

import pytest

from zoe_grpcd.eventloop import running_loop


async def both() -> tuple[asyncio.AbstractEventLoop, asyncio.AbstractEventLoop]:
    return running_loop(), asyncio.get_running_loop()


def test_it_is_the_one_that_runs_one_after_the_other() -> None:
    for _ in range(2):
        found, real = asyncio.run(both())
        assert found is real


def test_where_none_runs_any_more_there_is_none() -> None:
    asyncio.run(both())
    with pytest.raises(RuntimeError):
        running_loop()


async def test_each_thread_has_its_own() -> None:
    mine = running_loop()
    others: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=lambda: others.extend(asyncio.run(both())))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert others[0] is others[1] is not mine
    assert running_loop() is mine
