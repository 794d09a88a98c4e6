"""GetStats: every request counted once, by what served it, how it ended and how it was routed."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rpc.stage import TWO, Setting, Stage, asked, events_of, failed, staged, streamed, whole
from waiting import eventually

from zoe.admin.v1 import admin_service_pb2 as admin
from zoe.admin.v1 import stats_pb2
from zoe.inference.v1 import inference_service_pb2 as pb
from zoe.inference.v1 import routing_pb2
from zoe_grpcd.core.answer import Delta
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.run import Reliability


async def stats(stage: Stage, window: float | None = None) -> admin.GetStatsResponse:
    request = admin.GetStatsRequest()
    if window is not None:
        request.window.FromMilliseconds(round(window * 1000))
    return await stage.admin.GetStats(request)


def named(rows: Any) -> dict[str, stats_pb2.RequestStats]:
    return {row.name: row.stats for row in rows}


async def test_an_answer_counts_once_for_its_backend_and_its_model(stage: Stage) -> None:
    answer = await stage.inference.Complete(whole())
    found = await stats(stage)

    for counted in (found.totals, named(found.backends)["one"], named(found.models)["tiny"]):
        assert (counted.requests, counted.succeeded, counted.failed, counted.cancelled) == (1, 1, 0, 0)
        assert counted.prompt_tokens == answer.usage.prompt_tokens
        assert counted.completion_tokens == answer.usage.completion_tokens
        assert counted.total.count == counted.time_to_first_token.count == counted.queue.count == 1
        assert counted.total.p50.ToMicroseconds() > 0
        assert counted.total.max.ToMicroseconds() >= counted.time_to_first_token.max.ToMicroseconds()
    assert not found.keys
    assert found.window.ToMicroseconds() > 0


async def test_requests_go_by_the_name_of_the_key(stage: Stage) -> None:
    entry = stage.gate.log.begin("Complete")
    entry.key_name = "alice"
    while_it_runs = await stats(stage)
    entry.ended("UNAVAILABLE", "NO_HEALTHY_BACKEND")
    afterwards = await stats(stage)

    assert named(while_it_runs.keys)["alice"].in_flight == 1
    assert named(afterwards.keys)["alice"].failed == 1
    assert named(afterwards.keys)["alice"].in_flight == 0


async def test_a_request_that_runs_is_in_flight_where_it_runs(stage: Stage) -> None:
    stalled = asyncio.Event()
    stage.puppet.script = [[Delta("x", tokens=1)], stalled]
    call = stage.inference.StreamComplete(streamed())
    await anext(aiter(call))
    running = await stats(stage)
    call.cancel()
    await eventually(lambda: _is(stage, lambda found: found.totals.cancelled == 1))
    over = await stats(stage)

    assert running.totals.in_flight == named(running.backends)["one"].in_flight == 1
    assert running.process.active_calls == 2  # GetStats itself is one
    assert over.totals.in_flight == named(over.backends)["one"].in_flight == 0
    assert (over.totals.requests, over.totals.cancelled) == (1, 1)
    assert not over.errors_by_reason


async def _is(stage: Stage, holds: Any) -> bool:
    return bool(holds(await stats(stage)))


async def test_failures_go_by_their_reasons_and_bad_requests_have_no_backend(stage: Stage) -> None:
    await failed(stage.inference.Complete(whole(target=routing_pb2.Target(model="none"))))
    await failed(stage.inference.Complete(pb.CompleteRequest()))
    await failed(stage.inference.Complete(pb.CompleteRequest()))
    found = await stats(stage)

    assert found.errors_by_reason == {"MODEL_NOT_FOUND": 1, "BAD_REQUEST": 2}
    assert (found.totals.requests, found.totals.failed) == (3, 3)
    assert not found.backends


async def test_a_route_is_a_decision_and_no_request(stage: Stage) -> None:
    await stage.inference.Route(pb.RouteRequest(spec=asked()))
    found = await stats(stage)

    assert (found.routing.decisions, found.totals.requests) == (1, 0)
    assert found.routing.decide.count == 1


async def test_the_routing_shows_matches_fallbacks_and_shares() -> None:
    async with staged(TWO) as stage:
        exactly = routing_pb2.Target(model="tiny")
        await stage.inference.Complete(whole(target=exactly))
        stage.refuse("one")
        for _ in range(3):
            await stage.inference.Complete(whole(target=exactly))
        routing = (await stats(stage)).routing

    assert routing.exact_match_ratio == 1.0
    assert 0 < routing.fallback_ratio <= 0.75
    assert routing.decisions_by_reason["FAILOVER"] >= 1
    assert routing.decisions == sum(routing.decisions_by_reason.values())
    assert sum(routing.backend_share.values()) == pytest.approx(1.0)
    assert 0 < routing.balance <= 1
    assert routing.midstream_switches == 0


async def test_an_answer_that_goes_on_elsewhere_is_a_switch() -> None:
    async with staged(TWO) as stage:
        stage.puppets["one"].script = [[Delta("Hello", tokens=1)], UpstreamError(Fault.CUT, "cut")]
        events = await events_of(stage.inference.StreamComplete(streamed()))
        found = await stats(stage)

    assert any(event.HasField("backend_switched") for event in events)
    assert found.routing.midstream_switches == 1
    assert found.routing.fallback_ratio == 1.0


async def test_a_window_covers_at_least_what_was_asked_for_or_all_there_is(stage: Stage) -> None:
    await stage.inference.Complete(whole())
    found = await stats(stage, 60)
    assert found.totals.requests == 1
    assert 0 < found.window.ToMicroseconds() < 70e6
    assert found.totals.requests_per_second == pytest.approx(1e6 / found.window.ToMicroseconds(), rel=0.01)


@pytest.mark.parametrize(
    "window",
    [
        Duration(),
        Duration(seconds=-1),
        Duration(seconds=3601),
        Duration(nanos=2_000_000_000),
        Duration(seconds=2, nanos=-1),
    ],
)
async def test_no_window_is_longer_than_an_hour(stage: Stage, window: Duration) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stage.admin.GetStats(admin.GetStatsRequest(window=window))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "window" in str(refused.value.trailing_metadata())


async def test_the_process_tells_of_itself(stage: Stage) -> None:
    stage.gate.log.statistics.lagged(0.004, stage.gate.log.now())
    process = (await stats(stage)).process

    assert process.connections == 1
    assert process.rss_bytes > 1_000_000
    assert process.cpu_time.ToMicroseconds() > 0
    assert process.loop_lag.count == 1
    assert process.active_calls == 1


async def test_every_call_is_counted_by_its_code() -> None:
    async with staged(Setting(reliability=Reliability(1, 0.01), max_request_time=0.5)) as stage:
        health = health_pb2_grpc.HealthStub(stage.channel)
        await health.Check(health_pb2.HealthCheckRequest())
        await failed(stage.inference.Complete(pb.CompleteRequest()))
        stage.puppet.script = [ValueError("a bug")]
        await failed(stage.inference.StreamComplete(streamed()))
        stage.puppet.script = [asyncio.Event()]
        await failed(stage.inference.Complete(whole()))
        call = stage.inference.Complete(whole(), timeout=600)
        await eventually(lambda: stage.calls.started.total() == 5)
        call.cancel()
        unknown: Any = stage.channel.unary_unary("/zoe.inference.v1.InferenceService/Nope")
        with pytest.raises(grpc.aio.AioRpcError):
            await unknown(b"")

        def codes() -> dict[tuple[str, str], int]:
            return {(method.name, code): n for (method, code), n in stage.calls.handled.items()}

        expected = {
            ("Check", "OK"): 1,
            ("Complete", "INVALID_ARGUMENT"): 1,
            ("StreamComplete", "INTERNAL"): 1,
            ("Complete", "DEADLINE_EXCEEDED"): 1,
            ("Complete", "CANCELLED"): 1,
        }
        await eventually(lambda: sum(codes().values()) == sum(expected.values()))
        assert codes() == expected
        assert stage.calls.active == 0
        assert {method.kind for method in stage.calls.started} == {"unary", "server_stream"}
