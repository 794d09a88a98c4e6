"""The admin service over a real connection: lists, watches, and what is for later."""

import asyncio
import time

import grpc
import pytest
from google.rpc.error_details_pb2 import ResourceInfo
from rpc.stage import END, TWO, Setting, Stage, failed, staged, tiny, whole
from waiting import eventually

from zoe.admin.v1 import admin_service_pb2 as pb
from zoe.admin.v1 import backend_pb2
from zoe_grpcd.core.answer import Delta
from zoe_grpcd.core.backend import Backend, Phase
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.core.phases import Signal
from zoe_grpcd.core.resolve import Policy
from zoe_grpcd.rpc import admin_encode
from zoe_grpcd.rpc.admin import LATER, AdminServicer

PAIR = Setting(
    (
        Backend("one", "llamacpp", "http://one.invalid", labels={"gpu": "no", "room": "a"}),
        Backend("two", "ollama", "http://two.invalid", labels={"gpu": "yes", "room": "a"}, local=False),
    ),
    Policy(aliases={"quick": ("tiny",), "any": ("tiny", "big")}),
)
STATE = backend_pb2.Backend.State


def down(stage: Stage, name: str) -> None:
    stage.observe(name, ok=False, error="refused")


# ------------------------------------------------------------------------------------------------------------- lists


async def test_a_backend_is_shown_as_it_is(stage: Stage) -> None:
    backend = (await stage.admin.GetBackend(pb.GetBackendRequest(name="one"))).backend

    assert (backend.name, backend.kind, backend.endpoint) == ("one", "llamacpp", "http://one.invalid")
    assert backend.state == STATE.Value("STATE_READY")
    assert backend.local
    assert backend.last_probe.ok
    assert abs(backend.state_time.seconds - time.time()) < 60
    [model] = backend.models
    assert (model.model, model.context_tokens) == ("tiny", 8192)
    assert model.load_state == backend_pb2.LOAD_STATE_LOADED
    assert "vision" in model.capabilities
    assert backend.load.in_flight == 0
    assert not backend.load.HasField("ttft_p50")


async def test_a_backend_that_was_not_probed_yet_has_no_probe(stage: Stage) -> None:
    stage.fleet.add(Backend("new", "ollama", "http://new.invalid"), time.monotonic())

    backend = (await stage.admin.GetBackend(pb.GetBackendRequest(name="new"))).backend

    assert backend.state == STATE.Value("STATE_UNKNOWN")
    assert not backend.HasField("last_probe")


async def test_what_is_in_flight_is_counted(stage: Stage) -> None:
    stage.puppet.script = [[Delta("x", tokens=1)], asyncio.Event()]
    call = stage.inference.Complete(whole())
    await eventually(lambda: stage.puppet.calls)

    backend = (await stage.admin.GetBackend(pb.GetBackendRequest(name="one"))).backend

    assert backend.load.in_flight == 1
    call.cancel()


async def test_backends_are_listed_by_name_state_and_labels() -> None:
    async with staged(PAIR) as stage:
        down(stage, "two")

        async def names(**wanted: object) -> list[str]:
            response = await stage.admin.ListBackends(pb.ListBackendsRequest(**wanted))  # type: ignore[arg-type]
            assert response.revision == stage.fleet.picture.revision
            return [backend.name for backend in response.backends]

        assert await names() == ["one", "two"]
        assert await names(states=[backend_pb2.Backend.STATE_DOWN]) == ["two"]
        assert await names(states=[backend_pb2.Backend.STATE_DOWN, backend_pb2.Backend.STATE_READY]) == [
            "one",
            "two",
        ]
        assert await names(labels={"room": "a", "gpu": "no"}) == ["one"]
        assert await names(labels={"colour": "red"}) == []


