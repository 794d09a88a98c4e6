"""What the nearest examples and the keywords say together: two opinions on one message -> its intent.

The rule: an example overrules the keywords only by a margin, which is what the keywords weigh; where no example is
much like the message, or those that are disagree, keywords decide.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, tanh

from zoe_grpcd.core.classify import FLOOR
from zoe_grpcd.core.domain import Verdict
from zoe_grpcd.core.intents import CHAT

NEIGHBOURS = 24
"""Examples that have a say."""

DECIDES = 6.0
"""Weight from which keywords stand alone: an image, tools, a context, or what the operator stated."""

_SHARPNESS = 0.1  # of cosine similarity: an example that is so much further away counts 1/e
_KEYWORDS = 0.9  # what keywords count at most, where the examples together count 1
_THE_REST = 1.4  # weight up to which the signs of chat only say that nothing else was found
_CERTAIN = 3.0  # weight of keywords at which they count three quarters of that; see core.signs


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An example, and how much like the message it is: cosine similarity, -1 to 1."""

    similarity: float
    intent: str
    example: str


def decided(weights: Mapping[str, float]) -> bool:
    """Whether keywords stand alone: on what the request has, on what the operator stated, or on its language."""
    best = max(weights, key=weights.__getitem__, default=CHAT)
    return best == "multilingual" or weights.get(best, 0.0) >= DECIDES


def together(neighbours: Sequence[Neighbour], weights: Mapping[str, float]) -> Verdict:
    """The verdict of both. `weights` are those of the keywords, as `KeywordClassifier.weights` has them.

    score(intent) = share of the neighbours, each counting e^((similarity - best) / 0.1), + 0.9 tanh(weight / 3)
    """
    weights = {**weights, CHAT: max(0.0, weights.get(CHAT, 0.0) - _THE_REST)}
    nearest = max(neighbours, key=lambda n: n.similarity)
    votes = [(n, exp((n.similarity - nearest.similarity) / _SHARPNESS)) for n in neighbours]
    total = sum(vote for _, vote in votes)
    scores = {intent: _KEYWORDS * tanh(weight / _CERTAIN) for intent, weight in weights.items()}
    for neighbour, vote in votes:
        scores[neighbour.intent] = scores.get(neighbour.intent, 0.0) + vote / total
    best = min(scores, key=lambda intent: (-scores[intent], intent))
    confidence = round(scores[best] / sum(scores.values()), 3)
    return Verdict(best, confidence, _signs(best, neighbours, weights))


def _signs(intent: str, neighbours: Sequence[Neighbour], weights: Mapping[str, float]) -> tuple[str, ...]:
    alike = [n for n in neighbours if n.intent == intent]
    said = ("keywords",) if weights.get(intent, 0.0) >= FLOOR else ()
    if not alike:
        return said
    nearest = max(alike, key=lambda n: (n.similarity, n.example))
    return (f"{nearest.similarity:.2f} like {nearest.example!r}", *said)
