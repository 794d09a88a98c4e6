"""What is held against backends that fail: how requests go round them, when they come back, and who is told."""

import asyncio
from functools import partial
from typing import Any

import pytest
from fakes import ANSWER, BROKEN, Script, World, an_ask, fault, finished, said, seen
from waiting import eventually

from zoe_grpcd.core.answer import FinishReason, ToolDelta
from zoe_grpcd.core.ask import Target
from zoe_grpcd.core.backend import Deployment, Phase
from zoe_grpcd.core.breaker import Caution
from zoe_grpcd.core.decision import Decision, Reason
from zoe_grpcd.core.errors import Exhausted, Fault, NoHealthyBackend, ZoeError
from zoe_grpcd.core.observation import LoadState, ModelStatus, Observation
from zoe_grpcd.core.outcome import Completed
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.run import Item, Reliability

CAUTION = Caution(error_threshold=3, error_window=60.0, cooldown=100.0)
ERROR: Script = (fault(Fault.SERVER, http_status=500),)
COUNTED = {
    Fault.REFUSED, Fault.TIMEOUT, Fault.OVERLOADED, Fault.SERVER, Fault.LOAD_FAILED, Fault.MODEL_MISSING,
    Fault.UNAUTHORIZED, Fault.CUT,
}  # fmt: skip


def a_world(**fields: Any) -> World:
    fields = {"reliability": Reliability(retry_delay=0.0, return_time=0.0, max_attempts=1), **fields}
    return World(caution=CAUTION, **fields)


async def ends(world: World, model: str = "", **how: Any) -> list[str]:
    """How the attempts of one request ended, with their backends."""
    items: list[Item] = []
    try:
        await world.collect(items, an_ask(model=model, **how))
    except ZoeError as error:
        return [f"{a.deployment.backend} {a.outcome}" for a in error.attempts] or [error.reason]
    return [
        f"{a.deployment.backend} {a.outcome}" for i in items if isinstance(i, Completed) for a in i.attempts
    ]


def view_of(world: World, backend: str = "a", model: str = "m") -> tuple[Reason | None, float]:
    views = world.fleet.picture.snapshot(world.clock()).by_model[model]
    view = next(view for view in views if view.deployment.backend == backend)
    return view.barred, view.trust


def detail(world: World, backend: str = "a") -> str:
    return world.fleet.report(backend, world.clock()).detail


def candidates(world: World, model: str = "") -> dict[str, tuple[Reason, ...]]:
    decision = world.router.route(an_ask(model=model), explain=True)
    return {c.deployment.backend: c.reasons for c in decision.candidates}


# --------------------------------------------------------------------------------------------------- strain and trip


async def test_a_backend_that_fails_fast_attracts_no_traffic() -> None:
    world = a_world(reliability=Reliability(retry_delay=0.0, max_attempts=3))
    bad, good = world.add("bad", ERROR, weight=10.0), world.add("good")
    for _ in range(50):
        assert (await ends(world))[-1] == "good OK"
    assert len(bad.calls) == 3
    assert len(good.calls) == 50
    assert world.fleet.health.phase("bad") is Phase.COOLING_DOWN
    assert candidates(world) == {"good": (), "bad": (Reason.CIRCUIT_OPEN,)}


async def test_a_strained_backend_keeps_a_part_of_its_weight() -> None:
    world = a_world()
    world.add("a", ERROR, ERROR, ANSWER)
    for _ in range(2):
        await ends(world)
    assert world.fleet.health.phase("a") is Phase.DEGRADED
    assert world.fleet.picture.snapshot(world.clock()).backends["a"].trust == CAUTION.degraded_weight
    assert detail(world) == "HTTP 500. 2 errors in 60 s"
    world.clock.advance(60.0)
    assert world.fleet.picture.snapshot(world.clock()).backends["a"].trust == 1.0
    world.observe("a", seen("m"))
    assert world.fleet.health.phase("a") is Phase.READY
    assert detail(world) == ""


@pytest.mark.parametrize("kind", list(Fault))
async def test_only_what_is_the_backends_own_fault_is_held_against_it(kind: Fault) -> None:
    world = a_world()
    world.add("a", [fault(kind)])
    for _ in range(20):
        await ends(world, model="m")
        world.observe("a", seen("m"))  # which ends what attempts may have shown of it
    held = world.fleet.health.phase("a") is Phase.COOLING_DOWN or view_of(world)[0] is Reason.CIRCUIT_OPEN
    assert held == (kind in COUNTED)


