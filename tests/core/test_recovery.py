"""What follows from a fault: for the backend, and for the request."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.breaker import Whose
from zoe_grpcd.core.continuation import Draft
from zoe_grpcd.core.errors import (
    BackendFailed,
    BackendRejected,
    ContextTooLong,
    Exhausted,
    Fault,
    Misconfigured,
    ModelNotFound,
    UpstreamError,
    ZoeError,
)
from zoe_grpcd.core.outcome import Attempt, Outcome
from zoe_grpcd.core.phases import Signal
from zoe_grpcd.core.recovery import AFTER, After, RetryBudget, failure_of, lost_of, pauses


def attempt(number: int, backend: str = "a") -> Attempt:
    return Attempt(number, Deployment("m", backend, "m"), "llamacpp", True, Outcome.FAILED, 0.0, 1.0)


def failure(*faults: UpstreamError) -> ZoeError:
    attempts = tuple(attempt(number, "abc"[number - 1]) for number in range(1, len(faults) + 1))
    return failure_of(attempts, faults, 0.5)


# fault: outcome, counts against success, signal, looked at, tried again, may be gone, whose; error and reason
F, R, T = Outcome.FAILED, Outcome.REJECTED, Outcome.TIMEOUT
SERVER, MODEL, EITHER = Whose.SERVER, Whose.MODEL, Whose.EITHER
# fmt: off
TABLE: list[tuple[Fault, After, type[ZoeError], str]] = [
    (Fault.REFUSED, After(F, True, Signal.REFUSED, True, False, True, SERVER), BackendFailed, "BACKEND_FAILED"),
    (Fault.TIMEOUT, After(T, True, None, True, False, True, EITHER), BackendFailed, "BACKEND_TIMEOUT"),
    (Fault.LOADING, After(F, False, Signal.LOADING, True, False), BackendFailed, "BACKEND_FAILED"),
    (Fault.RATE_LIMITED, After(F, False, None, False, True), Exhausted, "RATE_LIMITED"),
    (Fault.OVERLOADED, After(F, False, None, True, True, False, EITHER), Exhausted, "QUEUE_FULL"),
    (Fault.SERVER, After(F, True, None, True, True, False, EITHER), BackendFailed, "BACKEND_FAILED"),
    (Fault.LOAD_FAILED, After(F, True, None, True, False, False, MODEL), BackendFailed, "MODEL_LOAD_FAILED"),
    (Fault.MODEL_MISSING, After(F, False, None, True, False, False, MODEL), ModelNotFound, "MODEL_NOT_FOUND"),
    (Fault.UNAUTHORIZED, After(F, True, None, True, False, False, SERVER), Misconfigured, "BACKEND_REJECTED"),
    (Fault.CONTEXT_TOO_LONG, After(R, False, None, False, False), ContextTooLong, "CONTEXT_TOO_LONG"),
    (Fault.REJECTED, After(R, False, None, False, False), BackendRejected, "BACKEND_REJECTED"),
    (Fault.CUT, After(F, True, None, True, True, True, EITHER), BackendFailed, "BACKEND_FAILED"),
]
# fmt: on


def test_no_fault_is_left_out() -> None:
    assert [row[0] for row in TABLE] == list(Fault) == list(AFTER)


@pytest.mark.parametrize(("fault", "after", "error", "reason"), TABLE)
def test_each_fault(fault: Fault, after: After, error: type[ZoeError], reason: str) -> None:
    assert AFTER[fault] == after
    raised = failure(UpstreamError(fault, "so it said"))
    assert (type(raised), raised.reason) == (error, reason)
    assert raised.message.endswith("a: so it said")
    assert len(raised.attempts) == 1


def test_the_last_fault_speaks_for_all() -> None:
    raised = failure(UpstreamError(Fault.TIMEOUT, "slow"), UpstreamError(Fault.SERVER, "broken"))
    assert raised.reason == "BACKEND_FAILED"
    assert raised.message == "all 2 attempts failed, the last on b: broken"


@pytest.mark.parametrize(("told", "expected"), [((None, None), 0.5), ((7.0, None), 7.0), ((0.1, 3.0), 3.0)])
def test_a_client_waits_as_long_as_any_backend_wants(told: tuple[float | None, ...], expected: float) -> None:
    raised = failure(*(UpstreamError(Fault.OVERLOADED, "", retry_after=t) for t in told))
    assert raised.retry_after == expected


def test_a_prompt_that_is_too_long_is_the_messages_fault() -> None:
    (violation,) = failure(UpstreamError(Fault.CONTEXT_TOO_LONG, "5000 > 4096")).violations
    assert (violation.field, violation.description) == ("spec.messages", "5000 > 4096")


def test_who_may_be_tried_again_and_when() -> None:
    faults = [
        UpstreamError(Fault.SERVER, ""),
        UpstreamError(Fault.RATE_LIMITED, "", retry_after=3.0),
        UpstreamError(Fault.MODEL_MISSING, ""),
    ]
    attempts = [attempt(1, "a"), attempt(2, "b"), attempt(3, "c")]
    assert pauses(attempts, faults, 0.5) == {("a", "m"): 0.5, ("b", "m"): 3.0}


def test_the_last_fault_of_a_deployment_decides_whether_it_is_tried_again() -> None:
    faults = [UpstreamError(Fault.SERVER, ""), UpstreamError(Fault.REFUSED, "")]
    assert pauses([attempt(1), attempt(2)], faults, 0.5) == {}


def test_the_text_of_a_backend_is_bounded() -> None:
    assert len(UpstreamError(Fault.SERVER, "x" * 10_000).message) == 500


# --------------------------------------------------------------------------------------------- pauses, and their budget


def test_a_pause_is_a_part_of_a_delay_that_doubles() -> None:
    faults = [UpstreamError(Fault.SERVER, "") for _ in range(3)]
    tries = [attempt(number) for number in (1, 2, 3)]
    for chance, expected in ((0.0, 0.0), (0.25, 0.5), (1.0, 2.0)):
        assert pauses(tries, faults, 0.5, chance) == {("a", "m"): expected}


def test_a_pause_is_no_longer_after_attempts_that_brought_something() -> None:
    faults = [UpstreamError(Fault.CUT, "") for _ in range(9)]
    tries = [replace(attempt(number), outcome=Outcome.LOST) for number in range(1, 10)]
    assert pauses(tries, faults, 0.5) == {("a", "m"): 0.5}


def test_a_pause_that_the_backend_asked_for_is_kept_to() -> None:
    told = [UpstreamError(Fault.OVERLOADED, "", retry_after=3.0)]
    assert pauses([attempt(1)], told, 0.5, 0.1) == {("a", "m"): 3.0}


def test_few_failures_are_always_tried_again() -> None:
    budget = RetryBudget(share=0.2, floor=3.0)
    budget.earn(0.0)
    assert [budget.spend(0.0) for _ in range(4)] == [True, True, True, False]


@given(st.integers(0, 500), st.integers(0, 500))
def test_many_failures_add_no_more_than_their_share(requests: int, retries: int) -> None:
    budget = RetryBudget(share=0.2, floor=3.0)
    for _ in range(requests):
        budget.earn(0.0)
    assert sum(budget.spend(0.0) for _ in range(retries)) == min(retries, int(3.1 + 0.2 * requests))


def test_what_was_long_ago_does_not_count() -> None:
    budget = RetryBudget(share=0.0, floor=1.0, half_life=10.0)
    assert (budget.spend(0.0), budget.spend(1.0), budget.spend(100.0)) == (True, False, True)


def test_the_loss_of_an_answer_says_who_was_lost_and_who_could_not_help() -> None:
    tries = (replace(attempt(1), outcome=Outcome.LOST), attempt(2, "b"))
    faults = [UpstreamError(Fault.CUT, "reset"), UpstreamError(Fault.REFUSED, "refused")]
    error = lost_of(tries, faults, Draft("x", tokens=3, thought=4))
    assert error.output_tokens_sent == 7
    assert (
        error.message
        == "backend a failed after 7 tokens: reset; nobody went on with it, the last was b: refused"
    )
    assert (
        lost_of(tries[:1], faults[:1], Draft("x", tokens=1)).message
        == "backend a failed after 1 tokens: reset"
    )
