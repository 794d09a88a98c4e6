"""From what the daemon has told to what is shown: tables."""

from typing import Any

import pytest
from top.told import FLEET, NOW, S, at, backend, model, record, shown, span, stats

from zoe.admin.v1 import backend_pb2, stats_pb2
from zoe.inference.v1 import decision_pb2
from zoe_grpcd.cli.top.picture import brief
from zoe_grpcd.cli.top.reading import STATES, Seen, picture


def test_every_state_of_the_contract_but_the_unspecified_one_has_a_word() -> None:
    assert set(STATES) == set(S.State.values()) - {S.STATE_UNSPECIFIED}


@pytest.mark.parametrize(
    ("state", "word", "tone"),
    [
        ("READY", "ready", "good"),
        ("BUSY", "busy", "active"),
        ("DEGRADED", "degraded", "warn"),
        ("COOLING_DOWN", "cooling", "bad"),
        ("DOWN", "down", "bad"),
        ("DRAINING", "draining", "warn"),
        ("DISABLED", "off", "idle"),
    ],
)
def test_a_state_has_a_word_and_a_tone(state: str, word: str, tone: str) -> None:
    (row,) = shown(backend("a", state)).rows
    assert (row.state, row.tone) == (word, tone)


def test_one_that_sleeps_is_asleep_and_not_down() -> None:
    (row,) = shown(backend("a", "DOWN", model("aa", "SLEEPING"), model("bb", "SLEEPING"))).rows
    assert (row.state, row.tone) == ("asleep", "idle")
    assert [m.state for m in row.models] == ["sleeping"] * 2
    (row,) = shown(backend("a", "READY", model("aa", "SLEEPING"))).rows
    assert row.state == "ready"


def test_a_state_from_a_later_version_is_unknown() -> None:
    (row,) = picture(Seen((S(name="a", state=99),)), NOW).rows  # type: ignore[arg-type]
    assert (row.state, row.tone) == ("unknown", "idle")


def test_who_takes_requests_is_counted() -> None:
    seen = shown()
    assert (seen.serving, seen.running, seen.waiting) == (2, 3, 2)


def test_models_in_memory_come_first_and_say_until_when() -> None:
    (row,) = shown(
        backend(
            "a",
            "READY",
            model("aa", "UNLOADED"),
            model("bb", expire_time=at(NOW + 240)),
            model("cc", "LOADING", load_fraction=0.5),
        )
    ).rows
    assert [(m.name, m.state, m.left) for m in row.models] == [
        ("cc", "loading", None),
        ("bb", "loaded", 240.0),
        ("aa", "unloaded", None),
    ]


def test_what_has_expired_expires_now() -> None:
    (row,) = shown(backend("a", "READY", model("m", expire_time=at(NOW - 5)))).rows
    assert row.models[0].left == 0.0


def test_what_was_not_measured_is_not_zero() -> None:
    (row,) = shown(backend("a")).rows
    assert (row.first_p50, row.first_p95, row.cache) == (None, None, None)


def test_what_was_measured_is_in_seconds() -> None:
    load = {"ttft_p50": span(0.25), "ttft_p95": span(1.5), "kv_cache_usage": 0.0}
    (row,) = shown(backend("a", load=load)).rows
    assert (row.first_p50, row.first_p95, row.cache) == (0.25, 1.5, 0.0)


def test_the_load_counts_others_and_those_who_wait() -> None:
    assert [row.load for row in shown().rows] == [0.0, 1.5, 0.0]


def test_a_failed_probe_says_why_where_the_state_does_not() -> None:
    probe = backend_pb2.HealthProbe(error="timed out", time=at(NOW - 3), duration=span(0.02))
    (row,) = shown(backend("a", "DOWN", last_probe=probe)).rows
    assert (row.detail, row.probe) == ("timed out", "failed 3s ago, took 20 ms")


HOSTILE = "a\x1b[2J\nb\u202ec\x07"


@pytest.mark.parametrize("where", ["name", "kind", "endpoint", "state_detail"])
def test_no_text_of_a_backend_reaches_the_terminal_as_it_is(where: str) -> None:
    told = S(**{"name": "x", where: HOSTILE})  # type: ignore[arg-type]
    told.models.add(model=HOSTILE, backend_model=HOSTILE)
    told.labels[HOSTILE] = HOSTILE
    (row,) = picture(Seen((told,)), NOW).rows
    texts = (
        row.name,
        row.kind,
        row.endpoint,
        row.detail,
        row.labels,
        row.models[0].name,
        row.models[0].backend_name,
    )
    assert all(text.isprintable() for text in texts)
    assert "a?[2J b?c?" in texts


