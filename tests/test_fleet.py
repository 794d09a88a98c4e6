"""What probes and requests make of the fleet, and what a decision then sees of it."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import pytest
from fakes import BROKEN, World, a_backend, an_ask, seen

from zoe_grpcd.core.answer import Measured, Usage
from zoe_grpcd.core.backend import Deployment, ModelFacts, Phase, Price
from zoe_grpcd.core.decision import Estimate
from zoe_grpcd.core.learning import Lesson
from zoe_grpcd.core.observation import LoadState, ModelStatus, Observation
from zoe_grpcd.core.phases import Signal
from zoe_grpcd.core.views import DeploymentView
from zoe_grpcd.fleet import Fleet, Lease

UNLOADED = ModelStatus("m", LoadState.UNLOADED, size_bytes=4_000_000_000)
LOADED = ModelStatus("m", LoadState.LOADED, size_bytes=4_000_000_000)


def a_fleet(
    *names: str,
    facts: dict[str, ModelFacts] | None = None,
    deployments: Iterable[Deployment] = (),
    **fields: object,
) -> Fleet:
    fleet = Fleet(facts, tuple(deployments))
    for name in names or ("a",):
        fleet.add(a_backend(name, **fields), 0.0)
    return fleet


def view_of(fleet: Fleet, model: str = "m", now: float = 0.0) -> DeploymentView:
    (view,) = fleet.picture.snapshot(now).by_model[model]
    return view


def models_of(fleet: Fleet) -> dict[str, str]:
    """Public name -> the server's name, of what is served."""
    views = (view for views in fleet.picture.snapshot(0.0).by_model.values() for view in views)
    return {v.deployment.model: v.deployment.backend_model for v in views if v.served}


def lease(fleet: Fleet, backend: str = "a", model: str = "m", now: float = 0.0) -> Lease:
    views = fleet.picture.snapshot(now).by_model[model]
    return fleet.leases.take(next(v.deployment for v in views if v.deployment.backend == backend), now)


def a_lesson(
    failed: bool = False, duration: float = 2.0, first_token: float | None = 1.0, output_tokens: int = 10
) -> Lesson:
    return Lesson(
        failed, duration, None if failed else first_token, output_tokens=output_tokens, whole=not failed
    )


# -------------------------------------------------------------------------------------------------------------- phases


@pytest.mark.parametrize(
    ("observation", "phase"),
    [
        (seen("m"), Phase.READY),
        (seen("m", slots=2, busy=1), Phase.READY),
        (seen("m", slots=2, busy=2), Phase.BUSY),
        (seen("m", slots=2, busy=5), Phase.BUSY),
        (seen("m", busy=3), Phase.READY),
        (seen(loading=True), Phase.LOADING),
        (seen("m", sleeping=True), Phase.READY),
        (Observation(ok=True), Phase.READY),
        (BROKEN, Phase.DOWN),
    ],
)
def test_a_probe_decides_the_phase(observation: Observation, phase: Phase) -> None:
    fleet = a_fleet()
    assert fleet.health.phase("a") is Phase.UNKNOWN
    fleet.health.observe("a", observation, 1.0)
    assert fleet.health.phase("a") is phase


def test_one_silence_is_a_suspicion_and_two_are_a_death() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen("m"), 0.0)
    phases = []
    for now in (1.0, 2.0, 3.0):
        fleet.health.observe_silence("a", 2.0, now)
        phases.append(fleet.health.phase("a"))
    assert phases == [Phase.DEGRADED, Phase.DOWN, Phase.DOWN]
    assert fleet.health.detail("a") == "no answer to a probe within 2 s"
    assert fleet.report("a", 3.0).since == 2.0


def test_one_that_sleeps_has_its_models_asleep_and_whoever_looks_on_is_told_when_it_is_gone() -> None:
    fleet, told = a_fleet(), []
    fleet.health.observe("a", seen("m"), 0.0)
    fleet.picture.subscribe(lambda _name: told.append(fleet.report("a", 1.0)))
    asleep = Observation(ok=False, sleeping=True, error="it sleeps")
    for observation in (asleep, asleep, BROKEN, BROKEN):
        fleet.health.observe("a", observation, 1.0)
    assert [(report.is_asleep, report.phase, report.models[0].state) for report in told] == [
        (True, Phase.DOWN, LoadState.SLEEPING),
        (False, Phase.DOWN, LoadState.LOADED),
    ]


def test_a_server_that_died_asleep_is_down() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen(ModelStatus("m", LoadState.SLEEPING)), 0.0)
    assert not fleet.report("a", 1.0).is_asleep
    fleet.health.observe("a", BROKEN, 1.0)
    assert not fleet.report("a", 1.0).is_asleep


def test_a_backend_comes_back_with_its_models() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen("m"), 0.0)
    fleet.health.observe("a", BROKEN, 1.0)
    assert models_of(fleet) == {"m": "m"}, "what it served is still known, to tell unhealthy from unknown"
    fleet.health.observe("a", seen("m"), 2.0)
    assert fleet.health.phase("a") is Phase.READY


def test_a_drained_backend_stays_so_whatever_a_probe_sees() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen("m"), 0.0)
    fleet.health.signal("a", Signal.DRAIN, "maintenance", 1.0)
    for observation in (seen("m"), BROKEN, seen(loading=True)):
        fleet.health.observe("a", observation, 2.0)
        assert fleet.health.phase("a") is Phase.DRAINING
    fleet.health.signal("a", Signal.UNDRAIN, "done", 3.0)
    fleet.health.observe("a", seen("m"), 4.0)
    assert fleet.health.phase("a") is Phase.READY


