"""Complete over a real connection: the whole answer, and what is told of it."""

import asyncio
from collections.abc import Sequence

import grpc
import pytest
from rpc.stage import (
    END,
    TWO,
    Setting,
    Stage,
    Step,
    asked,
    events_of,
    failed,
    kinds,
    said,
    staged,
    streamed,
    trailers_of,
    whole,
)

from zoe.inference.v1 import decision_pb2, response_pb2
from zoe.inference.v1 import inference_service_pb2 as pb
from zoe.inference.v1 import message_pb2 as msg
from zoe.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from zoe_grpcd.core.answer import Delta, Finish, FinishReason, TokenLogprob, ToolDelta
from zoe_grpcd.core.backend import Backend, ModelFacts, Price
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.rpc.parse import REQUEST_ID_RULE


async def test_complete_puts_the_answer_together(stage: Stage) -> None:
    call = stage.inference.Complete(pb.CompleteRequest(spec=asked(), request_id="mine"))
    answer = await call

    assert answer.message == msg.Message(role=msg.ROLE_ASSISTANT, parts=[msg.ContentPart(text="Hello there")])
    assert (answer.id, answer.model) == ("mine", "tiny")
    assert answer.finish_reason == response_pb2.FINISH_REASON_STOP
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
        7,
        3,
        10,
    )
    assert not answer.usage.estimated
    assert not answer.usage.HasField("cost_micro_usd")
    assert [a.outcome for a in answer.attempts] == [decision_pb2.Attempt.OUTCOME_OK]
    assert answer.timings.HasField("total")
    assert await trailers_of(call) == {
        "x-zoe-decision-id": answer.decision.decision_id,
        "x-zoe-backend": "one",
    }


async def test_the_request_id_comes_from_the_field_else_from_the_metadata_else_is_made(stage: Stage) -> None:
    header = (("x-request-id", "from-metadata"),)
    named = pb.CompleteRequest(spec=asked(), request_id="field")

    assert (await stage.inference.Complete(named, metadata=header)).id == "field"
    assert (await stage.inference.Complete(whole(), metadata=header)).id == "from-metadata"
    made = {(await stage.inference.Complete(whole())).id for _ in range(2)}
    assert len(made) == 2
    assert "" not in made


