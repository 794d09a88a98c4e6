"""What one attempt brought: counted for the caller, told to the fleet."""

import pytest

from zoe_grpcd.core.answer import Delta, Event, Finish, FinishReason, Measured, ToolDelta, Usage
from zoe_grpcd.core.backend import Deployment, Price
from zoe_grpcd.core.decision import Candidate
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.estimate import Size
from zoe_grpcd.core.outcome import Attempt, Completed, Outcome
from zoe_grpcd.core.transcript import Transcript

CHOSEN = Candidate(Deployment("m", "a", "/m.gguf"), "llamacpp", local=True, eligible=True)
STOP = Finish(FinishReason.STOP, Usage(100, 41, cached_prompt_tokens=7))


def a_transcript(started: float = 10.0, price: Price | None = None) -> Transcript:
    return Transcript(CHOSEN, Size(360, 4, None), started, price=price or Price())


def finished(finish: Finish, price: Price | None = None) -> Completed:
    """Asked at 8, started at 10, first token at 11, over at 13."""
    transcript = a_transcript(price=price)
    transcript.take([Delta("x", tokens=1)], 11.0)
    transcript.take([Delta("y", tokens=40), finish], 13.0)
    return transcript.completed((), 8.0, 2.0, 13.0)


def test_all_but_the_end_goes_to_the_caller() -> None:
    transcript = a_transcript()
    pieces: list[Event] = [Delta("a", tokens=2), ToolDelta(0, "id", "f"), Delta(reasoning="b", tokens=3)]
    assert transcript.take([*pieces, STOP, Delta("too late", tokens=9)], 11.0) == pieces
    assert (transcript.tokens, transcript.finish, transcript.first_at) == (5, STOP, 11.0)


def test_the_first_token_is_that_of_the_first_batch() -> None:
    transcript = a_transcript()
    for now in (11.0, 12.0):
        transcript.take([Delta("x")], now)
    assert transcript.first_at == 11.0


def test_a_lesson_says_how_many_pictures_were_in_the_prompt() -> None:
    transcript = Transcript(CHOSEN, Size(360, 4, None, images=2), 10.0)
    assert transcript.lesson(13.0, failed=False).images == 2
    assert transcript.usage() == Usage(104 + 2 * 600, 0, estimated=True)


def test_what_the_backend_counted_is_passed_on() -> None:
    assert finished(STOP).usage == STOP.usage


def test_what_it_did_not_count_is_estimated_and_marked() -> None:
    assert finished(Finish(FinishReason.STOP)).usage == Usage(104, 41, estimated=True)


def test_the_end_of_a_request() -> None:
    end = finished(STOP)
    assert (end.finish, end.model) == (FinishReason.STOP, "m")
    assert end.attempts == (
        Attempt(1, CHOSEN.deployment, "llamacpp", True, Outcome.OK, 2.0, 3.0, output_tokens=41),
    )
    assert finished(Finish(FinishReason.LENGTH, model="/m.gguf")).model == "m", "as callers name it"


def test_timings_by_our_clock() -> None:
    timings = finished(STOP).timings
    assert (timings.queue, timings.time_to_first_token, timings.total) == (2.0, 3.0, 5.0)
    assert (timings.load, timings.generation) == (0.0, 2.0)
    assert timings.tokens_per_second == pytest.approx(40 / 2.0)


def test_timings_by_the_backends_own() -> None:
    measured = Measured(load=0.5, decode=1.6, decode_tokens=40)
    timings = finished(Finish(FinishReason.STOP, STOP.usage, measured)).timings
    assert (timings.load, timings.generation) == (0.5, 1.6)
    assert timings.tokens_per_second == pytest.approx(25.0)


def test_an_answer_in_no_time_has_no_rate() -> None:
    transcript = a_transcript()
    transcript.take([Delta("x", tokens=1), STOP], 10.0)
    assert transcript.completed((), 10.0, 0.0, 10.0).timings.tokens_per_second == 0.0


def test_the_cost_is_the_tokens_at_the_operators_price() -> None:
    price = Price(3.0, 15.0)
    assert finished(STOP, price).cost_usd == pytest.approx((100 * 3 + 41 * 15) / 1e6)
    assert finished(STOP).cost_usd == 0.0


def test_tokens_that_the_backend_still_had_have_a_price_of_their_own() -> None:
    price = Price(3.0, 15.0, cached=0.3)
    assert finished(STOP, price).cost_usd == pytest.approx((93 * 3 + 7 * 0.3 + 41 * 15) / 1e6)


def test_earlier_attempts_are_counted() -> None:
    earlier = Attempt(1, CHOSEN.deployment, "llamacpp", True, Outcome.FAILED, 0.0, 1.0)
    transcript = a_transcript()
    transcript.take([STOP], 11.0)
    end = transcript.completed((earlier,), 8.0, 0.0, 13.0)
    assert [a.number for a in end.attempts] == [1, 2]


def test_a_failed_attempt_is_reported_with_its_fault() -> None:
    transcript = a_transcript()
    transcript.take([Delta("x", tokens=3)], 11.0)
    error = UpstreamError(Fault.SERVER, "broken", http_status=500)
    attempt = transcript.attempt(2, 8.0, 12.0, Outcome.LOST, error)
    assert (attempt.number, attempt.outcome, attempt.start_offset, attempt.duration) == (
        2,
        Outcome.LOST,
        2.0,
        2.0,
    )
    assert (attempt.error_reason, attempt.http_status, attempt.output_tokens) == ("SERVER", 500, 3)


@pytest.mark.parametrize(
    ("reason", "whole"),
    [(FinishReason.STOP, True), (FinishReason.LENGTH, False), (FinishReason.TOOL_CALLS, False)],
)
def test_a_lesson(reason: FinishReason, whole: bool) -> None:
    transcript = a_transcript()
    transcript.take([Delta("x", tokens=1)], 11.0)
    transcript.take([Finish(reason, Usage(100, 41), Measured(load=1.0))], 13.0)
    lesson = transcript.lesson(13.0, failed=False)
    assert (lesson.duration, lesson.first_token, lesson.output_tokens) == (3.0, 1.0, 41)
    assert (lesson.whole, lesson.failed, lesson.measured.load) == (whole, False, 1.0)
    assert (lesson.prompt_bytes, lesson.fixed_tokens) == (360, 4)


def test_a_lesson_of_an_attempt_without_a_token() -> None:
    lesson = a_transcript().lesson(40.0, failed=True)
    assert (lesson.failed, lesson.first_token, lesson.output_tokens, lesson.whole) == (True, None, 0, False)
