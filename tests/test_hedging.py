"""A second backend is asked when the first is slow with its first token: who, when, and what becomes of the slower one."""

import asyncio
from functools import partial
from typing import Any

import pytest
from fakes import ANSWER, Hang, World, a_status, an_ask, fault, finished, said, seen, text_of
from waiting import eventually

from zoe_grpcd import opening
from zoe_grpcd.core.ask import Ask, Target
from zoe_grpcd.core.backend import Deployment, Prefill, Price
from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.errors import BackendLost, Fault, ZoeError
from zoe_grpcd.core.generation import Generation
from zoe_grpcd.core.learning import ENOUGH_RESPONSES
from zoe_grpcd.core.observation import LoadState, Observation
from zoe_grpcd.core.outcome import Completed, Moved, Outcome
from zoe_grpcd.core.progress import Progress
from zoe_grpcd.hedging import FLOOR
from zoe_grpcd.run import Item, Reliability

SOON = 0.005  # seconds


def hedged(**fields: Any) -> Ask:
    return an_ask(**{"hedge_after": SOON, **fields})


def a_pair(first: Any, second: Any = ANSWER, **other: Any) -> World:
    """`a` is asked first, unless it may not be."""
    world = World(**other.pop("world", {}))
    world.add("a", first)
    world.add("b", second, **{"weight": 0.5, **other})
    return world


def attempts(items: list[Item]) -> list[tuple[int, str, str]]:
    (end,) = [item for item in items if isinstance(item, Completed)]
    return [(a.number, a.deployment.backend, a.outcome.value) for a in end.attempts]


# ------------------------------------------------------------------------------------------------------ who wins


@pytest.mark.parametrize("how", [{}, {"whole": True}, {"eager": True}])
async def test_the_second_answers_when_the_first_is_silent(how: dict[str, Any]) -> None:
    world = a_pair([Hang()])
    items = await world.run(hedged(), **how)
    assert text_of(items) == "hello"
    assert attempts(items) == [(1, "a", "CANCELLED"), (2, "b", "OK")]
    assert world.nudged == ["a"]
    assert world.left_behind == 0


async def test_the_slower_one_is_ended_before_the_first_piece_of_an_answer() -> None:
    world, running = a_pair([Hang()]), []

    async def deliver(item: Item) -> None:
        if isinstance(item, Decision | list):
            running.append((world.dispatchers["a"].running, world.fleet.leases.in_flight("a")))

    await world.router.run(hedged(), deliver)
    assert running[0] == (0, 0)


async def test_the_first_answers_when_the_second_is_no_faster() -> None:
    hang = Hang()
    world = a_pair([hang, *ANSWER], [Hang()])
    task = asyncio.create_task(world.run(hedged()))
    await eventually(lambda: world.dispatchers["b"].running)
    assert world.fleet.leases.in_flight("b") == 1
    hang.over.set()
    items = await task
    assert attempts(items) == [(1, "b", "CANCELLED"), (2, "a", "OK")]
    assert world.left_behind == 0


async def test_nobody_is_asked_while_the_first_is_fast_enough() -> None:
    world = a_pair(ANSWER)
    assert attempts(await world.run(hedged(hedge_after=30.0))) == [(1, "a", "OK")]
    assert world.dispatchers["b"].calls == []


async def test_a_caller_who_was_told_of_the_first_is_told_of_the_second() -> None:
    items = await a_pair([Hang()]).run(hedged(), eager=True)
    (moved,) = [item for item in items if isinstance(item, Moved)]
    assert (moved.previous.deployment.backend, moved.current.deployment.backend) == ("a", "b")
    decisions = [item for item in items if isinstance(item, Decision)]
    assert [decision.chosen.deployment.backend for decision in decisions] == ["a"]


async def test_what_the_slower_one_read_is_paid_for() -> None:
    deployments = [Deployment("m", name, "m", price=Price(1e6, 0.0, None)) for name in ("a", "b")]
    world = a_pair([Hang()], (said(), finished(prompt=5)), world={"deployments": deployments})
    (end,) = [item for item in await world.run(hedged()) if isinstance(item, Completed)]
    assert end.cost_usd > 5.0
    assert end.usage.prompt_tokens == 5