# -------------------------------------------------------------------------------------------------------------- models


def test_what_a_server_tells_is_served_by_its_name() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen("qwen3:8b", "llama3:latest"), 0.0)
    assert models_of(fleet) == {"qwen3:8b": "qwen3:8b", "llama3:latest": "llama3:latest"}


def test_a_file_is_served_by_its_alias() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen(ModelStatus("/models/tiny.gguf", alias="tiny")), 0.0)
    assert models_of(fleet) == {"tiny": "/models/tiny.gguf"}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("qwen3", ModelStatus("qwen3")),
        ("qwen3", ModelStatus("qwen3:latest")),
        ("tiny", ModelStatus("/models/tiny.gguf", alias="tiny")),
        ("/models/tiny.gguf", ModelStatus("/models/tiny.gguf", alias="tiny")),
    ],
)
def test_a_configured_name_finds_the_servers_model(asked: str, told: ModelStatus) -> None:
    fleet = a_fleet(deployments=[Deployment("fast", "a", asked)])
    fleet.health.observe("a", seen(told), 0.0)
    assert view_of(fleet, "fast").served
    assert view_of(fleet, "fast").deployment.backend_model == asked


def test_auto_gets_the_configured_name_alone_but_the_servers_own_is_still_known() -> None:
    fleet = a_fleet(deployments=[Deployment("fast", "a", "qwen3:8b")])
    fleet.health.observe("a", seen("qwen3:8b", "other"), 0.0)
    assert sorted(models_of(fleet)) == ["fast", "other", "qwen3:8b"]
    assert sorted(v.deployment.model for v in fleet.picture.snapshot(0.0).auto) == ["fast", "other"]


def test_a_model_that_cannot_chat_is_not_for_auto() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen("m", ModelStatus("embed", capabilities=frozenset({"embedding"}))), 0.0)
    assert [v.deployment.model for v in fleet.picture.snapshot(0.0).auto] == ["m"]
    assert "embed" in fleet.picture.snapshot(0.0).by_model


def test_a_configured_model_that_the_server_no_longer_has_is_not_served() -> None:
    fleet = a_fleet(deployments=[Deployment("fast", "a", "m")])
    fleet.health.observe("a", seen("m"), 0.0)
    assert view_of(fleet, "fast").served
    fleet.health.observe("a", seen("other"), 1.0)
    assert not view_of(fleet, "fast").served
    fleet.health.observe("a", seen("m"), 2.0)
    assert view_of(fleet, "fast").served


def test_a_discovered_model_that_is_gone_is_forgotten() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen("m", "n"), 0.0)
    held = lease(fleet, model="n")
    fleet.health.observe("a", seen("m"), 1.0)
    assert models_of(fleet) == {"m": "m"}
    fleet.leases.first_token(held, 1.5)
    fleet.leases.release(held, a_lesson(), 2.0)
    assert fleet.leases.in_flight("a") == 0


def test_a_probe_that_cannot_list_models_changes_nothing_about_them() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen("m"), 0.0)
    fleet.health.observe("a", Observation(ok=True, models=None, loading=True), 1.0)
    assert models_of(fleet) == {"m": "m"}
    assert fleet.health.phase("a") is Phase.LOADING


def test_a_server_restarted_with_another_model_serves_that_one() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen(ModelStatus("m", context_tokens=4096)), 0.0)
    fleet.health.observe("a", BROKEN, 1.0)
    fleet.health.observe("a", seen(ModelStatus("n", context_tokens=2048)), 2.0)
    assert models_of(fleet) == {"n": "n"}


def test_another_file_under_the_same_name_is_called_by_its_own_and_learns_anew() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen(ModelStatus("/models/one.gguf", alias="tiny")), 0.0)
    fleet.leases.release(lease(fleet, model="tiny"), a_lesson(failed=True), 1.0)
    assert view_of(fleet, "tiny", 1.0).success < 1.0
    fleet.health.observe("a", seen(ModelStatus("/models/two.gguf", alias="tiny")), 2.0)
    assert models_of(fleet) == {"tiny": "/models/two.gguf"}
    assert view_of(fleet, "tiny", 2.0).success == 1.0


def test_two_backends_swap_their_models() -> None:
    fleet = a_fleet("a", "b")
    for one, other in (("m", "n"), ("n", "m")):
        fleet.health.observe("a", seen(one), 0.0)
        fleet.health.observe("b", seen(other), 0.0)
        by_model = fleet.picture.snapshot(0.0).by_model
        assert [v.deployment.backend for v in by_model[one]] == ["a"]
        assert [v.deployment.backend for v in by_model[other]] == ["b"]


def test_a_window_that_changed_is_seen() -> None:
    fleet = a_fleet()
    for window in (4096, 2048):
        fleet.health.observe("a", seen(ModelStatus("m", context_tokens=window)), 0.0)
        assert view_of(fleet).context_tokens == window


