"""Route over a real connection, and what every inference method does with a request that is wrong."""

import asyncio

import grpc
from google.protobuf.duration_pb2 import Duration
from rpc.stage import (
    TWO,
    Setting,
    Stage,
    asked,
    failed,
    staged,
    trailers_of,
    whole,
)
from waiting import eventually

from zoe.inference.v1 import decision_pb2, spec_pb2
from zoe.inference.v1 import inference_service_pb2 as pb
from zoe.inference.v1 import message_pb2 as msg
from zoe_grpcd.core.backend import Backend


async def test_route_says_where_a_request_would_go_that_has_to_wait() -> None:
    """Complete would wait here, so Route is no refusal."""
    busy = Setting((Backend("one", "llamacpp", "http://one.invalid", max_in_flight=1),))
    async with staged(busy) as stage:
        stage.puppet.script = [asyncio.Event()]
        running = stage.inference.Complete(whole())
        await eventually(lambda: stage.puppet.calls)

        decision = (await stage.inference.Route(pb.RouteRequest(spec=asked()))).decision
        hurried = asked(routing={"max_queue_time": Duration()})
        failure = await failed(stage.inference.Route(pb.RouteRequest(spec=hurried)))
        running.cancel()

    assert decision.chosen.backend == "one"
    assert decision.estimate.queue.ToNanoseconds() > 0
    assert decision.explanation.endswith("; its only place is taken, and the request would wait for one")
    assert failure.info.reason == "NO_HEALTHY_BACKEND"
    assert len(stage.puppet.calls) == 1


async def test_route_names_a_backend_that_is_loading() -> None:
    async with staged() as stage:
        stage.observe("one", loading=True)
        decision = (await stage.inference.Route(pb.RouteRequest(spec=asked()))).decision

    assert decision.chosen.backend == "one"
    assert decision.explanation.endswith("; it is loading, and the request would wait for that")


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


async def test_the_metadata_may_demand_a_capability_of_a_request_without_a_target(stage: Stage) -> None:
    request, demand = pb.RouteRequest(spec=asked()), (("x-capability", "chat, singing"),)
    request.spec.ClearField("target")

    failure = await failed(stage.inference.Route(request, metadata=demand))

    assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
    assert failure.info.metadata["required"] == "chat,singing"


async def test_a_target_outranks_the_capability_of_the_metadata(stage: Stage) -> None:
    request = pb.RouteRequest(spec=asked(target={"model": "tiny"}))
    decision = (await stage.inference.Route(request, metadata=(("x-capability", "singing"),))).decision
    assert decision.reason == decision_pb2.REASON_EXACT_MODEL
