"""The metrics of the contract, as a scraper reads them from the HTTP port after real calls."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
from rpc.stage import TWO, Setting, Stage, asked, failed, staged, streamed, whole
from waiting import eventually

from zoe.inference.v1 import inference_service_pb2 as pb
from zoe.inference.v1 import routing_pb2
from zoe_grpcd.adapters.httpport import CannotServe, HttpPort
from zoe_grpcd.adapters.prometheus import FAST, LAG, SLOW
from zoe_grpcd.core.answer import Delta
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.histogram import BOUNDS
from zoe_grpcd.rpc.doors import CannotListen
from zoe_grpcd.run import Reliability
from zoe_grpcd.telemetry import Telemetry, open_port

CONTRACT = {
    "grpc_server_started_total": {"grpc_type", "grpc_service", "grpc_method"},
    "grpc_server_handled_total": {"grpc_type", "grpc_service", "grpc_method", "grpc_code"},
    "grpc_server_handling_seconds_bucket": {"grpc_type", "grpc_service", "grpc_method", "le"},
    "zoe_route_decision_seconds_bucket": {"le"},
    "zoe_route_decisions_total": {"model", "backend", "reason"},
    "zoe_route_fallbacks_total": set(),
    "zoe_attempts_total": {"backend", "outcome"},
    "zoe_backend_state": {"backend", "state"},
    "zoe_model_loaded": {"backend", "model"},
    "zoe_queue_depth": {"priority"},
    "zoe_queue_seconds_bucket": {"le"},
    "zoe_time_to_first_token_seconds_bucket": {"backend", "model", "le"},
    "zoe_tokens_total": {"backend", "model", "type"},
    "zoe_cost_usd_total": {"backend", "model"},
    "zoe_cache_requests_total": {"result"},
    "zoe_midstream_switches_total": {"seam"},
    "zoe_event_loop_lag_seconds_bucket": {"le"},
    "zoe_certificate_expires_in_seconds": {"file"},
}

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def shown(stage: Stage) -> Telemetry:
    return Telemetry(stage.fleet, stage.waiting, stage.gate, stage.calls, lambda: {"cert_file": 86400.5})


@asynccontextmanager
async def opened(port: HttpPort, address: str = "127.0.0.1:0") -> AsyncIterator[str]:
    await port.open(address)
    try:
        yield f"http://{port.address}"
    finally:
        await port.close()


async def got(url: str, **headers: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, response.headers["Content-Type"], await response.text()


async def scraped(stage: Stage) -> Samples:
    async with opened(shown(stage).port()) as url:
        status, _, text = await got(f"{url}/metrics")
    assert status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in plain(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


async def test_every_metric_of_the_contract_is_there_with_its_labels(stage: Stage) -> None:
    await stage.inference.Complete(whole())
    samples = await scraped(stage)
    labels = {name: {label for label, _ in labels} for name, labels in samples}
    assert {name: labels.get(name) for name in CONTRACT} == CONTRACT


async def test_calls_are_counted_where_they_end(stage: Stage) -> None:
    await stage.inference.Complete(whole())
    await failed(stage.inference.Complete(pb.CompleteRequest()))
    await eventually(lambda: stage.calls.active == 0)
    samples = await scraped(stage)
    method = {
        "grpc_type": "unary",
        "grpc_service": "zoe.inference.v1.InferenceService",
        "grpc_method": "Complete",
    }
    assert value(samples, "grpc_server_started_total", **method) == 2
    assert value(samples, "grpc_server_handled_total", **method, grpc_code="OK") == 1
    assert value(samples, "grpc_server_handled_total", **method, grpc_code="INVALID_ARGUMENT") == 1
    assert value(samples, "grpc_server_handling_seconds_count", **method) == 2
    assert value(samples, "zoe_request_errors_total", reason="BAD_REQUEST") == 1


async def test_an_answer_shows_in_tokens_times_and_attempts(stage: Stage) -> None:
    await stage.inference.Complete(whole())
    samples = await scraped(stage)
    place = {"backend": "one", "model": "tiny"}
    assert value(samples, "zoe_tokens_total", **place, type="prompt") == 7
    assert value(samples, "zoe_tokens_total", **place, type="completion") == 3
    assert value(samples, "zoe_time_to_first_token_seconds_count", **place) == 1
    assert value(samples, "zoe_time_to_first_token_seconds_bucket", **place, le="+Inf") == 1
    assert value(samples, "zoe_attempts_total", backend="one", outcome="OK") == 1
    assert value(samples, "zoe_route_decision_seconds_count") == 1
    assert value(samples, "zoe_queue_seconds_count") == 1
    assert value(samples, "zoe_route_fallbacks_total") == 0


async def test_decisions_fallbacks_and_states_of_backends() -> None:
    async with staged(TWO) as stage:
        stage.refuse("one")
        await stage.inference.Complete(whole(target=routing_pb2.Target(model="tiny")))
        await stage.inference.Route(pb.RouteRequest(spec=asked(target=routing_pb2.Target(model="tiny"))))
        samples = await scraped(stage)
    decided = Counter[str]()
    for (name, labels), number in samples.items():
        if name == "zoe_route_decisions_total":
            decided[dict(labels)["reason"]] += int(number)
    assert decided == {"EXACT_MODEL": 2, "FAILOVER": 1}
    assert value(samples, "zoe_route_fallbacks_total") == 1
    assert value(samples, "zoe_attempts_total", backend="one", outcome="FAILED") == 1
    assert value(samples, "zoe_backend_state", backend="one", state="DOWN") == 1
    assert value(samples, "zoe_backend_state", backend="two", state="DOWN") == 0
    states = [n for (name, labels), n in samples.items() if name == "zoe_backend_state"]
    assert sum(states) == 2
    assert value(samples, "zoe_model_loaded", backend="two", model="tiny") in (0, 1)


async def test_a_switch_in_the_middle_of_an_answer_goes_by_its_seam() -> None:
    async with staged(TWO) as stage:
        stage.puppets["one"].script = [[Delta("Hello", tokens=1)], UpstreamError(Fault.CUT, "cut")]
        async for _ in stage.inference.StreamComplete(streamed()):
            pass
        samples = await scraped(stage)
    assert value(samples, "zoe_midstream_switches_total", seam="TEXT_PREFILL") == 1
    assert value(samples, "zoe_attempts_total", backend="one", outcome="LOST") == 1


async def test_what_runs_and_what_waits_are_gauges(stage: Stage) -> None:
    stage.puppet.script = [[Delta("x", tokens=1)], asyncio.Event()]
    call = stage.inference.StreamComplete(streamed())
    await anext(aiter(call))
    samples = await scraped(stage)
    call.cancel()
    assert value(samples, "zoe_requests_in_flight", backend="one") == 1
    assert value(samples, "zoe_queue_depth", priority="normal") == 0
    assert value(samples, "zoe_certificate_expires_in_seconds", file="cert_file") == 86400.5
    assert {dict(labels)["priority"] for name, labels in samples if name == "zoe_queue_depth"} == {
        "batch",
        "low",
        "normal",
        "high",
        "critical",
    }


async def test_nothing_that_a_caller_says_becomes_a_label() -> None:
    async with staged(Setting(reliability=Reliability(1, 0.01))) as stage:
        before = {labels for _, labels in await scraped(stage)}
        for number in range(3):
            target = routing_pb2.Target(model=f"invented-{number}")
            await failed(stage.inference.Complete(whole(target=target, session_id="s", end_user_id="u")))
        unknown: Any = stage.channel.unary_unary("/zoe.inference.v1.InferenceService/Invented")
        await unknown(b"").code()
        after = {labels for _, labels in await scraped(stage)}
    assert not [labels for labels in after - before if "nvented" in str(labels)]


async def test_a_scraper_that_wants_openmetrics_gets_it(stage: Stage) -> None:
    await stage.inference.Complete(whole())
    async with opened(shown(stage).port()) as url:
        _, kind, text = await got(f"{url}/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert "zoe_tokens" in {family.name for family in openmetrics.text_string_to_metric_families(text)}


async def test_the_health_of_the_port_is_that_of_the_daemon(stage: Stage) -> None:
    async with opened(shown(stage).port()) as url:
        ready = await got(f"{url}/healthz")
        stage.gate.draining = True
        draining = await got(f"{url}/healthz")
        stage.gate.draining = False
    assert (ready[0], ready[2]) == (200, "1 of 1 backends ready\n")
    assert (draining[0], draining[2]) == (503, "draining\n")


async def test_the_port_answers_on_loopback_to_names_of_loopback_only(stage: Stage) -> None:
    async with opened(shown(stage).port()) as url:
        assert (await got(f"{url}/metrics", Host="evil.example"))[0] == 421
        assert (await got(f"{url}/metrics", Host="localhost:9464"))[0] == 200
        assert (await got(f"{url}/nothing"))[0] == 404
        async with aiohttp.ClientSession() as session, session.post(f"{url}/metrics") as response:
            assert response.status == 405


async def test_further_pages_have_their_place(stage: Stage) -> None:
    async def page(_request: web.Request) -> web.Response:
        return web.json_response({"here": True})

    async with opened(shown(stage).port({"/": page})) as url:
        assert json.loads((await got(f"{url}/"))[2]) == {"here": True}
        assert (await got(f"{url}/metrics"))[0] == 200


async def test_the_port_may_be_a_socket(stage: Stage, tmp_path: Path) -> None:
    async with opened(shown(stage).port(), f"unix:{tmp_path}/m.sock"):
        session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(tmp_path / "m.sock")))
        async with session, session.get("http://daemon/metrics") as response:
            assert response.status == 200


async def test_a_port_that_is_taken_is_an_error_for_whoever_asked_for_it(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(CannotServe, match=address):
            await shown(stage).port().open(address)
        with pytest.raises(CannotListen, match=r"server\.metrics_listen: "):
            await open_port(shown(stage).port(), address, asked_for=True)
        await open_port(shown(stage).port(), address, asked_for=False)
    assert "no metrics and no status page" in caplog.text


def test_the_bounds_of_all_buckets_are_counted_exactly() -> None:
    assert {*FAST, *SLOW, *LAG} <= set(BOUNDS)