@pytest.mark.parametrize(
    ("truncates", "num_ctx", "stated", "expected"),
    [
        (True, 16384, 8192, 16384),  # the request sets it
        (False, 16384, 8192, 8192),  # this kind does not let a request set it: the operator's word
        (False, None, None, 4096),  # what the server tells
    ],
)
def test_who_decides_the_window(
    truncates: bool, num_ctx: int | None, stated: int | None, expected: int
) -> None:
    options = {"num_ctx": num_ctx} if num_ctx else {}
    fleet = a_fleet(
        facts={"m": ModelFacts(context_tokens=stated)},
        deployments=[Deployment("m", "a", "m", backend_options=options)],
        truncates=truncates,
    )
    fleet.health.observe("a", seen(ModelStatus("m", context_tokens=4096)), 0.0)
    assert view_of(fleet).context_tokens == expected


def test_facts_of_the_operator_and_of_the_kind_add_capabilities() -> None:
    facts = {"m": ModelFacts(capabilities=frozenset({"code"}), parameters=7.0, price=Price(2.0))}
    fleet = a_fleet(facts=facts, assumed=frozenset({"tools"}))
    fleet.health.observe("a", seen(ModelStatus("m", capabilities=frozenset({"chat", "vision"}))), 0.0)
    view = view_of(fleet)
    assert view.capabilities == {"chat", "vision", "code", "tools"}
    assert view.parameters == 7.0
    assert view.input_usd_per_token == 2e-6


@pytest.mark.parametrize(
    ("name", "stated", "told", "size"),
    [
        ("llama-2-7b", None, 6.74, 7.0),
        ("llama-2-7b", 13.1, 6.74, 13.1),
        ("llama-2-7b", None, None, 7.0),
        ("vicuna", None, 13.02, 13.02),
        ("vicuna", None, None, None),
    ],
)
def test_a_size_is_the_operators_word_else_what_a_model_is_called_by(
    name: str, stated: float | None, told: float | None, size: float | None
) -> None:
    fleet = a_fleet(facts={name: ModelFacts(parameters=stated)})
    fleet.health.observe("a", seen(ModelStatus(name, parameters=told)), 0.0)
    assert view_of(fleet, name).parameters == size


def test_the_size_that_a_probe_tells_sets_what_is_expected_of_a_model() -> None:
    fleet = a_fleet("a")
    small, big = (ModelStatus(name, parameters=p) for name, p in (("small", 0.5), ("big", 70.0)))
    fleet.health.observe("a", seen(small, big), 0.0)
    assert view_of(fleet, "big").seconds_per_token == pytest.approx(0.491)
    assert view_of(fleet, "small").seconds_per_token == pytest.approx(0.0045)


def test_a_services_large_model_is_not_expected_to_be_as_slow_as_one_at_home() -> None:
    fleet = a_fleet("a", facts={"big": ModelFacts(parameters=70.0)}, local=False)
    fleet.health.observe("a", seen(ModelStatus("big"), ModelStatus("other")), 0.0)
    big, other = (view_of(fleet, name) for name in ("big", "other"))
    assert (big.parameters, big.seconds_per_token) == (70.0, other.seconds_per_token)


# -------------------------------------------------------------------------------------------------------------- warmth


def test_a_cold_model_loads_from_its_first_lease_to_its_first_token() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen(UNLOADED), 0.0)
    assert view_of(fleet).state is LoadState.UNLOADED
    assert view_of(fleet).load_seconds == pytest.approx(10.5)
    first = lease(fleet)
    assert (first.cold, first.waited) == (True, False)
    assert view_of(fleet, now=4.0).state is LoadState.LOADING
    assert view_of(fleet, now=4.0).load_seconds == pytest.approx(6.5)
    fleet.leases.first_token(first, 4.5)
    assert view_of(fleet, now=5.0).state is LoadState.LOADED
    assert view_of(fleet, now=5.0).load_seconds == 0.0


def test_who_comes_while_a_model_loads_waits_and_teaches_nothing_about_loads() -> None:
    fleet = a_fleet(max_in_flight=8)
    fleet.health.observe("a", seen(UNLOADED), 0.0)
    lease(fleet)
    second = lease(fleet, now=1.0)
    assert (second.cold, second.waited) == (False, True)


def test_a_load_that_takes_longer_than_expected_is_not_taken_to_be_over() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen(UNLOADED), 0.0)
    lease(fleet)
    assert view_of(fleet, now=1000.0).load_seconds == pytest.approx(1.05)


def test_a_probe_that_still_sees_it_cold_does_not_end_the_load() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen(UNLOADED), 0.0)
    lease(fleet)
    fleet.health.observe("a", seen(UNLOADED), 1.0)
    assert view_of(fleet, now=1.0).state is LoadState.LOADING
    assert fleet.health.is_loading("a")
    fleet.health.observe("a", seen(LOADED), 2.0)
    assert view_of(fleet, now=2.0).state is LoadState.LOADED
    assert not fleet.health.is_loading("a")


@pytest.mark.parametrize("state", [LoadState.UNLOADED, LoadState.SLEEPING, LoadState.FAILED])
def test_what_is_not_in_memory_is_cold(state: LoadState) -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen(ModelStatus("m", state)), 0.0)
    assert view_of(fleet).load_seconds == pytest.approx(5.0)
    assert lease(fleet).cold


def test_how_far_a_load_is_counts_where_the_server_tells() -> None:
    fleet = a_fleet()
    for fraction, left in ((0.25, 3.75), (0.5, 2.5), (1.0, 0.5)):
        fleet.health.observe("a", seen(ModelStatus("m", LoadState.LOADING, load_fraction=fraction)), 0.0)
        assert view_of(fleet).load_seconds == pytest.approx(left)
        assert fleet.report("a", 0.0).models[0].load_fraction == fraction


