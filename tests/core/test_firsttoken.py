"""How long a first token may take: by the work, by what was timed, and within bounds."""

import pytest

from zoe_grpcd.core.decision import Estimate
from zoe_grpcd.core.firsttoken import Bounds, budget_of
from zoe_grpcd.core.learning import ENOUGH_LOADS, ENOUGH_RESPONSES, Learned, Lesson, Timed

BOUNDS = Bounds(floor=30.0, ceiling=600.0)


def expecting(queue: float = 0.0, load: float = 0.0, prefill: float = 0.1) -> Estimate:
    return Estimate(queue, load, prefill, 10.0, 20.0, 0.0)


@pytest.mark.parametrize(
    ("expected", "timed", "seconds"),
    [
        (None, Timed(), 30.0),
        (expecting(), Timed(), 30.0),
        (expecting(load=10.0, prefill=1.0), Timed(), 44.0),
        (expecting(queue=20.0, prefill=1.0), Timed(), 84.0),
        (expecting(load=1000.0), Timed(), 600.0),
        (expecting(), Timed(response=0.2), 10.0),  # well known: a hang is found sooner
        (expecting(), Timed(response=20.0), 40.0),
        (expecting(prefill=50.0), Timed(response=0.2), 200.0),  # a longer prompt than ever
        (expecting(load=10.0), Timed(load=60.0, response=0.2), 120.4),
        (expecting(load=10.0), Timed(load=3.0, response=0.2), 10.0),
        (expecting(), Timed(load=60.0, response=0.2), 10.0),  # it is warm
    ],
)
def test_a_budget_is_sized_to_the_work(expected: Estimate | None, timed: Timed, seconds: float) -> None:
    assert budget_of(expected, timed, BOUNDS) == pytest.approx(seconds)


def test_what_was_timed_too_seldom_is_not_believed() -> None:
    learned = Learned()
    for number in range(ENOUGH_RESPONSES):
        assert learned.timed(100.0) == Timed()
        learned.learn(Lesson(failed=False, duration=2.0, first_token=0.1 + number / 100), 100.0)
    assert learned.timed(100.0).response == pytest.approx(0.28)
    assert learned.timed(1000.0) == Timed()


def test_the_p95_of_loads_outlasts_the_day() -> None:
    learned = Learned()
    for seconds in range(ENOUGH_LOADS):
        assert learned.timed(0.0).load is None
        learned.learn_load(1.0 + seconds, 0.0)
    assert learned.timed(86400.0).load == ENOUGH_LOADS
