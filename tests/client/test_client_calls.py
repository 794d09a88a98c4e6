"""What the clients send, what they make of an answer, and when they try again."""

import asyncio
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from client.recording import (
    Daemon,
    Event,
    Refusal,
    Wait,
    answer,
    completed,
    decision,
    events,
    retry_info,
    spoken,
)
from grpc_health.v1 import health, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse

import zoe_client
from zoe.admin.v1.admin_service_pb2 import ListBackendsRequest
from zoe.inference.v1 import decision_pb2, inference_service_pb2, message_pb2, response_pb2, routing_pb2
from zoe.inference.v1.error_pb2 import AttemptsDetail
from zoe.inference.v1.inference_service_pb2_grpc import add_InferenceServiceServicer_to_server
from zoe_client import AsyncClient, Client

Connect = Callable[..., Any]
EXAMPLES = Path(__file__).parents[2] / "clients" / "python" / "examples"
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_answer_has_its_text_its_model_and_its_decision(asker: Any, daemon: Daemon) -> None:
    daemon.script.append(answer("four"))
    got = await asker.complete("2+2?", model="tiny")
    assert (got.text, got.model, got.finish_reason) == ("four", "tiny", "stop")
    assert got.decision.chosen.backend == "left"
    assert got.usage.total_tokens == 5
    assert got.tool_calls == []
    assert daemon.requests[0].spec.target.model == "tiny"


async def test_an_answer_can_be_appended_to_the_conversation(asker: Any, daemon: Daemon) -> None:
    daemon.script += [answer("four"), answer("five")]
    first = await asker.complete("2+2?")
    await asker.complete(["2+2?", first.message, "And 2+3?"])
    roles = [message.role for message in daemon.requests[1].spec.messages]
    assert roles == [message_pb2.ROLE_USER, message_pb2.ROLE_ASSISTANT, message_pb2.ROLE_USER]


async def test_a_route_is_a_decision(asker: Any, daemon: Daemon) -> None:
    daemon.script.append(inference_service_pb2.RouteResponse(decision=decision("right")))
    got = await asker.route("2+2?", explain=True)
    assert got.chosen.backend == "right"
    assert daemon.requests[0].explain is True


async def test_a_ready_spec_is_sent_as_it_is(asker: Any, daemon: Daemon) -> None:
    daemon.script.append(answer("four"))
    spec = zoe_client.build_spec("2+2?", {"temperature": 0.0})
    await asker.complete(spec=spec)
    assert daemon.requests[0].spec == spec


async def test_a_call_without_a_timeout_has_600_seconds(asker: Any, daemon: Daemon) -> None:
    daemon.script.append(answer("four"))
    await asker.complete("2+2?")
    assert 590 < daemon.seconds[0] < 610


async def test_the_timeout_of_a_call_is_its_deadline(asker: Any, daemon: Daemon) -> None:
    daemon.script += [answer("four"), spoken(["four"])]
    await asker.complete("2+2?", timeout=7)
    await asker.final("2+2?", timeout=7)
    assert all(6.5 < seconds < 7.5 for seconds in daemon.seconds)


async def test_the_timeout_of_a_client_holds_for_its_calls(connect: Connect, daemon: Daemon) -> None:
    daemon.script.append(answer("four"))
    await connect(daemon.target, timeout=9).complete("2+2?")
    assert 8.5 < daemon.seconds[0] < 9.5


async def test_a_deadline_that_passes_is_an_error(asker: Any, daemon: Daemon) -> None:
    daemon.script += [Wait(), Wait()]
    with pytest.raises(zoe_client.DeadlineExceeded):
        await asker.complete("2+2?", timeout=0.1)
    with pytest.raises(zoe_client.DeadlineExceeded):
        await asker.events("2+2?", timeout=0.1)


async def test_key_request_id_and_headers_are_sent(connect: Connect, daemon: Daemon) -> None:
    daemon.script.append(answer("four"))
    asker = connect(daemon.target, api_key="k-1")
    await asker.complete("2+2?", request_id="r-1", headers={"traceparent": "00-1-2-01"})
    assert daemon.requests[0].request_id == "r-1"
    sent = daemon.headers[0]
    assert (sent["authorization"], sent["x-request-id"]) == ("Bearer k-1", "r-1")
    assert sent["traceparent"] == "00-1-2-01"


