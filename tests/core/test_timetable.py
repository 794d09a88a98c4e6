"""The future of one backend, played through."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.timetable import ANY, Sharing, Shop, Task, loss_beside, play, wait_for_one

M, N, P = "m", "n", "p"
ALONE = Sharing(0.0, 0.0)
ONE = Shop(1, ALONE)
LOADS = {M: 2.0, N: 3.0, P: 1.0}
SMALL = Shop(1, ALONE, LOADS, resident=(M,))  # one model at a time


def ends(shop: Shop, *tasks: Task) -> list[float]:
    return [place.end for place in play(shop, tasks).places]


@pytest.mark.parametrize(
    ("shop", "tasks", "expected"),
    [
        (ONE, [], []),
        (ONE, [Task(M, 4.0)], [4.0]),
        (ONE, [Task(M, 4.0), Task(M, 2.0)], [4.0, 6.0]),
        (Shop(2, ALONE), [Task(M, 4.0), Task(M, 2.0), Task(M, 1.0)], [4.0, 2.0, 3.0]),
        (ONE, [Task(M, 4.0), Task(N, 2.0)], [4.0, 2.0]),  # each model has slots of its own
        (ONE, [Task(ANY, 4.0), Task(ANY, 2.0), Task(M, 1.0)], [4.0, 2.0, 1.0]),
        # beside a mate each takes 1.5 times as long: 3 s for the first 2 s of work, then the rest alone
        (Shop(2, Sharing(0.5, 9.0)), [Task(M, 4.0), Task(M, 2.0)], [5.0, 3.0]),
        (Shop(1, Sharing(9.0, 1.0)), [Task(M, 4.0), Task(N, 2.0)], [6.0, 4.0]),
        # loads
        (replace(SMALL, loading={N: 1.5}), [Task(N, 1.0)], [2.5]),
        (SMALL, [Task(N, 1.0)], [4.0]),
        (SMALL, [Task(M, 4.0), Task(N, 1.0)], [4.0, 8.0]),
        (replace(SMALL, most_models=2), [Task(M, 4.0), Task(N, 1.0)], [4.0, 4.0]),
        # who has to leave the memory gets nothing more, and is loaded again
        (SMALL, [Task(M, 4.0), Task(N, 1.0), Task(M, 1.0)], [4.0, 8.0, 11.0]),
        # two loads at a time, or one after the other
        (replace(SMALL, resident=(), most_models=2), [Task(M, 1.0), Task(N, 1.0)], [3.0, 4.0]),
        (replace(SMALL, resident=(), most_models=2, in_turn=True), [Task(M, 1.0), Task(N, 1.0)], [3.0, 6.0]),
        # in turn, who waits for memory holds up also those whose model is there
        (
            replace(SMALL, most_models=2, resident=(M, N), in_turn=True),
            [Task(M, 4.0), Task(N, 9.0), Task(P, 1.0), Task(N, 1.0)],
            [4.0, 9.0, 6.0, 10.0],
        ),
    ],
)
def test_when_each_ends(shop: Shop, tasks: list[Task], expected: list[float]) -> None:
    assert ends(shop, *tasks) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("sizes", "most_bytes", "pushed_out"),
    [
        ({}, 0, []),  # no sizes told: the number decides
        ({M: 4, N: 2, P: 3}, 9, []),
        ({M: 4, N: 2, P: 3}, 6, [M]),
        ({M: 4, N: 2, P: 3}, 4, [M, N]),
    ],
)
def test_the_least_recently_used_leave_until_it_fits(
    sizes: dict[str, int], most_bytes: int, pushed_out: list[str]
) -> None:
    shop = replace(SMALL, resident=(M, N), sizes=sizes, most_models=3, most_bytes=most_bytes)
    assert play(shop, [Task(P, 1.0)]).pushed_out == pushed_out


def test_what_was_used_last_stays() -> None:
    shop = replace(SMALL, resident=(M, N), most_models=2, loading={})
    assert play(shop, [Task(M, 1.0), Task(P, 1.0)]).pushed_out == [N]


def test_another_length_of_a_load() -> None:
    assert ends(SMALL.loading_in(N, 5.0), Task(N, 1.0)) == [6.0]
    assert ends(SMALL.loading_in(N, 0.0), Task(N, 1.0)) == [1.0]
    assert ends(replace(SMALL, loading={N: 2.0}).loading_in(N, 7.0), Task(N, 1.0)) == [8.0]
    assert ends(ONE.loading_in(M, 5.0), Task(M, 1.0)) == [6.0]
    assert ONE.loading_in(M, 0.0) is ONE
    assert SMALL.loading_in(N, 3.0) is SMALL


tasks = st.lists(st.builds(Task, st.sampled_from((M, N, P, ANY)), st.floats(0.01, 100.0)), max_size=8)
shops = st.builds(
    Shop,
    st.integers(1, 4),
    st.builds(Sharing, st.floats(0, 2), st.floats(0, 2)),
    st.just(LOADS),
    resident=st.lists(st.sampled_from((M, N, P)), unique=True).map(tuple),
    most_models=st.integers(1, 3),
    in_turn=st.booleans(),
)


@given(shops, tasks)
def test_everybody_starts_and_ends_and_nobody_is_faster_than_alone(shop: Shop, tasks: list[Task]) -> None:
    places = play(shop, tasks).places
    assert len(places) == len(tasks)
    for task, place in zip(tasks, places, strict=True):
        assert place.start >= 0
        assert place.end >= place.start + 0.999 * task.work


@given(tasks, st.integers(1, 4))
def test_without_sharing_who_comes_later_takes_nothing_from_those_before_it(
    tasks: list[Task], slots: int
) -> None:
    shop = Shop(slots, ALONE)
    assert ends(shop, *tasks, Task(M, 1.0))[:-1] == pytest.approx(ends(shop, *tasks))


@given(st.builds(Sharing, st.floats(0, 2), st.floats(0, 2)), tasks)
def test_who_waits_for_a_load_for_ever_changes_nothing_for_those_at_work(
    sharing: Sharing, tasks: list[Task]
) -> None:
    shop = Shop(8, sharing, LOADS, resident=(M, N, P), most_models=4)
    endless = replace(shop, loads={**LOADS, "q": 1e6}, loading={"q": 1e6})
    assert ends(endless, *tasks, Task("q", 1.0))[:-1] == pytest.approx(ends(shop, *tasks))


@given(shops, st.lists(st.builds(Task, st.just(M), st.floats(0.01, 20)), max_size=6), st.floats(0.01, 20))
def test_what_requests_for_one_model_lose_by_each_other_is_the_difference_of_two_plays(
    shop: Shop, tasks: list[Task], work: float
) -> None:
    shop, mine = shop.loading_in(M, 0.0), Task(M, work)
    loss = loss_beside(shop, tasks, mine)
    assert (loss is None) == (len(tasks) >= shop.slots or M in shop.loading)
    if loss is not None:
        check_loss(shop, tasks, mine, loss)


@given(shops, st.builds(Task, st.sampled_from([N, P, ANY]), st.floats(0.01, 20)), st.floats(0.01, 20))
def test_what_two_for_different_models_lose_by_each_other_is_the_difference_of_two_plays(
    shop: Shop, task: Task, work: float
) -> None:
    shop, mine = shop.loading_in(M, 0.0), Task(M, work)
    loss = loss_beside(shop, [task], mine)
    ready = task.model == ANY or (task.model in shop.resident and task.model not in shop.loading)
    assert (loss is not None) == (ready and M not in shop.loading)
    if loss is not None:
        check_loss(shop, [task], mine, loss)


@given(shops, st.sampled_from([M, N, ANY]), st.floats(0.01, 20), st.floats(0.01, 20))
def test_who_waits_for_the_only_slot_of_its_model_begins_when_that_ends_and_nobody_loses(
    shop: Shop, other: str, left: float, work: float
) -> None:
    shop, task, mine = shop.loading_in(M, 0.0), Task(other, left), Task(M, work)
    wait = wait_for_one(shop, [task], M)
    assert (wait is not None) == (other == M and shop.slots == 1 and M not in shop.loading)
    if wait is not None:
        before, place = play(shop, [task, mine]).places
        assert (before.end, place.start) == pytest.approx((left, wait))
        assert place.end == pytest.approx(wait + work)


def check_loss(shop: Shop, tasks: list[Task], mine: Task, loss: float) -> None:
    *others, last = ends(shop, *tasks, mine)
    assert last - mine.work == pytest.approx(loss, abs=1e-6)
    assert sum(others) - sum(ends(shop, *tasks)) == pytest.approx(loss, abs=1e-6)


def test_beside_several_of_other_models_it_has_to_be_played() -> None:
    assert loss_beside(Shop(4), [Task(N, 1.0), Task(N, 1.0)], Task(M, 1.0)) is None
