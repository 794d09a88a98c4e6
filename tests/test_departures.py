"""Backends that the operator takes away while requests are under way: nobody's answer suffers from it."""

import asyncio
from collections.abc import Collection

import pytest
from fakes import ANSWER, BROKEN, Hang, Script, World, a_backend, an_ask, fault, finished, said, seen, text_of
from waiting import eventually

from zoe_grpcd.core.backend import Deployment, Prefill
from zoe_grpcd.core.errors import BackendLost, Fault, NoHealthyBackend
from zoe_grpcd.core.generation import Call, Generation
from zoe_grpcd.run import Item
from zoe_grpcd.scout import Scout

HALF: Script = said("one two"), fault(Fault.CUT)
REST: Script = said(" three"), finished()


def moved_and_gone(world: World, name: str = "a") -> None:
    """Another server gets the name of a backend, and is taken away as well; what speaks to it goes with it."""
    world.fleet.add(a_backend(name, url="http://elsewhere"), world.clock())
    world.fleet.retire(name, world.clock())
    assert name not in world.fleet.names()
    world.dispatchers.pop(name, None)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("after", range(3))
async def test_an_answer_outlives_the_name_of_its_backend(after: int, *, whole: bool) -> None:
    world = World()
    world.add("a", [*ANSWER[:after], lambda: moved_and_gone(world), *ANSWER[after:]])
    assert text_of(await world.run(whole=whole)) == "hello"


async def test_a_name_that_goes_before_anything_was_sent_is_missed_by_nobody() -> None:
    world, told = World(), list[Item]()
    world.add("a")

    async def deliver(item: Item) -> None:
        if not told:
            moved_and_gone(world)
        told.append(item)

    await world.router.run(an_ask(), deliver, eager=True)
    assert text_of(told) == "hello"


async def test_a_name_that_goes_while_its_backend_gets_ready_to_go_on_is_missed_by_nobody() -> None:
    def resumed(call: Call) -> Call:
        moved_and_gone(world, "b")
        return call

    world = World()
    world.add("a", HALF)
    world.add("b", REST, weight=0.1).resume = resumed
    assert text_of(await world.run()) == "one two three"


async def test_nobody_is_asked_how_it_goes_on_who_is_gone_by_then() -> None:
    world = World()
    world.add("a")
    deployment, backend = view(world), world.fleet.backend("a")
    call = Call(backend, "m", Generation(({"role": "user", "content": "hello"},)))
    scout = Scout(world.fleet, world.dispatchers, world.clock)
    look = scout.begin(call, deployment)
    moved_and_gone(world)
    assert await look is None


async def test_a_silence_before_the_first_token_moves_on_even_if_the_name_is_gone() -> None:
    world = World()
    world.add("a", [lambda: moved_and_gone(world), Hang()], first_token_timeout=0.01)
    world.add("b", weight=0.1)
    assert text_of(await world.run()) == "hello"


async def test_what_another_server_of_that_name_does_is_nothing_to_an_answer() -> None:
    world = World()
    world.add("a", ANSWER)
    lease = world.fleet.leases.take(view(world), world.clock())
    world.fleet.add(a_backend("a", url="http://elsewhere"), world.clock())
    world.observe("a", seen("m"))
    another = world.fleet.leases.take(view(world), world.clock())
    world.observe("a", BROKEN)
    assert world.fleet.health.why_down(lease) is None
    assert world.fleet.health.why_down(another) == BROKEN.error


async def test_who_is_taken_away_while_it_is_looked_at_once_more_is_refused_as_before() -> None:
    async def look(names: Collection[str], _limit: float) -> None:
        for name in names:
            world.fleet.retire(name, world.clock())

    world = World(look=look)
    world.add("a")
    world.observe("a", BROKEN)
    world.clock.advance(1.0)
    with pytest.raises(NoHealthyBackend, match=r"a \(UNHEALTHY\)"):
        await world.run()
    assert world.left_behind == 0


async def test_who_waits_for_a_model_that_is_taken_away_is_told_that_nobody_is_left_for_it() -> None:
    world, silence = World(), Hang()
    world.add("a", [silence, *ANSWER], seen_as=seen("m", slots=1))
    running, waiting = (asyncio.create_task(world.run(an_ask(model="m"))) for _ in range(2))
    await eventually(lambda: len(world.waiting) == 1)
    world.observe("a", seen("another", slots=1))
    with pytest.raises(NoHealthyBackend, match="no backend serves what it may go to"):
        await waiting
    silence.over.set()
    assert text_of(await running) == "hello"
    assert world.left_behind == 0


async def test_who_is_taken_away_while_it_is_found_out_how_it_goes_on_is_passed_over() -> None:
    world = World()
    world.add("a", HALF)
    asked = said("x"), finished(8, 1)
    world.add("b", [lambda: world.fleet.retire("b", world.clock()), *asked], asked, prefill=None)
    world.add("c", REST, weight=0.1)
    assert text_of(await world.run()) == "one two three"
    assert world.left_behind == 0


async def test_who_is_taken_away_and_then_rejects_a_beginning_is_not_remembered() -> None:
    world = World()
    world.add("a", HALF)
    refusal = fault(Fault.REJECTED, "no prefill", http_status=400)
    world.add("b", [lambda: world.fleet.retire("b", world.clock()), refusal], prefill=Prefill.CONTINUES)
    with pytest.raises(BackendLost):
        await world.run(an_ask(max_attempts=2))
    assert world.fleet.names() == ["a"]


def view(world: World) -> Deployment:
    (found,) = world.fleet.picture.snapshot(world.clock()).by_model["m"]
    return found.deployment
