"""When failures strain and trip, when a trial may go, and how trust comes back. Times are seconds."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.breaker import LONGEST, SLOW_START, STEPS, Breaker, Caution
from zoe_grpcd.core.phases import Signal

CAUTION = Caution(error_threshold=3, error_window=60.0, cooldown=100.0, degraded_weight=0.5)
WELL, STRAINED, TRIPPED = Signal.MENDED, Signal.STRAINED, Signal.TRIPPED


def after(*times: float, caution: Caution = CAUTION, model: str = "m", **how: bool) -> Breaker:
    """A breaker of one model that failed at these times, each attempt as short as can be."""
    breaker = Breaker(caution)
    for at in times:
        breaker.fail(model, at, at, **how)
    return breaker


# ------------------------------------------------------------------------------------------------------------- opening


@pytest.mark.parametrize(
    ("errors", "at", "signal", "trust"),
    [
        ((), 0.0, WELL, 1.0),
        ((0,), 0.0, WELL, 1.0),
        ((0, 1), 1.0, STRAINED, 0.5),
        ((0, 1), 59.0, STRAINED, 0.5),
        ((0, 1), 60.0, WELL, 1.0),  # the first is forgotten
        ((0, 1, 2), 2.0, TRIPPED, 0.0),
        ((0, 1, 61), 61.0, WELL, 1.0),  # only the last counts
        ((0, 50, 61), 61.0, STRAINED, 0.5),
        ((0, 1, 2), 101.0, TRIPPED, 0.0),
        ((0, 1, 2), 102.0, TRIPPED, 1.0),  # half open
    ],
)
def test_errors_strain_then_trip(errors: tuple[float, ...], at: float, signal: Signal, trust: float) -> None:
    standing = after(*errors).standing(at)
    assert (standing.signal, standing.trust) == (signal, trust)


@pytest.mark.parametrize(("threshold", "strained_at"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (10, 5)])
def test_half_of_the_threshold_strains_and_all_of_it_trips(threshold: int, strained_at: int) -> None:
    breaker, seen = Breaker(Caution(error_threshold=threshold)), []
    for _ in range(threshold):
        breaker.fail("m", 0.0, 0.0)
        seen.append(breaker.standing(0.0).signal)
    strained = [STRAINED] * (threshold - strained_at)
    assert seen == [WELL] * (strained_at - 1 if threshold > 1 else 0) + strained + [TRIPPED]


@pytest.mark.parametrize(("answers", "signal"), [(0, TRIPPED), (26, TRIPPED), (27, WELL), (1000, WELL)])
def test_few_errors_among_many_answers_tell_nothing(answers: int, signal: Signal) -> None:
    breaker = Breaker(CAUTION)
    breaker.fail("m", 0.0, 0.0)
    for _ in range(answers):
        breaker.answer(0.0, 1.0)
    breaker.fail("m", 1.0, 1.0)
    breaker.fail("m", 1.0, 1.0)
    strained = breaker.standing(1.0).signal
    assert strained is (signal if signal is TRIPPED else STRAINED)


def test_many_answers_long_before_do_not_hide_that_all_fails_now() -> None:
    breaker = after(0.0)
    for _ in range(1000):
        breaker.answer(0.0, 1.0)
    for at in (2.0, 3.0, 4.0):
        breaker.fail("m", at, at)
    assert breaker.standing(4.0).signal is TRIPPED


def test_those_who_lose_their_server_at_the_same_time_have_one_cause() -> None:
    breaker = Breaker(CAUTION)
    for number in range(20):
        breaker.fail("m", 0.0, 5.0 + number / 100, gone=True)
    assert breaker.standing(6.0).signal is WELL
    assert after(1.0, 2.0, 3.0, gone=True).standing(3.0).signal is TRIPPED


def test_doubts_strain_but_never_trip() -> None:
    breaker = Breaker(CAUTION)
    for number in range(100):
        breaker.doubt("m", float(number) / 10)
    assert breaker.standing(10.0).signal is STRAINED
    assert breaker.words(10.0) == "100 answers that looked wrong in 60 s"
    assert breaker.standing(70.0) == Breaker(CAUTION).standing(0.0)


def test_a_doubt_and_an_error_strain_together() -> None:
    breaker = after(0.0)
    breaker.doubt("m", 1.0)
    assert breaker.standing(1.0).signal is STRAINED
    assert breaker.words(1.0) == "1 error and 1 answer that looked wrong in 60 s"


# ------------------------------------------------------------------------------------- a server with several models


def of_server(*models: str) -> Breaker:
    breaker = Breaker(CAUTION, several=True)
    for at, model in enumerate(models):
        breaker.fail(model, at, at)
    return breaker


@pytest.mark.parametrize(
    ("models", "signal"),
    [
        (("a", "a", "a"), WELL),
        (("a", "b"), STRAINED),
        (("a", "b", "a"), TRIPPED),
        (("", "", ""), TRIPPED),  # its own
        (("a", ""), STRAINED),
    ],
)
def test_a_server_is_blamed_for_what_several_of_its_models_had(
    models: tuple[str, ...], signal: Signal
) -> None:
    assert of_server(*models).standing(3.0).signal is signal


def test_an_answer_of_any_model_clears_the_server_of_what_models_had() -> None:
    breaker = of_server("a", "b")
    assert breaker.answer(0.0, 2.0)
    assert breaker.standing(2.0).signal is WELL
    breaker = of_server("", "")
    assert not breaker.answer(0.0, 2.0)
    assert breaker.standing(2.0).signal is STRAINED


# ------------------------------------------------------------------------------------------------- trials and closing


def test_after_the_cooldown_one_trial_at_a_time_may_go() -> None:
    breaker = after(0, 1, 2)
    assert not breaker.standing(101.9).trial
    assert breaker.standing(102.0).trial
    breaker.trying = True
    assert not breaker.standing(102.0).trial
    breaker.trying = False  # cancelled, or the caller's mistake
    assert breaker.standing(103.0).trial


def test_each_failed_trial_doubles_the_cooldown_up_to_a_bound() -> None:
    breaker, now, lengths = after(0, 0, 0), 0.0, []
    for _ in range(6):
        until = breaker.standing(now).until
        lengths.append(until - now)
        now = until
        breaker.fail("m", now, now)
    assert lengths == [100.0, 200.0, 400.0, 800.0, 800.0, 800.0]
    assert lengths[-1] == LONGEST * CAUTION.cooldown


def test_what_began_before_the_cooldown_ended_is_no_trial() -> None:
    breaker = after(0, 1, 2)
    breaker.fail("m", 50.0, 110.0)
    assert breaker.standing(110.0).trial
    breaker = after(0, 1, 2)
    assert not breaker.answer(1.9, 50.0)  # began before it tripped
    assert breaker.standing(50.0).signal is TRIPPED


def test_an_answer_closes_it_and_trust_rises_to_the_whole() -> None:
    breaker = after(0, 1, 2)
    assert breaker.answer(102.0, 110.0)
    ramp = SLOW_START
    steps = [breaker.standing(110.0 + ramp * step / STEPS) for step in range(STEPS)]
    assert [standing.trust for standing in steps] == pytest.approx([n / 10 for n in range(1, 11)])
    assert {standing.signal for standing in steps} == {STRAINED}
    assert [standing.until for standing in steps] == pytest.approx([113.0 + 3 * n for n in range(10)])
    assert breaker.standing(110.0 + ramp).signal is WELL
    assert breaker.is_over(110.0 + ramp)


def test_an_answer_closes_it_even_before_the_cooldown_is_over() -> None:
    """As one does that was tried because nobody else was left."""
    breaker = after(0, 1, 2)
    assert breaker.answer(10.0, 11.0)
    assert breaker.standing(11.0).trust == 0.1


def test_an_error_in_the_slow_start_trips_it_for_longer() -> None:
    breaker = after(0, 1, 2)
    breaker.answer(102.0, 110.0)
    breaker.fail("m", 109.0, 115.0)  # began before
    assert breaker.standing(115.0).signal is STRAINED
    breaker.fail("m", 115.0, 116.0)
    assert breaker.standing(116.0).until == 116.0 + 200.0
    assert breaker.words(116.0) == "an error soon after it was back; next trial in 200 s"


def test_after_a_slow_start_without_errors_all_is_forgotten() -> None:
    breaker = after(0, 1, 2)
    breaker.answer(102.0, 110.0)
    for at in (150.0, 151.0, 152.0):
        breaker.fail("m", at, at)
    assert breaker.standing(152.0).until == 252.0


def test_without_a_cooldown_the_next_request_is_the_trial_and_there_is_no_slow_start() -> None:
    breaker = after(0, 1, 2, caution=Caution(cooldown=0.0))
    assert breaker.standing(2.0).trial
    assert breaker.answer(2.0, 3.0)
    assert breaker.standing(3.0).signal is WELL


# ------------------------------------------------------------------------------------------------------- a good probe


def test_a_server_that_was_gone_and_is_back_needs_no_trial() -> None:
    breaker = after(0, 1, 2, gone=True)
    breaker.came_back(10.0)
    assert breaker.standing(10.0).signal is STRAINED
    assert breaker.standing(10.0).trust == 0.1


def test_a_server_that_is_another_process_now_gets_its_trial_at_once() -> None:
    breaker = after(0, 1, 2)
    breaker.came_back(10.0)
    assert breaker.standing(10.0) == (TRIPPED, 1.0, True, inf)


def test_one_that_dies_again_and_again_trips() -> None:
    breaker = Breaker(CAUTION)
    for at in (0.0, 10.0, 20.0):
        breaker.fail("m", at, at, gone=True)
        assert breaker.standing(at).signal is [WELL, STRAINED, TRIPPED][int(at / 10)]
        if at < 20.0:
            breaker.came_back(at + 5)


# -------------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("errors", "at", "words"),
    [
        ((), 0.0, ""),
        ((0,), 0.0, ""),
        ((0, 1), 1.0, "2 errors in 60 s"),
        ((0, 1, 2), 60.5, "3 errors in 60 s; next trial in 42 s"),
        ((0, 1, 2), 102.0, "3 errors in 60 s; the next request is its trial"),
        ((0, 1, 2, 102), 102.0, "the trial failed; next trial in 200 s"),
    ],
)
def test_it_says_in_words_how_it_stands(errors: tuple[float, ...], at: float, words: str) -> None:
    assert after(*errors).words(at) == words


# --------------------------------------------------------------------------------------------------------- properties

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["fail", "gone", "doubt", "answer", "back", "try"]),
        st.floats(0, 200),  # later than the one before
        st.floats(0, 100),  # how long the attempt had taken
        st.sampled_from(["", "a", "b"]),
    ),
    max_size=40,
)
CAUTIONS = st.builds(
    Caution,
    st.integers(1, 6),
    st.floats(1, 100),
    st.floats(0, 300),
    st.floats(0, 1),
)


def played(events: list[tuple[str, float, float, str]], breaker: Breaker) -> float:
    """Plays a history; returns its end."""
    now = 0.0
    for kind, pause, took, model in events:
        now += pause
        began = now - took
        match kind:
            case "fail" | "gone":
                breaker.fail(model, began, now, gone=kind == "gone")
            case "doubt":
                breaker.doubt(model, now)
            case "answer":
                breaker.answer(began, now)
            case "back":
                breaker.came_back(now)
            case _:
                breaker.trying = breaker.standing(now).trial
        assert 0.0 <= breaker.standing(now).trust <= 1.0
    return now


@given(CAUTIONS, st.booleans(), EVENTS)
def test_a_trial_may_go_within_a_bounded_time_whatever_happened(
    caution: Caution, several: bool, events: list[tuple[str, float, float, str]]
) -> None:
    breaker = Breaker(caution, several=several)
    now = played(events, breaker) + LONGEST * caution.cooldown
    breaker.trying = False  # every attempt ends at some time
    standing = breaker.standing(now)
    assert standing.trial or standing.signal is not TRIPPED


@given(CAUTIONS, st.booleans(), EVENTS)
def test_left_in_peace_it_is_forgotten_unless_it_waits_for_a_trial(
    caution: Caution, several: bool, events: list[tuple[str, float, float, str]]
) -> None:
    breaker = Breaker(caution, several=several)
    now = played(events, breaker) + caution.error_window + SLOW_START + 1.0
    assert breaker.is_over(now) == (breaker.standing(now).signal is not TRIPPED)


@given(CAUTIONS, st.booleans(), EVENTS)
def test_what_is_no_error_never_opens_it(
    caution: Caution, several: bool, events: list[tuple[str, float, float, str]]
) -> None:
    """Cancelled requests and the callers' mistakes tell it nothing; wrong-looking answers are doubts."""
    breaker = Breaker(caution, several=several)
    now = played([event for event in events if event[0] not in ("fail", "gone")], breaker)
    assert breaker.standing(now).signal is not TRIPPED


@given(CAUTIONS, st.booleans(), EVENTS)
def test_it_changes_by_itself_no_sooner_than_it_says(
    caution: Caution, several: bool, events: list[tuple[str, float, float, str]]
) -> None:
    breaker = Breaker(caution, several=several)
    now = played(events, breaker)
    standing = breaker.standing(now)
    if standing.until < inf:
        shortly_before = now + (standing.until - now) * 0.99
        assert breaker.standing(shortly_before) == standing
    else:
        assert breaker.standing(now + 1e6) == standing
