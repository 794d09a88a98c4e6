"""What holds for the router under any schedule of successes, failures and callers who leave."""

import asyncio
from dataclasses import dataclass
from typing import Any

from fakes import ANSWER, Hang, Script, World, an_ask, fault, finished, said, seen
from hypothesis import given, settings
from hypothesis import strategies as st

from zoe_grpcd.core.domain import Ask, Completed, Decision, LoadState, Locality, ModelStatus, Target
from zoe_grpcd.core.errors import Fault, ZoeError
from zoe_grpcd.router import Item, Reliability

settings.register_profile("calm", deadline=None, max_examples=60)
settings.load_profile("calm")

FAULTS = st.sampled_from(sorted(set(Fault) - {Fault.LOADING}))


def scripts() -> st.SearchStrategy[Script]:
    return st.one_of(
        st.just(ANSWER),
        FAULTS.map(lambda kind: [fault(kind)]),
        FAULTS.map(lambda kind: [said(), fault(kind)]),
        st.just([said()]),
        st.just([[], *ANSWER]),
        st.just([finished()]),
    )


@dataclass(frozen=True)
class Plan:
    """A backend of a random fleet."""

    local: bool
    scripts: tuple[Script, ...]
    limit: int | None
    status: ModelStatus


PLANS = st.builds(
    Plan,
    st.booleans(),
    st.lists(scripts(), min_size=1, max_size=4).map(tuple),
    st.none() | st.just(1),
    st.sampled_from(
        [ModelStatus("m"), ModelStatus("m", LoadState.UNLOADED), ModelStatus("n", context_tokens=64)]
    ),
)
HOW = st.sampled_from([{}, {"eager": True}, {"whole": True}])
ASKS = st.builds(
    an_ask,
    target=st.builds(
        Target,
        model=st.sampled_from(["", "m", "n"]),
        fallback_models=st.sampled_from([(), ("m",), ("m", "n")]),
        excluded_backends=st.frozensets(st.sampled_from(["b0", "b1"]), max_size=1),
    ),
    locality=st.sampled_from(Locality),
    allow_different_model=st.booleans(),
    prompt_bytes=st.sampled_from([5, 500]),
)


def world_of(plans: list[Plan]) -> World:
    world = World(reliability=Reliability(retry_delay=0.0), max_queue_time=0.01)
    for number, plan in enumerate(plans):
        world.add(
            f"b{number}", *plan.scripts, local=plan.local, max_in_flight=plan.limit, seen_as=seen(plan.status)
        )
    return world


async def ended(world: World, ask: Ask, how: dict[str, Any], items: list[Item]) -> None:
    """Runs to whatever end; an error that is not one of ours fails the test."""
    try:
        await world.collect(items, ask, **how)
    except ZoeError:
        return
    assert isinstance(items[-1], Completed)


@given(st.lists(PLANS, min_size=1, max_size=4), ASKS, HOW)
def test_what_must_stay_local_never_leaves(plans: list[Plan], ask: Ask, how: dict[str, Any]) -> None:
    private = Ask(ask.generation, ask.target, prompt_bytes=ask.prompt_bytes, locality=Locality.LOCAL_ONLY)

    async def scenario() -> None:
        world = world_of(plans)
        items: list[Item] = []
        await asyncio.gather(*(ended(world, private, how, items if n == 0 else []) for n in range(3)))
        away = [d for name, d in world.dispatchers.items() if not world.fleet.backend(name).local]
        assert sum(len(d.calls) for d in away) == 0
        assert all(item.chosen.local for item in items if isinstance(item, Decision))
        assert world.left_behind == 0

    asyncio.run(scenario())


@given(st.lists(PLANS, min_size=1, max_size=4), st.lists(st.tuples(ASKS, HOW), min_size=1, max_size=6))
def test_every_request_ends_and_leaves_nothing_behind(
    plans: list[Plan], requests: list[tuple[Ask, dict[str, Any]]]
) -> None:
    async def scenario() -> None:
        world = world_of(plans)
        async with asyncio.timeout(10):
            await asyncio.gather(*(ended(world, ask, how, []) for ask, how in requests))
        assert world.left_behind == 0

    asyncio.run(scenario())


@given(
    st.lists(PLANS, min_size=1, max_size=3),
    st.lists(st.tuples(HOW, st.integers(0, 12)), min_size=1, max_size=6),
    st.booleans(),
)
def test_callers_who_leave_at_any_moment_leave_nothing_behind(
    plans: list[Plan], leavers: list[tuple[dict[str, Any], int]], hang: bool
) -> None:
    async def scenario() -> None:
        world = world_of(plans)
        if hang:
            world.add("hangs", [Hang()], [said(), Hang()])
        tasks = [asyncio.create_task(ended(world, an_ask(), how, [])) for how, _ in leavers]
        for turn in range(13):
            for task, (_, leaves) in zip(tasks, leavers, strict=True):
                if leaves == turn:
                    task.cancel()
            await asyncio.sleep(0)
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            assert error is None or isinstance(error, asyncio.CancelledError)
        assert world.left_behind == 0

    asyncio.run(scenario())
