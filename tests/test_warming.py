"""Loads that an operator wants: where they go, who shares them, and what is learned and held against whom."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from fakes import ANSWER, BROKEN, World, a_backend, a_resolver, a_status, fault, seen
from google.protobuf.duration_pb2 import Duration
from waiting import eventually

from zoe.admin.v1.admin_service_pb2 import WarmModelResponse
from zoe_grpcd.adapters import ollama
from zoe_grpcd.cli.warming import told
from zoe_grpcd.core.backend import Deployment, Phase
from zoe_grpcd.core.breaker import Caution
from zoe_grpcd.core.chains import Chain, Step
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.errors import (
    BackendFailed,
    Fault,
    InvalidRequest,
    ModelNotFound,
    NoCapableBackend,
    NoHealthyBackend,
    UpstreamError,
    ZoeError,
)
from zoe_grpcd.core.generation import Call, Generation
from zoe_grpcd.core.observation import LoadState, Observation
from zoe_grpcd.core.phases import Signal
from zoe_grpcd.core.resolve import Policy
from zoe_grpcd.deciding import Rules
from zoe_grpcd.run import Around, Reliability
from zoe_grpcd.warming import Warmed, Warming, Wish

LOADED, LOADING, COLD = LoadState.LOADED, LoadState.LOADING, LoadState.UNLOADED


class Warmer:
    """Loads when it is let, in the seconds that the test has pass meanwhile; or fails."""

    def __init__(self, *, keeps: bool = False) -> None:
        self.keeps = keeps
        self.asked: list[tuple[str, Any, float | None]] = []  # model, options, time to keep
        self.hold: asyncio.Event | None = None
        self.error: UpstreamError | None = None

    async def __call__(self, call: Any, keep_alive: float | None) -> None:
        self.asked.append((call.backend_model, call.generation.backend_options, keep_alive))
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error


@dataclass
class House(World):
    """A world in which operators have wishes."""

    warmers: dict[str, Warmer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        rules = Rules(a_resolver(self.policy), self.policy, self.reliability)
        around = Around(self.clock, self.nudged.append, look=self.look)
        self.warming = Warming(self.fleet, rules, self.warmers, around)

    def cold(self, name: str, model: str = "m", *, keeps: bool = False, **fields: Any) -> Warmer:
        """A backend that has its model on disk."""
        self.add(name, ANSWER, seen_as=seen(a_status(model, state=COLD)), **fields)
        self.warmers[name] = Warmer(keeps=keeps)
        return self.warmers[name]

    async def warm(self, model: str = "m", backend: str = "", *, wait: bool = True, **how: Any) -> Warmed:
        return await self.warming.warm(Wish(model, backend, **how), wait=wait)

    def state(self, backend: str = "a", model: str = "m") -> LoadState:
        models = self.fleet.report(backend, self.clock()).models
        return next(report.state for report in models if report.deployment.model == model)

    def barred(self) -> Reason | None:
        """Why requests do not get to the model of `a`."""
        view = self.fleet.picture.view(Deployment("m", "a", "m"), self.clock())
        assert view is not None
        return view.barred

    async def until_over(self) -> None:
        await eventually(lambda: self.left_behind == 0)


def asleep() -> Observation:
    return Observation(ok=False, sleeping=True, error="it sleeps")


# ----------------------------------------------------------------------------------------------------------- a load


async def test_a_cold_model_is_loaded_and_how_long_that_took_is_learned() -> None:
    house = House()
    house.cold("a").hold = hold = asyncio.Event()
    loading = asyncio.create_task(house.warm())
    await eventually(lambda: house.warmers["a"].asked)
    assert house.state() is LOADING
    house.clock.advance(7.0)
    hold.set()
    assert await loading == Warmed("a", LOADED, seconds=7.0)
    assert house.state() is LOADED
    house.observe("a", seen(a_status(state=COLD)))
    [report] = house.fleet.report("a", house.clock()).models
    assert report.expected_load == pytest.approx(7.0, rel=0.3)
    assert house.left_behind == 0


async def test_a_load_beside_other_work_teaches_nothing() -> None:
    house = House()
    house.cold("a").hold = hold = asyncio.Event()
    house.observe("a", seen(a_status(state=COLD), slots=1, busy=1))
    [before] = house.fleet.report("a", house.clock()).models
    loading = asyncio.create_task(house.warm())
    await eventually(lambda: house.warmers["a"].asked)
    house.clock.advance(70.0)
    hold.set()
    await loading
    house.observe("a", seen(a_status(state=COLD)))
    [after] = house.fleet.report("a", house.clock()).models
    assert after.expected_load == before.expected_load


async def test_a_probe_that_sees_nothing_yet_ends_no_load_and_is_no_fault() -> None:
    house = House()
    house.cold("a", loads_in_turn=True).hold = hold = asyncio.Event()
    loading = asyncio.create_task(house.warm())
    await eventually(lambda: house.warmers["a"].asked)
    for state in (COLD, LOADED):  # Ollama lists as loaded what still loads
        house.observe("a", seen(a_status(state=state)))
        assert house.state() is LOADING
        assert house.fleet.health.phase("a") is Phase.READY
    hold.set()
    await loading


async def test_a_wish_is_loaded_with_the_settings_of_the_requests_that_will_come() -> None:
    options = {"num_ctx": 512, "keep_alive": "1h"}
    house = House(deployments=[Deployment("m", "a", "file", backend_options=options)])
    house.cold("a", "file")
    await house.warm()
    assert house.warmers["a"].asked == [("file", options, None)]


async def test_all_who_want_a_model_share_one_load() -> None:
    house = House()
    house.cold("a").hold = hold = asyncio.Event()
    loading = [asyncio.create_task(house.warm()) for _ in range(3)]
    await eventually(lambda: house.warmers["a"].asked)
    house.clock.advance(2.0)
    hold.set()
    assert await asyncio.gather(*loading) == [Warmed("a", LOADED, seconds=2.0)] * 3
    assert len(house.warmers["a"].asked) == 1


async def test_who_wants_it_kept_for_longer_is_heard_after_the_load_that_goes_on() -> None:
    house = House()
    house.cold("a", keeps=True).hold = hold = asyncio.Event()
    loading = [asyncio.create_task(house.warm(keep_alive=stay)) for stay in (60.0, 600.0)]
    await eventually(lambda: len(house.warmers["a"].asked) == 1)
    hold.set()
    await asyncio.gather(*loading)
    assert [stay for _, _, stay in house.warmers["a"].asked] == [60.0, 600.0]
    assert house.left_behind == 0


async def test_a_load_goes_on_when_whoever_wanted_it_leaves() -> None:
    house = House()
    house.cold("a").hold = hold = asyncio.Event()
    loading = asyncio.create_task(house.warm())
    await eventually(lambda: house.warmers["a"].asked)
    loading.cancel()
    await asyncio.gather(loading, return_exceptions=True)
    assert house.state() is LOADING
    hold.set()
    await house.until_over()
    assert house.state() is LOADED


async def test_who_does_not_wait_hears_at_once_that_it_loads() -> None:
    house = House()
    house.cold("a").hold = hold = asyncio.Event()
    assert await house.warm(wait=False) == Warmed("a", LOADING)
    hold.set()
    await house.until_over()


async def test_the_end_of_the_daemon_ends_what_goes_on() -> None:
    house = House()
    house.cold("a").hold = asyncio.Event()
    await house.warm(wait=False)
    await house.warming.close()
    assert house.left_behind == 0


# ----------------------------------------------------------------------------------------------- nothing to be done


async def test_what_is_in_memory_is_left_alone_or_kept_for_longer() -> None:
    house = House()
    for name, keeps in (("a", False), ("b", True)):
        house.cold(name, keeps=keeps)
        house.observe(name, seen("m"))
        assert await house.warm(backend=name) == Warmed(name, LOADED, already=True)
    assert [len(warmer.asked) for warmer in house.warmers.values()] == [0, 1]


async def test_what_is_in_memory_is_looked_up_first() -> None:
    looks = []

    async def look(names: Iterable[str], _limit: float) -> None:
        looks.append(set(names))
        house.observe("b", seen("m"))

    house = House(look=look)
    house.cold("a")
    house.cold("b")
    assert await house.warm() == Warmed("b", LOADED, already=True)
    assert looks == [{"a", "b"}]


async def test_a_server_that_loads_as_a_whole_is_waited_for() -> None:
    house = House()
    house.cold("a")
    house.observe("a", Observation(ok=True, loading=True))
    loading = asyncio.create_task(house.warm())
    await eventually(lambda: house.fleet.leases.in_flight("a"))
    house.clock.advance(4.0)
    house.observe("a", seen("m"))
    assert await loading == Warmed("a", LOADED, seconds=4.0)
    assert house.warmers["a"].asked == []


@pytest.mark.parametrize("what", [Signal.DRAIN, Signal.SILENT])
async def test_one_that_loads_as_a_whole_is_waited_for_though_it_is_drained_or_silent(what: Signal) -> None:
    house = House()
    house.cold("a")
    house.observe("a", seen("m"))
    house.observe("a", Observation(ok=True, loading=True))
    loading = asyncio.create_task(house.warm())
    await eventually(lambda: house.fleet.leases.in_flight("a"))
    house.fleet.health.signal("a", what, "by a test", house.clock())
    await asyncio.sleep(0)  # whoever waits for a change has seen this one
    assert house.fleet.leases.in_flight("a") == 1
    house.clock.advance(4.0)
    house.observe("a", seen("m"))
    assert await loading == Warmed("a", LOADED, seconds=4.0)


# ------------------------------------------------------------------------------------------------------ the choice


async def test_the_best_backend_is_chosen_by_the_same_scores_as_for_a_request() -> None:
    house = House()
    house.cold("a")
    house.cold("b", weight=5.0)
    assert (await house.warm()).backend == "b"
    assert (await house.warm(backend="a")).backend == "a"


async def test_a_group_is_resolved_and_nothing_but_its_members_is_loaded() -> None:
    chains = {"default": Chain((Step(models=("other",)),))}
    house = House(policy=Policy(aliases={"group": ("m", "n")}, chains=chains))
    house.cold("a")
    house.cold("b", "other")
    assert (await house.warm("group")).backend == "a"
    house.observe("a", BROKEN)
    with pytest.raises(NoHealthyBackend, match=r"a \(UNHEALTHY\)"):
        await house.warm("group")
    with pytest.raises(ModelNotFound):
        await house.warm("nobody")
    assert house.warmers["b"].asked == []


async def test_a_service_away_from_here_is_no_place_to_load_into() -> None:
    house = House()
    house.add("sky", local=False)
    with pytest.raises(NoCapableBackend, match="sky: a service that loads its models by itself"):
        await house.warm()
    house.cold("a")
    assert (await house.warm()).backend == "a"


async def test_a_kind_that_cannot_be_told_to_load_says_so() -> None:
    house = House()
    house.add("a", seen_as=seen(a_status(state=COLD)))
    with pytest.raises(NoCapableBackend, match="loads a model with a request only"):
        await house.warm()


@pytest.mark.parametrize(
    ("what", "reason"),
    [(Signal.DRAIN, "DRAINING"), (Signal.BROKEN, "UNHEALTHY")],
)
async def test_a_backend_that_gets_no_requests_is_not_loaded_into(what: Signal, reason: str) -> None:
    house = House()
    house.cold("a")
    house.fleet.health.signal("a", what, "by a test", house.clock())
    for backend in ("", "a"):
        with pytest.raises(NoHealthyBackend, match=reason):
            await house.warm(backend=backend)


async def test_a_named_backend_has_to_serve_the_model() -> None:
    house = House()
    house.cold("a")
    house.cold("b", "n")
    with pytest.raises(ModelNotFound, match="b does not serve 'm'"):
        await house.warm(backend="b")


async def test_nobody_is_promised_to_keep_a_model_who_cannot() -> None:
    house = House()
    house.cold("a")
    with pytest.raises(InvalidRequest, match="keep_alive"):
        await house.warm(keep_alive=60.0)
    lenient = House(policy=Policy(drop_params=True))
    lenient.cold("a")
    assert (await lenient.warm(keep_alive=60.0)).state is LOADED


@pytest.mark.parametrize("stay", [0, "0", "0s", "0.0s", "0h0m"])
async def test_what_its_deployment_keeps_for_no_time_is_kept_for_as_long_as_is_wished_or_refused(
    stay: int | str,
) -> None:
    deployment = Deployment("m", "a", "m", backend_options={"keep_alive": stay})
    house = House(deployments=[deployment])
    house.cold("a", keeps=True)
    with pytest.raises(InvalidRequest, match=r"keep_alive .*, which unloads it at once"):
        await house.warm()
    assert house.warmers["a"].asked == []
    assert (await house.warm(keep_alive=60.0)).state is LOADED


@pytest.mark.parametrize("stay", [-1, "30s", "0.5s", "10m", "1h0m0s"])
async def test_what_its_deployment_keeps_for_a_while_is_loaded(stay: int | str) -> None:
    house = House(deployments=[Deployment("m", "a", "m", backend_options={"keep_alive": stay})])
    house.cold("a", keeps=True)
    assert (await house.warm()).state is LOADED


async def test_what_is_seen_to_be_gone_after_its_load_is_not_told_to_be_there() -> None:
    async def look(_names: Iterable[str], _limit: float) -> None:
        house.observe("a", seen(a_status(state=COLD)))

    house = House(look=look)
    house.cold("a", keeps=True).hold = hold = asyncio.Event()
    loading = asyncio.create_task(house.warm(keep_alive=0.001))
    await eventually(lambda: house.warmers["a"].asked)
    house.clock.advance(2.0)
    hold.set()
    assert await loading == Warmed("a", COLD, seconds=2.0)


async def test_one_that_sleeps_gets_no_requests_but_is_woken_and_used_when_it_is_seen_to_be_up() -> None:
    house = House()
    house.cold("a").hold = hold = asyncio.Event()
    house.observe("a", seen("m"))
    house.observe("a", asleep())
    assert house.fleet.health.phase("a") is Phase.DOWN
    waking = asyncio.create_task(house.warm())
    await eventually(lambda: house.warmers["a"].asked)
    hold.set()
    await eventually(lambda: house.nudged[1:])  # it is looked at, and still seems to sleep
    house.observe("a", asleep())
    house.observe("a", seen("m"))
    assert (await waking).state is LOADED
    assert house.fleet.health.phase("a") is Phase.READY


async def test_one_that_has_slept_since_before_it_was_known_is_woken() -> None:
    house = House()
    house.cold("a")
    house.add("b", ANSWER, seen_as=Observation(ok=False, error="connection refused"))
    house.observe("b", replace(asleep(), models=(a_status("n"),)))
    house.warmers["b"] = Warmer()
    assert house.fleet.catalogue.silent() == []
    waking = asyncio.create_task(house.warm("n"))
    await eventually(lambda: house.warmers["b"].asked)
    house.observe("b", seen("n"))
    assert (await waking).state is LOADED


async def test_one_that_slept_and_is_silent_now_is_down() -> None:
    house = House()
    house.cold("a")
    house.observe("a", asleep())
    house.fleet.health.observe_silence("a", 1.0, house.clock())
    with pytest.raises(NoHealthyBackend):
        await house.warm()


# -------------------------------------------------------------------------------------------------- a load that fails


@pytest.mark.parametrize(
    ("what", "raised", "reason"),
    [
        (Fault.LOAD_FAILED, BackendFailed, "MODEL_LOAD_FAILED"),
        (Fault.REFUSED, BackendFailed, "BACKEND_FAILED"),
        (Fault.TIMEOUT, BackendFailed, "BACKEND_TIMEOUT"),
        (Fault.MODEL_MISSING, ModelNotFound, "MODEL_NOT_FOUND"),
        (Fault.REJECTED, ZoeError, "BACKEND_REJECTED"),
    ],
)
async def test_why_it_failed_is_told(what: Fault, raised: type[ZoeError], reason: str) -> None:
    house = House()
    house.cold("a").error = fault(what, "no such tensor")
    with pytest.raises(raised, match=r"a: .*no such tensor") as caught:
        await house.warm()
    assert caught.value.reason == reason
    assert [attempt.error_reason for attempt in caught.value.attempts] == [what]
    assert house.left_behind == 0
    assert house.state() is COLD


async def test_a_server_that_dies_while_it_loads_is_not_waited_for() -> None:
    house = House()
    house.cold("a").hold = asyncio.Event()
    loading = asyncio.create_task(house.warm())
    await eventually(lambda: house.warmers["a"].asked)
    house.observe("a", BROKEN)
    with pytest.raises(BackendFailed, match="given up while it loaded: connection refused") as caught:
        await loading
    assert caught.value.reason == "MODEL_LOAD_FAILED"


async def test_a_load_that_never_ends_is_given_up() -> None:
    house = House(reliability=Reliability(retry_delay=0.001))
    house.cold("a", first_token_timeout=0.05).hold = asyncio.Event()
    with pytest.raises(BackendFailed, match=r"not loaded within 0\.05 s"):
        await house.warm()
    assert house.left_behind == 0


async def test_loads_that_fail_count_and_one_that_succeeds_makes_up_for_them() -> None:
    house = House(caution=Caution(error_threshold=2))
    warmer = house.cold("a")
    warmer.error = fault(Fault.LOAD_FAILED, "no such tensor")
    for _ in range(2):
        with pytest.raises(BackendFailed):
            await house.warm()
    assert house.barred() is Reason.CIRCUIT_OPEN
    warmer.error = None
    assert (await house.warm()).state is LOADED
    assert house.barred() is None


# -------------------------------------------------------------------------------------------------- what is told of it


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"load_state": "LOAD_STATE_LOADED", "load_duration": Duration(seconds=2)}, "loaded in 2.00 s"),
        ({"load_state": "LOAD_STATE_LOADED", "already_loaded": True}, "in memory already"),
        ({"load_state": "LOAD_STATE_LOADING"}, "loading"),
        ({"load_state": "LOAD_STATE_UNLOADED", "load_duration": Duration(seconds=2)}, "out of memory again"),
        ({"load_state": "LOAD_STATE_UNLOADED", "already_loaded": True}, "out of memory again"),
    ],
)
def test_whoever_wished_it_is_told_where_it_is(fields: dict[str, Any], expected: str) -> None:
    line = told("m", WarmModelResponse(backend="a", **fields))
    assert line.split(": ")[:2] == ["m @ a", expected]


def test_an_ollama_is_not_told_to_unload_by_a_short_time() -> None:
    call = Call(a_backend("a", kind="ollama"), "m", Generation(()))
    stays = [ollama.loading(call, stay).body["keep_alive"] for stay in (0.0, 0.0001, 0.5, -1.0)]
    assert stays == ["0.000s", "0.001s", "0.500s", -1]
