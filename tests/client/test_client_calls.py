"""What the clients send, and what they make of an answer."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from client.recording import (
    Daemon,
    Wait,
    answer,
    decision,
    spoken,
)
from grpc_health.v1 import health, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse

import zoe_client
from zoe.admin.v1.admin_service_pb2 import ListBackendsRequest
from zoe.inference.v1 import inference_service_pb2, message_pb2
from zoe.inference.v1.inference_service_pb2_grpc import add_InferenceServiceServicer_to_server
from zoe_client import AsyncClient, Client

Connect = Callable[..., Any]
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


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


async def test_an_answer_may_be_larger_than_grpcs_usual_limit(asker: Any, daemon: Daemon) -> None:
    daemon.script.append(answer("a" * 5_000_000))
    assert len((await asker.complete("Say a lot.")).text) == 5_000_000


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
    assert 500 < daemon.seconds[0] < 610


async def test_the_timeout_of_a_call_is_its_deadline(asker: Any, daemon: Daemon) -> None:
    daemon.script += [answer("four"), spoken(["four"])]
    await asker.complete("2+2?", timeout=7)
    await asker.final("2+2?", timeout=7)
    assert all(2 < seconds < 7.5 for seconds in daemon.seconds)


async def test_a_timeout_of_ages_is_none_that_has_passed(asker: Any, daemon: Daemon) -> None:
    daemon.script.append(answer("four"))
    assert (await asker.complete("2+2?", timeout=1e30)).text == "four"


async def test_the_timeout_of_a_client_holds_for_its_calls(connect: Connect, daemon: Daemon) -> None:
    daemon.script.append(answer("four"))
    await connect(daemon.target, timeout=9).complete("2+2?")
    assert 2 < daemon.seconds[0] < 9.5


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
