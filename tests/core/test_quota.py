"""What a minute has room for: in no minute more than the limit, and no longer a wait than it takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.quota import MINUTE, Quota

STEPS = st.lists(st.tuples(st.floats(0.0, 40.0), st.integers(1, 12)), max_size=40)


def test_a_limit_of_two_lets_two_in_and_the_third_when_the_first_is_a_minute_old() -> None:
    quota = Quota(2)
    for now in (0.0, 10.0):
        assert quota.wait(1, now) == 0.0
        quota.use(1, now)
    assert quota.wait(1, 20.0) == 40.0
    assert quota.wait(2, 20.0) == 50.0
    assert quota.wait(1, 60.0) == 0.0


@pytest.mark.parametrize("amount", [10, 11, 1000])
def test_what_is_more_than_a_minute_allows_goes_when_nothing_else_does(amount: int) -> None:
    quota = Quota(10)
    assert quota.wait(amount, 0.0) == 0.0
    quota.use(1, 0.0)
    assert quota.wait(amount, 15.0) == 45.0


def test_what_runs_counts_with_what_is_held_and_when_it_is_over_with_what_it_took() -> None:
    quota = Quota(100)
    held = quota.hold(80)
    assert quota.wait(21, 5.0) == MINUTE
    assert quota.wait(20, 5.0) == 0.0
    quota.settle(held, 10, 6.0)
    assert quota.wait(90, 6.0) == 0.0
    assert quota.wait(91, 6.0) == 60.0


def test_what_is_held_and_used_nothing_leaves_nothing_behind() -> None:
    quota = Quota(100)
    quota.settle(quota.hold(1000), 0, 1.0)
    assert quota.wait(100, 1.0) == 0.0


def test_a_limit_that_was_lowered_counts_at_once() -> None:
    quota = Quota(5)
    quota.use(3, 0.0)
    quota.limit = 2
    assert quota.wait(1, 1.0) == 59.0


@given(STEPS, st.integers(1, 20))
def test_in_no_minute_is_more_granted_than_the_limit(steps: list[tuple[float, int]], limit: int) -> None:
    quota, now, granted = Quota(limit), 0.0, list[tuple[float, int]]()
    for pause, amount in steps:
        now += pause
        if quota.wait(amount, now) == 0.0:
            quota.use(min(amount, limit), now)
            granted.append((now, min(amount, limit)))
    for begin, _ in granted:
        assert sum(amount for at, amount in granted if begin <= at < begin + MINUTE) <= limit


@given(STEPS, st.integers(1, 20), st.integers(1, 20))
def test_a_wait_is_as_long_as_it_has_to_be_and_no_longer(
    steps: list[tuple[float, int]], limit: int, wanted: int
) -> None:
    quota, now = Quota(limit), 0.0
    for pause, amount in steps:
        now += pause
        quota.use(amount, now)
    wait = quota.wait(wanted, now)
    assert 0.0 <= wait <= MINUTE + 1e-6
    if wait > 0.01:
        assert quota.wait(wanted, now + wait - 0.01) > 0.0
    assert quota.wait(wanted, now + wait + 1e-6) == 0.0
