"""What the fleet keeps of turns, luck and response times, and how the router uses it up: one request, one turn."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from fakes import ANSWER, Hang, World, a_backend, an_ask, fault, seen
from waiting import eventually

from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.errors import Fault
from zoe_grpcd.core.learning import RESPONSE_AGE, Lesson
from zoe_grpcd.core.outcome import Attempt, Completed
from zoe_grpcd.core.resolve import Policy
from zoe_grpcd.core.strategies import STRATEGIES
from zoe_grpcd.core.turns import MOST_SCOPES, Turn, remembered
from zoe_grpcd.fleet import Fleet

SHARES = (Deployment("shared", "a", "m", weight=7.0), Deployment("shared", "b", "m", weight=3.0))


def in_turn(strategy: str, *names: str) -> World:
    world = World(Policy(strategy=strategy), deployments=SHARES)
    for name in names:
        world.add(name)
    return world


async def served(world: World, ask: Ask) -> tuple[str, tuple[Attempt, ...]]:
    """Who answered, after which attempts."""
    items = await world.run(ask)
    (decision,) = [item for item in items if isinstance(item, Decision)]
    (end,) = [item for item in items if isinstance(item, Completed)]
    return decision.chosen.deployment.backend, end.attempts


async def test_requests_go_round() -> None:
    world = in_turn("round_robin", "a", "b", "c")
    assert [(await served(world, an_ask(model="m")))[0] for _ in range(6)] == list("abcabc")


@pytest.mark.parametrize("streamed", [False, True])
async def test_requests_keep_the_shares(streamed: bool) -> None:
    world = in_turn("weighted", "a", "b")
    ask = an_ask(model="shared")
    if streamed:
        await asyncio.gather(*(world.run(ask) for _ in range(10)))
        found = Counter({name: len(world.dispatchers[name].calls) for name in "ab"})
    else:
        found = Counter([(await served(world, ask))[0] for _ in range(10)])
    assert found == {"a": 7, "b": 3}


async def test_requests_at_the_same_time_go_round_too() -> None:
    world = World(Policy(strategy="round_robin"))
    script = [Hang(), *ANSWER]
    held = [world.add(name, script) for name in "ab"]
    running = [asyncio.create_task(world.run(an_ask(model="m"))) for _ in range(6)]
    await eventually(lambda: sum(dispatcher.running for dispatcher in held) == 6)
    assert [dispatcher.running for dispatcher in held] == [3, 3]
    hang = script[0]
    assert isinstance(hang, Hang)
    hang.over.set()
    await asyncio.gather(*running)
    assert world.left_behind == 0


async def test_route_takes_no_turn_and_says_who_is_next() -> None:
    world = in_turn("round_robin", "a", "b")
    ask = an_ask(model="m")
    for _ in range(4):
        said = {world.router.route(ask).chosen.deployment.backend for _ in range(3)}
        assert said == {(await served(world, ask))[0]}


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_route_and_run_agree_whatever_the_strategy(strategy: str) -> None:
    world = in_turn(strategy, "a", "b", "c")
    for _ in range(8):
        ask = an_ask(model="m", strategy=strategy)
        routed = world.router.route(ask)
        assert routed.strategy == strategy
        assert (await served(world, ask))[0] == routed.chosen.deployment.backend


async def test_whoever_fails_has_had_its_turn() -> None:
    world = World(Policy(strategy="round_robin"))
    world.add("a", [fault(Fault.SERVER)], ANSWER)
    world.add("b")
    world.add("c")
    first, attempts = await served(world, an_ask(model="m"))
    assert (first, [attempt.deployment.backend for attempt in attempts]) == ("b", ["a", "b"])
    for _ in range(4):
        await world.run(an_ask(model="m"))
    assert {name: len(world.dispatchers[name].calls) for name in "abc"} == {"a": 2, "b": 2, "c": 2}


async def test_a_request_draws_its_own_lot_and_two_daemons_draw_differently() -> None:
    fleets = [Fleet(first_number=number) for number in (1, 2**40)]
    for fleet in fleets:
        fleet.add(a_backend("a"), 0.0)
        fleet.health.observe("a", seen("m"), 0.0)
    assert [fleet.picture.snapshot(0.0).number for fleet in fleets] == [1, 2**40]
    (view,) = fleets[0].picture.snapshot(0.0).by_model["m"]
    fleets[0].leases.take(view.deployment, 0.0)
    assert fleets[0].picture.snapshot(0.0).number == 2


def test_a_picture_keeps_the_turns_that_it_was_taken_with() -> None:
    fleet = Fleet()
    fleet.add(a_backend("a"), 0.0)
    fleet.health.observe("a", seen("m"), 0.0)
    before = fleet.picture.snapshot(0.0)
    (view,) = before.by_model["m"]
    scope = ("weighted", frozenset({"m"}))
    fleet.leases.take(view.deployment, 0.0, turn=Turn(scope, {("a", "m"): 0.5}))
    assert before.owing == {}
    assert fleet.picture.snapshot(0.0).owing == {scope: {("a", "m"): 0.5}}


def test_turns_that_nobody_takes_any_more_are_forgotten() -> None:
    owing = remembered({}, Turn(("weighted", frozenset({"0"})), {("a", "0"): 1.0}))
    for number in range(1, MOST_SCOPES + 5):
        owing = remembered(owing, Turn(("weighted", frozenset({str(number)})), {}))
        owing = remembered(owing, Turn(("weighted", frozenset({"0"})), {("a", "0"): 2.0}))
    assert len(owing) == MOST_SCOPES
    assert owing["weighted", frozenset({"0"})] == {("a", "0"): 2.0}
    assert ("weighted", frozenset({"1"})) not in owing


def test_slots_that_several_models_share_are_not_all_free_for_one() -> None:
    world = World(Policy(strategy="most_capacity"))
    world.add("a", seen_as=seen("m", "n", "o", "p", slots=8))  # two for each
    world.add("b", seen_as=seen("m", slots=4))
    decision = world.router.route(an_ask(model="m"), explain=True)
    capacity = {c.deployment.backend: c.terms[0] for c in decision.candidates}
    assert {name: (term.name, term.value) for name, term in capacity.items()} == {
        "a": ("capacity", 0.5),
        "b": ("capacity", 1.0),
    }


# ------------------------------------------------------------------------------------------------------ response times


def learned(fleet: Fleet, now: float, **fields: Any) -> float | None:
    """What a decision sees of the response time, after one answer."""
    (view,) = fleet.picture.snapshot(now).by_model["m"]
    held = fleet.leases.take(view.deployment, now)
    fleet.leases.release(held, Lesson(**{"failed": False, "duration": 9.0, **fields}), now)
    return fleet.picture.snapshot(now).by_model["m"][0].response_p95


def test_a_decision_sees_the_slowest_of_the_usual_responses() -> None:
    fleet = Fleet()
    fleet.add(a_backend("a"), 0.0)
    fleet.health.observe("a", seen("m"), 0.0)
    assert fleet.picture.snapshot(0.0).by_model["m"][0].response_p95 is None
    for tenths in range(1, 20):
        learned(fleet, 1.0, first_token=tenths / 10)
    assert learned(fleet, 1.0, first_token=30.0) == 1.9  # the 19th of 20
    assert learned(fleet, 1.0, first_token=20.0, cold=True) == 1.9  # a load is no response
    assert learned(fleet, 1.0, first_token=20.0, waited=True) == 1.9
    assert learned(fleet, 1.0, first_token=None, failed=True) == 1.9


def test_a_slow_response_is_forgotten_and_a_probe_shows_it() -> None:
    fleet = Fleet()
    fleet.add(a_backend("a"), 0.0)
    fleet.health.observe("a", seen("m"), 0.0)
    assert learned(fleet, 1.0, first_token=5.0) == 5.0
    assert learned(fleet, 300.0, first_token=1.0) == 5.0
    for now, p95 in ((1.0 + RESPONSE_AGE, 5.0), (2.0 + RESPONSE_AGE, 1.0), (301.0 + RESPONSE_AGE, None)):
        fleet.health.observe("a", seen("m"), now)
        assert fleet.picture.snapshot(now).by_model["m"][0].response_p95 == p95


async def test_whoever_responded_slowly_is_left_for_another() -> None:
    world = in_turn("fastest_response", "a", "b")
    for name, seconds in (("a", 4.0), ("b", 0.5)):
        world.fleet._hosts[name].served["m"].learned.response.add(seconds, world.clock())
        world.fleet._hosts[name].served["m"].view = None
    world.observe("a", seen("m"))
    assert (await served(world, an_ask(model="m")))[0] == "b"
    world.clock.advance(RESPONSE_AGE + 1)
    for name in "ab":
        world.observe(name, seen("m"))
    assert (await served(world, an_ask(model="m")))[0] == "a"
