"""Errors on the wire: code, reason and details of each, always small enough to arrive."""

import asyncio
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    PreconditionFailure,
    QuotaFailure,
    ResourceInfo,
    RetryInfo,
)
from hypothesis import given
from hypothesis import strategies as st
from rpc.stage import REASONS, unpacked

from zoe.inference.v1.error_pb2 import AttemptsDetail
from zoe_grpcd.core import errors
from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.errors import Fault, Violation, ZoeError
from zoe_grpcd.core.outcome import Attempt, Outcome
from zoe_grpcd.rpc.statuses import CODES, code_of, message_of, outcome_of, status_of, trailers_of

Code = grpc.StatusCode
FIELD = Violation("spec.stop", "must be short")


def tried(number: int = 1, backend: str = "one", fault: str = "REFUSED") -> Attempt:
    return Attempt(number, Deployment("m", backend, "m"), "llamacpp", True, Outcome.FAILED, 0.0, 0.1, fault)


def failed(cause: str) -> errors.BackendFailed:
    return errors.BackendFailed("x", cause=cause, retry_after=0.5, attempts=(tried(),))


# error, code, reason, details beside ErrorInfo: section 5 of the contract
TABLE: list[tuple[ZoeError, grpc.StatusCode, str, set[type[Any]]]] = [
    (errors.InvalidRequest("x", violations=(FIELD,)), Code.INVALID_ARGUMENT, "BAD_REQUEST", {BadRequest}),
    (
        errors.ModelNotFound("x", metadata={"model": "a", "did_you_mean": "b"}),
        Code.NOT_FOUND,
        "MODEL_NOT_FOUND",
        {ResourceInfo},
    ),
    (errors.NotFound("x", metadata={"backend": "a"}), Code.NOT_FOUND, "NOT_FOUND", {ResourceInfo}),
    *(
        (errors.Unauthenticated("x", cause=cause), Code.UNAUTHENTICATED, cause, set())
        for cause in ("CREDENTIALS_MISSING", "CREDENTIALS_INVALID")
    ),
    (
        errors.PermissionDenied("x", metadata={"key": "a", "model": "b"}),
        Code.PERMISSION_DENIED,
        "PERMISSION_DENIED",
        set(),
    ),
    (
        errors.NoCapableBackend("x", violations=(FIELD,)),
        Code.FAILED_PRECONDITION,
        "NO_CAPABLE_BACKEND",
        {PreconditionFailure},
    ),
    (
        errors.ContextTooLong("x", violations=(FIELD,), metadata={"prompt_tokens": "9"}),
        Code.INVALID_ARGUMENT,
        "CONTEXT_TOO_LONG",
        {BadRequest},
    ),
    (
        errors.BackendRejected("x", attempts=(tried(),)),
        Code.INVALID_ARGUMENT,
        "BACKEND_REJECTED",
        {AttemptsDetail},
    ),
    (errors.NoHealthyBackend("x", retry_after=1.0), Code.UNAVAILABLE, "NO_HEALTHY_BACKEND", {RetryInfo}),
    *(
        (failed(cause), Code.UNAVAILABLE, cause, {RetryInfo, AttemptsDetail})
        for cause in ("BACKEND_FAILED", "BACKEND_TIMEOUT", "MODEL_LOAD_FAILED")
    ),
    (
        errors.BackendLost("x", attempts=(tried(),), output_tokens_sent=3),
        Code.ABORTED,
        "BACKEND_LOST",
        {AttemptsDetail},
    ),
    *(
        (
            errors.Exhausted("x", cause=cause, retry_after=1.0),
            Code.RESOURCE_EXHAUSTED,
            cause,
            {QuotaFailure, RetryInfo},
        )
        for cause in ("RATE_LIMITED", "BUDGET_EXCEEDED")
    ),
    *(
        (errors.Exhausted("x", cause=cause, retry_after=1.0), Code.RESOURCE_EXHAUSTED, cause, {RetryInfo})
        for cause in ("QUEUE_FULL", "QUEUE_TIMEOUT", "DEADLINE_UNREACHABLE")
    ),
    (errors.Exhausted("x", cause="SLOW_CONSUMER"), Code.RESOURCE_EXHAUSTED, "SLOW_CONSUMER", set()),
    (errors.CutShort("x"), Code.ABORTED, "SHUTTING_DOWN", set()),
    (errors.ShuttingDown("x", retry_after=1.0), Code.UNAVAILABLE, "SHUTTING_DOWN", {RetryInfo}),
    (errors.Misconfigured("x", attempts=(tried(),)), Code.INTERNAL, "BACKEND_REJECTED", {AttemptsDetail}),
    (errors.TooLate("x"), Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", set()),
    (errors.Unimplemented("x"), Code.UNIMPLEMENTED, "NOT_IMPLEMENTED", set()),
    (ZoeError("x"), Code.INTERNAL, "INTERNAL", set()),
]


def name_of(value: object) -> str | None:
    """Details are sets of classes, whose order is another one in each process."""
    return None if isinstance(value, set) else str(value)[:30]


@pytest.mark.parametrize(("error", "code", "reason", "details"), TABLE, ids=name_of)
def test_each_error_has_its_code_reason_and_details(
    error: ZoeError, code: grpc.StatusCode, reason: str, details: set[type[Any]]
) -> None:
    status = status_of(error)
    found = unpacked(status)

    assert code_of(error) is code
    assert status.code == code.value[0]
    assert status.message == error.message
    assert set(found) == {ErrorInfo} | details
    assert found[ErrorInfo] == ErrorInfo(reason=reason, domain="zoe-grpcd", metadata=error.metadata)
    assert reason in REASONS


def all_kinds(kind: type[ZoeError] = ZoeError) -> set[type[ZoeError]]:
    return {kind}.union(*(all_kinds(child) for child in kind.__subclasses__()))


def test_every_class_of_error_has_a_code_and_a_row_in_the_table() -> None:
    kinds = all_kinds() - {ZoeError}

    for kind in kinds:
        assert any(parent in CODES for parent in kind.__mro__), kind
    assert {type(error) for error, *_ in TABLE} == kinds - {errors.Unavailable} | {ZoeError}


def test_the_details_say_what_is_in_the_error() -> None:
    found = unpacked(status_of(errors.NoCapableBackend("x", violations=(Violation("m @ one", "no eyes"),))))
    [lack] = found[PreconditionFailure].violations
    assert (lack.type, lack.subject, lack.description) == ("CAPABILITY", "m @ one", "no eyes")

    found = unpacked(status_of(errors.InvalidRequest("x", violations=(FIELD, FIELD))))
    assert [(v.field, v.description) for v in found[BadRequest].field_violations] == [
        ("spec.stop", "must be short")
    ] * 2

    found = unpacked(status_of(errors.NotFound("x", metadata={"backend": "one"})))
    assert (found[ResourceInfo].resource_type, found[ResourceInfo].resource_name) == ("backend", "one")

    found = unpacked(status_of(errors.NoHealthyBackend("x", retry_after=1.25)))
    assert found[RetryInfo].retry_delay.ToMilliseconds() == 1250

    found = unpacked(status_of(errors.BackendLost("x", attempts=(tried(1), tried(2)), output_tokens_sent=3)))
    assert [attempt.number for attempt in found[AttemptsDetail].attempts] == [1, 2]
    assert found[AttemptsDetail].output_tokens_sent == 3


def test_only_what_may_be_tried_again_as_it_is_pushes_back() -> None:
    again = dict(trailers_of(errors.NoHealthyBackend("x", retry_after=0.25)))
    later = dict(trailers_of(errors.Exhausted("x", cause="QUEUE_FULL", retry_after=0.25)))

    assert again["grpc-retry-pushback-ms"] == "250"
    assert "grpc-retry-pushback-ms" not in later


def test_the_last_backend_that_was_tried_is_in_the_trailers() -> None:
    error = errors.BackendRejected("x", attempts=(tried(1, "one"), tried(2, "büro")))

    assert dict(trailers_of(error))["x-zoe-backend"] == "b%C3%BCro"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.REFUSED, "BACKEND_FAILED"),
        (Fault.TIMEOUT, "BACKEND_TIMEOUT"),
        (Fault.LOADING, "MODEL_LOAD_FAILED"),
        (Fault.RATE_LIMITED, "RATE_LIMITED"),
        (Fault.OVERLOADED, "QUEUE_FULL"),
        (Fault.SERVER, "BACKEND_FAILED"),
        (Fault.LOAD_FAILED, "MODEL_LOAD_FAILED"),
        (Fault.MODEL_MISSING, "MODEL_NOT_FOUND"),
        (Fault.UNAUTHORIZED, "BACKEND_REJECTED"),
        (Fault.CONTEXT_TOO_LONG, "CONTEXT_TOO_LONG"),
        (Fault.REJECTED, "BACKEND_REJECTED"),
        (Fault.CUT, "BACKEND_FAILED"),
    ],
)
def test_a_failed_attempt_speaks_the_contracts_reasons(fault: Fault, reason: str) -> None:
    error = errors.BackendRejected("x", attempts=(tried(fault=fault),))

    [attempt] = unpacked(status_of(error))[AttemptsDetail].attempts
    assert attempt.error_reason == reason
    assert reason in REASONS


