"""Backends and decisions as the page shows them: plain values for JSON. Pure.

Rule: a decision's explanation stays out, since it quotes what was said; the reason, the scores and who came next do not.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from zoe_grpcd.core.backend import Phase
from zoe_grpcd.core.decision import Candidate
from zoe_grpcd.core.views import BackendReport, ModelReport
from zoe_grpcd.decisions import Entry

Reports = Callable[[], Sequence[BackendReport]]
SERVING = {Phase.READY, Phase.BUSY, Phase.DEGRADED}


def pictured(
    reports: Sequence[BackendReport], entries: Iterable[Entry], now: float, wall: float
) -> dict[str, Any]:
    """What is to be seen at a time: `now` on the fleet's clock is `wall` in unix seconds."""
    return {
        "time": wall,
        "serving": sum(report.phase in SERVING for report in reports),
        "running": sum(report.in_flight for report in reports),
        "waiting": sum(report.queued for report in reports),
        "backends": [_backend(report, now, wall) for report in reports],
        "decisions": [_decision(entry) for entry in entries],
    }


def _backend(report: BackendReport, now: float, wall: float) -> dict[str, Any]:
    return {
        "name": report.backend.name,
        "kind": report.backend.kind,
        "local": report.backend.local,
        "state": "asleep" if report.is_asleep else _words(report.phase),
        "detail": report.detail or report.probe_error,
        "since": now - report.since,
        "in_flight": report.in_flight,
        "places": report.max_in_flight,
        "others": report.foreign,
        "waiting": report.queued + report.deferred,
        "tokens_per_second": report.tokens_per_second,
        "first_p50": report.ttft_p50,
        "first_p95": report.ttft_p95,
        "errors": report.error_ratio,
        "models": [_model(model, wall) for model in report.models],
    }


def _model(report: ModelReport, wall: float) -> dict[str, Any]:
    return {
        "name": report.deployment.model,
        "state": _words(report.state),
        "fraction": report.load_fraction,
        "expires_in": None if report.expire_at is None else max(0.0, report.expire_at - wall),
        "bytes": report.size_bytes,
    }


def _decision(entry: Entry) -> dict[str, Any]:
    decision, end = entry.decision(), entry.completion()
    told: dict[str, Any] = {
        "time": entry.arrived,
        "method": entry.method,
        "model": entry.model,
        "backend": entry.backend,
        "intent": entry.intent,
        "attempts": len(entry.attempts()),
        "outcome": _outcome(entry),
    }
    if decision is not None:
        chosen, *rest = decision.candidates
        told |= {
            "asked": decision.requested_model or "auto",
            "reason": _words(decision.reason),
            "score": chosen.score,
            "others": [_other(candidate) for candidate in rest],
        }
    if end is not None:
        told |= {
            "first": end.timings.time_to_first_token,
            "total": end.timings.total,
            "tokens": end.usage.completion_tokens,
        }
    return told


def _outcome(entry: Entry) -> str:
    """`waiting` until a backend was chosen, `running`, `ok`, or what went wrong."""
    return _words(entry.error_reason or entry.code) or ("running" if entry.backend else "waiting")


def _other(candidate: Candidate) -> dict[str, Any]:
    return {
        "model": candidate.deployment.model,
        "backend": candidate.deployment.backend,
        "score": candidate.score if candidate.eligible else None,
        "reasons": [_words(reason) for reason in candidate.reasons],
    }


def _words(name: str) -> str:
    return name.replace("_", " ").lower()
