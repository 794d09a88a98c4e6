"""What is counted of requests, in slots of time that add up."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.answer import FinishReason, Seam, Usage
from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.decision import Candidate, Decision, Reason
from zoe_grpcd.core.histogram import BOUNDS, Histogram
from zoe_grpcd.core.outcome import Attempt, Completed, Outcome, Timings
from zoe_grpcd.core.statistics import HOUR, Statistics
from zoe_grpcd.core.tally import MOST_SERIES, OTHERS, Ended, Series, balance_of

HERE = Series("box", "tiny", "alice")


def decision(reason: Reason = Reason.EXACT_MODEL, seam: Seam | None = None) -> Decision:
    chosen = Candidate(Deployment("tiny", "box", ""), "llamacpp", local=True, eligible=True)
    return Decision(chosen, (chosen,), "tiny", "", "", reason, "", decide_seconds=0.0002, seam=seam)


def attempt(outcome: Outcome = Outcome.OK, backend: str = "box") -> Attempt:
    return Attempt(1, Deployment("tiny", backend, ""), "llamacpp", True, outcome, 0.0, 1.0)


def answered(series: Series = HERE, seconds: float = 1.0, attempts: int = 1) -> Ended:
    timings = Timings(queue=0.01, time_to_first_token=seconds / 2, total=seconds)
    tried = (attempt(Outcome.FAILED, "other"),) * (attempts - 1) + (attempt(),)
    end = Completed("tiny", FinishReason.STOP, Usage(100, 20, 40), timings, tried, 0.5)
    return Ended(series, "OK", "", (decision(),) * attempts, tried, end)


def failed(code: str = "UNAVAILABLE", reason: str = "BACKEND_FAILED") -> Ended:
    return Ended(HERE, code, reason, (decision(),), (attempt(Outcome.FAILED),), None)


@given(st.lists(st.floats(2e-5, 900.0), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.95, 0.99, 1]))
def test_a_quantile_is_off_by_less_than_the_width_of_a_class(values: list[float], q: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    truth = sorted(values)[max(0, math.ceil(q * len(values)) - 1)]
    assert truth / 1.13 <= histogram.quantile(q) <= truth * 1.13


@given(st.lists(st.floats(0, 5000.0), max_size=60), st.integers(0, 60))
def test_histograms_add_up(values: list[float], cut: int) -> None:
    whole, first, second = Histogram(), Histogram(), Histogram()
    for value in values:
        whole.add(value)
    for value in values[:cut]:
        first.add(value)
    for value in values[cut:]:
        second.add(value)
    first.merge(second)
    assert (first.counts, first.largest) == (whole.counts, whole.largest)
    assert first.total == pytest.approx(whole.total)


def test_a_bound_belongs_to_the_class_that_it_closes() -> None:
    histogram = Histogram()
    for value in (0.0, 0.1, 0.11, 2.5, 1e6):
        histogram.add(value)
    assert histogram.up_to((0.1, 2.5)) == [2, 4]
    assert {0.001, 0.002, 0.0025, 0.005, 0.1, 1.0, 2.5, 5.0, 10.0, 500.0} <= set(BOUNDS)
    assert list(BOUNDS) == sorted(BOUNDS)


def test_what_happened_is_in_the_count_of_its_time_and_of_all_time() -> None:
    statistics = Statistics(1000.0)
    statistics.ended(answered(), 1001.0)
    statistics.ended(failed(), 1300.0)
    statistics.ended(failed("CANCELLED", ""), 1301.0)

    late, all_ = statistics.last(60.0, 1302.0), statistics.since_start()

    assert (late.count.total().succeeded, late.count.total().requests) == (0, 2)
    assert 60.0 <= late.seconds <= 70.0
    total = all_.total()
    assert (total.succeeded, total.failed, total.cancelled) == (1, 1, 1)
    assert (total.prompt_tokens, total.completion_tokens, total.cached_tokens) == (100, 20, 40)
    assert total.cost_usd == 0.5
    assert all_.errors == {"BACKEND_FAILED": 1}
    assert all_.attempts == {("box", "OK"): 1, ("box", "FAILED"): 2}
    assert total.first_token.quantile(0.5) == pytest.approx(0.5)


def test_soon_after_the_start_the_window_is_what_there_is() -> None:
    statistics = Statistics(1007.0)
    assert statistics.last(60.0, 1012.0).seconds == pytest.approx(5.0)


def test_after_an_hour_only_the_count_since_the_start_knows_of_it() -> None:
    statistics = Statistics()
    statistics.ended(answered(), 5.0)
    for minute in range(1, 70):
        statistics.lagged(0.001, 60.0 * minute)
    span = statistics.last(HOUR, 60.0 * 69)
    assert span.count.total().requests == 0
    assert HOUR <= span.seconds <= HOUR + 10
    assert statistics.since_start().total().requests == 1


def test_requests_are_grouped_by_whatever_is_asked_for() -> None:
    statistics = Statistics()
    statistics.ended(answered(Series("a", "m", "k")), 1.0)
    statistics.ended(answered(Series("b", "m", "")), 1.0)
    statistics.ended(Ended(Series(), "NOT_FOUND", "MODEL_NOT_FOUND", (), (), None), 1.0)
    count = statistics.since_start()
    assert {name: tally.requests for name, tally in count.grouped(lambda s: s.backend).items()} == {
        "a": 1,
        "b": 1,
    }
    assert {name: tally.requests for name, tally in count.grouped(lambda s: s.model).items()} == {"m": 2}
    assert {name: tally.requests for name, tally in count.grouped(lambda s: s.key).items()} == {"k": 1}
    assert count.total().requests == 3


def test_decisions_fallbacks_and_seams_are_counted() -> None:
    statistics = Statistics()
    for reason in (Reason.EXACT_MODEL, Reason.FAILOVER):
        statistics.decided(decision(reason), 1.0)
    two = answered(attempts=2)._replace(decisions=(decision(), decision(seam=Seam.TEXT_PREFILL)))
    statistics.ended(two, 2.0)
    statistics.looked_up(2.0, hit=True)
    statistics.looked_up(2.0, hit=False)

    count = statistics.since_start()

    assert count.decisions == {("tiny", "box", "EXACT_MODEL"): 1, ("tiny", "box", "FAILOVER"): 1}
    assert count.decide.count == 2
    assert (count.fallbacks, count.seams) == (1, {"TEXT_PREFILL": 1})
    assert count.attempts == {("other", "FAILED"): 1, ("box", "OK"): 1}
    assert count.lookups == {"hit": 1, "miss": 1}


def test_the_minutes_of_the_last_hour_can_be_had_one_by_one() -> None:
    statistics = Statistics(started=25.0)
    statistics.ended(answered(), 30.0)
    statistics.ended(answered(), 59.0)
    statistics.ended(answered(), 95.0)
    minutes = [statistics.minute(number, 100.0) for number in range(-1, 3)]
    counted = [(span.seconds, span.count.total().requests) for span in minutes]
    assert counted == [(0, 0), (35, 2), (40, 1), (0, 0)]


def test_very_many_series_are_counted_as_others() -> None:
    statistics = Statistics()
    for number in range(MOST_SERIES + 50):
        statistics.ended(answered(Series("box", str(number), "")), number / 10)
    tallies = statistics.since_start().tallies
    assert len(tallies) <= MOST_SERIES + 1
    assert tallies[OTHERS].requests == 50
    assert sum(tally.requests for tally in tallies.values()) == MOST_SERIES + 50


def test_with_very_many_series_less_than_an_hour_is_kept_and_the_window_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zoe_grpcd.core.statistics.MOST_TALLIES", 200)
    statistics, slots = Statistics(), 50
    for slot in range(slots):
        for number in range(10):
            statistics.ended(answered(Series("box", str(number), "")), slot * 10.0)
    span = statistics.last(HOUR, slots * 10.0)
    assert span.seconds == pytest.approx(210.0)
    assert span.count.total().requests == 210


def test_balance_is_the_evenness_of_the_parts() -> None:
    assert balance_of({}) == balance_of({"a": 1.0}) == 0.0
    assert balance_of({"a": 0.5, "b": 0.5}) == pytest.approx(1.0)
    assert 0 < balance_of({"a": 0.9, "b": 0.1}) < balance_of({"a": 0.7, "b": 0.3}) < 1


def test_processor_time_is_that_of_the_window() -> None:
    used = [0.0]
    statistics = Statistics(0.0, lambda: used[0])
    for second in range(0, 600, 10):
        used[0] = second * (0.1 if second < 500 else 0.5)
        statistics.lagged(random.random() / 1000, float(second))
    used[0] += 5.0
    assert statistics.last(60.0, 600.0).cpu_seconds / 60.0 > 0.4
