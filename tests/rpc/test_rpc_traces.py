"""Traces, as a collector gets them: a span for each call and one for each attempt, in the caller's trace."""

import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from rpc.stage import TWO, Stage, asked, events_of, failed, said, staged, streamed, whole
from waiting import eventually

from zoe.inference.v1 import inference_service_pb2 as pb
from zoe_grpcd.adapters.otel import Tracer

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = (("traceparent", f"00-{TRACE}-{CALLER}-01"), ("tracestate", "vendor=1"))


@dataclass
class Collector:
    """An OTLP collector on loopback. As a context manager it listens."""

    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Collector"]:
        app = web.Application()
        app.add_routes([web.post("/v1/traces", self._take)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.requests.append(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response(content_type="application/x-protobuf")

    @property
    def spans(self) -> dict[str, Span]:
        """All spans by their name."""
        return {
            span.name: span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }


def attributes(of: Any) -> dict[str, Any]:
    """The attributes of a span or a resource."""
    found = {}
    for pair in of.attributes:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind)
        found[pair.key] = [v.string_value for v in value.values] if kind == "array_value" else value
    return found


@asynccontextmanager
async def traced(stage: Stage) -> AsyncIterator[Collector]:
    """All that is called inside has arrived afterwards."""
    async with Collector().listening() as collector:
        tracer = Tracer(collector.url, "1.2.3")
        stage.gate.traces = tracer.begin
        stage.gate.log.listeners.append(tracer.export)
        yield collector
        await eventually(lambda: not stage.gate.log.running)
        await tracer.close()


async def test_a_call_and_its_attempt_are_spans_of_the_caller_s_trace(stage: Stage) -> None:
    async with traced(stage) as collector:
        answer = await stage.inference.Complete(whole(said("a secret")), metadata=PARENT)
    call, attempt = (
        collector.spans["zoe.inference.v1.InferenceService/Complete"],
        collector.spans["chat tiny"],
    )

    assert call.trace_id.hex() == attempt.trace_id.hex() == TRACE
    assert call.parent_span_id.hex() == CALLER
    assert attempt.parent_span_id == call.span_id
    assert (call.kind, attempt.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    told = attributes(call)
    assert (told["rpc.system"], told["rpc.method"], told["rpc.grpc.status_code"]) == (
        "grpc",
        "Complete",
        "OK",
    )
    assert (told["gen_ai.operation.name"], told["gen_ai.response.model"]) == ("chat", "tiny")
    assert told["gen_ai.usage.input_tokens"] == answer.usage.prompt_tokens
    assert told["gen_ai.usage.output_tokens"] == answer.usage.completion_tokens
    assert told["gen_ai.response.finish_reasons"] == ["stop"]
    assert told["zoe.decision.id"] == answer.decision.decision_id
    tried = attributes(attempt)
    assert (tried["gen_ai.provider.name"], tried["zoe.backend"]) == ("llamacpp", "one")
    assert call.start_time_unix_nano <= attempt.start_time_unix_nano + 50_000_000
    assert attempt.end_time_unix_nano > attempt.start_time_unix_nano
    assert "secret" not in str(collector.requests)
    (resource,) = {str(attributes(r.resource_spans[0].resource)["service.name"]) for r in collector.requests}
    assert resource == "zoe-grpcd"


async def test_the_backend_is_told_the_span_of_its_attempt(stage: Stage) -> None:
    async with traced(stage) as collector:
        await stage.inference.Complete(whole(), metadata=PARENT)
    told = dict(stage.puppet.calls[0].trace)
    assert told["traceparent"] == f"00-{TRACE}-{collector.spans['chat tiny'].span_id.hex()}-01"
    assert told["tracestate"] == "vendor=1"


async def test_without_a_caller_s_trace_one_begins_here(stage: Stage) -> None:
    async with traced(stage) as collector:
        await events_of(stage.inference.StreamComplete(streamed()))
    call = collector.spans["zoe.inference.v1.InferenceService/StreamComplete"]
    assert call.parent_span_id == b""
    assert call.trace_id.hex() == dict(stage.puppet.calls[0].trace)["traceparent"].split("-")[1]


async def test_a_failover_is_two_attempts_of_which_one_is_an_error() -> None:
    async with staged(TWO) as stage, traced(stage) as collector:
        stage.refuse("one")
        await stage.inference.Complete(whole())
    spans = [
        span
        for request in collector.requests
        for span in request.resource_spans[0].scope_spans[0].spans
        if span.name == "chat tiny"
    ]
    first, second = sorted(spans, key=lambda span: attributes(span)["zoe.attempt.number"])
    assert first.status.code == Status.STATUS_CODE_ERROR
    assert attributes(first)["error.type"] == "REFUSED"
    assert second.status.code == Status.STATUS_CODE_UNSET
    sent = {dict(p.calls[0].trace)["traceparent"].split("-")[2] for p in stage.puppets.values()}
    assert sent == {first.span_id.hex(), second.span_id.hex()}


async def test_an_error_has_its_code_and_its_reason(stage: Stage) -> None:
    async with traced(stage) as collector:
        await failed(stage.inference.Complete(pb.CompleteRequest()))
    call = collector.spans["zoe.inference.v1.InferenceService/Complete"]
    assert attributes(call)["rpc.grpc.status_code"] == "INVALID_ARGUMENT"
    assert attributes(call)["error.type"] == "BAD_REQUEST"
    assert (
        call.status.code == Status.STATUS_CODE_UNSET
    )  # which is the caller's, by the conventions for servers


async def test_a_caller_that_does_not_sample_is_not_exported_but_passed_on(stage: Stage) -> None:
    async with traced(stage) as collector:
        await stage.inference.Complete(whole(), metadata=(("traceparent", f"00-{TRACE}-{CALLER}-00"),))
    assert not collector.requests
    assert dict(stage.puppet.calls[0].trace)["traceparent"].endswith("-00")


async def test_without_a_collector_nobody_is_told_of_any_trace(stage: Stage) -> None:
    await stage.inference.Complete(whole(), metadata=PARENT)
    await stage.inference.Route(pb.RouteRequest(spec=asked()))
    assert stage.puppet.calls[0].trace == ()


class Stuck(SpanExporter):
    """Waits for a collector that does not answer."""

    def __init__(self) -> None:
        self.answered = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.answered.wait(60)
        return SpanExportResult.SUCCESS


async def test_a_silent_collector_costs_no_call_and_does_not_hold_up_the_end(stage: Stage) -> None:
    stuck = Stuck()
    tracer = Tracer("", "1.2.3", stuck)
    stage.gate.traces = tracer.begin
    stage.gate.log.listeners.append(tracer.export)
    assert (await stage.inference.Complete(whole())).usage.completion_tokens
    begun = time.monotonic()
    await tracer.close()
    stuck.answered.set()
    assert time.monotonic() - begun < 30
