"""What servers have in memory is asked of them once more where a choice hangs on it, and nowhere else."""

from collections.abc import Collection
from typing import Any

from fakes import Hang, World, a_status, an_ask, fault, seen
from test_monitor import FakeProbe, monitoring, watch
from waiting import eventually

from zoe_grpcd.core.backend import Phase
from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.errors import Fault
from zoe_grpcd.core.observation import LoadState, Observation
from zoe_grpcd.core.resolve import Policy
from zoe_grpcd.core.warmth import FRESH

WARM, COLD = LoadState.LOADED, LoadState.UNLOADED


def having(m: LoadState, other: LoadState | None = None) -> Observation:
    """A server with model `m`, and another one if its state is given."""
    others = [] if other is None else [a_status("other", state=other)]
    return seen(a_status("m", state=m, size_bytes=4 << 30), *others)


class Looks:
    """Records who is looked at, and shows the world what they have by then."""

    def __init__(self, **truth: Observation) -> None:
        self.truth = truth
        self.asked: list[tuple[set[str], float]] = []
        self.world: World

    async def __call__(self, names: Collection[str], limit: float) -> None:
        self.asked.append((set(names), limit))
        for name in names:
            if name in self.truth:
                self.world.observe(name, self.truth[name])


def a_world(looks: Looks, policy: Policy | None = None, **backends: Observation) -> World:
    """Backends that were seen like this, longer ago than a look is fresh."""
    looks.world = world = World(policy or Policy(), look=looks)
    for name, observation in backends.items():
        world.add(name, seen_as=observation)
    world.clock.advance(FRESH + 0.1)
    return world


async def chosen(world: World, **how: Any) -> str:
    items = await world.run(an_ask("hello", "m"), **how)
    assert world.left_behind == 0
    return next(item for item in items if isinstance(item, Decision)).chosen.deployment.backend


async def test_before_a_load_those_who_would_load_are_asked_whether_they_have_it_by_now() -> None:
    looks = Looks(b=having(WARM))
    assert await chosen(a_world(looks, a=having(COLD), b=having(COLD))) == "b"
    assert looks.asked == [({"a", "b"}, 0.1)]


async def test_a_model_that_another_one_may_have_pushed_out_is_asked_for_before_it_is_used() -> None:
    looks = Looks(a=having(COLD, WARM))
    world = a_world(looks, a=having(WARM, COLD), b=having(WARM))
    assert await chosen(world) == "b"
    assert looks.asked == [({"a"}, 0.1)]


async def test_a_server_that_has_one_model_is_not_asked() -> None:
    looks = Looks()
    assert await chosen(a_world(looks, a=having(WARM), b=having(WARM))) == "a"
    assert looks.asked == []


async def test_nobody_is_asked_where_there_is_no_choice() -> None:
    looks = Looks()
    assert await chosen(a_world(looks, a=having(COLD))) == "a"
    assert looks.asked == []


async def test_who_was_looked_at_just_now_is_not_asked_again() -> None:
    looks = Looks()
    world = a_world(looks, a=having(COLD), b=having(COLD))
    world.observe("a", having(COLD))
    assert await chosen(world) == "a"
    assert looks.asked == [({"b"}, 0.1)]


async def test_a_request_asks_once_even_if_nobody_answers_or_its_attempts_fail() -> None:
    looks = Looks()
    world = a_world(looks, a=having(COLD), b=having(COLD))
    world.dispatchers["a"].scripts = [[fault(Fault.SERVER)]]
    assert await chosen(world) == "b"
    assert len(looks.asked) == 1


async def test_it_can_be_turned_off_and_takes_as_long_as_the_operator_says() -> None:
    for policy, asked in (
        (Policy(check_timeout=0.0), []),
        (Policy(prefer_warm=False), []),
        (Policy(check_timeout=2.5), [2.5]),
    ):
        looks = Looks()
        await chosen(a_world(looks, policy, a=having(COLD), b=having(COLD)))
        assert [limit for _, limit in looks.asked] == asked


async def test_to_ask_where_a_request_would_go_asks_no_server() -> None:
    looks = Looks()
    a_world(looks, a=having(COLD), b=having(COLD)).router.route(an_ask("hello", "m"))
    assert looks.asked == []


async def test_only_the_choice_that_is_acted_on_is_recorded() -> None:
    recorded: list[str] = []
    looks = Looks(b=having(WARM))
    world = World(
        look=looks, record=lambda _q, _s, d: recorded.append(d.chosen.deployment.backend if d else "")
    )
    looks.world = world
    for name in ("a", "b"):
        world.add(name, seen_as=having(COLD))
    world.clock.advance(FRESH + 0.1)
    assert await chosen(world) == "b"
    assert recorded == ["b"]


# --------------------------------------------------------------------------------------------------------- the monitor


async def test_a_look_is_awaited_and_shared() -> None:
    async with monitoring() as (fleet, monitor):
        hang = Hang()
        probe = FakeProbe(hang)
        watch(monitor, "a", probe)
        await eventually(lambda: probe.asked == 1)
        await monitor.look(["a", "unknown"], 0.001)
        assert (probe.asked, fleet.health.phase("a")) == (1, Phase.UNKNOWN)
        hang.over.set()
        await monitor.look(["a"], 5.0)
        assert fleet.health.phase("a") is Phase.READY


async def test_a_look_that_nobody_waits_for_any_longer_ends_with_the_monitor() -> None:
    probe = FakeProbe(seen("m"), Hang())
    async with monitoring() as (_, monitor):
        watch(monitor, "a", probe)
        await monitor.first_round(5.0)
        await monitor.look(["a"], 0.001)
        assert probe.asked == 2
    assert probe.cancelled == 1