async def test_a_good_probe_does_not_end_what_attempts_have_found() -> None:
    world = a_world()
    world.add("a", ERROR)
    for _ in range(3):
        await ends(world)
    for _ in range(5):
        world.observe("a", seen("m"))
        assert world.fleet.health.phase("a") is Phase.COOLING_DOWN


async def test_a_fault_of_one_model_leaves_the_others_alone() -> None:
    world = a_world()
    world.add("a", *[ERROR] * 3, ANSWER, seen_as=seen("m", "n"))
    for _ in range(3):
        await ends(world, model="m")
    assert view_of(world, model="m") == (Reason.CIRCUIT_OPEN, 1.0)
    assert view_of(world, model="n") == (None, 1.0)
    assert world.fleet.health.phase("a") is Phase.READY
    assert detail(world) == "m: 3 errors in 60 s; next trial in 100 s"
    assert await ends(world, model="n") == ["a OK"]


async def test_a_fault_of_several_models_is_the_servers() -> None:
    world = a_world()
    world.add("a", ERROR, seen_as=seen("m", "n"))
    for model in ("m", "n", "m"):
        await ends(world, model=model)
    assert world.fleet.health.phase("a") is Phase.COOLING_DOWN


@pytest.mark.parametrize(
    "answer",
    [
        [finished()],  # nothing at all
        [said("what\ufffd"), said("ever"), finished()],
        [said("what\ufffdever"), finished()],
        [said("ha" * 200), finished(reason=FinishReason.LENGTH)],
    ],
)
async def test_answers_that_look_wrong_are_handed_on_and_held_against_their_model(answer: Script) -> None:
    world = a_world()
    world.add("a", answer)
    for _ in range(20):
        assert await ends(world) == ["a OK"]
    assert view_of(world) == (None, CAUTION.degraded_weight)
    assert "20 answers that looked wrong in 60 s" in detail(world)


@pytest.mark.parametrize(
    "answer", [[said("ha" * 200), finished()], [said("no"), finished()], [said("n\ufffd\ufffd"), finished()]]
)
async def test_other_answers_are_not(answer: Script) -> None:
    world = a_world()
    world.add("a", answer)
    for _ in range(5):
        await ends(world)
    assert view_of(world) == (None, 1.0)


async def ended(answer: Script, window: int = 0, **options: Any) -> tuple[int, FinishReason, bool]:
    """How many tokens a caller gets of an answer, what it is told of its end, and whether it looked wrong."""
    world = a_world()
    world.add("a", answer, seen_as=seen(ModelStatus("m", context_tokens=window)))
    items: list[Item] = []
    for _ in range(3):
        await world.collect(items, an_ask(options=options))
    end = next(item for item in items if isinstance(item, Completed))
    return end.usage.completion_tokens, end.finish, "3 answers that looked wrong" in detail(world)


# More than anybody asks for, and never the same again.
NUMBERS = [str(number) for number in range(1000, 10_000)]


async def test_an_answer_without_end_is_ended_at_twice_its_limit() -> None:
    endless: Script = [said(number) for number in NUMBERS]
    assert await ended(endless, 4096, max_output_tokens=100) == (233, FinishReason.LENGTH, True)


@pytest.mark.parametrize(("window", "most"), [(200, 532), (0, 262_276)])
async def test_without_a_limit_it_is_ended_at_twice_the_window(window: int, most: int) -> None:
    endless: Script = [said(number * 100, tokens=100) for number in NUMBERS]
    tokens, *end = await ended(endless, window)
    assert 2 * window < tokens <= most
    assert end == [FinishReason.LENGTH, True]


async def test_a_tool_call_without_end_is_ended_too() -> None:
    pieces = [ToolDelta(0, "id", "add"), *(ToolDelta(0, arguments=number) for number in NUMBERS)]
    endless: Script = [[piece] for piece in pieces]
    assert await ended(endless, max_output_tokens=100) == (0, FinishReason.LENGTH, True)


async def test_a_server_that_sends_letter_by_letter_may_finish() -> None:
    letters: Script = [*(said(letter) for letter in "four" * 100), finished(completion=100)]
    assert await ended(letters, max_output_tokens=100) == (100, FinishReason.STOP, False)


# ---------------------------------------------------------------------------------------------- trial and slow start