def test_an_evicted_model_is_cold_again() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen(LOADED), 0.0)
    fleet.health.observe("a", seen(UNLOADED), 1.0)
    assert view_of(fleet).load_seconds > 0


@pytest.mark.parametrize("lesson", [None, a_lesson(failed=True)])
def test_a_load_that_nobody_waits_for_any_longer_is_not_assumed(lesson: Lesson | None) -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen(UNLOADED), 0.0)
    fleet.leases.release(lease(fleet), lesson, 1.0)
    assert view_of(fleet, now=1.0).state is LoadState.UNLOADED


def test_one_cancelled_request_does_not_end_the_load_that_another_waits_for() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen(UNLOADED), 0.0)
    first, second = lease(fleet), lease(fleet)
    fleet.leases.release(first, None, 1.0)
    assert view_of(fleet, now=1.0).state is LoadState.LOADING
    fleet.leases.release(second, None, 2.0)
    assert view_of(fleet, now=2.0).state is LoadState.UNLOADED


def test_a_load_that_the_server_told_of_outlives_a_cancelled_request() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen(ModelStatus("m", LoadState.LOADING)), 0.0)
    fleet.leases.release(lease(fleet), None, 1.0)
    assert view_of(fleet, now=2.0).load_seconds == pytest.approx(3.0)


def test_a_warm_backend_is_preferred_by_what_the_load_costs() -> None:
    """Cold costs 0.8 s; the warm one serves until its queue is longer than that."""
    world = World()
    world.add("cold", seen_as=seen(ModelStatus("m", LoadState.UNLOADED, size_bytes=120_000_000)))
    world.add("warm", seen_as=seen("m"))
    for name in ("cold", "warm"):
        host = world.fleet._hosts[name]
        host.service.add(0.3, world.clock(), weight=100.0)
    leases = []
    for _ in range(3):
        chosen = world.router.route(an_ask()).chosen.deployment
        leases.append((chosen.backend, world.fleet.leases.take(chosen, world.clock())))
    assert [backend for backend, _ in leases] == ["warm"] * 3
    assert world.router.route(an_ask()).chosen.deployment.backend == "cold"


def test_a_burst_spreads_by_speed() -> None:
    world = World()
    for name, seconds in (("fast", 0.010), ("slow", 0.030)):
        world.add(name, seen_as=seen("m"))
        served = world.fleet._hosts[name].served["m"]
        served.learned.token.add(seconds, world.clock(), weight=100.0)
        world.fleet._hosts[name].service.add(200 * seconds, world.clock(), weight=100.0)
        served.view = None
    counts = {"fast": 0, "slow": 0}
    for _ in range(8):
        chosen = world.router.route(an_ask()).chosen.deployment
        world.fleet.leases.take(chosen, world.clock())
        counts[chosen.backend] += 1
    assert counts == {"fast": 6, "slow": 2}


# -------------------------------------------------------------------------------------------------------- foreign work


@pytest.mark.parametrize(
    ("busy", "deferred", "ours", "foreign"),
    [(0, None, 0, 0), (2, None, 0, 2), (2, 3, 0, 5), (2, None, 2, 0), (1, None, 2, 0), (3, 1, 2, 2)],
)
def test_what_is_busy_beyond_ours_is_foreign(
    busy: int, deferred: int | None, ours: int, foreign: int
) -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen("m", slots=4), 0.0)
    for _ in range(ours):
        lease(fleet)
    fleet.health.observe("a", seen("m", slots=4, busy=busy, deferred=deferred), 1.0)
    view = fleet.picture.snapshot(1.0).backends["a"]
    assert (view.in_flight, view.foreign, view.slots) == (ours, foreign, 4)


def test_a_request_that_ended_while_the_probe_was_on_its_way_is_not_foreign() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen("m", slots=4), 0.0)
    held = lease(fleet)
    fleet.leases.release(held, a_lesson(), 9.99)
    fleet.health.observe("a", seen("m", slots=4, busy=1, duration=0.05), 10.0)
    assert fleet.picture.snapshot(10.0).backends["a"].foreign == 0
    fleet.health.observe("a", seen("m", slots=4, busy=1, duration=0.05), 15.0)
    assert fleet.picture.snapshot(15.0).backends["a"].foreign == 1


def expiring(at: float) -> Observation:
    return seen(ModelStatus("m", expire_at=at))


def test_an_expiry_that_moves_by_itself_shows_somebody_else() -> None:
    fleet = a_fleet()
    for at, foreign in ((100.0, 0), (100.5, 0), (130.0, 1), (130.0, 0)):
        fleet.health.observe("a", expiring(at), 0.0)
        assert fleet.picture.snapshot(0.0).backends["a"].foreign == foreign


def test_an_expiry_that_our_own_request_moved_shows_nobody() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", expiring(100.0), 0.0)
    held = lease(fleet)
    fleet.health.observe("a", expiring(130.0), 1.0)
    fleet.leases.release(held, a_lesson(), 2.0)
    fleet.health.observe("a", expiring(160.0), 3.0)
    assert fleet.picture.snapshot(0.0).backends["a"].foreign == 0
    fleet.health.observe("a", expiring(190.0), 4.0)
    assert fleet.picture.snapshot(0.0).backends["a"].foreign == 1


# --------------------------------------------------------------------------------------------------------------- slots