def test_no_text_of_a_decision_reaches_the_terminal_as_it_is() -> None:
    told = record(
        1, backend=HOSTILE, request_id=HOSTILE, key_name=HOSTILE, code="INTERNAL", error_reason=HOSTILE
    )
    told.decision.explanation = told.decision.intent = told.decision.requested_model = HOSTILE
    told.attempts.add(backend=told.decision.chosen, error_reason=HOSTILE)
    (one,) = picture(Seen((), (told,)), NOW).verdicts
    texts = (one.id, one.place, one.asked, one.intent, one.explanation, one.caller, one.outcome, *one.tries)
    assert all(text.isprintable() for text in (*texts, *(choice.place for choice in one.choices)))


@pytest.mark.parametrize(
    ("fields", "outcome", "tone"),
    [
        ({"code": "", "decision": None}, "waiting", "warn"),
        ({"code": ""}, "running", "active"),
        ({"code": "OK"}, "ok", "good"),
        ({"code": "RESOURCE_EXHAUSTED", "error_reason": "QUEUE_FULL"}, "queue full", "bad"),
        ({"code": "INTERNAL"}, "internal", "bad"),
        ({"code": "CANCELLED"}, "cancelled", "idle"),
    ],
)
def test_a_request_has_an_outcome(fields: dict[str, Any], outcome: str, tone: str) -> None:
    (one,) = picture(Seen((), (record(1, **fields),)), NOW).verdicts
    assert (one.outcome, one.tone) == (outcome, tone)


def test_what_a_refused_request_asked_for_is_not_made_up() -> None:
    told = record(1, code="NOT_FOUND", error_reason="MODEL_NOT_FOUND", decision=None)
    (one,) = picture(Seen((), (told,)), NOW).verdicts
    assert one.asked == "–"


def test_a_decision_tells_where_and_why() -> None:
    (one,) = picture(Seen((), (record(1),)), NOW).verdicts
    assert (one.place, one.intent, one.why, one.score) == ("llama3.2:3b @ jetson", "chat", "intent", 0.81)
    assert (one.asked, one.first, one.total, one.tokens) == ("auto", 0.18, 2.5, 312)
    assert [(c.place, c.score, c.reasons) for c in one.choices] == [
        ("llama3.2:3b @ jetson", 0.81, ""),
        ("big @ attic", None, "unhealthy"),
    ]


def test_every_attempt_is_told_of() -> None:
    told = record(1)
    told.attempts.add(
        backend=decision_pb2.BackendRef(backend="attic", model="big"),
        outcome=decision_pb2.Attempt.OUTCOME_TIMEOUT,
        error_reason="BACKEND_TIMEOUT",
        duration=span(1.25),
    )
    (one,) = picture(Seen((), (told,)), NOW).verdicts
    assert one.attempts == 1
    assert one.tries[0] == "big @ attic: timeout, 1.25 s"


def test_a_request_that_failed_before_a_decision_went_nowhere() -> None:
    told = stats_pb2.DecisionRecord(
        time=at(NOW), request_id="r", code="UNAVAILABLE", error_reason="NO_HEALTHY_BACKEND"
    )
    (one,) = picture(Seen((), (told,)), NOW).verdicts
    assert (one.place, one.why, one.score, one.outcome) == ("", "", None, "no healthy backend")


def test_totals_are_those_of_the_window() -> None:
    totals = shown(*FLEET).totals
    assert totals is not None
    assert (totals.requests_per_second, totals.tokens_per_second, totals.failed) == (3.4, 183, 0.02)
    assert (totals.first_p50, totals.first_p95, totals.started) == (0.2, 1.5, NOW - 7200)
    assert stats().process.version == totals.version


def test_a_daemon_without_totals_has_none() -> None:
    assert shown(stats=None).totals is None


def test_it_is_told_for_how_long_the_daemon_is_gone() -> None:
    seen = shown(lost="connection refused")
    assert (seen.lost, seen.lost_for) == ("connection refused", 12.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (40, "40s"), (59.9, "1m"), (240, "4m"), (3599, "1h"), (7200, "2h"), (200_000, "2d")],
)
def test_a_length_of_time_is_brief(seconds: float, text: str) -> None:
    assert brief(seconds) == text