async def tripped(*later: Script, **fields: Any) -> World:
    """A world where `a` has failed three times and `b` is well."""
    world = a_world(**fields)
    world.add("a", *[ERROR] * 3, *(later or (ANSWER,)))
    for _ in range(3):
        await ends(world)
    world.add("b")
    assert world.fleet.health.phase("a") is Phase.COOLING_DOWN
    return world


async def test_after_the_cooldown_one_request_is_its_trial() -> None:
    world = await tripped()
    lease_of = Deployment("m", "a", "m")
    assert candidates(world)["a"] == (Reason.CIRCUIT_OPEN,)
    world.clock.advance(100.0)
    assert candidates(world)["a"] == ()
    held = world.fleet.leases.take(lease_of, world.clock())
    assert candidates(world)["a"] == (Reason.CIRCUIT_OPEN,)
    assert "a trial is under way" in detail(world)
    world.fleet.leases.release(held, None, world.clock())
    assert candidates(world)["a"] == ()


async def test_the_trial_is_told_of() -> None:
    world = await tripped()
    world.clock.advance(100.0)
    decision = world.router.route(an_ask(), explain=True)
    assert "it is tried again after its failures" in world.router.route(an_ask(target=_only("a"))).explanation
    assert decision.chosen.deployment.backend == "b"


async def test_a_good_trial_brings_it_back_slowly() -> None:
    world = await tripped()
    world.clock.advance(100.0)
    assert await ends(world, target=_only("a")) == ["a OK"]
    assert world.fleet.health.phase("a") is Phase.DEGRADED
    assert detail(world) == "back after errors, with 10% of its weight"
    trust = []
    for _ in range(12):
        trust.append(world.fleet.picture.snapshot(world.clock()).backends["a"].trust)
        world.clock.advance(3.0)
    assert trust == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0, 1.0])
    world.observe("a", seen("m"))
    assert world.fleet.health.phase("a") is Phase.READY
    assert detail(world) == ""


async def test_a_failed_trial_doubles_the_cooldown() -> None:
    world = await tripped(ERROR)
    world.clock.advance(100.0)
    assert await ends(world, target=_only("a")) == ["a FAILED"]
    world.clock.advance(199.0)
    assert candidates(world)["a"] == (Reason.CIRCUIT_OPEN,)
    assert detail(world) == "HTTP 500. the trial failed; next trial in 1 s"
    world.clock.advance(1.0)
    assert candidates(world)["a"] == ()


async def test_a_server_that_died_and_is_back_is_used_again_at_once() -> None:
    world = a_world()
    world.add("a", *[[fault(Fault.REFUSED)]] * 3, ANSWER)
    for _ in range(3):
        world.observe("a", seen("m"))
        await ends(world)
    world.observe("a", BROKEN)
    assert world.fleet.health.phase("a") is Phase.DOWN
    world.observe("a", seen("m"))
    assert world.fleet.health.phase("a") is Phase.DEGRADED
    assert await ends(world) == ["a OK"]


async def test_a_server_that_died_three_times_is_used_again_though_no_probe_has_missed_it() -> None:
    world = a_world()
    world.add("a", *[[fault(Fault.REFUSED, gone=True)]] * 3, ANSWER)
    for _ in range(3):
        await ends(world)
        world.observe("a", seen("m"))
    assert world.fleet.health.phase("a") is Phase.DEGRADED
    assert detail(world) == "back after errors, with 10% of its weight"
    assert await ends(world) == ["a OK"]


async def test_one_that_answers_probes_and_resets_requests_is_not_believed() -> None:
    world = a_world()
    world.add("a", [fault(Fault.REFUSED)])
    for _ in range(3):
        world.observe("a", seen("m"))
        await ends(world)
    world.observe("a", seen("m"))
    assert world.fleet.health.phase("a") is Phase.COOLING_DOWN


async def test_a_server_that_loads_its_model_anew_gets_its_trial() -> None:
    world = await tripped()
    world.observe("a", seen(loading=True))
    assert world.fleet.health.phase("a") is Phase.LOADING
    world.observe("a", seen("m"))
    assert candidates(world)["a"] == ()


# --------------------------------------------------------------------------------------------------------- rate limits


def limited(seconds: float | None = None) -> Script:
    return [fault(Fault.RATE_LIMITED, http_status=429, retry_after=seconds)]