@pytest.mark.parametrize(
    ("told", "limit", "usual", "slots"),
    [(4, 2, 8, 4), (None, 2, 8, 2), (None, None, 8, 8), (None, None, 1, 1), (0, None, 1, 1)],
)
def test_the_server_knows_its_slots_best(told: int | None, limit: int | None, usual: int, slots: int) -> None:
    fleet = a_fleet(max_in_flight=limit, usual_slots=usual)
    fleet.health.observe("a", seen("m", slots=told), 0.0)
    assert fleet.picture.snapshot(0.0).backends["a"].slots == slots


def test_two_names_of_a_model_share_all_of_its_slots() -> None:
    fleet = a_fleet(deployments=[Deployment("nick", "a", "m")])
    fleet.health.observe("a", seen("m", slots=2), 0.0)
    lease(fleet, model="m")
    assert fleet.leases.has_room(("a", "m"))
    assert fleet.leases.has_room(("a", "nick"))
    lease(fleet, model="nick")
    assert not fleet.leases.has_room(("a", "m"))
    assert not fleet.leases.has_room(("a", "nick"))


def copies(**fields: Any) -> Observation:
    """A model by two names that its server has for it."""
    return seen(*(ModelStatus(name, digest="d1", size_bytes=5, **fields) for name in ("m", "copy")))


def test_two_names_that_the_server_itself_has_for_a_model_are_one_in_memory() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", copies(), 0.0)
    shop = fleet.picture.snapshot(0.0).backends["a"].shop
    assert shop is not None
    assert (shop.most_models, shop.most_bytes) == (1, 5)
    fleet.health.observe("a", copies(), 1.0)
    for model in ("m", "copy"):
        lease(fleet, model=model)
    fleet.health.observe("a", replace(copies(), slots=2), 2.0)
    assert not fleet.leases.has_room(("a", "m"))


def test_an_expiry_of_a_model_with_two_names_shows_one_other_caller() -> None:
    fleet = a_fleet()
    for at, foreign in ((100.0, 0), (130.0, 1)):
        fleet.health.observe("a", copies(expire_at=at), 0.0)
        assert fleet.picture.snapshot(0.0).backends["a"].foreign == foreign


def test_two_models_have_half_of_the_slots_each() -> None:
    fleet = a_fleet(deployments=[Deployment("nick", "a", "m")])
    fleet.health.observe("a", seen("m", "n", slots=4), 0.0)
    for model in ("m", "nick"):
        lease(fleet, model=model)
    assert not fleet.leases.has_room(("a", "m"))
    assert fleet.leases.has_room(("a", "n"))


# -------------------------------------------------------------------------------------------------- leases and learning


def test_leases_are_given_back_once() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen("m"), 0.0)
    one, two = lease(fleet), lease(fleet)
    assert fleet.leases.in_flight("a") == 2
    fleet.leases.release(one, None, 1.0)
    fleet.leases.release(one, a_lesson(failed=True), 1.0)
    assert fleet.leases.in_flight("a") == 1
    assert view_of(fleet).success == 1.0
    fleet.leases.release(two, None, 1.0)
    assert fleet.leases.in_flight("a") == 0


def test_a_failure_is_forgotten_with_time() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen("m"), 0.0)
    fleet.leases.release(lease(fleet), a_lesson(failed=True), 0.0)
    after = []
    for now in (0.0, 300.0, 3000.0):
        fleet.health.observe("a", seen("m"), now)
        after.append(view_of(fleet, now=now).success)
    assert after[0] == pytest.approx(2 / 3)
    assert after[1] == pytest.approx(2 / 2.5)
    assert after[2] > 0.99


def test_a_request_teaches_how_long_a_slot_is_taken() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen("m"), 0.0)
    for _ in range(50):
        fleet.leases.release(lease(fleet), a_lesson(duration=2.0), 0.0)
    assert fleet.picture.snapshot(0.0).backends["a"].service == pytest.approx(2.0, rel=0.02)


def test_a_load_is_not_part_of_what_a_slot_is_taken_for() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen(UNLOADED), 0.0)
    held = lease(fleet)
    lesson = Lesson(False, 12.0, 11.0, output_tokens=10, measured=Measured(load=10.0), cold=True)
    fleet.leases.first_token(held, 11.0)
    fleet.leases.release(held, lesson, 12.0)
    assert fleet.picture.snapshot(0.0).backends["a"].service < 5.0


# ------------------------------------------------------------------------------------------------------------ snapshots


# Read in 2 s and written in 8, at 10 tokens a second.
TEN = Estimate(0.0, 0.0, 2.0, 8.0, 10.0, 0.0)


def at_ten_a_second(*models: str) -> Fleet:
    """A fleet of one backend that writes so fast."""
    fleet = a_fleet()
    fleet.health.observe("a", seen(*models), 0.0)
    for model in models:
        for _ in range(200):
            held = lease(fleet, model=model, now=-1e4)
            fleet.leases.release(held, a_lesson(duration=11.0, first_token=1.0, output_tokens=101), -1e4)
    return fleet


def work_of(fleet: Fleet, now: float) -> list[float]:
    """Seconds of work that are left of each request."""
    return [task.work for task in fleet.picture.snapshot(now).backends["a"].tasks]


