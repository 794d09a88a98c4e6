"""What requests on other backends of a machine mean for one on this backend."""

from dataclasses import replace

import pytest
from fakes import a_backend, a_view
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.backend import Phase
from zoe_grpcd.core.estimate import Size, estimate
from zoe_grpcd.core.timetable import Sharing, Shop, Task
from zoe_grpcd.core.views import BackendView

SIZE = Size(400, 4, 100)
VIEW = a_view("a", output_tokens=100.0)
IDLE = BackendView(a_backend("a"), Phase.READY, shop=Shop(sharing=Sharing(0.5, 0.7, 0.5)))
ALONE = estimate(SIZE, VIEW, IDLE)


@pytest.mark.parametrize(("neighbours", "slowdown"), [(0, 1.0), (1, 1.5), (4, 3.0)])
def test_each_request_beside_it_on_the_machine_costs_what_a_neighbour_costs(
    neighbours: int, slowdown: float
) -> None:
    expected = estimate(SIZE, VIEW, replace(IDLE, neighbours=neighbours))
    assert expected.slowdown == pytest.approx(slowdown)
    assert expected.prefill == pytest.approx(ALONE.prefill * slowdown)
    assert expected.decode == pytest.approx(ALONE.decode * slowdown)
    assert expected.tokens_per_second == pytest.approx(ALONE.tokens_per_second / slowdown)
    assert expected.ninety == pytest.approx(ALONE.ninety * slowdown)
    assert (expected.queue, expected.load, expected.cost_usd) == (0.0, 0.0, ALONE.cost_usd)


def test_where_they_do_not_disturb_each_other_nothing_changes() -> None:
    apart = replace(IDLE, shop=Shop(sharing=Sharing(0.3, 0.7, 0.0)))
    assert estimate(SIZE, VIEW, replace(apart, neighbours=5)) == ALONE


def test_a_load_takes_as_long_as_ever() -> None:
    cold = a_view("a", output_tokens=100.0, load_seconds=7.0)
    expected = estimate(SIZE, cold, replace(IDLE, neighbours=2))
    assert (expected.queue, expected.load) == (0.0, 7.0)
    assert expected.decode == pytest.approx(2 * ALONE.decode)


def test_those_before_it_take_longer_as_well() -> None:
    full = replace(IDLE, in_flight=1, tasks=(Task("m", 4.0),))
    expected = estimate(SIZE, VIEW, replace(full, neighbours=2))
    assert expected.queue == pytest.approx(2 * 4.0)
    assert expected.slowdown == pytest.approx(2.0)


def test_mates_and_neighbours_add_up() -> None:
    pair = replace(IDLE, in_flight=1, tasks=(Task("m", 1e6),), shop=Shop(2, Sharing(0.5, 0.7, 0.5)))
    assert estimate(SIZE, VIEW, replace(pair, neighbours=2)).slowdown == pytest.approx(1.0 + 0.5 + 2 * 0.5)


BACKENDS = st.builds(
    lambda tasks, foreign, slots, sharing: replace(
        IDLE, in_flight=len(tasks), foreign=foreign, slots=slots, tasks=tasks, shop=Shop(slots, sharing)
    ),
    st.lists(st.builds(Task, st.sampled_from(["m", "n"]), st.floats(0.01, 100)), max_size=4).map(tuple),
    st.integers(0, 2),
    st.integers(1, 3),
    st.builds(Sharing, st.floats(0, 4), st.floats(0, 4), st.floats(0, 4)),
)


@given(BACKENDS, st.integers(0, 8), st.integers(1, 8), st.sampled_from([0.0, 3.0]))
def test_more_work_on_a_neighbour_never_makes_an_estimate_shorter(
    backend: BackendView, few: int, more: int, load: float
) -> None:
    view = a_view("a", load_seconds=load)
    less, expected = (estimate(SIZE, view, replace(backend, neighbours=n)) for n in (few, few + more))
    for name in ("queue", "load", "prefill", "decode", "total", "ninety", "slowdown"):
        assert getattr(expected, name) >= getattr(less, name) - 1e-9


@pytest.mark.parametrize("count", [1, 3, 6])
def test_before_anything_is_known_an_idle_server_is_no_slower_than_its_equal_that_has_the_work(
    count: int,
) -> None:
    """So a burst spreads over equal servers of one machine."""
    shop = Shop(8)
    busy = replace(IDLE, in_flight=count, tasks=(Task("m", 1e6),) * count, shop=shop)
    beside = replace(IDLE, neighbours=count, shop=shop)
    assert estimate(SIZE, VIEW, beside).total <= estimate(SIZE, VIEW, busy).total + 1e-9
