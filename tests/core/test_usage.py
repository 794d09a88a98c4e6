"""Decayed means and quantiles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.usage import DecayedMean, Window

VALUES = st.floats(0.0, 1e6)


def test_before_any_measurement_there_is_the_prior() -> None:
    mean = DecayedMean(7.0)
    assert (mean.value, mean.weight, mean.at(1e9)) == (7.0, 0.0, 7.0)


@pytest.mark.parametrize(("prior_weight", "expected"), [(1.0, 5.0), (3.0, 2.5), (0.25, 8.0)])
def test_a_prior_is_worth_that_many_measurements(prior_weight: float, expected: float) -> None:
    mean = DecayedMean(0.0, prior_weight=prior_weight)
    mean.add(10.0, 0.0)
    assert mean.value == pytest.approx(expected)


def test_a_measurement_counts_half_after_its_half_life() -> None:
    mean = DecayedMean(0.0, prior_weight=0.0001, half_life=60.0)
    mean.add(0.0, 0.0)
    mean.add(3.0, 60.0)
    assert mean.value == pytest.approx(2.0, rel=1e-3)
    assert mean.weight == pytest.approx(1.5)


def test_a_measurement_may_weigh_more() -> None:
    mean = DecayedMean(0.0)
    mean.add(4.0, 0.0, weight=3.0)
    assert mean.value == 3.0


def test_without_new_ones_it_fades_to_the_prior_but_the_value_stays() -> None:
    mean = DecayedMean(1.0, half_life=60.0)
    mean.add(0.0, 0.0)
    assert [round(mean.at(now), 3) for now in (0.0, 60.0, 120.0, 6000.0)] == [0.5, 0.667, 0.8, 1.0]
    assert mean.value == 0.5


def test_a_clock_that_runs_backwards_does_no_harm() -> None:
    mean = DecayedMean(0.0, half_life=60.0)
    mean.add(1.0, 100.0)
    mean.add(1.0, 40.0)
    assert mean.weight == 2.0
    mean.add(1.0, 160.0)
    assert mean.weight == 2.0


def test_a_better_prior_keeps_the_measurements() -> None:
    mean = DecayedMean(0.0)
    mean.add(10.0, 0.0)
    mean.reset_prior(20.0)
    assert mean.value == 15.0


@given(VALUES, st.lists(st.tuples(VALUES, st.floats(0, 1e4)), max_size=20))
def test_a_mean_lies_between_its_extremes(prior: float, measurements: list[tuple[float, float]]) -> None:
    mean, now = DecayedMean(prior), 0.0
    for value, later in measurements:
        now += later
        mean.add(value, now)
    seen = [prior, *(value for value, _ in measurements)]
    for value in (mean.value, mean.at(now + 100)):
        assert min(seen) * (1 - 1e-9) <= value <= max(seen) * (1 + 1e-9)


def test_no_measurements_have_no_quantile() -> None:
    assert Window().quantile(0.5, 0.0) is None


@pytest.mark.parametrize(
    ("count", "q", "expected"),
    [
        (1, 0.5, 1),
        (2, 0.5, 1),
        (3, 0.5, 2),
        (20, 0.95, 19),
        (100, 0.95, 95),
        (10, 0.0, 1),
        (10, 1.0, 10),
    ],
)
def test_quantiles_are_nearest_ranks(count: int, q: float, expected: float) -> None:
    window = Window(size=200)
    for value in range(count, 0, -1):
        window.add(float(value), 0.0)
    assert window.quantile(q, 0.0) == expected


def test_old_and_surplus_measurements_are_left_out() -> None:
    window = Window(size=2, max_age=10.0)
    for at, value in ((0.0, 1.0), (5.0, 2.0), (6.0, 3.0)):
        window.add(value, at)
    assert window.quantile(0.0, 6.0) == 2.0
    assert window.quantile(0.0, 15.5) == 3.0
    assert window.quantile(0.0, 16.5) is None
