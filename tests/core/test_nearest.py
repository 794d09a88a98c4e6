"""Two opinions on one message: the examples that are most like it, and the keywords in it."""

import pytest

from zoe_grpcd.core.nearest import DECIDES, Neighbour, decided, together


def near(*pairs: tuple[float, str]) -> list[Neighbour]:
    return [
        Neighbour(similarity, intent, f"{intent} {number}")
        for number, (similarity, intent) in enumerate(pairs)
    ]


def test_without_keywords_the_nearest_examples_decide() -> None:
    verdict = together(near((0.9, "action"), (0.6, "chat"), (0.5, "chat")), {})
    assert (verdict.intent, verdict.signs) == ("action", ("0.90 like 'action 0'",))


def test_many_close_examples_outvote_a_slightly_closer_one() -> None:
    assert together(near((0.80, "chat"), (0.79, "code"), (0.79, "code")), {}).intent == "code"


@pytest.mark.parametrize(("weight", "intent"), [(0.8, "explain"), (3.0, "code")])
def test_keywords_overrule_the_examples_by_what_they_weigh(weight: float, intent: str) -> None:
    assert (
        together(near((0.8, "explain"), (0.78, "explain"), (0.7, "code")), {"code": weight}).intent == intent
    )


def test_examples_that_disagree_leave_it_to_the_keywords() -> None:
    verdict = together(near((0.4, "chat"), (0.4, "action"), (0.4, "memory")), {"status": 1.2})
    assert (verdict.intent, verdict.signs) == ("status", ("keywords",))


def test_a_tie_is_broken_by_name() -> None:
    assert together(near((0.5, "code"), (0.5, "chat")), {}).intent == "chat"


@pytest.mark.parametrize(
    ("weights", "alone"),
    [
        ({}, False),
        ({"code": 4.2}, False),
        ({"vision": 12.0, "code": 3.0}, True),
        ({"house": DECIDES}, True),
        ({"multilingual": 2.8, "chat": 1.0}, True),
        ({"multilingual": 2.8, "translate": 4.0}, False),
    ],
)
def test_what_keywords_decide_alone(weights: dict[str, float], alone: bool) -> None:
    assert decided(weights) is alone
