"""How much those who run at the same time slow each other down, as their answers tell."""

import random

import pytest

from zoe_grpcd.core.contention import ALONE, HALF_LIFE, NONE, Company, Contention
from zoe_grpcd.core.timetable import USUAL

SEEN = [(0, 1, 0), (1, 0, 0), (0, 0, 1), (2, 1, 0), (1, 0, 2), (0.5, 0.5, 0.5), (0, 0, 0)]


def taught(*costs: float, count: int = 200) -> Contention:
    """By answers of a machine on which mates, strangers and neighbours cost so much, with some noise."""
    contention, draw = Contention(), random.Random(1)
    for number in range(count):
        beside = Company(*draw.choice(SEEN))
        slower = 1.0 + sum(cost * many for cost, many in zip(costs, beside, strict=True))
        contention.learn(beside, slower * draw.lognormvariate(0.0, 0.1), float(number))
    return contention


@pytest.mark.parametrize(
    "costs", [(0.1, 0.9, 0.9), (0.6, 1.0, 0.0), (0.0, 0.0, 0.0), (1.0, 0.2, 0.5), (0.1, 0.1, 1.0)]
)
def test_what_it_costs_is_learned(costs: tuple[float, float, float]) -> None:
    assert taught(*costs).sharing == pytest.approx(costs, abs=0.1)


def test_a_neighbour_is_taken_for_a_mate_until_one_was_seen() -> None:
    assert USUAL.neighbours == USUAL.mates
    contention = Contention()
    contention.learn(Company(mates=1.0), 3.0, 0.0)
    assert contention.sharing.neighbours == USUAL.neighbours


def test_what_was_learned_is_restored_and_what_cannot_have_been_is_refused() -> None:
    before, after = taught(0.1, 0.9, 0.4), Contention()
    after.restore(before.dump(1000.0), 1000.0)
    assert after.sharing == pytest.approx(before.sharing, abs=0.01)
    for values in (
        [1.0, 5.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0],
        [1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0],
    ):
        with pytest.raises(ValueError, match="sums"):
            after.restore([100 * value for value in values], 1000.0)
    assert after.sharing == pytest.approx(before.sharing, abs=0.01)


def test_who_ran_alone_says_nothing() -> None:
    contention = Contention()
    contention.learn(ALONE, 5.0, 0.0)
    assert contention.sharing == USUAL


def test_one_answer_moves_it_half_of_the_way() -> None:
    contention = Contention()
    contention.learn(Company(1.0), 1.0 + USUAL.mates + 0.4, 0.0)
    assert contention.sharing == pytest.approx((USUAL.mates + 0.2, USUAL.strangers, USUAL.neighbours))


def test_an_answer_that_took_absurdly_long_is_not_believed() -> None:
    contention = Contention()
    contention.learn(Company(1.0), 1e6, 0.0)
    assert contention.sharing.mates < 3.0
    contention = Contention()
    contention.learn(Company(1.0), 0.01, 0.0)
    assert contention.sharing.mates == pytest.approx(USUAL.mates / 2)


def test_what_it_was_long_ago_fades() -> None:
    contention = taught(1.0, 1.0, 1.0)
    for _ in range(4):
        contention.learn(Company(1.0), 1.1, 20 * HALF_LIFE)
    assert contention.sharing.mates < 0.2


def test_how_much_slower_it_is_beside_others() -> None:
    assert Contention().slowdown(ALONE) == 1.0
    beside = 1.0 + 2 * USUAL.mates + USUAL.strangers + 3 * USUAL.neighbours
    assert Contention().slowdown(Company(2.0, 1.0, 3.0)) == pytest.approx(beside)
    assert Contention(NONE).slowdown(Company(9.0, 9.0, 9.0)) == 1.0