@pytest.mark.parametrize(("told", "pause"), [(None, 60.0), (7.0, 7.0), (1e9, 3600.0)])
async def test_a_429_pauses_that_deployment_only(told: float | None, pause: float) -> None:
    world = a_world()
    world.add("a", limited(told), ANSWER, seen_as=seen("m", "n"))
    await ends(world, model="m")
    world.add("b")
    assert candidates(world, "m") == {"b": (), "a": (Reason.RATE_LIMITED,)}
    assert candidates(world, "n") == {"a": ()}
    assert world.fleet.health.phase("a") is Phase.READY
    world.clock.advance(pause - 0.1)
    assert candidates(world, "m")["a"] == (Reason.RATE_LIMITED,)
    world.clock.advance(0.1)
    assert candidates(world, "m") == {"a": (), "b": ()}


async def test_who_asks_us_to_wait_is_not_asked_and_the_caller_knows_how_long() -> None:
    world = a_world()
    only = world.add("a", limited(42.0), ANSWER)
    await ends(world)
    with pytest.raises(Exhausted) as refusal:
        await world.run()
    assert refusal.value.reason == "RATE_LIMITED"
    assert refusal.value.retry_after == pytest.approx(42.0, abs=0.1)
    assert refusal.value.message == "every backend limits our rate: a (RATE_LIMITED for 42 s)"
    assert len(only.calls) == 1


async def test_a_short_pause_is_waited_for_by_all_who_come() -> None:
    world = a_world()
    world.add("a", limited(5.0), ANSWER)
    await ends(world)
    world.clock.advance(1.5)
    told = world.router.route(an_ask()).explanation
    assert told.endswith("it limits our rate for another 4 s, and the request would wait for that")
    waiting = [asyncio.create_task(ends(world)) for _ in range(3)]
    await eventually(lambda: len(world.waiting) == 3)
    world.clock.advance(3.5)
    world.observe("a", seen("m"))
    assert await asyncio.gather(*waiting) == [["a OK"]] * 3


@pytest.mark.parametrize("most", [0.0, 3.0])
async def test_nobody_waits_for_longer_than_it_wants_to(most: float) -> None:
    world = a_world()
    world.add("a", limited(5.0), ANSWER)
    await ends(world)
    assert await ends(world, max_queue_time=most) == ["RATE_LIMITED"]


@pytest.mark.parametrize(
    ("told", "pause"),
    [((None, 7.0), 7.0), ((7.0, None), 7.0), ((7.0, 3.0), 7.0), ((3.0, 7.0), 7.0), ((None, None), 60.0)],
)
async def test_what_the_backend_says_counts_for_more_than_our_guess(
    told: tuple[float | None, float | None], pause: float
) -> None:
    world = a_world()
    world.add("a")
    for seconds in told:
        lease = world.fleet.leases.take(Deployment("m", "a", "m"), world.clock())
        world.fleet.health.failed(lease, fault(Fault.RATE_LIMITED, retry_after=seconds), world.clock())
    assert world.fleet.health.changes_in("a", world.clock()) == pytest.approx(pause, abs=0.1)


async def test_an_answer_ends_a_pause() -> None:
    world = a_world()
    world.add("a", limited(), ANSWER)
    await ends(world)
    assert view_of(world) == (Reason.RATE_LIMITED, 1.0)
    assert await ends(world) == ["a OK"]
    assert view_of(world) == (None, 1.0)


async def test_a_pause_of_our_own_choice_gives_way_when_nobody_else_is_left() -> None:
    world = a_world()
    world.add("a", limited(), ANSWER)
    await ends(world)
    assert await ends(world) == ["a OK"]


async def test_the_time_to_come_back_is_the_soonest_that_is_known() -> None:
    world = a_world()
    world.add("a", limited(42.0))
    await ends(world)
    world.add("b", seen_as=BROKEN)
    world.observe("b", seen("m"))
    world.observe("b", BROKEN)
    with pytest.raises(NoHealthyBackend) as refusal:
        await world.run(an_ask(model="m"))
    assert refusal.value.retry_after == pytest.approx(42.0, abs=0.1)
    assert refusal.value.message == "no healthy backend: a (RATE_LIMITED for 42 s), b (UNHEALTHY)"


# --------------------------------------------------------------------------------------------------------------- panic


