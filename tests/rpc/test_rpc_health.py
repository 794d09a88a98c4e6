"""grpc.health.v1: what a load balancer or a probe sees of the daemon."""

import time
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ResourceInfo
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1.health_pb2_grpc import HealthStub
from rpc.stage import Setting, Stage, failed, staged, tiny
from waiting import eventually

from zoe_grpcd.core.backend import Backend

INFERENCE, ADMIN = "zoe.inference.v1.InferenceService", "zoe.admin.v1.AdminService"
SERVING, NOT_SERVING = pb.HealthCheckResponse.SERVING, pb.HealthCheckResponse.NOT_SERVING
PAIR = Setting(tuple(Backend(name, "llamacpp", f"http://{name}.invalid") for name in ("one", "two")))


def health(stage: Stage) -> Any:
    return HealthStub(stage.channel)


async def check(stage: Stage, service: str) -> int:
    status: int = (await health(stage).Check(pb.HealthCheckRequest(service=service))).status
    return status


def watch(stage: Stage, service: str) -> Any:
    return aiter(health(stage).Watch(pb.HealthCheckRequest(service=service)))


def down(stage: Stage, name: str = "one") -> None:
    stage.observe(name, ok=False, error="refused")


async def test_all_is_well_while_a_backend_is(stage: Stage) -> None:
    for service in ("", INFERENCE, ADMIN, "model/tiny"):
        assert await check(stage, service) == SERVING


async def test_without_a_backend_the_daemon_lives_but_does_not_infer(stage: Stage) -> None:
    down(stage)

    assert await check(stage, "") == SERVING
    assert await check(stage, ADMIN) == SERVING
    assert await check(stage, INFERENCE) == NOT_SERVING
    assert await check(stage, "model/tiny") == NOT_SERVING


async def test_a_model_is_served_as_long_as_one_backend_does() -> None:
    async with staged(PAIR) as stage:
        stage.observe("two", tiny(), tiny("big"))
        down(stage, "one")
        assert await check(stage, "model/tiny") == SERVING

        down(stage, "two")
        assert await check(stage, "model/tiny") == NOT_SERVING
        assert await check(stage, "model/big") == NOT_SERVING


@pytest.mark.parametrize("service", ["nobody", "model/none", "model/"])
async def test_what_nobody_knows_is_not_found(stage: Stage, service: str) -> None:
    failure = await failed(health(stage).Check(pb.HealthCheckRequest(service=service)))

    assert failure.code is grpc.StatusCode.NOT_FOUND
    assert failure.details[ResourceInfo].resource_name == service


async def test_everything_is_listed(stage: Stage) -> None:
    listed = (await health(stage).List(pb.HealthListRequest())).statuses

    assert {name: status.status for name, status in listed.items()} == {
        "": SERVING,
        INFERENCE: SERVING,
        ADMIN: SERVING,
        "model/tiny": SERVING,
    }


async def test_a_watch_tells_changes_and_nothing_else(stage: Stage) -> None:
    stream = watch(stage, INFERENCE)
    assert (await anext(stream)).status == SERVING

    stage.observe("one", tiny(), tiny("big"))  # changes the fleet, but not this status
    down(stage)
    assert (await anext(stream)).status == NOT_SERVING

    stage.observe("one", tiny())
    assert (await anext(stream)).status == SERVING


async def test_a_watch_of_something_unknown_waits_for_it(stage: Stage) -> None:
    stream = watch(stage, "model/big")
    assert (await anext(stream)).status == pb.HealthCheckResponse.SERVICE_UNKNOWN

    stage.observe("one", tiny(), tiny("big"))

    assert (await anext(stream)).status == SERVING


async def test_at_the_end_watches_hear_of_it_and_do_not_hold_it_up(stage: Stage) -> None:
    streams = [watch(stage, service) for service in ("", INFERENCE, ADMIN, "model/tiny")]
    for stream in streams:
        assert (await anext(stream)).status == SERVING
    unknown = watch(stage, "nobody")
    await anext(unknown)
    began = time.monotonic()

    stage.watchers.close()
    for stream in streams:
        assert (await anext(stream)).status == NOT_SERVING
    await stage.server.stop(100)

    assert time.monotonic() - began < 30
    for stream in (*streams, unknown):
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_who_begins_to_watch_at_the_end_hears_of_it_too(stage: Stage) -> None:
    stage.watchers.close()

    assert [answer.status async for answer in watch(stage, "")] == [NOT_SERVING]
    assert await check(stage, "") == NOT_SERVING
    assert await check(stage, "model/tiny") == NOT_SERVING


async def test_a_watcher_that_leaves_is_forgotten(stage: Stage) -> None:
    call = health(stage).Watch(pb.HealthCheckRequest())
    await anext(aiter(call))

    call.cancel()

    await eventually(lambda: not stage.watchers._notices)
