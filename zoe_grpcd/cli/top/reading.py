"""From what the daemon has told to the picture. Pure.

Rule: what others wrote (names, details, explanations) is cleaned here, and nowhere else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration

from zoe.admin.v1 import admin_service_pb2, backend_pb2, stats_pb2
from zoe.inference.v1 import decision_pb2
from zoe_grpcd.cli import tables
from zoe_grpcd.cli.explained import tried
from zoe_grpcd.cli.top.cells import clean
from zoe_grpcd.cli.top.picture import Choice, Model, Picture, Row, Tone, Totals, Verdict, brief

_State = backend_pb2.Backend
STATES: dict[int, tuple[str, Tone]] = {
    _State.STATE_UNKNOWN: ("unknown", "idle"),
    _State.STATE_READY: ("ready", "good"),
    _State.STATE_BUSY: ("busy", "active"),
    _State.STATE_LOADING: ("loading", "active"),
    _State.STATE_DEGRADED: ("degraded", "warn"),
    _State.STATE_COOLING_DOWN: ("cooling", "bad"),
    _State.STATE_DOWN: ("down", "bad"),
    _State.STATE_DRAINING: ("draining", "warn"),
    _State.STATE_DISABLED: ("off", "idle"),
}
"""State -> its word and its tone. One that came later is `unknown`."""

ASLEEP: tuple[str, Tone] = ("asleep", "idle")
"""In place of `down` for one that only has to be woken."""

SERVING = {_State.STATE_READY, _State.STATE_BUSY, _State.STATE_DEGRADED}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the daemon has told so far. `stats` None: it does not tell. `lost`: why nothing comes any more."""

    backends: Sequence[backend_pb2.Backend] = ()
    decisions: Sequence[stats_pb2.DecisionRecord] = ()
    stats: admin_service_pb2.GetStatsResponse | None = None
    lost: str = ""
    lost_since: float = 0.0


def picture(seen: Seen, now: float) -> Picture:
    """What is to be seen at a time."""
    backends = seen.backends
    return Picture(
        now,
        tuple(_row(backend, now) for backend in backends),
        tuple(_verdict(record) for record in seen.decisions),
        _totals(seen.stats) if seen.stats is not None else None,
        sum(backend.state in SERVING for backend in backends),
        sum(backend.load.in_flight for backend in backends),
        sum(backend.load.queued for backend in backends),
        clean(seen.lost),
        max(0.0, now - seen.lost_since) if seen.lost else 0.0,
    )


# --------------------------------------------------------------------------------------------------------- backends


def _row(backend: backend_pb2.Backend, now: float) -> Row:
    load, (state, tone) = backend.load, STATES.get(backend.state, STATES[_State.STATE_UNKNOWN])
    if tables.is_asleep(backend.state, backend.models):
        state, tone = ASLEEP
    return Row(
        id=backend.name,
        name=clean(backend.name),
        kind=clean(backend.kind),
        state=state,
        tone=tone,
        detail=clean(backend.state_detail or backend.last_probe.error),
        since=_time(backend.state_time.seconds),
        in_flight=load.in_flight,
        places=load.max_in_flight,
        others=load.foreign_in_flight,
        queued=load.queued,
        tokens_per_second=load.tokens_per_second,
        prefill_per_second=load.prefill_tokens_per_second,
        first_p50=_seconds(load, "ttft_p50"),
        first_p95=_seconds(load, "ttft_p95"),
        error_ratio=load.error_ratio,
        cache=load.kv_cache_usage if load.HasField("kv_cache_usage") else None,
        endpoint=clean(backend.endpoint),
        labels=clean(", ".join(f"{key}={value}" for key, value in sorted(backend.labels.items()))),
        models=tuple(sorted((_model(model, now) for model in backend.models), key=_by_warmth)),
        probe=_probe(backend, now),
    )


WARMTH = ("loading", "loaded", "sleeping", "failed")


def _by_warmth(model: Model) -> tuple[int, str]:
    known = WARMTH.index(model.state) if model.state in WARMTH else len(WARMTH)
    return known, model.name