async def test_the_key_may_come_from_the_environment(
    connect: Connect, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOE_GRPCD_API_KEY", "k-2")
    daemon.script.append(answer("four"))
    await connect(daemon.target).complete("2+2?")
    assert daemon.headers[0]["authorization"] == "Bearer k-2"


async def test_every_request_has_an_id_of_its_own(asker: Any, daemon: Daemon) -> None:
    daemon.script += [answer("four"), answer("four")]
    await asker.complete("2+2?")
    await asker.complete("2+2?")
    first, second = (request.request_id for request in daemon.requests)
    assert re.fullmatch(r"[0-9a-f-]{36}", first)
    assert first != second


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
    await asyncio.wait_for(daemon.ended.wait(), 5)


async def test_cancelling_the_task_cancels_the_call(daemon: Daemon) -> None:
    daemon.script.append([*events(decision()), Wait()])
    async with AsyncClient(daemon.target) as client, client.stream("2+2?") as stream:
        await anext(stream)
        reading = asyncio.ensure_future(anext(stream))
        await asyncio.wait([reading], timeout=0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.wait_for(daemon.ended.wait(), 5)


@pytest.mark.parametrize("refusals", [1, 2])
async def test_a_refusal_with_advice_is_tried_again(asker: Any, daemon: Daemon, refusals: int) -> None:
    busy = Refusal(EXHAUSTED, "QUEUE_FULL", details=(retry_info(0.001),))
    daemon.script += [busy] * refusals + [answer("four")] + [busy] * refusals + [spoken(["four"])]
    assert (await asker.complete("2+2?", timeout=30)).text == "four"
    assert await asker.texts("2+2?", timeout=30) == ["four"]
    ids = [request.request_id for request in daemon.requests]
    assert len(ids) == 2 * (refusals + 1)
    assert len(set(ids)) == 2


async def test_all_tries_share_the_timeout(asker: Any, daemon: Daemon) -> None:
    daemon.script += [Refusal(EXHAUSTED, "QUEUE_FULL", details=(retry_info(0.4),)), answer("four")]
    await asker.complete("2+2?", timeout=10)
    first, second = daemon.seconds
    assert second < first - 0.2  # the wire rounds the timeout up, by a tenth of a second at this size


async def test_it_gives_up_after_two_repetitions(asker: Any, daemon: Daemon) -> None:
    daemon.script += [Refusal(EXHAUSTED, "QUEUE_FULL", details=(retry_info(0.001),))] * 3
    with pytest.raises(zoe_client.QueueFull):
        await asker.complete("2+2?")
    assert len(daemon.requests) == 3


async def test_retries_can_be_turned_off(connect: Connect, daemon: Daemon) -> None:
    daemon.script.append(Refusal(EXHAUSTED, "QUEUE_FULL", details=(retry_info(0.001),)))
    with pytest.raises(zoe_client.QueueFull):
        await connect(daemon.target, max_retries=0).complete("2+2?")


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(EXHAUSTED, "RATE_LIMITED"),
        Refusal(EXHAUSTED, "RATE_LIMITED", details=(retry_info(60),)),
        Refusal(grpc.StatusCode.ABORTED, "BACKEND_LOST", details=(retry_info(0.001),)),
        Refusal(grpc.StatusCode.INVALID_ARGUMENT, "BAD_REQUEST"),
    ],
    ids=["no advice", "longer than the timeout", "not to be repeated", "the caller's fault"],
)
async def test_what_would_not_help_is_not_tried_again(asker: Any, daemon: Daemon, refusal: Refusal) -> None:
    daemon.script.append(refusal)
    with pytest.raises(zoe_client.ZoeError):
        await asker.complete("2+2?", timeout=30)
    assert len(daemon.requests) == 1


async def test_a_stream_that_has_begun_is_not_tried_again(asker: Any, daemon: Daemon) -> None:
    late = Refusal(EXHAUSTED, "SLOW_CONSUMER", details=(retry_info(0.001),))
    daemon.script.append([*events(decision()), late])
    with pytest.raises(zoe_client.SlowConsumer):
        await asker.events("2+2?")
    assert len(daemon.requests) == 1


async def test_an_unavailable_daemon_is_tried_again_by_grpc(asker: Any, daemon: Daemon) -> None:
    pushback = (("grpc-retry-pushback-ms", "1"),)
    down = Refusal(UNAVAILABLE, "SHUTTING_DOWN", trailers=pushback)
    daemon.script += [down, answer("four"), down, spoken(["four"])]
    assert (await asker.complete("2+2?")).text == "four"
    assert (await asker.final("2+2?")).text == "four"
    assert [headers.get("grpc-previous-rpc-attempts") for headers in daemon.headers] == [None, "1", None, "1"]