def test_what_is_left_of_a_request_shrinks_with_time() -> None:
    fleet = at_ten_a_second("m")
    held = fleet.leases.take(view_of(fleet).deployment, 0.0, TEN)
    assert work_of(fleet, 0.0) == pytest.approx([10.0], rel=0.01)
    assert work_of(fleet, 1.0) == pytest.approx([9.0], rel=0.01)
    assert work_of(fleet, 60.0) == pytest.approx([8.2], rel=0.01), "it is still being read, for all we know"
    fleet.leases.first_token(held, 60.0)
    assert work_of(fleet, 60.0) == pytest.approx([8.0], rel=0.01)
    assert work_of(fleet, 63.0) == pytest.approx([5.0], rel=0.01)
    assert work_of(fleet, 80.0) == pytest.approx([10.0], rel=0.01), "long answers have long tails"


def test_what_is_left_of_an_answer_is_told_by_its_tokens() -> None:
    fleet = at_ten_a_second("m")
    held = fleet.leases.take(view_of(fleet).deployment, 0.0, TEN)
    fleet.leases.first_token(held, 2.0)
    held.written = lambda: 40
    assert work_of(fleet, 3.0) == pytest.approx([4.0], rel=0.01)


def test_an_answer_that_comes_slowly_shows_that_its_box_has_become_slow() -> None:
    fleet = at_ten_a_second("m", "n")
    before = view_of(fleet, "n").seconds_per_token
    held = fleet.leases.take(view_of(fleet).deployment, 0.0, TEN)
    fleet.leases.first_token(held, 1.0)
    held.written = lambda: 5
    fleet.health.observe("a", seen("m", "n"), 21.0)
    slow = view_of(fleet, "n", 21.0).seconds_per_token
    assert slow > 2.0 * before
    held.written = lambda: 205
    fleet.health.observe("a", seen("m", "n"), 41.0)
    assert view_of(fleet, "n", 41.0).seconds_per_token < 0.8 * slow


def test_two_answers_that_come_at_the_same_time_show_that_there_are_two_slots() -> None:
    fleet = a_fleet(kind="ollama", loads_in_turn=True)
    fleet.health.observe("a", seen("m"), 0.0)
    first, second = lease(fleet), lease(fleet)
    fleet.leases.first_token(first, 1.0)
    first.written = lambda: 10
    fleet.leases.first_token(second, 2.0)
    assert fleet.picture.snapshot(2.0).backends["a"].slots == 1
    first.written = lambda: 100
    fleet.leases.release(first, a_lesson(duration=9.0), 9.0)
    assert fleet.picture.snapshot(9.0).backends["a"].slots == 2


def test_an_answer_whose_end_is_late_in_coming_shows_no_second_slot() -> None:
    fleet = a_fleet(kind="ollama", loads_in_turn=True)
    fleet.health.observe("a", seen("m"), 0.0)
    first, second = lease(fleet), lease(fleet)
    fleet.leases.first_token(first, 1.0)
    first.written = lambda: 100
    fleet.leases.first_token(second, 2.0)
    fleet.leases.release(first, a_lesson(duration=9.0), 9.0)
    assert fleet.picture.snapshot(9.0).backends["a"].slots == 1


def test_how_much_mates_cost_is_learned_from_those_that_ran_beside_one_another() -> None:
    fleet = at_ten_a_second("m")
    for at in range(0, 1000, 100):
        pair = [lease(fleet, now=at), lease(fleet, now=at)]
        for held in pair:
            fleet.leases.first_token(held, at)
        fleet.health.observe("a", seen("m", slots=2, busy=2), at)
        for held in pair:
            lesson = a_lesson(duration=20.0, first_token=0.0, output_tokens=101)
            fleet.leases.release(held, lesson, at + 20.0)
        for later in (30.0, 50.0, 70.0):
            held = lease(fleet, now=at + later)
            fleet.leases.first_token(held, at + later)
            lesson = a_lesson(duration=10.0, first_token=0.0, output_tokens=101)
            fleet.leases.release(held, lesson, at + later + 10.0)
    shop = fleet.picture.snapshot(1000.0).backends["a"].shop
    assert shop is not None
    assert shop.sharing.mates == pytest.approx(1.0, abs=0.25)
    assert view_of(fleet, now=1000.0).seconds_per_token == pytest.approx(0.1, rel=0.1)


def test_the_p90_of_an_estimate_holds_nine_of_ten_answers() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen("m"), 0.0)
    for number in range(200):
        held = fleet.leases.take(view_of(fleet).deployment, 0.0, TEN)
        fleet.leases.release(held, a_lesson(duration=10.0), float(1 + number % 20))  # of 10 s expected
    assert view_of(fleet).spread == pytest.approx(1.8)


def test_what_was_seen_in_memory_at_the_same_time_fits() -> None:
    fleet = a_fleet()
    other = ModelStatus("n", LoadState.LOADED, size_bytes=1_000_000_000)
    fleet.health.observe("a", seen(LOADED, other), 0.0)
    fleet.health.observe(
        "a", seen(LOADED, ModelStatus("n", LoadState.UNLOADED, size_bytes=1_000_000_000)), 1.0
    )
    shop = fleet.picture.snapshot(1.0).backends["a"].shop
    assert shop is not None
    assert (shop.resident, shop.most_models, shop.most_bytes) == (("m",), 2, 5_000_000_000)


