"""Traces by OpenTelemetry: a span for each call and one for each of its attempts, in the words of its GenAI conventions.

Rule: spans are made when a call is over, out of its entry in the decision log, and sent by a thread of their own. What was
said is in none of them.
"""

import asyncio
import random
import threading
from collections.abc import Mapping
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.outcome import Attempt, Completed, Outcome
from zoe_grpcd.core.trace import Trace, passable, read
from zoe_grpcd.decisions import Entry

PATH = "/v1/traces"
TIMEOUT = 5.0  # seconds that a collector may take
LAST_WORDS = (
    2.0  # seconds for what is left at the end; with tries anew, a silent collector would hold that up for 20
)
SERVICE = "zoe.inference.v1.InferenceService"
# Codes that show an error of the server, by the conventions for gRPC.
OURS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
SAMPLED, NOT_SAMPLED = TraceFlags(TraceFlags.SAMPLED), TraceFlags(TraceFlags.DEFAULT)


class Tracer:
    """Sends spans to a collector. `exporter`: default, OTLP over HTTP to `endpoint`."""

    def __init__(self, endpoint: str, version: str, exporter: SpanExporter | None = None) -> None:
        if exporter is None:
            url = endpoint if endpoint.endswith(PATH) else endpoint + PATH
            exporter = OTLPSpanExporter(endpoint=url, timeout=TIMEOUT)
        self._processor = BatchSpanProcessor(exporter)
        self._resource = Resource.create({"service.name": "zoe-grpcd", "service.version": version})
        self._scope = InstrumentationScope("zoe_grpcd", version)

    def begin(self, traceparent: str, tracestate: str) -> Trace:
        """A request's part of the trace that its caller has begun, or of a new one."""
        if (caller := read(traceparent)) is None:
            return Trace(f"{random.getrandbits(128) or 1:032x}", _new_id(), _new_id)
        trace_id, parent_id, sampled = caller
        return Trace(trace_id, _new_id(), _new_id, parent_id, sampled, passable(tracestate))

    def export(self, entry: Entry) -> None:
        """The spans of a call that is over."""
        trace = entry.trace
        if trace is None or not trace.sampled:
            return
        decision, end = entry.decision(), entry.completion()
        self._processor.on_end(self._call(entry, trace, decision, end))
        for attempt in entry.attempts():
            last = end if attempt.outcome is Outcome.OK else None
            self._processor.on_end(self._attempt(entry, trace, attempt, last))

    async def close(self) -> None:
        """Sends what is left; a collector that does not answer is not waited for."""
        ending = threading.Thread(target=self._processor.shutdown, daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, LAST_WORDS)

    def _call(
        self, entry: Entry, trace: Trace, decision: Decision | None, end: Completed | None
    ) -> ReadableSpan:
        attributes = {
            "rpc.system": "grpc",
            "rpc.service": SERVICE,
            "rpc.method": entry.method,
            "rpc.grpc.status_code": entry.code,
            "error.type": entry.error_reason or (entry.code if entry.code != "OK" else ""),
            "gen_ai.operation.name": "chat",
            "gen_ai.response.id": entry.request_id,
            "zoe.key": entry.key_name,
            **(_decided(decision) if decision else {}),
            **(_answered(end) if end else {}),
        }
        return ReadableSpan(
            f"{SERVICE}/{entry.method}",
            _context(trace, trace.span_id),
            _context(trace, trace.parent_id, remote=True) if trace.parent_id else None,
            attributes=_set(attributes),
            kind=SpanKind.SERVER,
            status=_status(entry.code in OURS, entry.error_reason or entry.code),
            **self._when(entry.arrived, entry.seconds),
        )

    def _attempt(self, entry: Entry, trace: Trace, attempt: Attempt, end: Completed | None) -> ReadableSpan:
        failed = attempt.outcome not in (Outcome.OK, Outcome.CANCELLED)
        model = attempt.deployment.model
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": attempt.kind,
            "gen_ai.request.model": model,
            "gen_ai.usage.output_tokens": attempt.output_tokens,
            "http.response.status_code": attempt.http_status,
            "error.type": (attempt.error_reason or attempt.outcome.value) if failed else "",
            "zoe.backend": attempt.deployment.backend,
            "zoe.attempt.number": attempt.number,
            "zoe.attempt.outcome": attempt.outcome.value,
            **(_answered(end) if end else {}),
        }
        return ReadableSpan(
            f"chat {model}",
            _context(trace, trace.span_of(attempt.deployment.backend)),
            _context(trace, trace.span_id),
            attributes=_set(attributes),
            kind=SpanKind.CLIENT,
            status=_status(failed, attempt.error_reason or attempt.outcome.value),
            **self._when(entry.arrived + attempt.start_offset, attempt.duration),
        )

    def _when(self, begun: float, seconds: float) -> dict[str, Any]:
        start = round(begun * 1e9)
        return {
            "start_time": start,
            "end_time": start + round(seconds * 1e9),
            "resource": self._resource,
            "instrumentation_scope": self._scope,
        }


def _decided(decision: Decision) -> Mapping[str, Any]:
    chosen = decision.chosen
    return {
        "gen_ai.provider.name": chosen.kind,
        "gen_ai.request.model": decision.requested_model or "auto",
        "zoe.backend": chosen.deployment.backend,
        "zoe.model": chosen.deployment.model,
        "zoe.decision.id": decision.id,
        "zoe.decision.reason": decision.reason.value,
        "zoe.decision.intent": decision.intent,
        "zoe.decision.strategy": decision.strategy,
        "zoe.decision.score": chosen.score,
        "zoe.decision.seconds": decision.decide_seconds,
    }


def _answered(end: Completed) -> Mapping[str, Any]:
    usage, timings = end.usage, end.timings
    return {
        "gen_ai.response.model": end.model,
        "gen_ai.response.finish_reasons": (end.finish.value.lower(),),
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_prompt_tokens,
        "gen_ai.response.time_to_first_chunk": timings.time_to_first_token,
        "zoe.queue.seconds": timings.queue,
        "zoe.load.seconds": timings.load,
        "zoe.cost.usd": end.cost_usd,
    }


def _set(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Those that say something."""
    return {name: value for name, value in attributes.items() if value not in ("", None, 0)}


def _context(trace: Trace, span_id: str, *, remote: bool = False) -> SpanContext:
    flags = SAMPLED if trace.sampled else NOT_SAMPLED
    return SpanContext(int(trace.trace_id, 16), int(span_id, 16), remote, flags)


def _status(failed: bool, why: str) -> Status:
    return Status(StatusCode.ERROR, why) if failed else Status(StatusCode.UNSET)


def _new_id() -> str:
    return f"{random.getrandbits(64) or 1:016x}"
