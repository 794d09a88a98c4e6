"""What a key may not use, nobody gets for it: by no name, no fallback and no failure. And what its calls really cost."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes import ANSWER, FakeDispatcher, Hang, Script, World, an_ask, fault, finished, said, seen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from waiting import eventually

from zoe_grpcd.core.answer import Usage
from zoe_grpcd.core.ask import Ask, Target
from zoe_grpcd.core.backend import ModelFacts, Price
from zoe_grpcd.core.chains import Chain, Step
from zoe_grpcd.core.decision import Decision, Reason
from zoe_grpcd.core.errors import (
    Exhausted,
    Fault,
    ModelNotFound,
    NoCapableBackend,
    NoHealthyBackend,
    PermissionDenied,
    ZoeError,
)
from zoe_grpcd.core.grants import narrow_ask, permission
from zoe_grpcd.core.licence import Grant, Locality
from zoe_grpcd.core.phases import Signal
from zoe_grpcd.core.policy import Policy

ALIASES = {"fast": ("small", "tiny")}


@dataclass
class Purse:
    """A licence that writes down what is asked of it."""

    grant: Grant
    money: float | None = None
    remarks: tuple[str, ...] = ()
    reserved: list[float] = field(default_factory=list)
    paid: list[tuple[Usage, float]] = field(default_factory=list)

    def left(self) -> float | None:
        return self.money

    def reserve(self, usd: float, *, beside: bool = False) -> bool:
        self.reserved.append(usd)
        return not beside or self.money is None or self.money >= sum(self.reserved)

    def spent(self, usage: Usage, usd: float) -> None:
        self.paid.append((usage, usd))

    def broke(self) -> Exhausted:
        return Exhausted("no money", cause="BUDGET_EXCEEDED", retry_after=9.0)


def licensed(
    globs: str = "*", money: float | None = None, asked: dict[str, Any] | None = None, **grant: Any
) -> tuple[Ask, Purse]:
    """A request of a key that may use these models; `asked`: of the request itself."""
    names = tuple(globs.split())
    purse = Purse(Grant("app", names, permission(names, ALIASES), **grant), money)
    ask = an_ask(**(asked or {}))
    purse.remarks = narrow_ask(ask, purse.grant)
    ask.licence = purse
    return ask, purse


def a_world(**fields: Any) -> World:
    world = World(policy=Policy(aliases=ALIASES), **fields)
    world.add("here", seen_as=seen("small", "tiny"))
    world.add("away", seen_as=seen("large", "small"), local=False)
    return world


# ------------------------------------------------------------------------------------------------------------- models


def test_a_model_outside_of_the_globs_is_no_candidate_and_the_explanation_says_so() -> None:
    world = a_world()
    decision = world.router.route(licensed("tiny")[0], explain=True)
    assert decision.chosen.deployment.model == "tiny"
    assert "key 'app' may use tiny" in decision.explanation
    others = {c.deployment.model: c.reasons for c in decision.candidates[1:]}
    assert others
    assert all(Reason.EXCLUDED in reasons for reasons in others.values())


@pytest.mark.parametrize("name", ["large", "no-such-model", "larg"])
def test_a_model_that_is_named_and_not_allowed_is_denied_whether_it_exists_or_not(name: str) -> None:
    with pytest.raises(PermissionDenied) as caught:
        a_world().router.route(licensed("small tiny", asked={"model": name})[0])
    assert caught.value.metadata == {"key": "app", "model": name}
    assert "large" not in caught.value.message.replace(repr(name), "")


def test_a_hint_for_a_name_that_is_not_known_names_no_model_that_is_not_allowed() -> None:
    ask = licensed("small lar*x", asked={"model": "largex"})[0]
    with pytest.raises(ModelNotFound) as caught:
        a_world().router.route(ask)
    assert caught.value.metadata["did_you_mean"] == ""


def test_an_alias_leads_to_those_of_its_models_that_are_allowed() -> None:
    decision = a_world().router.route(licensed("tiny", asked={"model": "fast"})[0])
    assert decision.chosen.deployment.model == "tiny"


def test_an_alias_that_a_glob_names_is_allowed_with_all_that_it_stands_for() -> None:
    decision = a_world().router.route(licensed("fast", asked={"model": "small"})[0])
    assert decision.chosen.deployment.model == "small"


def test_who_names_no_model_and_may_use_none_that_is_here_is_told_that_nobody_can() -> None:
    with pytest.raises(NoCapableBackend):
        a_world().router.route(licensed("other")[0])


# --------------------------------------------------------------------------------------------- priority and locality


def test_a_lowered_priority_and_a_locality_of_the_key_are_said() -> None:
    ask, _ = licensed(priority="low", locality=Locality.LOCAL_ONLY, asked={"priority": "critical"})
    decision = a_world().router.route(ask)
    assert "priority critical lowered to low, the highest of key 'app'" in decision.explanation
    assert "locality local_only, as key 'app' demands" in decision.explanation
    assert decision.chosen.local


MODELS = ("small", "tiny", "large")
FAULTS = st.sampled_from([Fault.REFUSED, Fault.SERVER, Fault.RATE_LIMITED, Fault.MODEL_MISSING, Fault.CUT])
SCRIPTS = st.one_of(
    st.just(ANSWER),
    FAULTS.map(lambda kind: (fault(kind),)),
    FAULTS.map(lambda kind: (said("h"), fault(kind))),
)
HOUSES = st.lists(
    st.tuples(st.booleans(), st.lists(st.sampled_from(MODELS), min_size=1, unique=True), SCRIPTS),
    min_size=1,
    max_size=4,
)
CHAIN = {"default": Chain((Step(("large",)), Step(("tiny", "small"))))}


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=40)
@given(
    HOUSES,
    st.sampled_from(["*", "small", "t* small", "large", "fast"]),
    st.sampled_from(sorted(Locality)),
    st.sampled_from(["", "small", "large", "fast", "auto", "unknown"]),
    st.tuples(st.lists(st.sampled_from([*MODELS, "fast", "default"]), max_size=2), st.booleans()),
)
def test_whatever_fails_and_whatever_is_asked_for_nobody_serves_who_the_key_does_not_allow(
    houses: list[tuple[bool, list[str], Script]],
    globs: str,
    locality: Locality,
    model: str,
    more: tuple[list[str], bool],
) -> None:
    fallbacks, widely = more
    world = World(policy=Policy(aliases=ALIASES, default_model="large", chains=CHAIN))
    for number, (local, models, script) in enumerate(houses):
        world.add(f"b{number}", script, seen_as=seen(*models), local=local)
    target = Target(model=model, fallback_models=tuple(fallbacks))
    asked = {"target": target, "allow_different_model": widely, "max_queue_time": 0.0}
    ask, _ = licensed(globs, locality=locality, asked=asked)

    async def run() -> None:
        try:
            await world.run(ask)
        except ZoeError:
            assert world.left_behind == 0

    asyncio.run(run())
    permits = permission(globs.split(), ALIASES)
    for name, dispatcher in world.dispatchers.items():
        for call in dispatcher.calls:
            assert permits is None or permits(call.backend_model)
            assert locality is not Locality.LOCAL_ONLY or world.fleet.backend(name).local


# -------------------------------------------------------------------------------------------------------------- money

PRICED = {"large": ModelFacts(price=Price(1.0, 2.0))}


def a_market(*scripts: Script, local: Script = ANSWER) -> tuple[World, FakeDispatcher]:
    """Tiny is free, and large costs a dollar for a million tokens of a prompt and two for one of an answer."""
    world = World(facts=PRICED)
    world.add("here", local, seen_as=seen("tiny"))
    return world, world.add("away", *scripts, seen_as=seen("large"), local=False)


def limited(model: str = "", limit: int = 100) -> dict[str, Any]:
    return {"model": model, "options": {"max_output_tokens": limit}}


async def test_a_call_reserves_the_most_that_it_may_cost_and_pays_what_it_did() -> None:
    world, _ = a_market((said(), finished(1000, 50)))
    ask, purse = licensed(money=1.0, asked=limited("large"))
    await world.run(ask)
    (reserved,) = purse.reserved
    assert 200e-6 < reserved < 220e-6
    ((usage, usd),) = purse.paid
    assert usage == Usage(1000, 50)
    assert usd == pytest.approx(1100e-6)


async def test_a_call_that_is_cancelled_pays_for_what_had_come() -> None:
    hang = Hang()
    world, _ = a_market((said("h", 7), hang))
    ask, purse = licensed(money=1.0, asked=limited("large"))
    items: list[Any] = []
    task = asyncio.create_task(world.collect(items, ask))
    await eventually(lambda: len(items) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ((usage, usd),) = purse.paid
    assert usage.estimated
    assert usage.completion_tokens == 7
    assert usd >= 14e-6


async def test_an_answer_that_goes_on_elsewhere_pays_for_both_parts_and_one_without_a_token_for_none() -> (
    None
):
    world = World(facts=PRICED)
    world.add("a", (said("h", 5), fault(Fault.CUT)), seen_as=seen("large"))
    world.add("b", (fault(Fault.REFUSED),), seen_as=seen("large"))
    world.add("c", (said("h", 5), finished(1000, 50)), seen_as=seen("large"))
    ask, purse = licensed(money=1.0, asked=limited("large"))
    items = await world.run(ask)
    assert len(purse.paid) == 2
    assert sum(usd for _, usd in purse.paid) == pytest.approx(items[-1].cost_usd)  # type: ignore[union-attr]
    assert len(purse.reserved) == len(items[-1].attempts)  # type: ignore[union-attr]


def test_who_has_too_little_money_gets_what_is_free_and_is_told_why() -> None:
    world, _ = a_market()
    world.observe("here", seen("tiny"))
    decision = world.router.route(licensed(money=1e-6, asked=limited())[0], explain=True)
    assert decision.chosen.deployment.model == "tiny"
    (other,) = decision.candidates[1:]
    assert Reason.TOO_EXPENSIVE in other.reasons


@pytest.mark.parametrize("money", [0.0, 1e-6])
def test_where_only_money_is_missing_the_refusal_says_so_for_a_route_too(money: float) -> None:
    world, _ = a_market()
    with pytest.raises(Exhausted, match="no money"):
        world.router.route(licensed(money=money, asked=limited("large"))[0], explain=True)


async def test_where_only_money_is_missing_nothing_is_sent() -> None:
    world, away = a_market()
    with pytest.raises(Exhausted, match="no money"):
        await world.run(licensed(money=0.0, asked=limited("large"))[0])
    assert away.calls == []


def test_where_more_is_missing_than_money_that_is_said() -> None:
    world, _ = a_market()
    world.fleet.health.signal("away", Signal.DRAIN, "", world.clock())
    with pytest.raises(NoHealthyBackend):
        world.router.route(licensed(money=0.0, asked=limited("large"))[0])


async def test_money_that_goes_while_a_request_is_on_its_way_is_missed_at_its_next_attempt() -> None:
    world = World(facts=PRICED)
    ask, purse = licensed(money=1.0, asked=limited("large"))

    def spend() -> None:
        purse.money = 0.0

    for name in ("a", "b"):
        world.add(name, (spend, fault(Fault.REFUSED)), seen_as=seen("large"))
    with pytest.raises(ZoeError):
        await world.run(ask)
    assert sum(len(dispatcher.calls) for dispatcher in world.dispatchers.values()) == 1


@pytest.mark.parametrize(("money", "asked"), [(1.0, 2), (250e-6, 1)])
async def test_a_second_backend_is_asked_as_well_only_while_there_is_money_for_both(
    money: float, asked: int
) -> None:
    world, hang = World(facts=PRICED), Hang()
    for name in ("a", "b"):
        world.add(name, (hang, said(), finished(1000, 50)), seen_as=seen("large", slots=2))
    ask, purse = licensed(money=money, asked={**limited("large"), "hedge_after": 0.0})
    task = asyncio.create_task(world.run(ask))
    await eventually(lambda: len(purse.reserved) == 2)
    await eventually(lambda: sum(d.running for d in world.dispatchers.values()) == asked)
    hang.over.set()
    await task
    ((usage, usd),) = purse.paid
    assert usage == Usage(1000, 50)
    assert usd == pytest.approx(1100e-6)
    assert world.left_behind == 0


def test_a_decision_for_a_key_is_one_that_everybody_would_understand() -> None:
    decision = a_world().router.route(licensed()[0])
    assert isinstance(decision, Decision)
    assert "key" not in decision.explanation