async def test_when_all_fail_too_often_the_least_bad_is_tried_and_that_is_told() -> None:
    world = a_world()
    world.add("a", *[ERROR] * 3, ANSWER)
    for _ in range(3):
        await ends(world)
    items = await world.run()
    decision = next(item for item in items if isinstance(item, Decision))
    assert "nobody else may serve, so it is tried although it fails too often" in decision.explanation
    assert world.fleet.health.phase("a") is Phase.DEGRADED  # it answered


async def test_in_panic_each_candidate_is_listed_once_with_what_it_hangs_on() -> None:
    world = a_world()
    for name in "ab":
        world.add(name, ERROR)
    for _ in range(10):
        await ends(world)
    world.add("c", seen_as=BROKEN)
    world.observe("c", seen("m"))
    world.observe("c", BROKEN)
    decision = world.router.route(an_ask(model="m"), explain=True)
    found = [(c.deployment.backend, c.eligible, c.reasons) for c in decision.candidates]
    assert sorted(found) == [("a", True, ()), ("b", True, ()), ("c", False, (Reason.UNHEALTHY,))]
    assert "c would win if it were up" in decision.explanation.replace("m @ ", "")


async def test_no_panic_while_there_is_somebody_to_wait_for() -> None:
    world = await tripped(max_queue_time=0.01)
    world.observe("b", Observation(ok=True, loading=True))
    assert await ends(world, model="m", max_queue_time=0.01) == ["QUEUE_TIMEOUT"]


async def test_panic_does_not_lift_what_the_caller_or_a_probe_says() -> None:
    world = await tripped()
    world.observe("b", BROKEN)
    assert await ends(world, target=_only("b")) == ["NO_HEALTHY_BACKEND"]


# ---------------------------------------------------------------------------------------------------------- bookkeeping


async def test_nothing_is_kept_of_a_backend_that_is_well() -> None:
    world = await tripped()
    world.clock.advance(100.0)
    await ends(world, target=_only("a"))
    world.clock.advance(100.0)
    world.observe("a", seen("m"))
    snapshot = world.fleet.picture.snapshot(world.clock())
    assert snapshot.at == 0.0
    world.clock.advance(1.0)
    assert world.fleet.picture.snapshot(world.clock()) is snapshot
    assert world.fleet.health.changes_in("a", world.clock()) == float("inf")


async def test_whoever_watches_hears_of_each_error_and_of_the_end_of_a_cooldown() -> None:
    world = a_world()
    world.add("a", ERROR)
    heard: list[str] = []
    world.fleet.picture.subscribe(heard.append)
    for count in (1, 2, 3):
        await ends(world)
        assert len(heard) == count
    world.observe("a", seen("m"))
    assert len(heard) == 3
    assert world.fleet.health.changes_in("a", world.clock()) == 100.0
    world.clock.advance(100.0)
    world.observe("a", seen("m"))
    assert len(heard) == 4
    assert detail(world) == "HTTP 500. 3 errors in 60 s; the next request is its trial"


def test_an_answer_that_comes_after_its_backend_was_taken_away_tells_nothing() -> None:
    fleet, other = World().fleet, World()
    other.add("a")
    lease = other.fleet.leases.take(Deployment("m", "a", "m"), 0.0)
    assert isinstance(fleet, Fleet)
    fleet.health.answered(lease, 1.0)
    fleet.health.failed(lease, fault(Fault.SERVER), 1.0)
    assert fleet.names() == []


def _only(backend: str) -> Target:
    return Target(allowed_backends=frozenset({backend}))


# ------------------------------------------------------------------------------------------------------------- loading


@pytest.mark.parametrize(("passes", "blamed"), [(5.0, False), (25.0, True)])
async def test_a_load_that_takes_longer_than_somebody_waits_is_no_fault_but_a_hang_is(
    passes: float, blamed: bool
) -> None:
    """It is expected to take 10.5 s."""
    world = a_world()
    cold = ModelStatus("m", LoadState.UNLOADED, size_bytes=4_000_000_000)
    late: Script = [partial(world.clock.advance, passes), fault(Fault.TIMEOUT)]
    world.add("a", late, seen_as=seen(cold))
    for _ in range(3):
        assert await ends(world) == ["a TIMEOUT"]
        world.observe("a", seen(cold))
    assert (world.fleet.health.phase("a") is Phase.COOLING_DOWN) == blamed
    (view,) = world.fleet.picture.snapshot(world.clock()).by_model["m"]
    assert (view.success < 1.0) == blamed
