"""Chains in the router's one loop: attempts and pauses of their own, and where a failure leads."""

from typing import Any

import pytest
from fakes import ANSWER, World, a_backend, an_ask, fault, seen

from zoe_grpcd.core.ask import Target
from zoe_grpcd.core.chains import Chain, Step, condition_of
from zoe_grpcd.core.decision import Decision, Reason
from zoe_grpcd.core.errors import (
    BackendFailed,
    BackendRejected,
    Exhausted,
    Fault,
    InvalidRequest,
    NoHealthyBackend,
)
from zoe_grpcd.core.resolve import Policy

FAILS = (fault(Fault.SERVER),)


def world_of(*steps: Step, **settings: Any) -> World:
    return World(policy=Policy(chains={"default": Chain(steps, **settings)}))


async def decided(world: World, **target: Any) -> Decision:
    items = await world.run(an_ask(target=Target(**target)))
    (decision,) = (item for item in items if isinstance(item, Decision))
    return decision


async def test_a_chain_is_followed_to_its_end_within_its_own_attempts() -> None:
    names = ["a", "b", "c", "d", "e"]
    world = world_of(*(Step((name,)) for name in names[1:]), max_attempts=5)
    for name in names:
        world.add(name, ANSWER if name == "e" else FAILS, seen_as=seen(name))
    decision = await decided(world, model="a")
    assert (decision.chosen.deployment.backend, decision.reason) == ("e", Reason.FAILOVER)
    assert [len(world.dispatchers[name].calls) for name in names] == [1] * 5


async def test_without_attempts_of_its_own_the_usual_number_holds() -> None:
    names = ["a", "b", "c", "d"]
    world = world_of(*(Step((name,)) for name in names[1:]))
    for name in names:
        world.add(name, ANSWER if name == "d" else FAILS, seen_as=seen(name))
    with pytest.raises(BackendFailed, match="all 3 attempts"):
        await decided(world, model="a")


async def test_the_callers_number_of_attempts_comes_first() -> None:
    world = world_of(Step(("b",)), max_attempts=5)
    for name in ("a", "b"):
        world.add(name, FAILS, seen_as=seen(name))
    with pytest.raises(BackendFailed):
        await world.run(an_ask(model="a", max_attempts=1))
    assert world.dispatchers["b"].calls == []


async def test_a_429_is_answered_by_another_provider_at_once() -> None:
    world = world_of(Step(("n",), when=condition_of(["rate_limited"])), retry_delay=60.0)
    limited = (fault(Fault.RATE_LIMITED, retry_after=60.0),)
    world.add("a", limited, seen_as=seen("m", "n"))
    world.add("b", seen_as=seen("n"))
    decision = await decided(world, model="m")
    assert (decision.chosen.deployment.model, decision.chosen.deployment.backend) == ("n", "b")
    assert len(world.dispatchers["a"].calls) == 1


async def test_a_step_that_is_for_another_cause_is_passed_over() -> None:
    world = world_of(
        Step(("n",), when=condition_of(["rate_limited"])), Step(("o",), when=condition_of(["failed"]))
    )
    world.add("a", FAILS, seen_as=seen("m"))
    world.add("b", seen_as=seen("n", "o"))
    assert (await decided(world, model="m")).chosen.deployment.model == "o"


async def test_a_request_that_is_wrong_goes_nowhere() -> None:
    world = world_of(Step(("n",)))
    world.add("a", (fault(Fault.REJECTED),), seen_as=seen("m"))
    world.add("b", seen_as=seen("n"))
    with pytest.raises(BackendRejected):
        await decided(world, model="m")
    assert world.dispatchers["b"].calls == []


async def test_the_pause_of_a_chain_is_its_own() -> None:
    """The caller is told it, where nobody can be asked again."""
    world = world_of(Step(("n",)), retry_delay=42.0)
    world.add("a", (fault(Fault.OVERLOADED),), seen_as=seen("m"))
    with pytest.raises(Exhausted) as caught:
        await decided(world, model="m")
    assert caught.value.retry_after == 42.0


async def test_what_a_target_names_that_does_not_exist_is_refused_with_every_name() -> None:
    world = World()
    world.add("a")
    target = Target(model="m", allowed_backends=frozenset({"zz"}), excluded_backends=frozenset({"a", "yy"}))
    with pytest.raises(InvalidRequest) as caught:
        world.router.route(an_ask(target=target))
    assert [violation.field for violation in caught.value.violations] == [
        "spec.target.allowed_backends",
        "spec.target.excluded_backends",
    ]


async def test_a_backend_that_was_never_seen_may_have_any_model() -> None:
    world = World()
    world.add("a")
    world.fleet.add(a_backend("attic"), world.clock())
    with pytest.raises(NoHealthyBackend, match="attic"):
        world.router.route(an_ask(model="x"))
    world.observe("attic", seen("x"))
    assert world.router.route(an_ask(model="x")).chosen.deployment.backend == "attic"