async def test_what_the_caller_has_begun_is_dropped_from_the_second_one_that_repeats_it() -> None:
    begun = ({"role": "user", "content": "count"}, {"role": "assistant", "content": "one "})
    world = World()
    world.add("a", [Hang()], prefill=Prefill.CLOSES)
    world.add("b", (said("one two"), finished(3, 1)), weight=0.5, prefill=Prefill.REPEATS)
    assert text_of(await world.run(Ask(Generation(begun), hedge_after=SOON))) == "two"


# ------------------------------------------------------------------------------------------------------- who fails


async def test_the_first_goes_on_when_the_second_fails() -> None:
    hang = Hang()
    world = a_pair([hang, *ANSWER], [fault(Fault.SERVER)])
    task = asyncio.create_task(world.run(hedged()))
    await eventually(lambda: world.dispatchers["b"].closed_in)
    hang.over.set()
    assert attempts(await task) == [(1, "b", "FAILED"), (2, "a", "OK")]
    assert world.left_behind == 0


async def test_the_second_goes_on_when_the_first_fails() -> None:
    first, second = Hang(), Hang()
    world = a_pair([first, fault(Fault.SERVER)], [second, *ANSWER])
    task = asyncio.create_task(world.run(hedged()))
    await eventually(lambda: world.dispatchers["b"].running)
    first.over.set()
    await eventually(lambda: not world.dispatchers["a"].running)
    second.over.set()
    assert attempts(await task) == [(1, "a", "FAILED"), (2, "b", "OK")]


async def test_when_both_fail_a_third_is_tried_and_neither_of_them() -> None:
    hang = Hang()
    world = a_pair([hang, fault(Fault.SERVER)], [fault(Fault.CUT)])
    third = world.add("c", weight=0.1)
    task = asyncio.create_task(world.run(hedged()))
    await eventually(lambda: world.dispatchers["b"].closed_in)
    hang.over.set()
    assert attempts(await task) == [(1, "b", "FAILED"), (2, "a", "FAILED"), (3, "c", "OK")]
    assert len(third.calls) == 1
    assert world.left_behind == 0


async def test_an_answer_that_is_lost_later_tells_of_all_who_were_asked() -> None:
    world = a_pair([Hang()], [said(), fault(Fault.CUT)])
    with pytest.raises(BackendLost) as caught:
        await world.run(hedged(max_attempts=2))
    assert [(a.deployment.backend, a.outcome) for a in caught.value.attempts] == [
        ("a", Outcome.CANCELLED),
        ("b", Outcome.LOST),
    ]


async def test_a_caller_who_leaves_frees_both() -> None:
    world = a_pair([Hang()], [Hang()])
    task = asyncio.create_task(world.run(hedged()))
    await eventually(lambda: world.dispatchers["b"].running)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.left_behind == 0


@pytest.mark.parametrize("turns", range(24))
@pytest.mark.parametrize("how", [{}, {"eager": True}])
async def test_a_caller_who_leaves_at_any_moment_frees_both(turns: int, how: dict[str, Any]) -> None:
    """While nobody has answered, while the slower one is ended, and later."""
    world = a_pair([Hang()], [said(), Hang()])
    task = asyncio.create_task(world.run(hedged(hedge_after=0.0), **how))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert world.left_behind == 0


# ---------------------------------------------------------------------------------------------------- who is asked

COLD = seen(a_status("m", state=LoadState.UNLOADED))


async def answered_alone(world: World, ask: Ask, hang: Hang) -> None:
    """Nobody but `a` is asked, however long it takes."""
    task = asyncio.create_task(world.run(ask))
    await eventually(lambda: world.dispatchers["a"].running)
    start = asyncio.get_running_loop().time()
    await eventually(lambda: asyncio.get_running_loop().time() > start + 20 * SOON)
    hang.over.set()
    assert attempts(await task) == [(1, "a", "OK")]
    assert not any(dispatcher.calls for name, dispatcher in world.dispatchers.items() if name != "a")


