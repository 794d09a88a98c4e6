"""What holds for the router under any schedule of successes, failures and callers who leave."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any

from fakes import ANSWER, FakeDispatcher, Hang, Script, World, an_ask, fault, finished, said, seen
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.answer import Delta, Event, Finish, FinishReason, Seam, Usage
from zoe_grpcd.core.ask import Ask, Target
from zoe_grpcd.core.backend import Prefill
from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.errors import BackendLost, Fault, ZoeError
from zoe_grpcd.core.generation import Call, Generation
from zoe_grpcd.core.licence import Locality
from zoe_grpcd.core.observation import LoadState, ModelStatus
from zoe_grpcd.core.outcome import Completed, Switched
from zoe_grpcd.run import Item, Reliability

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
    minimum_seam=st.sampled_from(Seam),
    prompt_bytes=st.sampled_from([5, 500]),
    hedge_after=st.sampled_from([None, 0.0]),
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
    private = replace(ask, locality=Locality.LOCAL_ONLY)

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
        async with asyncio.timeout(60):
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
        asks = [an_ask(hedge_after=[None, 0.0][leaves % 2]) for _, leaves in leavers]
        how = [how for how, _ in leavers]
        tasks = [asyncio.create_task(ended(world, *one, [])) for one in zip(asks, how, strict=True)]
        for turn in range(13):
            for task, (_, leaves) in zip(tasks, leavers, strict=True):
                if leaves == turn:
                    task.cancel()
            await asyncio.sleep(0)
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            assert error is None or isinstance(error, asyncio.CancelledError)
        assert world.left_behind == 0

    asyncio.run(scenario())


# ---------------------------------------------------------------------------------------------- answers that are gone on with

WORDS = tuple(f" w{number}" for number in range(12))
PROMPT = 7  # tokens


class Author(FakeDispatcher):
    """Says all of `WORDS`, or those that are left; dies after so many of them, a number for each call, then never."""

    def __init__(self, prefill: Prefill, deaths: tuple[int, ...]) -> None:
        super().__init__()
        self.prefill = prefill
        self.deaths = deaths

    async def stream(self, call: Call) -> AsyncGenerator[list[Event]]:
        exact = call.continues is not None and call.continues.seam is Seam.EXACT_TOKENS
        goes_on = call.continues is not None and (exact or self.prefill is not Prefill.CLOSES)
        begun = call.generation.messages[-1]["content"] if goes_on else ""
        told = len(begun.split())
        limit = call.generation.options.get("max_output_tokens", len(WORDS))
        words = list(WORDS[told : told + limit])
        dies = self.deaths[len(self.calls)] if len(self.calls) < len(self.deaths) else len(WORDS) + 1
        self.calls.append(call)
        self.running += 1
        try:
            for number, word in enumerate(words):
                if number == dies:
                    raise fault(Fault.CUT)
                again = begun if number == 0 and self.prefill is Prefill.REPEATS and not exact else ""
                yield [Delta(again + word, tokens=1)]
            if dies <= len(words):
                raise fault(Fault.CUT)
            whole = told + len(words) == len(WORDS)
            reason = FinishReason.STOP if whole else FinishReason.LENGTH
            yield [Finish(reason, Usage(PROMPT + told, len(words)))]
        finally:
            self.running -= 1


@dataclass(frozen=True)
class Pen:
    """A backend that writes."""

    prefill: Prefill
    deaths: tuple[int, ...]
    fingerprint: str

    @property
    def is_sound(self) -> bool:
        """Every text can be finished here."""
        return not self.deaths and self.prefill is not Prefill.CLOSES


PENS = st.builds(
    Pen,
    st.sampled_from(Prefill),
    st.lists(st.integers(0, len(WORDS)), max_size=3).map(tuple),
    st.sampled_from(["", "file"]),
)
LIMITS = st.sampled_from([{}, {"max_output_tokens": 5}, {"max_output_tokens": len(WORDS)}])


def desk_of(pens: list[Pen]) -> World:
    world = World(reliability=Reliability(retry_delay=0.0, return_time=0.0, max_attempts=10))
    for number, pen in enumerate(pens):
        status = ModelStatus("m", fingerprint=pen.fingerprint)
        world.add(f"b{number}", seen_as=seen(status), prefill=pen.prefill, takes_tokens=True)
        world.dispatchers[f"b{number}"] = Author(pen.prefill, pen.deaths)
    return world


def heard(items: list[Item]) -> list[Delta]:
    """What a client has that does as it is told."""
    found: list[Delta] = []
    for item in items:
        if isinstance(item, Switched):
            if item.seam is Seam.RESTART:
                found.clear()
            assert item.tokens_kept == len(found)
        elif isinstance(item, list):
            found += [event for event in item if isinstance(event, Delta)]
    return found


@given(
    st.lists(PENS, min_size=1, max_size=4),
    st.sampled_from(Seam),
    st.sampled_from([{}, {"eager": True}, {"whole": True}]),
    LIMITS,
    st.sampled_from([None, 0.0]),
)
def test_an_answer_is_heard_whole_and_once_or_its_loss_is_told(
    pens: list[Pen], worst: Seam, how: dict[str, Any], options: dict[str, Any], hedge: float | None
) -> None:
    async def scenario() -> None:
        world, items = desk_of(pens), list[Item]()
        words = WORDS[: options.get("max_output_tokens", len(WORDS))]
        error = await error_of(
            world, an_ask(options=options, minimum_seam=worst, hedge_after=hedge), how, items
        )
        told = heard(items)
        if error is None:
            assert "".join(delta.text for delta in told) == "".join(words)
            usage = the_end(items).usage
            assert usage.completion_tokens == len(words)
            assert usage.estimated or usage.prompt_tokens == PROMPT
            seams = [item.seam for item in items if isinstance(item, Switched)]
            assert all(seam <= worst or seam is Seam.EXACT_TOKENS for seam in seams)
        else:
            assert not any(pen.is_sound for pen in pens) or worst in (Seam.EXACT_TOKENS, Seam.NONE)
            assert isinstance(error, BackendLost) is bool(told)
            assert error.metadata.get("output_tokens_sent", "0") == str(len(told))
            assert error.attempts
        assert world.left_behind == 0

    asyncio.run(scenario())


async def error_of(world: World, ask: Ask, how: dict[str, Any], items: list[Item]) -> ZoeError | None:
    """How it ended; None: well."""
    try:
        await world.collect(items, ask, **how)
    except ZoeError as error:
        return error
    return None


def the_end(items: list[Item]) -> Completed:
    end = items[-1]
    assert isinstance(end, Completed)
    return end


JSON: dict[str, Any] = {"type": "json_object"}


@given(st.lists(PENS, min_size=1, max_size=4), st.sampled_from([Seam.EXACT_TOKENS, Seam.TEXT_PREFILL]))
def test_of_an_object_nothing_is_heard_before_it_is_whole(pens: list[Pen], worst: Seam) -> None:
    async def scenario() -> None:
        world, items = desk_of(pens), list[Item]()
        asked = Generation(({"role": "user", "content": "hello"},), response_format=JSON)
        error = await error_of(world, replace(an_ask(minimum_seam=worst), generation=asked), {}, items)
        assert "".join(delta.text for delta in heard(items)) == ("" if error else "".join(WORDS))
        assert all(call.continues is None for d in world.dispatchers.values() for call in d.calls)
        assert world.left_behind == 0

    asyncio.run(scenario())
