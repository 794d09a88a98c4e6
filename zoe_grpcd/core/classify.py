"""The text and shape of a request -> its intent.

The rule: what a text says *about* an action is no action; commands count only where a clause begins (`core.phrases`),
and never inside quotes (`core.reading`). What the request has, or the operator stated, decides alone; below that the
signs of all intents and the words of the message are weighed together (`core.learned`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp
from operator import itemgetter
from typing import Protocol

from zoe_grpcd.core import learned
from zoe_grpcd.core.ask import Verdict
from zoe_grpcd.core.intents import CHAT, Intent
from zoe_grpcd.core.phrases import Found, PhraseBook, parts_of, spelled, written_out
from zoe_grpcd.core.reading import FACTS, SHORT_WORDS, Reading, Shape, read

__all__ = ["Classifier", "KeywordClassifier", "Opinion", "Shape", "Verdict"]

DECIDES = 6.0
"""Weight from which signs decide alone: an image, tools, a context, or what the operator stated."""

_FADE = 0.5  # what each further sign of an intent counts of the one before: many weak ones make no strong one
_DISTANT = 0.7  # what a sign in the middle of a longer message counts
_NEAR = 45  # words from either end that are not the middle
# Facts of short messages: what needs them is not looked for in longer ones.
_SHORT = frozenset(("@short", "@tiny"))
_LASTING = 2.3  # weight of the signs that are looked for in longer ones: the weaker say little there
_SIGNS_SHOWN = 3


class Classifier(Protocol):
    """Finds the intent of a request. Never raises, whatever the text; the same input has the same verdict."""

    def classify(self, text: str, shape: Shape) -> Verdict:
        """`text` is the last message of the user, of any length."""
        ...


@dataclass(frozen=True, slots=True)
class _Sign:
    intent: int
    weight: float
    first: str  # the phrase under which it is found; empty: it has facts only
    phrases: frozenset[str]
    facts: tuple[str, ...]
    without: tuple[str, ...]
    without_facts: tuple[str, ...]
    text: str  # as it was written


_Weighed = tuple[float, str, _Sign | None]  # what a sign adds, and the sign, or None for a pattern


@dataclass(frozen=True, slots=True)
class Opinion:
    """A verdict, and what it was chosen by: `shares` has the logarithm of how likely each intent is, and is empty where
    signs decided alone.
    """

    verdict: Verdict
    shares: Mapping[str, float]


class KeywordClassifier:
    """The default classifier: weighs the signs of each intent and the words of the message; no dependency, no state.

    Building it compiles all phrases once and raises ValueError for one that is malformed.
    """

    def __init__(self, intents: Sequence[Intent], table: learned.Table = learned.SHIPPED) -> None:
        self._names = tuple(intent.name for intent in intents)
        self._table = table
        self._learned = [name for name in table.intents if name in self._names]
        compiled = [
            _sign(index, sign, weight)
            for index, intent in enumerate(intents)
            for sign, weight in intent.signs.items()
        ]
        lasting = [sign for sign in compiled if sign.weight >= _LASTING and _SHORT.isdisjoint(sign.facts)]
        self._book = PhraseBook(part for sign in compiled for part in (*sign.phrases, *sign.without))
        self._long_book = PhraseBook(part for sign in lasting for part in (*sign.phrases, *sign.without))
        self._by_phrase = _grouped((sign.first, sign) for sign in compiled if sign.phrases)
        self._by_fact = tuple((sign.facts[0], sign) for sign in compiled if not sign.phrases)
        self._patterns = tuple(
            (re.compile(pattern, re.IGNORECASE), index, weight)
            for index, intent in enumerate(intents)
            for pattern, weight in intent.patterns.items()
        )

    def classify(self, text: str, shape: Shape) -> Verdict:
        """The likeliest intent; chat if no word of the message says anything."""
        return self.opinion(text, shape).verdict

    def opinion(self, text: str, shape: Shape) -> Opinion:
        """The same, with how likely each intent is."""
        weighed, found, words = self._weighed(text, shape)
        totals = {self._names[index]: _total(_strongest_first(signs)) for index, signs in weighed.items()}
        strongest = max(totals, key=totals.__getitem__, default=CHAT)
        known = self._table.knows(words)
        alone = totals.get(strongest, 0.0) >= DECIDES or not (known or totals)
        shares = {} if alone else self._shares(known, len(words), totals)
        intent = strongest if alone else max(shares, key=shares.__getitem__)
        confidence = round(exp(shares.get(intent, 0.0)), 3)
        signs = weighed.get(self._names.index(intent), ())[:_SIGNS_SHOWN]
        shown = [_shown(text, sign, found, words) for _, text, sign in signs]
        verdict = Verdict(intent, confidence, tuple(dict.fromkeys(shown or self._telling(intent, known))))
        return Opinion(verdict, shares)

    def evidence(self, text: str, shape: Shape) -> tuple[Sequence[str], Mapping[str, float]]:
        """The words of a message, and what the signs of each intent weigh together; none: left out."""
        weighed, _, words = self._weighed(text, shape)
        return words, {
            self._names[index]: _total(_strongest_first(signs)) for index, signs in weighed.items()
        }

    def _shares(self, known: Sequence[str], words: int, totals: Mapping[str, float]) -> dict[str, float]:
        """Chat takes what an intent that was removed would have."""
        scores = dict(zip(self._table.intents, self._table.scores(known, words, totals), strict=True))
        return learned.shares_of(self._learned, scores, CHAT)

    def _telling(self, intent: str, known: Sequence[str]) -> list[str]:
        """The words that speak most for an intent."""
        weights = {name: self._table.weight(name, intent) for name in known if name.strip("^")[0].isalpha()}
        names = sorted(
            (name for name in weights if weights[name] > 0), key=lambda name: (-weights[name], name)
        )
        return [f"says {name.removeprefix('^')!r}" for name in names[:_SIGNS_SHOWN]]

    def _weighed(
        self, text: str, shape: Shape
    ) -> tuple[dict[int, list[_Weighed]], Mapping[str, Found], Sequence[str]]:
        reading = read(text, shape)
        words = written_out(reading.words)
        book = self._book if len(reading.words) <= SHORT_WORDS else self._long_book
        found = book.find(words)
        weighed: dict[int, list[_Weighed]] = {}
        for sign in self._holding(found, _Facts(reading)):
            weight = sign.weight * _nearness(found, sign, len(words))
            weighed.setdefault(sign.intent, []).append((weight, sign.text, sign))
        for pattern, index, weight in self._patterns:
            if pattern.search(reading.visible):
                weighed.setdefault(index, []).append((weight, pattern.pattern, None))
        return weighed, found, words

    def _holding(self, found: Mapping[str, Found], facts: "_Facts") -> Iterable[_Sign]:
        for phrase in found:
            for sign in self._by_phrase.get(phrase, ()):
                if _holds(sign, found, facts):
                    yield sign
        for fact, sign in self._by_fact:
            if facts[fact] and _holds(sign, found, facts):
                yield sign


class _Facts(dict[str, bool]):
    """Facts of one message, each found out when first asked for."""

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self._reading = reading

    def __missing__(self, name: str) -> bool:
        value = self[name] = FACTS[name][1](self._reading)
        return value


def _sign(intent: int, text: str, weight: float) -> _Sign:
    wanted, unwanted = parts_of(text)
    unknown = [part for part in wanted + unwanted if part.startswith("@") and part not in FACTS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no fact; there are {', '.join(FACTS)}")
    phrases = tuple(part for part in wanted if not part.startswith("@"))
    facts = tuple(part for part in wanted if part.startswith("@"))
    return _Sign(
        intent,
        weight,
        phrases[0] if phrases else "",
        frozenset(phrases),
        facts,
        tuple(part for part in unwanted if not part.startswith("@")),
        tuple(part for part in unwanted if part.startswith("@")),
        text,
    )


def _shown(text: str, sign: _Sign | None, found: Mapping[str, Found], words: Sequence[str]) -> str:
    """Why a sign holds, in words: the keywords as the message spells them, and nothing else of it."""
    if sign is None:
        return f"matches {text!r}"
    said = (f"says {spelled(found[part], words)!r}" for part in sorted(sign.phrases))
    return ", ".join((*said, *(FACTS[fact][0] for fact in sign.facts)))


def _grouped(pairs: Iterable[tuple[str, _Sign]]) -> Mapping[str, Sequence[_Sign]]:
    groups: dict[str, list[_Sign]] = {}
    for key, sign in pairs:
        groups.setdefault(key, []).append(sign)
    return groups


def _holds(sign: _Sign, found: Mapping[str, Found], facts: _Facts) -> bool:
    for fact in sign.facts:
        if not facts[fact]:
            return False
    for fact in sign.without_facts:
        if facts[fact]:
            return False
    return found.keys() >= sign.phrases and found.keys().isdisjoint(sign.without)


def _nearness(found: Mapping[str, Found], sign: _Sign, words: int) -> float:
    """1 near the beginning and the end of a message, less in the middle of it, where its material stands."""
    if not sign.phrases:
        return 1.0
    at, _ = found[sign.first]
    return 1.0 if at < _NEAR or at >= words - _NEAR else _DISTANT


def _strongest_first(signs: list[_Weighed]) -> list[_Weighed]:
    signs.sort(key=itemgetter(0, 1), reverse=True)
    return signs


def _total(signs: Sequence[_Weighed]) -> float:
    return sum(weight * _FADE**rank for rank, (weight, _, _) in enumerate(signs))