@pytest.mark.parametrize(
    ("ask", "other", "seen_as"),
    [
        ({}, {}, COLD),  # it would have to load
        ({}, {}, seen("m", slots=4, busy=1)),  # it works for somebody
        ({}, {}, seen("another model")),
        ({"priority": "batch"}, {}, None),
        ({"max_attempts": 1}, {}, None),
        ({"hedge_after": None}, {}, None),
        ({"target": Target(allowed_backends=frozenset("a"))}, {}, None),
        ({}, {"labels": {"far": "yes"}}, COLD),
    ],
)
async def test_who_would_lose_by_it_is_not_asked(
    ask: dict[str, Any], other: dict[str, Any], seen_as: Observation | None
) -> None:
    hang = Hang()
    world = a_pair([hang, *ANSWER], seen_as=seen_as, **other)
    await answered_alone(world, hedged(**{"target": Target(model="m"), **ask}), hang)


async def test_nobody_is_asked_while_somebody_waits() -> None:
    world, hang = World(), Hang()
    world.add("a", [hang, *ANSWER], seen_as=seen("m", slots=1))
    world.add("b", weight=0.5)
    only_a = Target(allowed_backends=frozenset("a"))
    held = asyncio.create_task(world.run(hedged(hedge_after=0.5)))
    await eventually(lambda: world.dispatchers["a"].running)
    waiting = asyncio.create_task(world.run(an_ask(target=only_a)))
    await eventually(lambda: len(world.waiting) == 1)
    start = asyncio.get_running_loop().time()
    await eventually(lambda: asyncio.get_running_loop().time() > start + 0.7)
    assert world.dispatchers["b"].calls == []
    hang.over.set()
    assert attempts(await held) == [(1, "a", "OK")]
    await waiting


async def test_extra_work_is_a_share_of_the_requests() -> None:
    world = a_pair([Hang()])
    asked = []
    for _ in range(20):
        task = asyncio.create_task(world.run(hedged()))
        await asyncio.wait((task,), timeout=1.5)
        asked.append(task.done())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not asked[-1]:
            break
    assert asked == [True] * int(FLOOR) + [False]
    assert world.left_behind == 0


# ------------------------------------------------------------------------------------------------------ by configuration


async def test_the_operator_may_want_it_for_all_who_are_slower_than_usual() -> None:
    world = a_pair(ANSWER, world={"reliability": Reliability(hedge=True)})
    for _ in range(ENOUGH_RESPONSES):
        assert attempts(await world.run()) == [(1, "a", "OK")]  # not known well enough
    world.dispatchers["a"].scripts = [[Hang()]]
    assert attempts(await world.run()) == [(1, "a", "CANCELLED"), (2, "b", "OK")]


async def test_without_a_share_nobody_is_asked() -> None:
    hang = Hang()
    world = a_pair([hang, *ANSWER], world={"reliability": Reliability(hedge_share=0.0)})
    await answered_alone(world, hedged(), hang)


# ------------------------------------------------------------------------------------------------- what a caller hears


async def test_a_load_is_told_of_as_it_goes_on_and_then_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "LOOK_AGAIN", 0.02)
    world, hang, items = World(), Hang(), list[Item]()
    cold = a_status("m", state=LoadState.UNLOADED, size_bytes=4_000_000_000)  # some 10 s
    world.add("a", [hang, *ANSWER], seen_as=seen(cold))
    task = asyncio.create_task(world.collect(items, eager=True))

    def told() -> list[Progress]:
        return [item for item in items if isinstance(item, Progress)]

    def has_come(part: float) -> bool:
        return told()[-1].fraction > part

    await eventually(told)
    assert (told()[0].state, told()[0].fraction) == ("LOADING", 0.0)
    for least in (0.2, 0.5):
        world.clock.advance(3.0)
        await eventually(partial(has_come, least))
    world.clock.advance(60.0)
    await eventually(lambda: told()[-1].fraction > 0.85)
    world.observe("a", seen("m"))
    await eventually(lambda: told()[-1].state == "PREFILLING")
    hang.over.set()
    await task
    loading = [item for item in told() if item.state == "LOADING"]
    fractions = [item.fraction for item in loading]
    assert fractions == sorted(fractions)
    assert fractions[-1] <= 0.95
    waits = [item.expected_wait or 0.0 for item in told()]
    assert waits == sorted(waits, reverse=True)
    assert world.left_behind == 0


async def test_a_refusal_after_the_wait_was_told_leaves_nothing_behind() -> None:
    world = World(reliability=Reliability(retry_delay=0.0, return_time=0.0, max_attempts=1))
    world.add("a", [fault(Fault.SERVER)])
    with pytest.raises(ZoeError):
        await world.run(hedged(), eager=True)
    assert world.left_behind == 0