@pytest.mark.parametrize("wrong", ["r" * 129, "two words"])
@pytest.mark.parametrize("place", ["field", "metadata"])
async def test_a_request_id_that_is_none_is_refused_wherever_it_stands(
    stage: Stage, wrong: str, place: str
) -> None:
    request = pb.CompleteRequest(spec=asked(), request_id=wrong if place == "field" else "")
    header = (("x-request-id", wrong),) if place == "metadata" else ()
    failure = await failed(stage.inference.Complete(request, metadata=header))
    assert (failure.code, failure.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_REQUEST")
    assert failure.violations() == [("request_id", REQUEST_ID_RULE)]


async def test_parts_stay_in_the_order_in_which_they_came(stage: Stage) -> None:
    stage.puppet.script = [
        [Delta(reasoning="Let me ", tokens=1), Delta(reasoning="look.", tokens=1)],
        [Delta("First ", tokens=1), Delta("this.", tokens=1)],
        [ToolDelta(0, "c0", "f"), ToolDelta(1, "c1", "g", '{"b"')],
        [ToolDelta(0, arguments="{}", done=True), ToolDelta(1, arguments=": 1}", done=True)],
        [Delta(refusal="No more.", tokens=1)],
        [Finish(FinishReason.TOOL_CALLS, END.usage)],
    ]

    answer = await stage.inference.Complete(whole(reasoning={"include_reasoning": True}))

    assert list(answer.message.parts) == [
        msg.ContentPart(reasoning=msg.ReasoningPart(text="Let me look.")),
        msg.ContentPart(text="First this."),
        msg.ContentPart(tool_call=msg.ToolCall(id="c0", name="f", arguments_json="{}")),
        msg.ContentPart(tool_call=msg.ToolCall(id="c1", name="g", arguments_json='{"b": 1}')),
        msg.ContentPart(refusal="No more."),
    ]
    assert answer.finish_reason == response_pb2.FINISH_REASON_TOOL_CALLS


THOUGHT: Sequence[Step] = [
    [Delta(reasoning="hm", tokens=1, logprobs=(TokenLogprob("hm", -0.1),))],
    [Delta("Yes", tokens=1, logprobs=(TokenLogprob("Yes", -0.25, b"Yes", (TokenLogprob("No", -2.0),)),))],
    [END],
]


async def test_a_thought_is_hidden_with_its_log_probabilities(stage: Stage) -> None:
    stage.puppet.script = THOUGHT

    answer = await stage.inference.Complete(whole(top_logprobs=1))
    events = await events_of(stage.inference.StreamComplete(streamed(top_logprobs=1)))

    assert list(answer.message.parts) == [msg.ContentPart(text="Yes")]
    [logprob] = answer.logprobs
    assert (logprob.token, logprob.bytes, logprob.logprob) == ("Yes", b"Yes", -0.25)
    assert [(top.token, top.logprob) for top in logprob.top_logprobs] == [("No", -2.0)]
    assert kinds(events) == ["decision", "delta", "completed"]
    assert list(events[1].delta.logprobs) == [logprob]


async def test_a_thought_is_shown_to_who_asks_for_it(stage: Stage) -> None:
    stage.puppet.script = THOUGHT
    shown = {"reasoning": {"include_reasoning": True}, "top_logprobs": 0}

    answer = await stage.inference.Complete(whole(**shown))
    events = await events_of(stage.inference.StreamComplete(streamed(**shown)))

    assert [p.WhichOneof("part") for p in answer.message.parts] == ["reasoning", "text"]
    assert [p.token for p in answer.logprobs] == ["hm", "Yes"]
    assert [e.delta.reasoning or e.delta.text for e in events[1:-1]] == ["hm", "Yes"]


async def test_complete_goes_on_elsewhere_even_in_the_middle_of_an_answer() -> None:
    async with staged(TWO) as stage:
        best = (await stage.inference.Route(pb.RouteRequest(spec=asked()))).decision.chosen.backend
        cut = UpstreamError(Fault.CUT, "the connection broke", http_status=200)
        stage.puppets[best].script = [[Delta("Oh! ", tokens=1)], cut]
        call = stage.inference.Complete(whole())
        answer = await call

    assert answer.message.parts[0].text == "Oh! Hello there"
    first, last = answer.attempts
    assert (first.backend.backend, first.error_reason, first.http_status) == (best, "BACKEND_LOST", 200)
    assert last.outcome == decision_pb2.Attempt.OUTCOME_OK
    assert answer.decision.chosen.backend == last.backend.backend != best
    assert (await trailers_of(call))["x-zoe-backend"] == last.backend.backend


async def test_an_error_tells_what_was_tried() -> None:
    async with staged(TWO) as stage:
        stage.refuse("one", "two")
        failure = await failed(stage.inference.Complete(whole()))

    assert (failure.code, failure.info.reason) == (grpc.StatusCode.UNAVAILABLE, "BACKEND_FAILED")
    assert {kind.DESCRIPTOR.name for kind in failure.details} == {"ErrorInfo", "RetryInfo", "AttemptsDetail"}
    assert "grpc-retry-pushback-ms" in failure.trailers
    assert failure.trailers["x-zoe-backend"] in {"one", "two"}


async def test_a_backend_whose_name_is_not_ascii_is_no_trouble() -> None:
    async with staged(Setting((Backend("büro 1", "llamacpp", "http://one.invalid"),))) as stage:
        call = stage.inference.Complete(whole())

        assert (await call).decision.chosen.backend == "büro 1"
        assert (await trailers_of(call))["x-zoe-backend"] == "b%C3%BCro 1"


async def test_clients_without_asyncio_read_the_same(stage: Stage) -> None:
    def ask() -> tuple[pb.CompleteResponse, list[pb.StreamCompleteResponse]]:
        with grpc.insecure_channel(stage.target) as channel:
            stub = InferenceServiceStub(channel)
            return stub.Complete(whole()), list(stub.StreamComplete(streamed()))

    answer, events = await asyncio.to_thread(ask)

    assert answer.message.parts[0].text == "Hello there"
    assert kinds(events) == ["decision", "delta", "delta", "completed"]


async def test_what_is_sent_is_what_was_asked(stage: Stage) -> None:
    spec = asked(
        said("Be brief.", msg.ROLE_SYSTEM),
        said("Hello."),
        sampling={"temperature": 0.7},
        backend_options={"num_keep": 5},
    )

    await stage.inference.Complete(pb.CompleteRequest(spec=spec))

    [call] = stage.puppet.calls
    assert call.backend_model == "tiny"
    assert call.generation.messages[0] == {"role": "system", "content": "Be brief."}
    assert call.generation.options["temperature"] == 0.7
    assert call.generation.backend_options == {"num_keep": 5}


@pytest.mark.parametrize("reason", FinishReason)
async def test_every_reason_to_end_has_its_name_in_the_contract(stage: Stage, reason: FinishReason) -> None:
    stage.puppet.script = [[Delta("x", tokens=1)], [Finish(reason, END.usage)]]

    answer = await stage.inference.Complete(whole())

    assert response_pb2.FinishReason.Name(answer.finish_reason) == f"FINISH_REASON_{reason}"


async def test_what_has_a_price_is_told_what_it_cost() -> None:
    prices = ModelFacts(price=Price(1.0, 2.0))
    async with staged(Setting(facts={"tiny": prices})) as stage:
        answer = await stage.inference.Complete(whole())

    assert answer.usage.cost_micro_usd == 7 * 1 + 3 * 2
    assert answer.decision.estimate.cost_micro_usd > 0


async def test_an_answer_that_the_backend_did_not_count_is_marked_as_an_estimate(stage: Stage) -> None:
    stage.puppet.script = [[Delta("x", tokens=1)], [Finish(FinishReason.STOP)]]

    usage = (await stage.inference.Complete(whole())).usage

    assert usage.estimated
    assert usage.completion_tokens == 1
    assert usage.prompt_tokens > 0


async def test_times_add_up(stage: Stage) -> None:
    timings = (await stage.inference.Complete(whole())).timings
    seconds = {
        name: getattr(timings, name).ToNanoseconds() for name in ("queue", "time_to_first_token", "total")
    }

    assert 0 <= seconds["queue"] <= seconds["time_to_first_token"] <= seconds["total"]
    assert timings.tokens_per_second > 0