def test_every_fault_has_a_reason() -> None:
    for fault in Fault:
        [attempt] = unpacked(status_of(errors.BackendRejected("x", attempts=(tried(fault=fault),))))[
            AttemptsDetail
        ].attempts
        assert attempt.error_reason in REASONS


# ------------------------------------------------------------------------------------------------------- its size


def test_all_violations_that_fit_are_sent_the_first_ones_first() -> None:
    forty = tuple(Violation(f"spec.stop[{i}]", "must be short") for i in range(40))
    thousand = tuple(
        Violation(f"spec.messages[{i}].parts", "must hold at least one part") for i in range(1000)
    )

    found = unpacked(status_of(errors.InvalidRequest("x", violations=forty)))[BadRequest]
    cut = unpacked(status_of(errors.InvalidRequest("x", violations=thousand)))[BadRequest]

    assert len(found.field_violations) == 40
    assert len(cut.field_violations) >= 40
    assert cut.field_violations[0].field == "spec.messages[0].parts"


def test_the_last_attempts_are_kept() -> None:
    attempts = tuple(tried(n, "b" * 200) for n in range(1, 50))

    kept = unpacked(status_of(errors.BackendRejected("x", attempts=attempts)))[AttemptsDetail].attempts

    assert len(kept) >= 8
    assert [attempt.number for attempt in kept] == list(range(50 - len(kept), 50))