def test_ollama_lists_as_loaded_what_still_loads() -> None:
    fleet = a_fleet(kind="ollama", loads_in_turn=True)
    fleet.health.observe("a", seen(UNLOADED, "n"), 0.0)
    held = lease(fleet)
    fleet.health.observe("a", seen(LOADED, "n"), 1.0)
    assert view_of(fleet, now=1.0).state is LoadState.LOADING
    fleet.leases.first_token(held, 5.0)
    fleet.health.observe("a", seen(LOADED, "n"), 6.0)
    assert view_of(fleet, now=6.0).state is LoadState.LOADED


def test_a_load_that_a_server_has_not_begun_is_still_to_come() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen(UNLOADED, "n"), 0.0)
    lease(fleet)
    shop = fleet.picture.snapshot(0.1).backends["a"].shop
    assert shop is not None
    assert shop.loading == {"m": pytest.approx(10.4)}
    fleet.health.observe("a", seen(UNLOADED, "n"), 1.0)
    shop = fleet.picture.snapshot(1.0).backends["a"].shop
    assert shop is not None
    assert shop.loading == {}


def test_a_box_that_gets_slow_shows_it_for_all_its_models() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen("m", "n"), 0.0)
    for at in range(40):
        fleet.leases.release(lease(fleet, model="m", now=at), a_lesson(duration=3.0, output_tokens=101), at)
    before = view_of(fleet, model="n", now=40.0).seconds_per_token
    for at in range(40, 44):
        fleet.leases.release(lease(fleet, model="m", now=at), a_lesson(duration=9.0, output_tokens=101), at)
    slow = view_of(fleet, model="n", now=44.0).seconds_per_token
    assert slow > 1.5 * before
    fleet.health.observe("a", seen("m", "n"), 3000.0)
    assert view_of(fleet, model="n", now=3000.0).seconds_per_token < slow, "it gets another chance"


def test_a_model_that_was_never_used_is_expected_to_be_as_fast_as_its_machine() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen("m", "n"), 0.0)
    assumed = view_of(fleet, model="n").seconds_per_token
    for at in range(20):
        fleet.leases.release(lease(fleet, model="m", now=at), a_lesson(duration=31.0, output_tokens=101), at)
    assert view_of(fleet, model="n", now=20.0).seconds_per_token > 5 * assumed


def test_what_a_small_model_shows_of_a_fast_machine_is_not_too_little_for_a_large_one() -> None:
    """Of 1.7 ms a token 1 ms is what any token takes, so that the machine is ten times as fast as a usual one."""
    fleet = a_fleet()
    small, large = (ModelStatus(name, parameters=size) for name, size in (("small", 1.0), ("large", 14.0)))
    fleet.health.observe("a", seen(small, large), 0.0)
    for at in range(40):
        one = a_lesson(first_token=1.0, duration=1.17, output_tokens=101)
        fleet.leases.release(lease(fleet, model="small", now=at), one, at)
    assert view_of(fleet, model="small", now=40.0).seconds_per_token == pytest.approx(0.0017, rel=0.1)
    assert view_of(fleet, model="large", now=40.0).seconds_per_token == pytest.approx(
        0.001 + 14 * 0.0007, rel=0.2
    )


def test_the_length_of_an_answer_is_the_models_whoever_runs_it() -> None:
    fleet = a_fleet("a", "b")
    for name in "ab":
        fleet.health.observe(name, seen("m"), 0.0)
    for at in range(20):
        fleet.leases.release(lease(fleet, "a", now=at), a_lesson(output_tokens=900), at)
    views = fleet.picture.snapshot(20.0).by_model["m"]
    assert all(view.output_tokens > 800 for view in views)


def test_a_snapshot_is_the_same_object_until_something_changes() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen("m"), 0.0)
    first = fleet.picture.snapshot(1.0)
    assert fleet.picture.snapshot(2.0) is first
    held = lease(fleet)
    second = fleet.picture.snapshot(2.0)
    assert second is not first
    assert first.backends["a"].in_flight == 0, "a picture does not change"
    assert second.backends["a"].in_flight == 1
    assert fleet.picture.snapshot(2.0) is second
    fleet.leases.release(held, None, 4.0)
    assert fleet.picture.snapshot(4.0).backends["a"].in_flight == 0
    fleet.health.signal("a", Signal.REFUSED, "", 5.0)
    assert fleet.picture.snapshot(5.0).backends["a"].phase is Phase.DOWN


def test_a_view_of_what_did_not_change_is_kept() -> None:
    fleet = a_fleet("a", "b")
    fleet.health.observe("a", seen("m"), 0.0)
    fleet.health.observe("b", seen("n"), 0.0)
    before = view_of(fleet, "n")
    fleet.leases.release(lease(fleet, "a", "m"), a_lesson(), 1.0)
    assert view_of(fleet, "n") is before


# --------------------------------------------------------------------------------------------- reports and subscriptions


def test_every_change_is_told_once() -> None:
    fleet = a_fleet("a", "b")
    told: list[str] = []
    leave = fleet.picture.subscribe(told.append)
    fleet.health.observe("a", seen("m"), 0.0)
    fleet.health.observe("a", seen("m"), 1.0)
    assert told == ["a"]
    fleet.health.observe("a", seen("m", "n"), 2.0)
    fleet.health.observe("b", BROKEN, 3.0)
    fleet.health.observe("b", BROKEN, 4.0)
    assert told == ["a", "a", "b"]
    leave()
    fleet.health.observe("a", BROKEN, 5.0)
    assert told == ["a", "a", "b"]


