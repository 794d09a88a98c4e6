"""Money for a day: held before a call, settled after it, and new at midnight UTC."""

from datetime import UTC, datetime

import pytest
from fakes import a_view
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.budget import DAY, Budget, day_of, most_usd, until_tomorrow
from zoe_grpcd.core.estimate import Size

NOON = 20_000 * DAY + DAY / 2
USD = st.floats(0.0, 3.0)


def test_what_is_held_and_what_was_spent_is_not_left() -> None:
    budget = Budget(10.0)
    budget.hold(4.0)
    assert budget.left(NOON) == 6.0
    assert budget.left(NOON, own=4.0) == 10.0
    budget.settle(4.0, 1.5, NOON)
    assert budget.left(NOON) == 8.5


def test_a_call_that_costs_more_than_was_held_leaves_nothing_and_no_debt() -> None:
    budget = Budget(1.0)
    budget.hold(0.5)
    budget.settle(0.5, 2.0, NOON)
    assert budget.left(NOON) == 0.0
    assert budget.left(NOON + DAY) == 1.0


def test_the_operator_is_told_once_a_day_when_four_fifths_are_spent() -> None:
    budget = Budget(1.0)
    assert [budget.settle(0.0, usd, NOON) for usd in (0.79, 0.01, 0.5, 0.1)] == [False, True, False, False]
    assert [budget.settle(0.0, usd, NOON + DAY) for usd in (0.1, 0.9)] == [False, True]


def test_nothing_is_told_of_a_key_without_money_that_spends_none() -> None:
    assert not Budget(0.0).settle(0.0, 0.0, NOON)


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        (datetime(2026, 3, 29, 0, 0, tzinfo=UTC), 86400),
        (datetime(2026, 3, 29, 23, 59, 59, tzinfo=UTC), 1),
        (datetime(2024, 2, 28, 12, 0, tzinfo=UTC), 43200),
    ],
)
def test_a_day_ends_at_midnight_utc(moment: datetime, seconds: float) -> None:
    unix = moment.timestamp()
    assert until_tomorrow(unix) == seconds
    assert day_of(unix + seconds) == day_of(unix) + 1


def test_a_clock_that_is_set_back_brings_no_money() -> None:
    budget = Budget(1.0)
    budget.settle(0.0, 1.0, NOON)
    assert budget.left(NOON - 300 * DAY) == 0.0
    assert budget.left(NOON - 299 * DAY) == 1.0


def test_a_call_over_midnight_counts_on_the_day_of_its_end() -> None:
    budget = Budget(1.0)
    budget.hold(0.6)
    assert budget.left(NOON + DAY) == pytest.approx(0.4)
    budget.settle(0.6, 0.3, NOON + DAY)
    assert budget.left(NOON + DAY) == pytest.approx(0.7)


@given(st.lists(st.tuples(USD, USD, st.floats(0.0, DAY)), max_size=30))
def test_of_a_day_no_more_is_let_in_than_the_budget_as_long_as_no_call_costs_more_than_was_held(
    calls: list[tuple[float, float, float]],
) -> None:
    budget, now, spent = Budget(5.0), NOON, dict[int, float]()
    for most, share, pause in calls:
        now += pause
        if most <= budget.left(now):
            budget.hold(most)
            cost = most * share / 3.0
            budget.settle(most, cost, now)
            spent[day_of(now)] = spent.get(day_of(now), 0.0) + cost
    assert all(usd <= 5.0 + 1e-9 for usd in spent.values())
    assert budget.held == pytest.approx(0.0, abs=1e-9)


def test_the_most_that_a_call_may_cost_is_that_of_a_long_prompt_and_all_it_may_say() -> None:
    view = a_view("cloud", input_usd_per_token=1e-6, output_usd_per_token=2e-6, bytes_per_token=4.0)
    size = Size(prompt_bytes=4000, fixed_tokens=0, max_output_tokens=500)
    assert most_usd(size, view) == pytest.approx(1250e-6 + 500 * 2e-6)


def test_without_a_limit_an_answer_may_be_four_times_the_mean_as_far_as_the_window_has_room() -> None:
    view = a_view("cloud", output_usd_per_token=1e-6, output_tokens=200.0, bytes_per_token=4.0)
    size = Size(prompt_bytes=400, fixed_tokens=0, max_output_tokens=None)
    assert most_usd(size, view) == pytest.approx(800e-6)
    small = a_view(
        "cloud", output_usd_per_token=1e-6, output_tokens=200.0, bytes_per_token=4.0, context_tokens=525
    )
    assert most_usd(size, small) == pytest.approx(400e-6)


def test_what_is_free_may_cost_nothing() -> None:
    assert most_usd(Size(10**9, 0, None), a_view("local")) == 0.0