async def test_a_large_request_is_tried_again_too(asker: Any, daemon: Daemon) -> None:
    down = Refusal(UNAVAILABLE, "SHUTTING_DOWN", trailers=(("grpc-retry-pushback-ms", "1"),))
    daemon.script += [down, answer("a picture")]
    got = await asker.complete("What is this?", images=[b"\x89PNG" + bytes(1_000_000)])
    assert got.text == "a picture"


async def test_no_daemon_is_an_error_at_once(connect: Connect) -> None:
    asker = connect("127.0.0.1:1")
    with pytest.raises(zoe_client.Unavailable) as caught:
        await asyncio.wait_for(asker.complete("2+2?", timeout=60), 20)
    assert caught.value.reason == ""
    assert caught.value.request_id


async def test_an_http_proxy_of_the_environment_does_not_matter(
    connect: Connect, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    daemon.script.append(answer("four"))
    assert (await connect(daemon.target).complete("2+2?")).text == "four"


async def test_replicas_that_do_not_serve_are_left_out(connect: Connect, daemon: Daemon) -> None:
    serving, ports = ("SERVING", "NOT_SERVING"), []
    servers = []
    for state in serving:
        server = grpc.aio.server()
        servicer = health.aio.HealthServicer()
        await servicer.set(
            "zoe.inference.v1.InferenceService", HealthCheckResponse.ServingStatus.Value(state)
        )
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        if state == "SERVING":
            add_InferenceServiceServicer_to_server(daemon, server)
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        servers.append(server)
    daemon.script += [answer("four")] * 6
    asker = connect("ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports))
    answers = [await asker.complete("2+2?") for _ in range(6)]
    assert [each.text for each in answers] == ["four"] * 6
    await asker.close()
    for server in servers:
        await server.stop(None)


async def test_the_unix_socket_is_found(connect: Connect, daemon: Daemon, tmp_path: Path) -> None:
    server = grpc.aio.server()
    add_InferenceServiceServicer_to_server(daemon, server)
    (tmp_path / "zoe-grpcd").mkdir()
    server.add_insecure_port(f"unix:{tmp_path}/zoe-grpcd/grpcd.sock")
    await server.start()
    daemon.script.append(answer("four"))
    assert (await connect().complete("2+2?")).text == "four"
    await server.stop(None)


async def test_raw_stubs_reach_every_rpc(daemon: Daemon) -> None:
    daemon.script.append(inference_service_pb2.RateResponseResponse())
    request = inference_service_pb2.RateResponseRequest(id="a-1", score=1)
    async with AsyncClient(daemon.target, api_key="k-1", admin_target=daemon.target) as client:
        await client.inference.RateResponse(request, metadata=client.headers)
        with pytest.raises(grpc.RpcError) as caught:
            await client.admin.ListBackends(ListBackendsRequest())
    assert daemon.requests == [request]
    assert daemon.headers[0]["authorization"] == "Bearer k-1"
    assert isinstance(zoe_client.from_rpc_error(caught.value), zoe_client.Unimplemented)


@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_wrong_options_of_a_client_are_named(make: Any) -> None:
    with pytest.raises(TypeError, match="timeuot"):
        make(timeuot=3)
    with pytest.raises(ValueError, match="timeout"):
        make(timeout=0)
    with pytest.raises(ValueError, match="api_key") as caught:
        make(api_key="secret\n")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("example", "typed", "printed"),
    [
        (["ask.py", "2+2?"], "", "four\n-- tiny on left, 2 tokens\n"),
        (["ask_many.py", "2+2?"], "", "2+2?\n  four\n"),
        (["chat.py", "tiny"], "2+2?\n", "> four\n> "),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
async def test_the_examples_run(daemon: Daemon, example: list[str], typed: str, printed: str) -> None:
    name, *arguments = example
    daemon.script.append(spoken(["fo", "ur"]) if name == "chat.py" else answer("four"))
    pipe = asyncio.subprocess.PIPE
    program = await asyncio.create_subprocess_exec(
        sys.executable, EXAMPLES / name, *arguments, stdin=pipe, stdout=pipe, stderr=pipe,
        env={**os.environ, "ZOE_GRPCD_TARGET": daemon.target},
    )  # fmt: skip
    output, complaints = await asyncio.wait_for(program.communicate(typed.encode()), 30)
    assert (output.decode(), complaints.decode(), program.returncode) == (printed, "", 0)
