"""How much those who run at the same time slow each other down, as their answers tell."""

import random

import pytest

from zoe_grpcd.core.contention import HALF_LIFE, NONE, Contention
from zoe_grpcd.core.timetable import USUAL


def taught(mates: float, strangers: float, count: int = 200) -> Contention:
    """By answers of a machine on which they cost so much, with some noise."""
    contention, draw = Contention(), random.Random(1)
    for number in range(count):
        m, s = draw.choice([(0, 1), (1, 0), (2, 1), (0.5, 0.5), (0, 0)])
        slower = (1.0 + mates * m + strangers * s) * draw.lognormvariate(0.0, 0.1)
        contention.learn(m, s, slower, float(number))
    return contention


@pytest.mark.parametrize(("mates", "strangers"), [(0.1, 0.9), (0.6, 1.0), (0.0, 0.0), (1.0, 0.2)])
def test_what_it_costs_is_learned(mates: float, strangers: float) -> None:
    assert taught(mates, strangers).sharing == pytest.approx((mates, strangers), abs=0.07)


def test_who_ran_alone_says_nothing() -> None:
    contention = Contention()
    contention.learn(0.0, 0.0, 5.0, 0.0)
    assert contention.sharing == USUAL


def test_one_answer_moves_it_half_of_the_way() -> None:
    contention = Contention()
    contention.learn(1.0, 0.0, 1.0 + USUAL.mates + 0.4, 0.0)
    assert contention.sharing == pytest.approx((USUAL.mates + 0.2, USUAL.strangers))


def test_an_answer_that_took_absurdly_long_is_not_believed() -> None:
    contention = Contention()
    contention.learn(1.0, 0.0, 1e6, 0.0)
    assert contention.sharing.mates < 3.0
    contention = Contention()
    contention.learn(1.0, 0.0, 0.01, 0.0)
    assert contention.sharing.mates == pytest.approx(USUAL.mates / 2)


def test_what_it_was_long_ago_fades() -> None:
    contention = taught(1.0, 1.0)
    for _ in range(4):
        contention.learn(1.0, 0.0, 1.1, 20 * HALF_LIFE)
    assert contention.sharing.mates < 0.2


def test_how_much_slower_it_is_beside_others() -> None:
    assert Contention().slowdown(0.0, 0.0) == 1.0
    assert Contention().slowdown(2.0, 1.0) == pytest.approx(1.0 + 2 * USUAL.mates + USUAL.strangers)
    assert Contention(NONE).slowdown(9.0, 9.0) == 1.0
