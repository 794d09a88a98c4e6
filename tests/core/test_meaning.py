"""Two opinions on one message: what it means, and what keywords say."""

from math import log

import pytest

from zoe_grpcd.core.ask import Verdict
from zoe_grpcd.core.classify import Opinion
from zoe_grpcd.core.meaning import ALIKE, Meaning, stands_alone, together


def said(**shares: float) -> Opinion:
    best = max(shares, key=shares.__getitem__)
    verdict = Verdict(best, shares[best], ("says 'it'",))
    return Opinion(verdict, {intent: log(share) for intent, share in shares.items()})


def meant(**shares: float) -> Meaning:
    return Meaning({intent: log(share) for intent, share in shares.items()})


@pytest.mark.parametrize(
    ("keywords", "meaning", "intent"),
    [
        ({"code": 0.4, "chat": 0.6}, {"code": 0.9, "chat": 0.1}, "code"),
        ({"code": 0.9, "chat": 0.1}, {"code": 0.4, "chat": 0.6}, "code"),
        ({"code": 0.5, "chat": 0.5}, {"code": 0.5, "chat": 0.5}, "chat"),
    ],
)
def test_who_is_surer_decides_and_a_tie_goes_by_name(
    keywords: dict[str, float], meaning: dict[str, float], intent: str
) -> None:
    assert together(said(**keywords), meant(**meaning)).intent == intent


def test_the_shares_of_both_are_multiplied() -> None:
    verdict = together(said(code=0.8, chat=0.2), meant(code=0.6, chat=0.4))
    assert verdict.confidence == pytest.approx(0.48 / (0.48 + 0.08), abs=0.001)
    assert verdict.signs == ("60% by its meaning", "says 'it'")


def test_an_intent_that_was_removed_is_never_found() -> None:
    assert together(said(chat=1.0), meant(code=0.9, chat=0.1)).intent == "chat"
    removed = meant(code=0.7, explain=0.2, chat=0.1)
    assert together(said(explain=0.5, chat=0.5), removed).intent == "chat", "which takes what it would have"


@pytest.mark.parametrize(("similarity", "intent"), [(ALIKE, "garden"), (ALIKE - 0.01, "code")])
def test_an_example_decides_when_it_is_alike(similarity: float, intent: str) -> None:
    near = Meaning(meant(code=0.9, chat=0.1).scores, similarity, "garden", "water the roses")
    assert together(said(code=0.9, chat=0.1), near).intent == intent


def test_the_example_that_decided_is_shown() -> None:
    near = Meaning({}, 0.8, "garden", "water the roses")
    assert together(said(code=0.9, chat=0.1), near).signs == ("0.80 like 'water the roses'",)


def test_keywords_stand_alone_on_what_is_stated_and_in_other_languages() -> None:
    assert stands_alone(Opinion(Verdict("vision", 1.0), {}))
    assert stands_alone(said(multilingual=0.9, chat=0.1))
    assert not stands_alone(said(code=0.9, chat=0.1))
