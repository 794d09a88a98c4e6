"""What the words of a message say about its intent, besides the signs: weights that were learned from labelled prompts.

The rule: nothing is learned while the daemon runs. `benchmarks/learn_intents.py` wrote the table, one feature a line
with its weight for each intent; to change what it says, label prompts and run that again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.resources import files
from itertools import pairwise
from math import exp, log, tanh

from zoe_grpcd.core.vocabulary import NEGATORS

ALWAYS = "@always"  # the feature of every message: how common each intent is
_FIRST, _LAST = 40, 20  # words that are looked at, from either end
_NEGATED = 3  # words that a negator reaches
_CERTAIN = 3.0  # weight of signs at which they count three quarters of the most they can; see core.signs
_USUAL = 9  # words of a message of usual length
_PLAIN = dict.fromkeys("0123456789", "#") | {"\n": "|"}  # any number, and the end of a line
_TABLE = files("zoe_grpcd.core").joinpath("words.tsv")
_UNIT = 0.01  # what the table's whole numbers are multiplied by


def features(words: Sequence[str]) -> list[str]:
    """What the table may know of a message: its words, pairs of them, how it begins, and its length.

    What follows "not" or "never" is other words: "do not add" is no "add". `words` as `core.phrases.written_out` has them. A number counts as a number, whichever it is.
    """
    ends = words if len(words) <= _FIRST + _LAST else (*words[:_FIRST], *words[-_LAST:])
    plain = [_PLAIN.get(word[0], word) for word in ends]
    for place in [place for place, word in enumerate(plain) if word in NEGATORS]:
        reach = slice(place + 1, place + 1 + _NEGATED)
        plain[reach] = [f"not-{word}" for word in plain[reach]]
    pairs = [f"{word} {after}" for word, after in pairwise(plain)]
    begins = [f"^{' '.join(plain[:count])}" for count in range(1, min(len(plain), 3) + 1)]
    return [f"@length {min(len(plain) // 4, 6)}", *dict.fromkeys(plain), *dict.fromkeys(pairs), *begins]


def loudness(words: int) -> float:
    """What each feature of a message of so many words counts: the more there are, the less each of them says."""
    return exp(0.3 * log(_USUAL / max(1, min(words, _FIRST + _LAST))))


def signed(intent: str) -> str:
    """The feature "signs of this intent were found"; its value is `certainty` of their weight."""
    return f"@signs {intent}"


def certainty(weight: float) -> float:
    """Weight of the signs of an intent, 0 and up -> 0 to 1: many signs say little more than a few."""
    return tanh(weight / _CERTAIN)


def log_shares(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores -> the natural logarithm of what share of all each has, as e^score (softmax)."""
    most = max(scores.values())
    total = log(sum(exp(score - most) for score in scores.values())) + most
    return {name: score - total for name, score in scores.items()}


def shares_of(names: Collection[str], scores: Mapping[str, float], rest: str) -> dict[str, float]:
    """The same of these names alone: what the others have is the share of `rest`, which is one of them."""
    shares = log_shares(scores)
    if len(names) == len(shares):
        return shares
    kept = {name: shares[name] for name in names}
    kept[rest] = log(sum(exp(shares[name]) for name in {rest, *shares.keys() - kept.keys()}))
    return kept


class Table:
    """Weights of features, each for all `intents`, in their order."""

    def __init__(self, lines: Iterable[str]) -> None:
        head, *rows = (line.rstrip("\n").split("\t") for line in lines)
        self.intents = tuple(head[1:])
        self._rows = {name: tuple(map(int, weights)) for name, *weights in rows}
        self._nothing = (0,) * len(self.intents)

    def knows(self, words: Sequence[str]) -> list[str]:
        """The features of a message that have weights."""
        return list(filter(self._rows.__contains__, features(words)))

    def scores(self, known: Iterable[str], words: int, signs: Mapping[str, float]) -> list[float]:
        """A score for each intent, larger = likelier. `known` as of `knows`, of a message of `words` words; `signs`:
        intent -> weight.
        """
        said = map(sum, zip(self._nothing, *map(self._rows.__getitem__, known), strict=False))
        loud = loudness(words)
        rows: list[Sequence[float]] = [self._rows[ALWAYS], [loud * each for each in said]]
        for intent, weight in signs.items():
            share = certainty(weight)
            rows.append([share * each for each in self._rows.get(signed(intent), self._nothing)])
        return [_UNIT * sum(column) for column in zip(*rows, strict=False)]

    def weight(self, feature: str, intent: str) -> float:
        """What a known feature says for an intent; below 0 = against it."""
        return _UNIT * self._rows[feature][self.intents.index(intent)]


def shipped() -> Table:
    """The table that ships."""
    with _TABLE.open(encoding="utf-8") as lines:
        return Table(lines)


SHIPPED = shipped()