def test_revisions_grow_with_every_change() -> None:
    fleet = a_fleet("a", "b")
    fleet.health.observe("a", seen("m"), 0.0)
    first = fleet.report("a", 0.0).revision
    fleet.health.observe("b", seen("m"), 0.0)
    assert fleet.report("a", 0.0).revision == first
    assert fleet.report("b", 0.0).revision == fleet.picture.revision > first


def test_a_report_says_what_an_operator_wants_to_know() -> None:
    fleet = a_fleet(max_in_flight=3)
    status = ModelStatus("m", expire_at=99.0, size_bytes=7, vram_bytes=5, context_tokens=4096)
    fleet.health.observe(
        "a", seen(status, slots=2, busy=2, deferred=1, kv_cache_usage=0.5, duration=0.01), 10.0
    )
    held = lease(fleet, now=10.0)
    measured = Measured(prefill=0.1, prefill_tokens=100, decode=1.0, decode_tokens=50)
    fleet.leases.release(
        held, Lesson(False, 1.5, 0.2, 50, whole=True, usage=Usage(100, 50), measured=measured), 11.5
    )
    lease(fleet, now=12.0)
    report = fleet.report("a", 12.0)
    assert (report.phase, report.since, report.probed_at, report.probe_ok) == (Phase.BUSY, 10.0, 10.0, True)
    assert (report.in_flight, report.max_in_flight, report.foreign, report.deferred) == (1, 3, 3, 1)
    assert report.kv_cache_usage == 0.5
    assert (report.ttft_p50, report.ttft_p95) == (0.2, 0.2)
    assert report.error_ratio == 0.0
    assert 40 < report.tokens_per_second < 50
    assert 800 < report.prefill_tokens_per_second < 1100
    (model,) = report.models
    assert (model.expire_at, model.size_bytes, model.vram_bytes, model.context_tokens) == (99.0, 7, 5, 4096)
    assert (model.state, model.load_fraction, model.expected_load) == (LoadState.LOADED, 1.0, 0.0)


def test_a_report_of_a_backend_that_never_answered() -> None:
    fleet = a_fleet()
    fleet.health.observe_silence("a", 2.0, 1.0)
    report = fleet.report("a", 1.0)
    assert (report.phase, report.probe_ok, report.models) == (Phase.DOWN, False, ())
    assert report.probe_error == "no answer to a probe within 2 s"
    assert (report.tokens_per_second, report.ttft_p50) == (0.0, None)


def test_there_is_no_report_of_nobody() -> None:
    with pytest.raises(KeyError):
        a_fleet().report("nobody", 0.0)


# ------------------------------------------------------------------------------------- a server that loads as a whole

LOADING = Observation(ok=True, loading=True)


def expected_load(fleet: Fleet, now: float) -> float:
    (model,) = fleet.report("a", now).models
    return model.expected_load


def test_how_long_a_server_loads_is_learned_and_expected_the_next_time() -> None:
    fleet = a_fleet(deployments=[Deployment("m", "a", "m")])
    for begin in (100.0, 1000.0):
        fleet.health.observe("a", LOADING, begin)
        assert fleet.health.phase("a") is Phase.LOADING
        assert view_of(fleet, now=begin).state is LoadState.LOADING
        assert expected_load(fleet, begin + 4.0) < expected_load(fleet, begin)
        fleet.health.observe("a", LOADING, begin + 10.0)
        fleet.health.observe("a", seen("m"), begin + 20.0)
        assert expected_load(fleet, begin + 20.0) == 0.0
        assert view_of(fleet, now=begin + 20.0).state is LoadState.LOADED
    fleet.health.observe("a", LOADING, 2000.0)
    assert expected_load(fleet, 2000.0) == pytest.approx(20.0, abs=2.0)
    assert expected_load(fleet, 2015.0) == pytest.approx(5.0, abs=2.0)
    assert fleet.report("a", 2015.0).detail == "it has been loading for 15 s, about 4 s more"


def test_a_load_that_ends_in_death_teaches_nothing() -> None:
    fleet = a_fleet(deployments=[Deployment("m", "a", "m")])
    fleet.health.observe("a", LOADING, 0.0)
    before = expected_load(fleet, 0.0)
    fleet.health.observe("a", BROKEN, 500.0)
    fleet.health.observe("a", LOADING, 900.0)
    assert expected_load(fleet, 900.0) == before


def test_whoever_waits_behind_answers_that_get_on_may_wait_longer() -> None:
    fleet = a_fleet()
    fleet.health.observe("a", seen("m"), 0.0)
    went_on: list[str] = []
    leases: dict[str, Lease] = {}
    for number, name in enumerate(("before", "writes", "behind")):
        leases[name] = fleet.leases.take(view_of(fleet).deployment, float(number))
        leases[name].go_on = partial(went_on.append, name)
    fleet.leases.first_token(leases["writes"], 3.0)
    said = count(1)
    leases["writes"].written = partial(next, said)
    for at in (5.0, 10.0):
        fleet.health.observe("a", seen("m"), at)
    assert went_on == ["behind", "behind"]
    leases["writes"].written = lambda: 2
    fleet.health.observe("a", seen("m"), 15.0)
    assert len(went_on) == 2  # it says no more
    fleet.leases.release(leases["writes"], None, 16.0)
    for at in (20.0, 25.0):
        fleet.health.observe("a", seen("m"), at)
    assert went_on == ["behind", "behind", "behind"]  # for its end, once
