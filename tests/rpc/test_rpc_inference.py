"""Route, Complete and StreamComplete over a real connection: events, options, trailers."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from rpc.stage import (
    END,
    HELLO,
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
    whole,
)
from waiting import eventually

from zoe.inference.v1 import decision_pb2, response_pb2, spec_pb2
from zoe.inference.v1 import inference_service_pb2 as pb
from zoe.inference.v1 import message_pb2 as msg
from zoe.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from zoe_grpcd.core.domain import (
    Backend,
    Delta,
    Finish,
    FinishReason,
    Measured,
    TokenLogprob,
    ToolDelta,
    Usage,
)
from zoe_grpcd.core.errors import Fault, UpstreamError

TWO = Setting(
    (Backend("one", "llamacpp", "http://one.invalid"), Backend("two", "ollama", "http://two.invalid"))
)


def refuse(stage: Stage, *names: str) -> None:
    for name in names:
        stage.puppets[name].script = [UpstreamError(Fault.REFUSED, "no connection")]


async def trailers_of(call: Any) -> dict[str, str | bytes]:
    return dict(await call.trailing_metadata())


# ------------------------------------------------------------------------------------------------------------ Route


async def test_route_decides_and_sends_nothing(stage: Stage) -> None:
    call = stage.inference.Route(pb.RouteRequest(spec=asked()))
    decision = (await call).decision

    assert (decision.chosen.backend, decision.chosen.model, decision.chosen.kind) == (
        "one",
        "tiny",
        "llamacpp",
    )
    assert decision.chosen.local
    assert decision.explanation
    assert decision.estimate.HasField("total")
    assert stage.puppet.calls == []
    assert await trailers_of(call) == {"x-zoe-decision-id": decision.decision_id, "x-zoe-backend": "one"}


async def test_explain_shows_every_candidate_else_the_chosen_one_alone() -> None:
    async with staged(TWO) as stage:
        spec = asked(target={"excluded_backends": ["two"]})
        brief = (await stage.inference.Route(pb.RouteRequest(spec=spec))).decision
        full = (await stage.inference.Route(pb.RouteRequest(spec=spec, explain=True))).decision

    assert [c.backend.backend for c in brief.candidates] == ["one"]
    assert [(c.backend.backend, c.eligible) for c in full.candidates] == [("one", True), ("two", False)]
    assert list(full.candidates[1].reasons) == [decision_pb2.REASON_EXCLUDED]
    assert {term.name for term in full.candidates[0].terms} >= {"latency", "success_rate", "cost"}


async def test_a_request_that_is_wrong_everywhere_gets_all_its_violations(stage: Stage) -> None:
    wrong = spec_pb2.InferenceSpec(
        sampling=spec_pb2.SamplingParams(temperature=3.0),
        max_output_tokens=0,
        tools=[msg.Tool(name="")],
        messages=[msg.Message(), msg.Message(role=msg.ROLE_USER)],
    )
    request = pb.StreamCompleteRequest(
        spec=wrong, request_id="not an id", options=pb.StreamOptions(max_coalesce=Duration(seconds=2))
    )

    failure = await failed(stage.inference.StreamComplete(request))

    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.info.reason == "BAD_REQUEST"
    assert {field for field, _ in failure.violations()} == {
        "options.max_coalesce",
        "request_id",
        "spec.max_output_tokens",
        "spec.messages[0].role",
        "spec.messages[1].parts",
        "spec.sampling.temperature",
        "spec.tools[0].name",
    }
    assert stage.puppet.calls == []


async def test_a_negative_max_coalesce_is_named_once(stage: Stage) -> None:
    request = pb.StreamCompleteRequest(
        spec=asked(), options=pb.StreamOptions(max_coalesce=Duration(seconds=-1))
    )

    failure = await failed(stage.inference.StreamComplete(request))

    assert failure.violations() == [("options.max_coalesce", "must be a duration, and not negative")]


async def test_a_model_that_nobody_has_is_named_with_its_neighbours(stage: Stage) -> None:
    failure = await failed(stage.inference.Route(pb.RouteRequest(spec=asked(target={"model": "tinny"}))))

    assert failure.code is grpc.StatusCode.NOT_FOUND
    assert failure.info.reason == "MODEL_NOT_FOUND"
    assert failure.info.metadata["did_you_mean"] == "tiny"


async def test_rating_is_for_a_later_version(stage: Stage) -> None:
    failure = await failed(stage.inference.RateResponse(pb.RateResponseRequest(id="x", score=1.0)))

    assert (failure.code, failure.info.reason) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED")
    assert failure.text == "RateResponse is not implemented in this version"


# --------------------------------------------------------------------------------------------------------- Complete


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
        cut = UpstreamError(Fault.CUT, "the connection broke", http_status=200)
        stage.puppets["one"].script = [[Delta("Never seen", tokens=1)], cut]
        answer = await stage.inference.Complete(whole(target={"allowed_backends": ["one", "two"]}))

    assert answer.message.parts[0].text == "Hello there"
    assert answer.decision.chosen.backend == answer.attempts[-1].backend.backend
    if len(answer.attempts) == 2:
        assert answer.attempts[0].error_reason == "BACKEND_FAILED"
        assert answer.attempts[0].http_status == 200


async def test_an_error_tells_what_was_tried() -> None:
    async with staged(TWO) as stage:
        refuse(stage, "one", "two")
        failure = await failed(stage.inference.Complete(whole()))

    assert (failure.code, failure.info.reason) == (grpc.StatusCode.UNAVAILABLE, "BACKEND_FAILED")
    assert {kind.DESCRIPTOR.name for kind in failure.details} == {"ErrorInfo", "RetryInfo", "AttemptsDetail"}
    assert "grpc-retry-pushback-ms" in failure.trailers
    assert failure.trailers["x-zoe-backend"] in {"one", "two"}


# --------------------------------------------------------------------------------------------------- StreamComplete


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
        refuse(stage, best)
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
        refuse(stage, best)
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


async def test_a_backend_that_is_lost_after_its_first_token_ends_the_stream(stage: Stage) -> None:
    stage.puppet.script = [[Delta("Hel", tokens=1)], UpstreamError(Fault.CUT, "the connection broke")]
    call = aiter(stage.inference.StreamComplete(streamed()))
    events = [await anext(call), await anext(call)]

    failure = await failed(call)

    assert kinds(events) == ["decision", "delta"]
    assert (failure.code, failure.info.reason) == (grpc.StatusCode.ABORTED, "BACKEND_LOST")
    assert failure.info.metadata["output_tokens_sent"] == "1"
    assert failure.trailers["x-zoe-decision-id"] == events[0].decision.decision_id
    assert failure.trailers["x-zoe-backend"] == "one"


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
