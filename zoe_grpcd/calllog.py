"""One line for each call when it is over: for people as a sentence, for machines as fields. A Route, which does nothing,
has one on level debug.

Rule: names and numbers only; what a caller said is in none of them, and what a caller named is cut and made printable.
"""

import logging
from collections.abc import Mapping
from typing import Any

from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.outcome import Attempt, Completed
from zoe_grpcd.decisions import ROUTE, Entry

log = logging.getLogger("zoe_grpcd.calls")

LONGEST_NAME = 128
# Codes that show that something is wrong with us or a backend, not with the request.
ALARMING = frozenset({"UNAVAILABLE", "ABORTED", "INTERNAL", "UNKNOWN"})


def tell(entry: Entry) -> None:
    """Logs a call that is over."""
    level = (
        logging.WARNING
        if entry.code in ALARMING
        else logging.DEBUG
        if entry.method == ROUTE
        else logging.INFO
    )
    if log.isEnabledFor(level):
        decision, end, attempts = entry.decision(), entry.completion(), entry.attempts()
        fields = fields_of(entry, decision, end, attempts)
        log.log(level, "%s", sentence_of(entry, decision, end, len(attempts)), extra={"fields": fields})


def sentence_of(entry: Entry, decision: Decision | None, end: Completed | None, attempts: int) -> str:
    """The call for people: where it went and why, and how it ended."""
    failure = " ".join(filter(None, (entry.code, entry.error_reason)))
    tried = f", {attempts} attempts" if attempts > 1 else ""
    if decision is None:
        parts = ["[ROUTER]", entry.method, f"{failure} after {entry.seconds:.1f} s"]
    elif entry.method == ROUTE:
        parts = [_choice(decision), "decided only"]
    elif end is None:
        parts = [_choice(decision), f"{failure} after {entry.seconds:.1f} s{tried}"]
    else:
        tokens, seconds = end.usage.completion_tokens, end.timings.total
        parts = [_choice(decision), f"{tokens} tokens in {seconds:.1f} s{tried}"]
    return " ".join(filter(None, (*parts, printable(entry.request_id))))


def _choice(decision: Decision) -> str:
    chosen = decision.chosen
    why = f"intent {decision.intent}" if decision.intent else decision.reason.lower().replace("_", " ")
    expected = chosen.estimate.total if chosen.estimate else 0.0
    asked = printable(decision.requested_model) or "auto"
    place = f"{chosen.deployment.model} @ {chosen.deployment.backend}"
    return f"[ROUTER] model: {asked} -> {place} ({why}, {chosen.score:.2f}, est {expected:.1f} s)"


def fields_of(
    entry: Entry, decision: Decision | None, end: Completed | None, attempts: tuple[Attempt, ...]
) -> dict[str, Any]:
    """The call for machines. Times are in seconds; what is not known is left out."""
    fields: dict[str, Any] = {
        "request_id": printable(entry.request_id),
        "method": entry.method,
        "code": entry.code,
        "error_reason": entry.error_reason,
        "key": entry.key_name,
        "seconds": round(entry.seconds, 6),
    }
    if decision is not None:
        fields |= _decided(entry, decision)
    if attempts:
        fields["attempts"] = [_attempt(attempt) for attempt in attempts]
    if end is not None:
        fields |= _ended(end)
    return {name: value for name, value in fields.items() if value not in ("", None)}


def _decided(entry: Entry, decision: Decision) -> Mapping[str, Any]:
    chosen, estimate = decision.chosen, decision.chosen.estimate
    return {
        "decision_id": entry.decision_id,
        "requested_model": printable(decision.requested_model) or "auto",
        "model": chosen.deployment.model,
        "backend": chosen.deployment.backend,
        "kind": chosen.kind,
        "local": chosen.local,
        "reason": decision.reason.value,
        "intent": decision.intent,
        "strategy": decision.strategy,
        "score": round(chosen.score, 4),
        "expected_seconds": round(estimate.total, 3) if estimate else None,
        "decide_seconds": round(decision.decide_seconds, 6),
        "config_generation": decision.config_generation,
    }


def _attempt(attempt: Attempt) -> Mapping[str, Any]:
    fields = {
        "backend": attempt.deployment.backend,
        "model": attempt.deployment.model,
        "outcome": attempt.outcome.value,
        "error_reason": attempt.error_reason,
        "http_status": attempt.http_status,
        "start_seconds": round(attempt.start_offset, 6),
        "seconds": round(attempt.duration, 6),
        "output_tokens": attempt.output_tokens,
    }
    return {name: value for name, value in fields.items() if value not in ("", 0)}


def _ended(end: Completed) -> Mapping[str, Any]:
    usage, timings = end.usage, end.timings
    return {
        "finish_reason": end.finish.value,
        "prompt_tokens": usage.prompt_tokens,
        "cached_prompt_tokens": usage.cached_prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "tokens_estimated": usage.estimated,
        "cost_usd": round(end.cost_usd, 9),
        "queue_seconds": round(timings.queue, 6),
        "load_seconds": round(timings.load, 6),
        "connect_seconds": round(timings.connect, 6),
        "first_token_seconds": round(timings.time_to_first_token, 6),
        "generation_seconds": round(timings.generation, 6),
        "total_seconds": round(timings.total, 6),
        "tokens_per_second": round(timings.tokens_per_second, 3),
    }


def printable(name: str) -> str:
    """A name that a caller has given, on one line and of bounded length."""
    name = name[:LONGEST_NAME]
    return name if name.isprintable() else "".join(c if c.isprintable() else "?" for c in name)
