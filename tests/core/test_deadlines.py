"""What can be done in time, by what was measured; and the fleet as somebody finds it who is served after others."""

import math

import pytest
from fakes import a_backend, a_snapshot, a_view
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.ask import Limits
from zoe_grpcd.core.awaited import behind
from zoe_grpcd.core.backend import Phase
from zoe_grpcd.core.deadlines import LEAST_CHANCE, measured_part, soonest, too_slow
from zoe_grpcd.core.decision import Estimate
from zoe_grpcd.core.estimate import MANY, Size, chance, estimate
from zoe_grpcd.core.timetable import Shop, Task
from zoe_grpcd.core.views import BackendView, Known

ALL = Known(load=True, prefill=True, token=True)
TEN = Estimate(1.0, 2.0, 3.0, 4.0, 50.0, 0.0, ninety=18.0)


@given(st.floats(0.01, 1e4), st.floats(1.0, 10.0))
def test_the_soonest_end_is_the_one_that_an_answer_in_twenty_reaches(total: float, spread: float) -> None:
    expected = Estimate(0.0, 0.0, 0.0, total, 50.0, 0.0, ninety=total * spread)
    assert soonest(expected) <= total * (1 + 1e-9)
    if spread > 1.1:
        assert chance(expected, soonest(expected)) == pytest.approx(LEAST_CHANCE, abs=1e-6)


@pytest.mark.parametrize(
    ("known", "counts"),
    [
        (ALL, 10.0),
        (Known(prefill=True, token=True), 8.0),
        (Known(load=True, token=True), 7.0),
        (Known(token=True), 5.0),
        (Known(load=True, prefill=True), 3.0),
        (Known(), 0.0),
    ],
)
def test_what_nobody_measured_counts_nothing(known: Known, counts: float) -> None:
    seen = measured_part(a_view("a", known=known), TEN)
    assert seen.total == counts
    assert seen.ninety == pytest.approx(1.8 * counts)


@pytest.mark.parametrize(
    ("known", "quickest", "counts"),
    [
        (Known(token=True), 2.0, 7.0),
        (Known(token=True), 9.0, 8.0),  # no more than is expected of this prompt
        (ALL, 2.0, 10.0),
        (Known(), 2.0, 2.0),
    ],
)
def test_where_reading_was_never_measured_the_quickest_first_token_stands_for_it(
    known: Known, quickest: float, counts: float
) -> None:
    assert measured_part(a_view("a", known=known, quickest=quickest), TEN).total == counts


@pytest.mark.parametrize(
    ("limits", "slow"),
    [
        (Limits(), False),
        (Limits(deadline=4.6), True),  # 10 s, and one in twenty takes 4.7
        (Limits(deadline=4.8), False),
        (Limits(first_token=5.9), True),
        (Limits(first_token=6.1), False),
        (Limits(total=9.9), True),
        (Limits(total=10.1), False),
        (Limits(deadline=0.0), True),
    ],
)
def test_limits(limits: Limits, slow: bool) -> None:
    assert too_slow(limits, a_view("a", known=ALL), TEN) is slow
    assert not too_slow(limits, a_view("a"), TEN)


def busy(*tasks: Task, slots: int = 1) -> BackendView:
    return BackendView(a_backend("a"), Phase.READY, len(tasks), slots=slots, tasks=tasks, shop=Shop(slots))


def test_those_before_are_played_through_like_those_in_flight() -> None:
    view = a_view("a", known=ALL)
    snapshot = a_snapshot([busy(Task("m", 2.0))], [view])
    later = behind(snapshot, {"a": [Task("m", 3.0)], "gone": [Task("m", 9.0)]})
    assert estimate(Size(100, 0, 10), view, snapshot.backends["a"]).queue == pytest.approx(2.0)
    assert estimate(Size(100, 0, 10), view, later.backends["a"]).queue == pytest.approx(5.0)
    assert later.backends["a"].in_flight == 2


def test_of_many_only_the_number_counts() -> None:
    snapshot = a_snapshot([busy(Task("m", 2.0))], [a_view("a")])
    later = behind(snapshot, {"a": [Task("m", 3.0)] * MANY})
    assert later.backends["a"].tasks == ()
    assert math.isfinite(estimate(Size(100, 0, 10), a_view("a"), later.backends["a"]).queue)


def test_nobody_before_is_no_other_picture() -> None:
    snapshot = a_snapshot([busy()], [a_view("a")])
    assert behind(snapshot, {}) is snapshot
