"""A decision as a person reads it, in a terminal of any width."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe.inference.v1 import decision_pb2 as pb
from zoe_grpcd.cli.explained import candidates, explained, tried

WIDTHS = (60, 80, 110)
TERMS = (("latency", 0.4, 0.4), ("success_rate", 1.0, 0.4), ("cost", 1.0, 0.2), ("quality", 0.5, 1.0))


def a_candidate(
    model: str,
    backend: str,
    terms: Sequence[tuple[str, float, float]] = TERMS,
    cost: int | None = None,
    reasons: Sequence[pb.Reason.ValueType] = (),
) -> pb.Candidate:
    estimate = pb.Estimate(cost_micro_usd=cost)
    estimate.load.FromTimedelta(timedelta(seconds=13.92))
    estimate.time_to_first_token.FromTimedelta(timedelta(seconds=13.97))
    estimate.total.FromTimedelta(timedelta(seconds=24.61))
    return pb.Candidate(
        backend=pb.BackendRef(backend=backend, model=model),
        eligible=not reasons,
        score=0.908,
        terms=[pb.ScoreTerm(name=name, value=value, weight=weight) for name, value, weight in terms],
        reasons=reasons,
        estimate=estimate,
    )


def a_decision(*found: pb.Candidate) -> pb.RouteDecision:
    return pb.RouteDecision(chosen=found[0].backend, candidates=found, explanation="m @ a: model 'm' by name")


@pytest.mark.parametrize(
    ("outcome", "reason", "tokens", "expected"),
    [
        ("OK", "", 30, "ok, 30 tokens, 1.50 s"),
        ("FAILED", "BACKEND_FAILED", 0, "failed, 1.50 s"),
        ("TIMEOUT", "BACKEND_TIMEOUT", 0, "timeout, 1.50 s"),
        ("FAILED", "MODEL_LOAD_FAILED", 0, "failed, model load failed, 1.50 s"),
        ("LOST", "BACKEND_LOST", 5, "lost after 5 tokens, 1.50 s"),
        ("LOST", "BACKEND_TIMEOUT", 5, "lost after 5 tokens, timeout, 1.50 s"),
        ("REJECTED", "RATE_LIMITED", 0, "rejected, rate limited, 1.50 s"),
    ],
)
def test_what_became_of_an_attempt_is_said_once(
    outcome: str, reason: str, tokens: int, expected: str
) -> None:
    attempt = pb.Attempt(
        backend=pb.BackendRef(backend="desk", model="m"),
        outcome=pb.Attempt.Outcome.Value(f"OUTCOME_{outcome}"),
        error_reason=reason,
        output_tokens=tokens,
    )
    attempt.duration.FromMilliseconds(1500)
    assert tried(attempt) == f"m @ desk: {expected}"


WIDE = a_decision(
    a_candidate("qwen2.5-coder:7b-instruct-q4_K_M", "attic-server-with-a-long-name", cost=121),
    a_candidate("phi3:3.8b", "desk", cost=0),
    a_candidate(
        "phi3:3.8b",
        "nas",
        reasons=[
            pb.REASON_UNHEALTHY,
            pb.REASON_CONTEXT_TOO_LONG,
            pb.REASON_MISSING_CAPABILITY,
            pb.REASON_TOO_EXPENSIVE,
        ],
    ),
)


def test_a_few_columns_are_one_table() -> None:
    decision = a_decision(
        a_candidate("m", "a", TERMS[:1]), a_candidate("m", "b", reasons=[pb.REASON_LOCALITY])
    )
    assert candidates(decision, 80).splitlines() == [
        "MODEL  BACKEND  SCORE  LATENCY  WAIT  LOAD   FIRST  TOTAL",
        "                       x 0.4    s     s      s      s",
        "m      a        0.908  0.40     0.00  13.92  13.97  24.61",
        "m      b        no: locality",
    ]


def test_what_has_a_price_has_a_column_for_it() -> None:
    lines = candidates(WIDE, 110).splitlines()
    assert lines[0].split()[-2:] == ["TOTAL", "PRICE"]
    assert [line.split()[-1] for line in lines[1:4]] == ["USD", "0.000121", "0"]


def test_in_a_narrow_terminal_scores_and_times_are_two_tables() -> None:
    scores, times = candidates(WIDE, 80).split("\n\n")
    assert scores.splitlines()[0].split() == [
        "MODEL",
        "BACKEND",
        "SCORE",
        "LATENCY",
        "SUCCESS",
        "COST",
        "QUALITY",
    ]
    assert times.splitlines()[0].split() == ["MODEL", "BACKEND", "WAIT", "LOAD", "FIRST", "TOTAL", "PRICE"]
    assert "nas" in scores
    assert "nas" not in times, "nothing is expected of who may not serve"


@pytest.mark.parametrize("columns", WIDTHS)
def test_every_line_fits_and_every_reason_is_there(columns: int) -> None:
    text = candidates(WIDE, columns)
    assert max(map(len, text.splitlines())) <= columns
    for reason in ("unhealthy", "context", "missing capability", "expensive"):
        assert reason in text


@pytest.mark.parametrize("columns", WIDTHS)
def test_names_are_shown_as_far_as_there_is_room(columns: int) -> None:
    text = candidates(WIDE, columns)
    assert "qwen2.5-c" in text
    assert "attic-" in text
    assert "phi3:3.8b" in text


NAMES = st.text("abcdefghij:-.", min_size=1, max_size=50)


@given(
    st.lists(st.tuples(NAMES, NAMES, st.booleans()), max_size=12),
    st.integers(1, len(TERMS)),
    st.none() | st.integers(0, 10**9),
    st.sampled_from(WIDTHS),
)
def test_everybody_is_there_whatever_the_names_and_the_width(
    rows: list[tuple[str, str, bool]], terms: int, cost: int | None, columns: int
) -> None:
    refused = [pb.REASON_SATURATED]
    found = [
        a_candidate(model, backend, TERMS[:terms], cost, () if able else refused)
        for model, backend, able in rows
    ]
    decision = a_decision(a_candidate("m", "a", TERMS[:terms], cost), *found)
    tables = candidates(decision, columns).split("\n\n")
    assert len(tables[0].splitlines()) == 2 + len(decision.candidates)
    assert max(len(line) for text in tables for line in text.splitlines()) <= columns


def test_the_width_is_that_of_the_terminal_as_far_as_lines_can_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decision = a_decision(a_candidate("m", "a", TERMS[:1]))
    decision.explanation = " ".join(["word"] * 100)
    for told, columns in (("80", 80), ("20", 60), ("500", 110)):
        monkeypatch.setenv("COLUMNS", told)
        assert max(map(len, explained(decision).splitlines())) in range(columns - 5, columns + 1)
