"""ListDecisions: every request with what was decided and what came of it, and nothing of what was said."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rpc.stage import (
    HELLO,
    TWO,
    Setting,
    Stage,
    asked,
    events_of,
    failed,
    said,
    staged,
    streamed,
    trailers_of,
    whole,
)
from waiting import eventually

from zoe.admin.v1 import admin_service_pb2 as admin
from zoe.admin.v1 import stats_pb2
from zoe.inference.v1 import decision_pb2, response_pb2, routing_pb2
from zoe.inference.v1 import inference_service_pb2 as pb
from zoe_grpcd.core.answer import Delta
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.run import Reliability

OUTCOME = decision_pb2.Attempt.Outcome.Value


async def listed(stage: Stage, **filters: Any) -> list[stats_pb2.DecisionRecord]:
    return list((await stage.admin.ListDecisions(admin.ListDecisionsRequest(**filters))).decisions)


async def ids(stage: Stage, **filters: Any) -> list[str]:
    return [record.request_id for record in await listed(stage, **filters)]


async def test_an_answer_is_there_with_its_decision_and_its_outcome(stage: Stage) -> None:
    call = stage.inference.Complete(
        pb.CompleteRequest(spec=asked(said("a secret")), request_id="r1", explain=True)
    )
    answer, trailers = await call, await trailers_of(call)

    (record,) = await listed(stage)

    assert (record.method, record.request_id, record.response_id) == ("Complete", "r1", "r1")
    assert (record.code, record.error_reason) == ("OK", "")
    assert record.decision == answer.decision
    assert record.decision.decision_id == trailers["x-zoe-decision-id"]
    assert record.usage == answer.usage
    assert record.timings == answer.timings
    assert list(record.attempts) == list(answer.attempts)
    assert record.finish_reason == response_pb2.FINISH_REASON_STOP
    assert "secret" not in str(record)


async def test_a_stream_is_there_while_it_runs_and_afterwards(stage: Stage) -> None:
    go_on = asyncio.Event()
    stage.puppet.script = [*HELLO[:1], go_on, *HELLO[1:]]
    call = stage.inference.StreamComplete(streamed())
    first = await anext(aiter(call))

    (running,) = await listed(stage)
    go_on.set()
    assert [event async for event in call]
    (over,) = await eventually(lambda: listed(stage, error_reason="", failed_only=False))

    assert (running.method, running.code) == ("StreamComplete", "")
    assert running.decision == over.decision == first.decision
    assert not running.HasField("usage")
    await eventually(lambda: _code(stage, "OK"))
    assert over.decision.chosen.backend == "one"


async def _code(stage: Stage, code: str) -> bool:
    return [record.code for record in await listed(stage)] == [code]


async def test_a_route_is_there_without_attempts(stage: Stage) -> None:
    response = await stage.inference.Route(pb.RouteRequest(spec=asked()))

    (record,) = await listed(stage)

    assert (record.method, record.code) == ("Route", "OK")
    assert record.decision == response.decision
    assert not record.attempts


async def test_a_failover_has_the_decision_that_held_and_both_attempts() -> None:
    async with staged(TWO) as stage:
        stage.refuse("one")
        answer = await stage.inference.Complete(whole())
        (record,) = await listed(stage)

    assert answer.decision.chosen.backend == "two"
    assert record.decision == answer.decision
    assert [a.outcome for a in record.attempts] == [OUTCOME("OUTCOME_FAILED"), OUTCOME("OUTCOME_OK")]


async def test_an_eager_stream_that_changed_backends_keeps_the_id_that_was_told() -> None:
    async with staged(TWO) as stage:
        stage.refuse("one")
        request = streamed()
        request.options.progress = True
        events = await events_of(stage.inference.StreamComplete(request))
        told = events[0].decision
        (record,) = await eventually(lambda: listed(stage, decision_id=told.decision_id))

    assert told.chosen.backend == "one"
    assert record.decision.chosen.backend == "two"


@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [
        ([UpstreamError(Fault.REFUSED, "no")], "UNAVAILABLE", "BACKEND_FAILED"),
        ([[Delta("x", tokens=1)], UpstreamError(Fault.CUT, "cut")], "ABORTED", "BACKEND_LOST"),
        ([UpstreamError(Fault.REJECTED, "bad")], "INVALID_ARGUMENT", "BACKEND_REJECTED"),
        ([ValueError("a bug")], "INTERNAL", "INTERNAL"),
    ],
)
async def test_a_failure_has_its_reason_its_attempts_and_its_decision(
    script: Any, code: str, reason: str
) -> None:
    async with staged(Setting(reliability=Reliability(1, 0.01))) as stage:
        stage.puppet.script = script
        await failed(stage.inference.StreamComplete(streamed()))
        (record,) = await listed(stage, error_reason=reason, failed_only=True)

    assert (record.code, record.error_reason) == (code, reason)
    assert record.decision.chosen.backend == "one"
    assert record.attempts
    assert not record.HasField("usage")


async def test_a_request_that_nobody_could_serve_has_no_decision(stage: Stage) -> None:
    await failed(stage.inference.Complete(whole(target=routing_pb2.Target(model="none"))))
    await failed(stage.inference.Complete(pb.CompleteRequest()))

    wrong, unknown = await listed(stage, failed_only=True)

    assert (unknown.code, unknown.error_reason) == ("NOT_FOUND", "MODEL_NOT_FOUND")
    assert (wrong.code, wrong.error_reason) == ("INVALID_ARGUMENT", "BAD_REQUEST")
    assert not unknown.HasField("decision")


async def test_who_leaves_and_whose_time_is_over_are_told_apart() -> None:
    async with staged(Setting(max_request_time=0.05)) as stage:
        stage.puppet.script = [asyncio.Event()]
        call = stage.inference.Complete(pb.CompleteRequest(spec=asked(), request_id="left"), timeout=20)
        await eventually(lambda: stage.puppet.calls)
        call.cancel()
        short = pb.CompleteRequest(spec=asked(), request_id="own")
        await stage.inference.Complete(short, timeout=0.5).code()
        ours = pb.CompleteRequest(spec=asked(), request_id="ours")
        await failed(stage.inference.Complete(ours))

        async def ends() -> dict[str, tuple[str, str]]:
            found = await listed(stage)
            return {r.request_id: (r.code, r.error_reason) for r in found if r.code}

        await eventually(lambda: _has(ends, 3))
        broken_off = [attempt.outcome for record in await listed(stage) for attempt in record.attempts]
        assert set(broken_off) == {OUTCOME("OUTCOME_CANCELLED")}
        assert await ends() == {
            "left": ("CANCELLED", ""),
            "own": ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
            "ours": ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
        }


async def _has(found: Any, count: int) -> bool:
    return len(await found()) == count


# ------------------------------------------------------------------------------------------------- filters and pages


async def test_filters_all_have_to_hold() -> None:
    async with staged(TWO) as stage:
        for number, allowed in enumerate(("one", "two", "two")):
            target = routing_pb2.Target(allowed_backends=[allowed])
            request = pb.CompleteRequest(spec=asked(target=target), request_id=f"r{number}")
            await stage.inference.Complete(request)
        await failed(stage.inference.Complete(whole(target=routing_pb2.Target(model="none"))))
        records = await listed(stage)
        second = records[2].time

        assert len(records) == 4
        assert await ids(stage, backend="two") == ["r2", "r1"]
        assert await ids(stage, backend="two", request_id="r1") == ["r1"]
        assert await ids(stage, backend="two", failed_only=True) == []
        assert await ids(stage, model="tiny", intent=records[-1].decision.intent) == ["r2", "r1", "r0"]
        assert await ids(stage, decision_id=records[1].decision.decision_id) == ["r2"]
        assert await ids(stage, start_time=second, backend="two") == ["r2", "r1"]
        assert await ids(stage, end_time=second) == ["r0"]
        assert await ids(stage, key_name="nobody") == []


async def test_pages_follow_one_another_and_new_requests_move_none(stage: Stage) -> None:
    for number in range(5):
        await stage.inference.Complete(pb.CompleteRequest(spec=asked(), request_id=f"r{number}"))

    request = admin.ListDecisionsRequest(page_size=2)
    first = await stage.admin.ListDecisions(request)
    await stage.inference.Complete(pb.CompleteRequest(spec=asked(), request_id="late"))
    request.page_token = first.next_page_token
    second = await stage.admin.ListDecisions(request)
    request.page_token = second.next_page_token
    last = await stage.admin.ListDecisions(request)

    pages = [[record.request_id for record in page.decisions] for page in (first, second, last)]
    assert pages == [["r4", "r3"], ["r2", "r1"], ["r0"]]
    assert last.next_page_token == ""


async def test_a_page_has_fifty_and_never_more_than_five_hundred(stage: Stage) -> None:
    for _ in range(510):
        entry = stage.gate.log.begin("Route")
        entry.ended("OK")

    assert len(await listed(stage)) == 50
    assert len(await listed(stage, page_size=100_000)) == 500


async def test_a_token_that_is_none_is_named(stage: Stage) -> None:
    failure = await failed(stage.admin.ListDecisions(admin.ListDecisionsRequest(page_token="x")))

    assert (failure.code, failure.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_REQUEST")
    assert failure.violations() == [("page_token", "must be the next_page_token of an answer, or empty")]


async def test_a_time_in_the_future_matches_nothing(stage: Stage) -> None:
    await stage.inference.Complete(whole())

    assert await listed(stage, start_time=Timestamp(seconds=2**33)) == []