def _model(model: backend_pb2.ServedModel, now: float) -> Model:
    name = backend_pb2.LoadState.Name(model.load_state) if model.load_state in _LOAD_STATES else ""
    expires = model.expire_time.ToNanoseconds() / 1e9 if model.HasField("expire_time") else None
    return Model(
        clean(model.model),
        name.removeprefix("LOAD_STATE_").lower(),
        model.load_fraction,
        None if expires is None else max(0.0, expires - now),
        model.context_tokens,
        tables.size(model.size_bytes),
        _seconds(model, "expected_load"),
        clean(model.backend_model),
        model.model,
    )


_LOAD_STATES = set(backend_pb2.LoadState.values())


def _probe(backend: backend_pb2.Backend, now: float) -> str:
    if not backend.HasField("last_probe"):
        return "not looked at yet"
    probe = backend.last_probe
    ago = max(0.0, now - probe.time.ToNanoseconds() / 1e9)
    took = f"{tables.seconds(probe.duration) * 1000:.0f} ms"
    return f"{'ok' if probe.ok else 'failed'} {brief(ago)} ago, took {took}"


# -------------------------------------------------------------------------------------------------------- decisions


def _verdict(record: stats_pb2.DecisionRecord) -> Verdict:
    decision, timings = record.decision, record.timings
    outcome, tone = _outcome(record)
    able = [candidate for candidate in decision.candidates if candidate.eligible]
    return Verdict(
        id=clean(record.request_id or decision.decision_id),
        at=record.time.ToNanoseconds() / 1e9,
        asked=clean(decision.requested_model or ("auto" if record.HasField("decision") else "–")),
        place=_place(decision.chosen),
        intent=clean(decision.intent),
        why=_reason(decision.reason),
        explanation=clean(decision.explanation),
        score=able[0].score if able else None,
        first=_seconds(timings, "time_to_first_token"),
        total=_seconds(timings, "total"),
        tokens=record.usage.completion_tokens,
        attempts=len(record.attempts),
        outcome=outcome,
        tone=tone,
        choices=tuple(map(_choice, decision.candidates)),
        strategy=clean(decision.strategy),
        caller=clean(record.key_name),
        tries=tuple(_tries(record)),
    )


def _outcome(record: stats_pb2.DecisionRecord) -> tuple[str, Tone]:
    if not record.code:
        return ("running", "active") if record.decision.chosen.backend else ("waiting", "warn")
    if record.code == "OK":
        return "ok", "good"
    told = clean(record.error_reason or record.code).replace("_", " ").lower()
    return told, "idle" if record.code == "CANCELLED" else "bad"


def _tries(record: stats_pb2.DecisionRecord) -> Iterable[str]:
    return (clean(tried(attempt)) for attempt in record.attempts)


def _choice(candidate: decision_pb2.Candidate) -> Choice:
    return Choice(
        _place(candidate.backend),
        candidate.score if candidate.eligible else None,
        tables.seconds(candidate.estimate.total) if candidate.HasField("estimate") else None,
        ", ".join(map(_reason, candidate.reasons)),
    )


def _place(at: decision_pb2.BackendRef) -> str:
    return clean(f"{at.model} @ {at.backend}") if at.backend else ""


def _reason(value: int) -> str:
    known = value in decision_pb2.Reason.values() and value
    return tables.word(decision_pb2.Reason.Name(decision_pb2.Reason.ValueType(value))) if known else ""


# ----------------------------------------------------------------------------------------------------------- totals


def _totals(stats: admin_service_pb2.GetStatsResponse) -> Totals:
    all_of_them, process = stats.totals, stats.process
    ended = all_of_them.succeeded + all_of_them.failed
    first = all_of_them.time_to_first_token
    return Totals(
        all_of_them.requests_per_second,
        all_of_them.tokens_per_second,
        _seconds(first, "p50"),
        _seconds(first, "p95"),
        all_of_them.failed / ended if ended else 0.0,
        clean(process.version),
        _time(process.start_time.seconds),
        tables.size(process.rss_bytes),
        _seconds(process.loop_lag, "p99"),
    )


def _time(unix: int) -> float | None:
    return float(unix) or None


def _seconds(message: object, name: str) -> float | None:
    """A Duration of a message; None if it is absent."""
    if not message.HasField(name):  # type: ignore[attr-defined]
        return None
    value: Duration = getattr(message, name)
    return tables.seconds(value)
