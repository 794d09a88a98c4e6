"""A share of `make fuzz` with each run of the tests."""

import asyncio

from fuzzing.attack import besieged, say_nothing, send_bytes, send_messages
from fuzzing.messages import Maker, methods


async def test_a_daemon_under_attack_answers_everybody_properly() -> None:
    async with besieged() as daemon:
        found, conversations, _ = await asyncio.gather(
            send_messages(daemon, seed=4711, number=1000, workers=8),
            send_bytes(daemon, seed=4711, number=40),
            say_nothing(daemon, 30),
        )
    assert found.wrong == []
    assert found.statuses.total() == 1000
    assert found.answered["Complete"] > 10  # what it is made of reaches backends, too
    assert found.answered["StreamComplete"] > 10
    assert conversations.statuses.total() == 4


def test_a_seed_makes_the_same_requests() -> None:
    kinds = [(path, kind) for path, kind, _ in methods()]
    one, same, other = (Maker(seed).requests(kinds) for seed in (1, 1, 2))
    made = [next(one) for _ in range(20)]
    assert made == [next(same) for _ in range(20)]
    assert made != [next(other) for _ in range(20)]
