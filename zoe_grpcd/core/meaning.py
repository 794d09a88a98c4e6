"""What a message means and what keywords say, together: two opinions -> its intent.

The rule: each opinion counts as much as it is sure of itself, so where meaning is unsure, keywords decide.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp

from zoe_grpcd.core.ask import Verdict
from zoe_grpcd.core.classify import Opinion
from zoe_grpcd.core.intents import CHAT
from zoe_grpcd.core.learned import log_shares, shares_of

ALIKE = 0.6
"""Cosine similarity from which an example of the operator decides: most paraphrases have it, few other texts."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """Scores of intents by the meaning of a message, larger = likelier; and the operator's example nearest to it:
    its cosine similarity (-1 to 1; without examples -1), the intent that it is of, and itself.
    """

    scores: Mapping[str, float]
    similarity: float = -1.0
    intent: str = ""
    example: str = ""


def stands_alone(opinion: Opinion) -> bool:
    """Whether meaning is not asked: signs decide alone, or the message is in a language that the model has not learned."""
    return not opinion.shares or opinion.verdict.intent == "multilingual"


def together(opinion: Opinion, meaning: Meaning) -> Verdict:
    """The verdict of both: the intent whose shares, multiplied, are the largest; or that of an example `ALIKE`."""
    if meaning.similarity >= ALIKE:
        return Verdict(
            meaning.intent,
            round(meaning.similarity, 3),
            (f"{meaning.similarity:.2f} like {meaning.example!r}",),
        )
    meant = shares_of(opinion.shares, meaning.scores, CHAT)
    both = log_shares({name: share + meant[name] for name, share in opinion.shares.items()})
    best = min(both, key=lambda intent: (-both[intent], intent))
    said = opinion.verdict.signs if opinion.verdict.intent == best else ()
    return Verdict(best, round(exp(both[best]), 3), (f"{exp(meant[best]):.0%} by its meaning", *said))
