"""StreamComplete over a real connection: the order of events, options, and ends that are none."""

import asyncio

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from rpc.stage import (
    END,
    HELLO,
    TWO,
    Stage,
    asked,
    events_of,
    failed,
    kinds,
    staged,
    streamed,
    trailers_of,
    whole,
)
from waiting import eventually

from zoe.inference.v1 import decision_pb2, response_pb2, routing_pb2
from zoe.inference.v1 import inference_service_pb2 as pb
from zoe_grpcd.core.answer import Delta, Finish, FinishReason, Measured, ToolDelta, Usage
from zoe_grpcd.core.errors import Fault, UpstreamError


async def test_a_stream_is_a_decision_then_pieces_then_one_completed(stage: Stage) -> None:
    call = stage.inference.StreamComplete(pb.StreamCompleteRequest(spec=asked(), request_id="mine"))
    events = await events_of(call)

    assert kinds(events) == ["decision", "delta", "delta", "completed"]
    assert events[0].decision.chosen.backend == "one"
    assert [(e.delta.text, e.delta.token_count) for e in events[1:3]] == [("Hello", 1), (" there", 1)]
    end = events[-1].completed
    assert (end.id, end.model, end.finish_reason) == ("mine", "tiny", response_pb2.FINISH_REASON_STOP)
    assert end.usage.total_tokens == 10
    assert len(end.attempts) == 1
    assert await trailers_of(call) == {
        "x-zoe-decision-id": events[0].decision.decision_id,
        "x-zoe-backend": "one",
    }


async def test_a_whole_answer_and_a_stream_say_the_same(stage: Stage) -> None:
    stage.puppet.script = [
        [Delta("ü", tokens=1)],
        [Delta("ber", tokens=1), ToolDelta(0, "c", "f", "{"), ToolDelta(0, arguments="}", done=True)],
        [Finish(FinishReason.LENGTH, Usage(5, 2, 1), Measured(load=0.5, decode=0.1, decode_tokens=2))],
    ]

    answer = await stage.inference.Complete(whole())
    events = await events_of(stage.inference.StreamComplete(streamed()))

    deltas = [e.tool_call_delta for e in events if e.HasField("tool_call_delta")]
    assert "".join(e.delta.text for e in events) == answer.message.parts[0].text == "über"
    assert (
        "".join(d.arguments_json_fragment for d in deltas) == answer.message.parts[1].tool_call.arguments_json
    )
    assert [d.done for d in deltas] == [False, True]
    assert (deltas[0].id, deltas[0].name) == ("c", "f")
    end = events[-1].completed
    assert (end.usage, end.finish_reason) == (answer.usage, answer.finish_reason)
    assert end.usage.cached_prompt_tokens == 1
    assert end.timings.load == answer.timings.load == Duration(nanos=500_000_000)
    assert end.timings.tokens_per_second == pytest.approx(20.0)


async def test_the_decision_waits_until_a_backend_has_accepted(stage: Stage) -> None:
    accepted = asyncio.Event()
    stage.puppet.script = [accepted, *HELLO]
    call = stage.inference.StreamComplete(streamed())
    first = asyncio.ensure_future(anext(aiter(call)))

    await eventually(lambda: stage.puppet.calls)
    assert not first.done()
    accepted.set()

    assert (await first).HasField("decision")
    call.cancel()


async def test_with_progress_the_decision_comes_at_once_with_what_is_waited_for(stage: Stage) -> None:
    accepted = asyncio.Event()
    stage.puppet.script = [accepted, *HELLO]
    call = aiter(
        stage.inference.StreamComplete(
            pb.StreamCompleteRequest(spec=asked(), options=pb.StreamOptions(progress=True))
        )
    )

    before = [await anext(call), await anext(call)]
    accepted.set()
    after = [event async for event in call]

    assert kinds(before) == ["decision", "progress"]
    assert before[1].progress.state == response_pb2.Progress.STATE_PREFILLING
    assert kinds(after) == ["delta", "delta", "completed"]
    assert [e.sequence for e in (*before, *after)] == [0, 1, 2, 3, 4]


