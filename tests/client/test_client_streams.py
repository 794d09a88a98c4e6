"""What the clients make of a stream, and how it ends."""

import asyncio
from typing import Any

import grpc
import pytest
from client.recording import (
    Daemon,
    Event,
    Refusal,
    Wait,
    completed,
    decision,
    events,
    spoken,
)

import zoe_client
from zoe.inference.v1 import decision_pb2, response_pb2, routing_pb2
from zoe.inference.v1.error_pb2 import AttemptsDetail
from zoe_client import AsyncClient

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


async def test_a_stream_yields_typed_events_in_order(asker: Any, daemon: Daemon) -> None:
    daemon.script.append(spoken(["fo", "ur"]))
    got = await asker.events("2+2?", max_coalesce=0.25, progress=True)
    kinds = [type(event) for event in got]
    assert kinds == [zoe_client.RouteDecision, zoe_client.Delta, zoe_client.Delta, zoe_client.Completed]
    options = daemon.requests[0].options
    assert (options.max_coalesce.ToMilliseconds(), options.progress) == (250, True)


async def test_a_stream_of_text_yields_text_only(asker: Any, daemon: Daemon) -> None:
    daemon.script.append(spoken(["fo", "", "ur"]))
    assert await asker.texts("2+2?") == ["fo", "ur"]


async def test_events_of_a_later_daemon_are_passed_over(asker: Any, daemon: Daemon) -> None:
    daemon.script.append([*events(decision()), Event(sequence=1), *events(completed())])
    assert len(await asker.events("2+2?")) == 2


async def test_a_stream_gives_the_same_answer_as_a_whole_one(asker: Any, daemon: Daemon) -> None:
    call = response_pb2.ToolCallDelta(tool_index=0, id="c-1", name="add", arguments_json_fragment='{"a"')
    daemon.script.append(
        events(
            decision(),
            response_pb2.Delta(reasoning="hm"),
            response_pb2.Delta(reasoning="m"),
            response_pb2.Delta(text="Let "),
            response_pb2.Delta(text="us", logprobs=[response_pb2.TokenLogprob(token="us", logprob=-1)]),
            call,
            response_pb2.ToolCallDelta(
                tool_index=1, id="c-2", name="sub", arguments_json_fragment="{}", done=True
            ),
            response_pb2.ToolCallDelta(tool_index=0, arguments_json_fragment=":1}", done=True),
            response_pb2.Delta(refusal="no"),
            completed(),
        )
    )
    got = await asker.final("2+2?")
    assert (got.reasoning, got.text, got.refusal) == ("hmm", "Let us", "no")
    assert [(each.id, each.name, each.arguments_json) for each in got.tool_calls] == [
        ("c-1", "add", '{"a":1}'),
        ("c-2", "sub", "{}"),
    ]
    assert [part.WhichOneof("part") for part in got.message.parts] == [
        "reasoning", "text", "tool_call", "tool_call", "refusal",
    ]  # fmt: skip
    assert got.usage.total_tokens == 5
    assert got.decision.chosen.backend == "left"
    assert [each.token for each in got.response.logprobs] == ["us"]


async def test_an_answer_that_starts_anew_forgets_what_came_before(asker: Any, daemon: Daemon) -> None:
    restart = response_pb2.BackendSwitched(seam=routing_pb2.SEAM_QUALITY_RESTART)
    said = [response_pb2.Delta(text=text) for text in ("fi", "ve", "four")]
    daemon.script.append(events(decision(), *said[:2], restart, said[2], completed()))
    assert (await asker.final("2+2?", minimum_seam="restart")).text == "four"


async def test_an_answer_that_goes_on_elsewhere_keeps_what_came_before(asker: Any, daemon: Daemon) -> None:
    seam = response_pb2.BackendSwitched(seam=routing_pb2.SEAM_QUALITY_TEXT_PREFILL, tokens_kept=1)
    said = [response_pb2.Delta(text=text) for text in ("fo", "ur")]
    daemon.script.append(events(decision(), said[0], seam, said[1], completed()))
    assert (await asker.final("2+2?")).text == "four"


async def test_text_that_may_be_taken_back_is_not_given_as_text(asker: Any) -> None:
    with pytest.raises(ValueError, match="minimum_seam"):
        await asker.texts("2+2?", minimum_seam="restart")


@pytest.mark.parametrize("read", ["events", "texts", "final"])
async def test_a_stream_that_ends_without_completed_is_an_error(
    asker: Any, daemon: Daemon, read: str
) -> None:
    daemon.script.append(events(decision(), response_pb2.Delta(text="fo")))
    with pytest.raises(zoe_client.IncompleteStream) as caught:
        await getattr(asker, read)("2+2?", request_id="r-1")
    assert caught.value.request_id == "r-1"


async def test_a_stream_that_breaks_off_tells_how_much_was_sent(asker: Any, daemon: Daemon) -> None:
    tried = decision_pb2.Attempt(number=1, backend=decision_pb2.BackendRef(backend="left"))
    attempts = AttemptsDetail(attempts=[tried], output_tokens_sent=1)
    lost = Refusal(grpc.StatusCode.ABORTED, "BACKEND_LOST", details=(attempts,))
    daemon.script.append([*events(decision(), response_pb2.Delta(text="fo")), lost])
    with pytest.raises(zoe_client.BackendLost) as caught:
        await asker.events("2+2?")
    assert caught.value.tokens_sent == 1
    assert caught.value.attempts[0].backend.backend == "left"
    assert len(daemon.requests) == 1


async def test_leaving_a_stream_cancels_the_call(asker: Any, daemon: Daemon) -> None:
    daemon.script.append([*events(decision()), Wait()])
    first = await asker.first_event("2+2?")
    assert isinstance(first, zoe_client.RouteDecision)
    await asyncio.wait_for(daemon.ended.wait(), 30)


async def test_cancelling_the_task_cancels_the_call(daemon: Daemon) -> None:
    daemon.script.append([*events(decision()), Wait()])
    async with AsyncClient(daemon.target) as client, client.stream("2+2?") as stream:
        await anext(stream)
        reading = asyncio.ensure_future(anext(stream))
        await asyncio.wait([reading], timeout=0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.wait_for(daemon.ended.wait(), 30)