async def test_a_backend_that_does_not_exist_is_not_found(stage: Stage) -> None:
    failure = await failed(stage.admin.GetBackend(pb.GetBackendRequest(name="three")))

    assert (failure.code, failure.info.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    assert failure.text == "no backend is named 'three'; known: one"
    resource = failure.details[ResourceInfo]
    assert (resource.resource_type, resource.resource_name) == ("backend", "three")


async def test_models_are_listed_with_aliases_and_where_they_run() -> None:
    async with staged(PAIR) as stage:
        stage.observe("one", tiny(parameters=0.5))
        stage.observe("two", tiny(), tiny("big", capabilities=frozenset({"chat"}), parameters=7.0))

        async def models(**wanted: object) -> dict[str, backend_pb2.Model]:
            response = await stage.admin.ListModels(pb.ListModelsRequest(**wanted))  # type: ignore[arg-type]
            return {model.model: model for model in response.models}

        found = await models()
        assert list(found) == ["big", "tiny"]
        assert list(found["tiny"].aliases) == ["any", "quick"]
        assert [d.backend for d in found["tiny"].deployments] == ["one", "two"]
        assert (found["big"].size, found["tiny"].size) == ("7B", "500M")
        assert found["big"].available
        assert list(await models(backend="one")) == ["tiny"]
        assert list(await models(capabilities=["chat"])) == ["big", "tiny"]
        assert list(await models(capabilities=["chat", "vision"])) == ["tiny"]

        down(stage, "two")
        found = await models()
        assert not found["big"].available
        assert found["tiny"].available


def test_every_state_of_the_fleet_has_its_name_in_the_contract() -> None:
    for phase in Phase:
        assert STATE.Value(f"STATE_{phase}")
    for state in LoadState:
        assert backend_pb2.LoadState.Value(f"LOAD_STATE_{state}")
    assert set(Phase) > admin_encode.USABLE


# ----------------------------------------------------------------------------------------------------------- watching


async def test_a_watch_begins_with_everything_and_goes_on_with_changes() -> None:
    async with staged(PAIR) as stage:
        watch = aiter(stage.admin.WatchBackends(pb.WatchBackendsRequest()))
        first = await anext(watch)
        assert [b.name for b in first.snapshot.backends] == ["one", "two"]

        down(stage, "two")
        second = await anext(watch)
        assert (second.updated.name, second.updated.state) == ("two", STATE.Value("STATE_DOWN"))

        stage.fleet.add(Backend("three", "openai", "http://three.invalid"), time.monotonic())
        third = await anext(watch)
        assert third.updated.name == "three"
        assert first.revision < second.revision < third.revision


async def test_who_is_up_to_date_gets_a_bookmark_who_is_not_a_snapshot(stage: Stage) -> None:
    async def first(since: int) -> pb.WatchBackendsResponse:
        request = pb.WatchBackendsRequest(since_revision=since)
        return await anext(aiter(stage.admin.WatchBackends(request)))

    now = stage.fleet.picture.revision
    assert (await first(now)).WhichOneof("event") == "bookmark"
    assert (await first(now)).revision == now
    assert (await first(now - 1)).WhichOneof("event") == "snapshot"
    assert (await first(now + 1000)).WhichOneof("event") == "snapshot"


async def test_changes_in_quick_succession_may_come_as_one(stage: Stage) -> None:
    watch = aiter(stage.admin.WatchBackends(pb.WatchBackendsRequest()))
    await anext(watch)

    for signal in (Signal.REFUSED, Signal.IDLE, Signal.REFUSED):
        stage.fleet.health.signal("one", signal, "", time.monotonic())

    assert (await anext(watch)).updated.state == STATE.Value("STATE_DOWN")


async def test_an_idle_watch_gets_a_bookmark_from_time_to_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AdminServicer, "bookmark_interval", 0.01)
    watch = aiter(stage.admin.WatchBackends(pb.WatchBackendsRequest()))

    kinds = [(await anext(watch)).WhichOneof("event") for _ in range(3)]

    assert kinds == ["snapshot", "bookmark", "bookmark"]


async def test_watches_end_with_the_daemon_and_do_not_hold_it_up(stage: Stage) -> None:
    open_watches = [aiter(stage.admin.WatchBackends(pb.WatchBackendsRequest())) for _ in range(3)]
    for watch in open_watches:
        await anext(watch)
    began = time.monotonic()

    stage.watchers.close()
    await stage.server.stop(100)

    assert time.monotonic() - began < 30
    for watch in open_watches:
        with pytest.raises(StopAsyncIteration):
            await anext(watch)


async def test_a_watcher_that_leaves_is_forgotten(stage: Stage) -> None:
    call = stage.admin.WatchBackends(pb.WatchBackendsRequest())
    await anext(aiter(call))
    assert len(stage.watchers._notices) == 1

    call.cancel()

    await eventually(lambda: not stage.watchers._notices)


# ------------------------------------------------------------------------------------------------------------ drain


