"""Phrases: how a sign of an intent is written, and how thousands of them are found in one pass over the words.

The rule: the work is linear in the number of words with a constant bound for each, so no text can make it slow.

A phrase is words in lower case, separated by spaces:

    add|put .. list     one of the words, then up to four others, then the word
    a|the? report       a word with `?` may be missing
    {device}            one of the words of that class (`core.vocabulary.CLASSES`)
    ^play               at the start of a clause, after "please", "could you", "hey zoe" and the like
    @image              a fact about the request (`core.reading.FACTS`)
    how many & @numbers both, anywhere;  `& !word` = and not that one

A phrase directly behind "not", "don't", "never" or "without" does not count.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from zoe_grpcd.core.vocabulary import CLASSES, COMMON, CONTRACTIONS, LEADS, NEGATORS, SOFTENERS

_GAP = 4  # words that `..` may stand for
_WORD = re.compile(r"[a-z][\w'+#]*|\d+(?:[.,:]\d+)*|[.!?;:,\n]|[^\W\d_][\w'+#]*")
_SENTENCE_END = frozenset(".!?;\n")
_CLAUSE_END = _SENTENCE_END | frozenset((":", ",", "then"))

Element = frozenset[str] | None  # words that fit at this place; None = a gap


def words_of(text: str) -> list[str]:
    """Words, numbers and the punctuation that ends a clause, in order; `text` is in lower case."""
    return _WORD.findall(text)


def written_out(words: Sequence[str]) -> list[str]:
    """The words with "what's", "don't" and the like as two words each."""
    if CONTRACTIONS.keys().isdisjoint(words):
        return list(words)
    return [part for word in words for part in CONTRACTIONS.get(word, (word,))]


@dataclass(frozen=True, slots=True)
class Phrase:
    """One way to say a part: what fits first, and what follows. `needs` are all of its places that hold words,
    `others` those without the one that it is indexed by; `leads`: that is the first one.
    """

    part: str
    opens: bool
    leads: bool
    first: frozenset[str]
    rest: tuple[Element, ...]
    needs: tuple[frozenset[str], ...]
    others: tuple[frozenset[str], ...]


Found = tuple[int, Phrase]
"""A phrase that occurs, behind the place of its first word."""


def spelled(found: Found, words: Sequence[str]) -> str:
    """The words that made up a phrase, without what stands between them."""
    at, phrase = found
    text = words[at]
    for needed in phrase.needs[1:]:
        after = next(place for place in range(at + 1, len(words)) if words[place] in needed)
        text += (" " if after == at + 1 else " … ") + words[after]
        at = after
    return text


def parts_of(sign: str) -> tuple[list[str], list[str]]:
    """The parts of a sign that have to be there, and those that must not.

    Raises ValueError that says what is wrong with the notation.
    """
    parts = [part.strip() for part in sign.split("&")]
    wanted = [part for part in parts if not part.startswith("!")]
    unwanted = [part[1:].strip() for part in parts if part.startswith("!")]
    if not wanted or not all(part.removeprefix("^").strip() for part in wanted + unwanted):
        raise ValueError(f"{sign!r} needs at least one word in each part, and one part without `!`")
    return wanted, unwanted


def _element(notation: str) -> Element:
    if notation == "..":
        return None
    names = notation.split("|")
    short = [name for name in names if name in CONTRACTIONS]
    if short:
        raise ValueError(f"{short[0]!r} has to be written as {' '.join(CONTRACTIONS[short[0]])!r}")
    unknown = [name for name in names if name.startswith("{") and name.strip("{}") not in CLASSES]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no class of words; there are {', '.join(sorted(CLASSES))}")
    words = (CLASSES[name.strip("{}")] if name.startswith("{") else (name,) for name in names)
    return frozenset(word for group in words for word in group)


def _variants(part: str) -> Iterable[tuple[Element, ...]]:
    """Every reading of a part, with and without its optional words."""
    choices: list[list[tuple[Element, ...]]] = []
    for token in written_out(part.removeprefix("^").split()):
        optional = token.endswith("?")
        element = (_element(token.removesuffix("?")),)
        choices.append([element, ()] if optional else [element])
    for chosen in product(*choices):
        yield tuple(element for group in chosen for element in group)


class PhraseBook:
    """All phrases, each indexed by its rarest place: ordinary prose meets few of them."""

    def __init__(self, parts: Iterable[str]) -> None:
        self._index: dict[str, list[Phrase]] = {}
        for part in dict.fromkeys(parts):
            for elements in _variants(part):
                self._add(part, elements)

    def _add(self, part: str, elements: tuple[Element, ...]) -> None:
        if not elements or elements[0] is None:
            raise ValueError(f"{part!r} has to begin with a word that may not be missing")
        needs = tuple(filter(None, elements))
        rarest = min(needs, key=_frequency)
        others = tuple(element for element in needs if element is not rarest)
        leads = rarest is elements[0]
        phrase = Phrase(part, part.startswith("^"), leads, elements[0], elements[1:], needs, others)
        for word in rarest:
            self._index.setdefault(word, []).append(phrase)

    def find(self, words: Sequence[str]) -> dict[str, Found]:
        """The parts that occur, each where it occurs first."""
        present = frozenset(words)
        opening = _places(words, clause_starts(words))
        anywhere = _places(words, range(len(words)))
        if not NEGATORS.isdisjoint(present):
            anywhere = _places(words, sorted(set(range(len(words))) - _negated(words)))
        found: dict[str, Found] = {}
        for word in dict.fromkeys(words):  # in their order: what stands in a tie is the same at every start
            for phrase in self._index.get(word, ()):
                for other in phrase.others:
                    if present.isdisjoint(other):
                        break
                else:
                    places = opening if phrase.opens else anywhere
                    # of those that lead, each word has its own turn
                    starts: Sequence[int] = (
                        places.get(word, ()) if phrase.leads else _starts(phrase.first, places)
                    )
                    for at in starts:
                        if not phrase.rest or _follows(words, at + 1, phrase.rest):
                            if _earlier(at, phrase, found.get(phrase.part)):
                                found[phrase.part] = at, phrase
                            break
        return found


def _starts(first: frozenset[str], places: Mapping[str, Sequence[int]]) -> Sequence[int]:
    """Where any of these words stands, in order."""
    return sorted([at for word in first & places.keys() for at in places[word]])


def _earlier(at: int, phrase: Phrase, known: Found | None) -> bool:
    """Whether a reading of a part takes the place of another: the first, and there the one that says most."""
    if known is None:
        return True
    return (at, -len(phrase.needs)) < (known[0], -len(known[1].needs))


def _frequency(element: frozenset[str]) -> tuple[int, int]:
    return len(element & COMMON), len(element)


def _places(words: Sequence[str], where: Iterable[int]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for at in where:
        if (word := words[at]) in places:
            places[word].append(at)
        else:
            places[word] = [at]
    return places


def _follows(words: Sequence[str], at: int, rest: Sequence[Element], first: int = 0) -> bool:
    """Whether `rest[first:]` stands at `at`."""
    for index in range(first, len(rest)):
        element = rest[index]
        if element is None:
            return any(_follows(words, skipped, rest, index + 1) for skipped in _reach(words, at))
        if at >= len(words) or words[at] not in element:
            return False
        at += 1
    return True


def _reach(words: Sequence[str], at: int) -> Iterable[int]:
    """Where a gap that begins at `at` may end: it stays inside its sentence."""
    for place in range(at, min(at + _GAP + 1, len(words))):
        yield place
        if words[place] in _SENTENCE_END:
            return


def _negated(words: Sequence[str]) -> frozenset[int]:
    """Places directly behind a negator, or with one soft word between."""
    behind = {at + 1 for at, word in enumerate(words) if word in NEGATORS}
    return frozenset(behind | {at + 1 for at in behind if at < len(words) and words[at] in SOFTENERS})


def _by_first(phrases: Iterable[str]) -> Mapping[str, list[tuple[str, ...]]]:
    table: dict[str, list[tuple[str, ...]]] = {}
    for phrase in phrases:
        first, *rest = phrase.split()
        table.setdefault(first, []).append(tuple(rest))
    for longest_first in table.values():
        longest_first.sort(key=len, reverse=True)
    return table


_LEADS = _by_first(LEADS)


def clause_starts(words: Sequence[str]) -> list[int]:
    """Places where a command would stand: first in a clause, and behind each polite lead-in."""
    starts: list[int] = []
    ends = (at for at, word in enumerate(words) if word in _CLAUSE_END)
    for first in (0, *(end + 1 for end in ends)):
        start, lead = first, 1
        while lead and start < len(words):
            starts.append(start)
            lead = _lead(words, start)
            start += lead
    return starts


def _lead(words: Sequence[str], at: int) -> int:
    """How many words of a lead-in stand at `at`; 0 = none."""
    for rest in _LEADS.get(words[at], ()):
        if tuple(words[at + 1 : at + 1 + len(rest)]) == rest:
            return 1 + len(rest)
    return 0
