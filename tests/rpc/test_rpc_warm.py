"""WarmModel over a real connection: what it asks for, what it answers, what it refuses."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from rpc.stage import Setting, Stage, failed, staged, tiny
from waiting import eventually

from zoe.admin.v1 import admin_service_pb2 as pb
from zoe.admin.v1 import backend_pb2
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.observation import LoadState

COLD = LoadState.UNLOADED
MIXED = Setting(
    (
        Backend("box", "ollama", "http://box.invalid"),
        Backend("gpu", "llamacpp", "http://gpu.invalid"),
        Backend("sky", "anthropic", "http://sky.invalid", local=False),
    )
)


def wish(model: str = "tiny", *, wait: bool = True, **fields: Any) -> pb.WarmModelRequest:
    return pb.WarmModelRequest(model=model, wait=wait, **fields)


async def test_who_waits_hears_where_it_is_and_how_long_it_took(stage: Stage) -> None:
    stage.observe("one", tiny(state=COLD))
    told = await stage.admin.WarmModel(wish())
    assert (told.backend, told.load_state) == ("one", backend_pb2.LOAD_STATE_LOADED)
    assert not told.already_loaded
    assert told.HasField("load_duration")


async def test_who_does_not_wait_hears_that_it_loads_and_it_goes_on_loading(stage: Stage) -> None:
    stage.observe("one", tiny(state=COLD))
    stage.warmers["one"].hold = hold = asyncio.Event()
    told = await stage.admin.WarmModel(wish(wait=False))
    assert told == pb.WarmModelResponse(backend="one", load_state=backend_pb2.LOAD_STATE_LOADING)

    async def state() -> int:
        backend = (await stage.admin.GetBackend(pb.GetBackendRequest(name="one"))).backend
        return backend.models[0].load_state

    assert await state() == backend_pb2.LOAD_STATE_LOADING
    hold.set()
    await eventually(lambda: stage.fleet.leases.in_flight("one") == 0)
    assert await state() == backend_pb2.LOAD_STATE_LOADED


async def test_what_is_in_memory_is_told_so(stage: Stage) -> None:
    told = await stage.admin.WarmModel(wish())
    assert told == pb.WarmModelResponse(
        backend="one", load_state=backend_pb2.LOAD_STATE_LOADED, already_loaded=True
    )
    assert stage.warmers["one"].asked == []


async def test_a_caller_who_leaves_ends_no_load(stage: Stage) -> None:
    stage.observe("one", tiny(state=COLD))
    stage.warmers["one"].hold = hold = asyncio.Event()
    call = stage.admin.WarmModel(wish())
    await eventually(lambda: stage.warmers["one"].asked)
    call.cancel()
    assert await call.code() is grpc.StatusCode.CANCELLED
    assert stage.fleet.health.is_loading("one")
    hold.set()
    await eventually(lambda: not stage.fleet.health.is_loading("one"))
    assert (await stage.admin.WarmModel(wish())).already_loaded
    assert len(stage.warmers["one"].asked) == 1


async def test_a_failed_load_says_what_the_server_said(stage: Stage) -> None:
    stage.observe("one", tiny(state=COLD))
    stage.warmers["one"].error = UpstreamError(Fault.LOAD_FAILED, "no such tensor", http_status=500)
    failure = await failed(stage.admin.WarmModel(wish()))
    assert (failure.code, failure.info.reason) == (grpc.StatusCode.UNAVAILABLE, "MODEL_LOAD_FAILED")
    assert failure.text == "one: no such tensor"


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (wish(""), ["model"]),
        (wish("", keep_alive=Duration()), ["model", "keep_alive"]),
        (wish(keep_alive=Duration(seconds=400_000_000)), ["keep_alive"]),
        (wish(keep_alive=Duration(nanos=2_000_000_000)), ["keep_alive"]),
        (wish(backend="gpu", keep_alive=Duration(seconds=60)), ["keep_alive"]),
    ],
)
async def test_a_wrong_wish_is_refused_by_field(request_: pb.WarmModelRequest, fields: list[str]) -> None:
    async with staged(MIXED) as stage:
        failure = await failed(stage.admin.WarmModel(request_))
    assert (failure.code, failure.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_REQUEST")
    assert [field for field, _ in failure.violations()] == fields


@pytest.mark.parametrize(
    ("request_", "code", "reason", "words"),
    [
        (wish("tinny"), grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", "did you mean 'tiny'?"),
        (wish(backend="attic"), grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "no backend is named 'attic'"),
        (
            wish(backend="sky"),
            grpc.StatusCode.FAILED_PRECONDITION,
            "NO_CAPABLE_BACKEND",
            "sky: a service that loads its models by itself",
        ),
    ],
)
async def test_what_there_is_not_is_told(
    request_: pb.WarmModelRequest, code: grpc.StatusCode, reason: str, words: str
) -> None:
    async with staged(MIXED) as stage:
        failure = await failed(stage.admin.WarmModel(request_))
    assert (failure.code, failure.info.reason) == (code, reason)
    assert words in failure.text


async def test_a_model_is_kept_for_as_long_as_it_is_wished() -> None:
    async with staged(MIXED) as stage:
        stage.observe("box", tiny(state=COLD))
        for stay in (Duration(seconds=90, nanos=500_000_000), Duration(seconds=-1)):
            await stage.admin.WarmModel(wish(backend="box", keep_alive=stay))
        assert [stay for _, stay in stage.warmers["box"].asked] == [90.5, -1.0]