async def test_a_drained_backend_finishes_what_runs_and_gets_nothing_new() -> None:
    async with staged(TWO) as stage:
        hold = asyncio.Event()
        stage.puppets["one"].script = [[Delta("x", tokens=1)], hold, [END]]
        running = stage.inference.Complete(whole(target={"allowed_backends": ["one"]}))
        await eventually(lambda: stage.fleet.leases.in_flight("one") == 1)
        drained = (
            await stage.admin.DrainBackend(pb.DrainBackendRequest(name="one", reason="new disk"))
        ).backend
        assert drained.state == STATE.Value("STATE_DRAINING")
        assert drained.state_detail == "1 still running. new disk"
        assert (await stage.inference.Complete(whole())).decision.chosen.backend == "two"
        refused = await failed(stage.inference.Complete(whole(target={"allowed_backends": ["one"]})))
        assert (refused.code, refused.info.reason) == (grpc.StatusCode.UNAVAILABLE, "NO_HEALTHY_BACKEND")

        changes = stage.admin.WatchBackends(pb.WatchBackendsRequest())
        watch = aiter(changes)
        assert (await anext(watch)).WhichOneof("event") == "snapshot"
        hold.set()
        assert (await running).message.parts[0].text == "x"
        emptied = (await anext(watch)).updated
        assert (emptied.name, emptied.load.in_flight, emptied.state_detail) == ("one", 0, "empty. new disk")
        changes.cancel()


async def test_probes_do_not_end_a_drain(stage: Stage) -> None:
    await stage.admin.DrainBackend(pb.DrainBackendRequest(name="one", reason="new disk"))
    stage.observe("one", tiny(), detail="router")
    backend = (await stage.admin.GetBackend(pb.GetBackendRequest(name="one"))).backend
    assert (backend.state, backend.state_detail) == (STATE.Value("STATE_DRAINING"), "empty. new disk")


async def test_a_backend_that_is_taken_back_is_used_after_its_next_probe(stage: Stage) -> None:
    await stage.admin.DrainBackend(pb.DrainBackendRequest(name="one"))
    backend = (await stage.admin.UndrainBackend(pb.UndrainBackendRequest(name="one"))).backend
    assert backend.state == STATE.Value("STATE_UNKNOWN")
    stage.observe("one", tiny())
    assert (await stage.inference.Complete(whole())).decision.chosen.backend == "one"
    again = (await stage.admin.UndrainBackend(pb.UndrainBackendRequest(name="one"))).backend
    assert again.state == STATE.Value("STATE_READY")


@pytest.mark.parametrize("method", ["DrainBackend", "UndrainBackend"])
@pytest.mark.parametrize("reason", ["x" * 513, "new\ndisk", "\x1b[31mred"])
async def test_a_reason_is_one_short_line(stage: Stage, method: str, reason: str) -> None:
    request = getattr(pb, f"{method}Request")(name="one", reason=reason)
    refused = await failed(getattr(stage.admin, method)(request))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.violations() == [("reason", "must be at most 512 printable characters, in one line")]
    assert stage.fleet.health.phase("one") is Phase.READY


@pytest.mark.parametrize("method", ["DrainBackend", "UndrainBackend"])
async def test_an_unknown_backend_cannot_be_drained(stage: Stage, method: str) -> None:
    failure = await failed(getattr(stage.admin, method)(getattr(pb, f"{method}Request")(name="nobody")))
    assert (failure.code, failure.info.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    assert "known: one" in failure.text


async def test_those_who_wait_for_a_backend_are_counted() -> None:
    async with staged() as stage:
        hold = asyncio.Event()
        stage.puppet.script = [hold, [Delta("x", tokens=1)], [END]]
        calls = [stage.inference.Complete(whole()) for _ in range(6)]
        await eventually(lambda: stage.fleet.leases.in_flight("one") == 4)
        await eventually(lambda: len(stage.waiting) == 2)
        load = (await stage.admin.GetBackend(pb.GetBackendRequest(name="one"))).backend.load
        assert (load.in_flight, load.max_in_flight, load.queued) == (4, 4, 2)
        hold.set()
        await asyncio.gather(*calls)
        load = (await stage.admin.GetBackend(pb.GetBackendRequest(name="one"))).backend.load
        assert (load.in_flight, load.queued) == (0, 0)


# -------------------------------------------------------------------------------------------------------- for later


@pytest.mark.parametrize("name", LATER)
async def test_what_is_for_later_says_so(stage: Stage, name: str) -> None:
    failure = await failed(getattr(stage.admin, name)(getattr(pb, f"{name}Request")()))

    assert (failure.code, failure.info.reason) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED")
    assert failure.text == f"{name} is not implemented in this version"


def test_every_method_of_the_contract_is_served() -> None:
    service = pb.DESCRIPTOR.services_by_name["AdminService"]
    served = {"ListBackends", "GetBackend", "WatchBackends", "ListModels", "ListDecisions"}
    served |= {"DrainBackend", "UndrainBackend", "GetStats", "GetConfig", "ReloadConfig", "WarmModel"}

    assert {method.name for method in service.methods} == served | set(LATER)