async def test_with_progress_a_change_of_backend_is_told() -> None:
    async with staged(TWO) as stage:
        request = pb.RouteRequest(spec=asked())
        best = (await stage.inference.Route(request)).decision.chosen.backend
        other = "two" if best == "one" else "one"
        stage.refuse(best)
        call = stage.inference.StreamComplete(
            pb.StreamCompleteRequest(spec=asked(), options=pb.StreamOptions(progress=True))
        )
        events = await events_of(call)

        assert kinds(events) == [
            "decision",
            "progress",
            "backend_switched",
            "progress",
            "delta",
            "delta",
            "completed",
        ]
        switched = events[2].backend_switched
        assert (switched.previous.backend, switched.current.backend) == (best, other)
        assert switched.failed_attempt.error_reason == "BACKEND_FAILED"
        assert len(events[-1].completed.attempts) == 2


async def test_without_progress_only_the_backend_that_answers_is_seen() -> None:
    async with staged(TWO) as stage:
        best = (await stage.inference.Route(pb.RouteRequest(spec=asked()))).decision.chosen.backend
        stage.refuse(best)
        events = await events_of(stage.inference.StreamComplete(streamed()))

        assert kinds(events) == ["decision", "delta", "delta", "completed"]
        assert events[0].decision.chosen.backend != best
        assert events[0].decision.reason == decision_pb2.REASON_FAILOVER


async def test_a_stream_of_hidden_thoughts_still_begins_and_ends_as_it_should(stage: Stage) -> None:
    stage.puppet.script = [[Delta(reasoning="hm", tokens=1)]] * 3 + [[END]]

    assert kinds(await events_of(stage.inference.StreamComplete(streamed()))) == ["decision", "completed"]


async def test_max_coalesce_lets_pieces_gather(stage: Stage) -> None:
    more = asyncio.Event()
    stage.puppet.script = [[Delta("a", tokens=1)], more, [Delta("bc", tokens=2)], [END]]
    options = pb.StreamOptions(max_coalesce=Duration(nanos=50_000_000))
    call = aiter(stage.inference.StreamComplete(pb.StreamCompleteRequest(spec=asked(), options=options)))
    assert (await anext(call)).HasField("decision")
    loop = asyncio.get_running_loop()

    assert (await anext(call)).delta.text == "a"
    began = loop.time()
    more.set()
    assert (await anext(call)).delta.text == "bc"

    assert loop.time() - began >= 0.03
    assert kinds([event async for event in call]) == ["completed"]


async def test_a_stream_tells_who_goes_on_with_it_and_from_where() -> None:
    async with staged(TWO) as stage:
        best = (await stage.inference.Route(pb.RouteRequest(spec=asked()))).decision.chosen.backend
        cut = UpstreamError(Fault.CUT, "the connection broke")
        stage.puppets[best].script = [[Delta("Oh! ", tokens=3)], cut]
        events = await events_of(stage.inference.StreamComplete(streamed()))

    assert kinds(events) == ["decision", "delta", "backend_switched", "delta", "delta", "completed"]
    switched = events[2].backend_switched
    assert (switched.seam, switched.tokens_kept) == (routing_pb2.SEAM_QUALITY_TEXT_PREFILL, 3)
    assert (switched.previous.backend, switched.failed_attempt.backend.backend) == (best, best)
    assert switched.current.backend == events[-1].completed.attempts[-1].backend.backend != best
    assert switched.failed_attempt.outcome == decision_pb2.Attempt.OUTCOME_LOST
    assert "".join(event.delta.text for event in events) == "Oh! Hello there"


async def test_a_backend_that_is_lost_after_its_first_token_ends_an_unspliced_stream(stage: Stage) -> None:
    stage.puppet.script = [[Delta("Hel", tokens=1)], UpstreamError(Fault.CUT, "the connection broke")]
    unspliced = {"failover": {"minimum_seam": "SEAM_QUALITY_NONE"}}
    call = aiter(stage.inference.StreamComplete(streamed(routing=unspliced)))
    events = [await anext(call), await anext(call)]

    failure = await failed(call)

    assert kinds(events) == ["decision", "delta"]
    assert (failure.code, failure.info.reason) == (grpc.StatusCode.ABORTED, "BACKEND_LOST")
    assert failure.info.metadata["output_tokens_sent"] == "1"
    assert failure.trailers["x-zoe-decision-id"] == events[0].decision.decision_id
    assert failure.trailers["x-zoe-backend"] == "one"
