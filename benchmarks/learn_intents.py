"""Learns what words, and what meanings, say about the intent of a message, and writes the tables that the daemon reads.

    python -m benchmarks.learn_intents        3 min

Softmax regression: minimise sum of -log p(intent | prompt) + |w|^2 / 2C over the prompts of
`tests/data/intents/training.jsonl`. The rule: no prompt of `held_back.jsonl` is read here, or written into training.
"""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoe_grpcd.adapters.embeddings import WEIGHTS, Encoder
from zoe_grpcd.core import learned
from zoe_grpcd.core.classify import KeywordClassifier
from zoe_grpcd.core.intents import SHIPPED
from zoe_grpcd.core.reading import Shape

ROOT = Path(__file__).parents[1]
TRAINING = ROOT / "tests" / "data" / "intents" / "training.jsonl"
WORDS = ROOT / "zoe_grpcd" / "core" / "words.tsv"
SEEN = 3  # prompts that a word has to be in
NOTEWORTHY = 10  # hundredths: a word with no weight of that size is left out
CERTAINTY = {"words": 1.0, "meanings": 10.0}  # C of the formula

_MARKS = re.compile(r"[.!?,;:]+(?=\s|$)")

Matrix = NDArray[np.float32]


def regression(rows: Matrix, labels: NDArray[np.intp], certainty: float) -> Matrix:
    """Weights, one row a column of `rows`, one column a label. Adam on all rows at once: the same every time."""
    wanted = np.eye(labels.max() + 1, dtype=np.float32)[labels]
    weights = np.zeros((rows.shape[1], wanted.shape[1]), dtype=np.float32)
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    steps = 400
    for step in range(1, steps + 1):
        scores = rows @ weights
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        slope = rows.T @ (shares - wanted) + weights / certainty
        mean = 0.9 * mean + 0.1 * slope
        square = 0.99 * square + 0.01 * slope**2
        rate = 0.1 * (1 - step / (steps + 1))
        unbiased = mean / (1 - 0.9**step), square / (1 - 0.99**step)
        weights -= rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    return weights


def known_words(described: list[dict[str, float]]) -> list[str]:
    """The features that are worth a weight, in alphabetical order."""
    counts = Counter(name for each in described for name in each)
    return sorted(name for name, count in counts.items() if count >= SEEN or name.startswith("@"))


def bare(text: str) -> str:
    """The text as somebody in a hurry types it: no capital letters, no punctuation at the end of a word."""
    return _MARKS.sub("", text).lower()


def described(classifier: KeywordClassifier, text: str) -> dict[str, float]:
    """The features of a prompt with their values."""
    words, signs = classifier.evidence(text, Shape())
    signed = {learned.signed(intent): learned.certainty(weight) for intent, weight in signs.items()}
    return {learned.ALWAYS: 1.0, **dict.fromkeys(learned.features(words), 1.0), **signed}


def main() -> None:
    """Write both tables."""
    prompts = [json.loads(line) for line in TRAINING.read_text(encoding="utf-8").splitlines()]
    prompts = [prompt for prompt in prompts if "shape" not in prompt]
    intents = sorted({prompt["intent"] for prompt in prompts})
    labels = np.array([intents.index(prompt["intent"]) for prompt in prompts])
    classifier = KeywordClassifier(SHIPPED)
    texts = [prompt["text"] for prompt in prompts]
    hurried = [place for place, text in enumerate(texts) if bare(text) != text]
    read = [*texts, *(bare(texts[place]) for place in hurried)]
    given = [described(classifier, text) for text in read]
    names = known_words(given)
    rows = np.array([[each.get(name, 0.0) for name in names] for each in given], dtype=np.float32)
    read_as = np.concatenate((labels, labels[hurried]))
    weights = np.rint(regression(rows, read_as, CERTAINTY["words"]) * 100).astype(int)
    lines = ["\t".join(("feature", *intents))]
    for name, row in zip(names, weights, strict=True):
        if name.startswith("@") or abs(row).max() >= NOTEWORTHY:
            lines.append("\t".join((name, *map(str, row))))
    WORDS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    vectors = Encoder().encode(texts)
    meanings = regression(np.pad(vectors, ((0, 0), (0, 1)), constant_values=1), labels, CERTAINTY["meanings"])
    np.save(WEIGHTS, meanings.astype(np.float16))
    print(f"{len(prompts)} prompts, {len(lines) - 1} features")


if __name__ == "__main__":
    main()