def test_no_space_is_around_a_message_as_http_allows_none_around_a_header() -> None:
    error = errors.BackendRejected(f" {'word ' * 1000}", metadata={})

    assert message_of(error).startswith("word word")
    assert message_of(error).endswith("word")


def test_half_a_surrogate_pair_does_not_break_an_error() -> None:
    text = "it said \ud800"
    error = errors.InvalidRequest(text, metadata={"a": text}, violations=(Violation(text, text),))

    status = status_of(error)

    assert status.message == "it said ?"
    assert unpacked(status)[BadRequest].field_violations[0].description == "it said ?"


TEXT = st.text(max_size=50).flatmap(lambda text: st.integers(1, 200).map(lambda n: text * n))
VIOLATIONS = st.lists(st.builds(Violation, TEXT, TEXT), max_size=60).map(tuple)
ATTEMPTS = st.lists(st.builds(tried, st.integers(1, 99), st.text(min_size=1, max_size=200)), max_size=60).map(
    tuple
)


@given(
    kind=st.sampled_from(
        [errors.InvalidRequest, errors.NoCapableBackend, errors.NoHealthyBackend, errors.NotFound]
    ),
    message=TEXT,
    metadata=st.dictionaries(
        st.sampled_from(["model", "backend", "a"]) | st.text(max_size=300), TEXT, max_size=30
    ),
    violations=VIOLATIONS,
    attempts=ATTEMPTS,
)
def test_an_error_is_always_below_four_kib(
    kind: type[ZoeError],
    message: str,
    metadata: dict[str, str],
    violations: tuple[Violation, ...],
    attempts: tuple[Attempt, ...],
) -> None:
    error = kind(message, metadata=metadata, violations=violations, attempts=attempts, retry_after=1.0)

    assert status_of(error).ByteSize() <= 4096
    assert unpacked(status_of(error))[ErrorInfo].reason == error.reason
    assert len(message_of(error).encode()) <= 600
    for _, value in trailers_of(error):
        if isinstance(value, str):
            assert value.isascii()
            assert value.isprintable()


@pytest.mark.parametrize(("metadata", "subject"), [({}, "backend"), ({"key": "app"}, "key:app")])
def test_a_quota_failure_says_whose_limit_was_reached(metadata: dict[str, str], subject: str) -> None:
    error = errors.Exhausted("too much", cause="RATE_LIMITED", retry_after=1.0, metadata=metadata)
    (violation,) = unpacked(status_of(error))[QuotaFailure].violations
    assert (violation.subject, violation.description) == (subject, "too much")


@pytest.mark.parametrize(
    ("left", "code"), [(None, "CANCELLED"), (2.0, "CANCELLED"), (0.05, "DEADLINE_EXCEEDED")]
)
def test_who_leaves_just_before_the_deadline_had_it_pass(left: float | None, code: str) -> None:
    """The wire rounds up what is left, and a busy machine reads it late: by more than 10 ms in 1 of 40 calls."""
    assert outcome_of(asyncio.CancelledError(), left)[0] == code
