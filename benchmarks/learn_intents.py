"""Learns what words, and what meanings, say about the intent of a message, and writes the tables that the daemon reads.

    python -m benchmarks.learn_intents        5 min

Words: softmax regression; minimise sum of -log p(intent | prompt) + |w|^2 / 2C over the prompts of
`tests/data/intents/training.jsonl`. Meanings: networks with one hidden layer, by AdamW (arXiv:1711.05101) with dropout.
The rule: no prompt of `held_back.jsonl` is read here, or written into training.
"""

import json
import math
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
SEEN = 4  # prompts that a word has to be in
NOTEWORTHY = 24  # hundredths: a word with no weight of that size is left out
CERTAINTY = 1.0  # C of the formula

NETWORKS = 3  # that are one in the end: what one of them has learned by chance, the others have not
HIDDEN = 200  # units of each
EPOCHS = 20
BATCH = 128
DROPPED = 0.12, 0.4  # share of what a vector, and what a unit says, that is not seen in a step
DECAY = 0.06
RATE = 0.003  # of learning, at most
DOUBT = 0.03  # share of certainty that is given to all intents alike: a label may be wrong
SPREAD = 12.0  # what vectors of length 1 are multiplied by while the network learns

_MARKS = re.compile(r"[.!?,;:]+(?=\s|$)")

Matrix = NDArray[np.float32]


class Adam:
    """Steps down a slope, each weight at its own pace (arXiv:1412.6980)."""

    def __init__(self, like: Matrix) -> None:
        self._mean, self._square = np.zeros_like(like), np.zeros_like(like)
        self._steps = 0

    def step(self, slope: Matrix) -> Matrix:
        """What to take from the weights, times the rate."""
        self._steps += 1
        self._mean = np.float32(0.9) * self._mean + np.float32(0.1) * slope
        self._square = np.float32(0.99) * self._square + np.float32(0.01) * slope**2
        mean = self._mean / np.float32(1 - 0.9**self._steps)
        square = self._square / np.float32(1 - 0.99**self._steps)
        step: Matrix = mean / (np.sqrt(square) + np.float32(1e-8))
        return step


class Sparse:
    """A matrix that is mostly 0: each row a prompt, each column a feature, and no row or column empty."""

    def __init__(self, rows: list[dict[str, float]], names: list[str]) -> None:
        places = {name: place for place, name in enumerate(names)}
        cells = [(r, places[n], v) for r, row in enumerate(rows) for n, v in row.items() if n in places]
        self.width = len(names)
        self._row, self._column = (np.array([cell[i] for cell in cells]) for i in (0, 1))
        self._value = np.array([cell[2] for cell in cells], dtype=np.float32)[:, None]
        self._by_column = np.argsort(self._column, kind="stable")
        self._rows = np.flatnonzero(np.diff(self._row, prepend=-1))
        self._columns = np.flatnonzero(np.diff(self._column[self._by_column], prepend=-1))

    def times(self, right: Matrix) -> Matrix:
        """The product with a matrix that has a row for each feature."""
        product: Matrix = np.add.reduceat(self._value * right[self._column], self._rows)
        return product

    def turned_times(self, right: Matrix) -> Matrix:
        """The product of the transposed matrix with one that has a row for each prompt."""
        cells = self._value * right[self._row]
        product: Matrix = np.add.reduceat(cells[self._by_column], self._columns)
        return product


def shares(scores: Matrix) -> Matrix:
    """Scores -> what share of all each has, as e^score."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    share: Matrix = raised / raised.sum(axis=1, keepdims=True)
    return share


def regression(rows: Sparse, labels: NDArray[np.intp], certainty: float) -> Matrix:
    """Weights, one row a column of `rows`, one column a label. All rows at once: the same every time."""
    wanted = np.eye(labels.max() + 1, dtype=np.float32)[labels]
    weights = np.zeros((rows.width, wanted.shape[1]), dtype=np.float32)
    adam = Adam(weights)
    steps = 400
    for step in range(1, steps + 1):
        slope = rows.turned_times(shares(rows.times(weights)) - wanted) + weights / np.float32(certainty)
        weights -= np.float32(0.1 * (1 - step / (steps + 1))) * adam.step(slope)
    return weights


def joined(networks: list[tuple[Matrix, Matrix]]) -> tuple[Matrix, Matrix]:
    """One network whose scores are the means of those of all."""
    inner = np.hstack([inner for inner, _ in networks])
    added = np.sum([outer[-1:] for _, outer in networks], axis=0)
    outer = np.vstack([*(outer[:-1] for _, outer in networks), added])
    return inner, outer / np.float32(len(networks))


def network(vectors: Matrix, labels: NDArray[np.intp], seed: int) -> tuple[Matrix, Matrix]:
    """Weights of the hidden layer and of the last one, each with a last row for what is added. The same every time."""
    random = np.random.default_rng(seed)
    intents = labels.max() + 1
    wanted = (np.eye(intents) * (1 - DOUBT) + DOUBT / intents).astype(np.float32)[labels]
    inner = random.normal(0, vectors.shape[1] ** -0.5, (vectors.shape[1], HIDDEN)).astype(np.float32)
    outer = random.normal(0, HIDDEN**-0.5, (HIDDEN, intents)).astype(np.float32)
    layers = _with_ones(inner, 0.0), _with_ones(outer, 0.0)
    adams = [Adam(layer) for layer in layers]
    rows = _with_ones(vectors.T * np.float32(SPREAD)).T
    batches = [batch for _ in range(EPOCHS) for batch in _batches(random, len(rows))]
    for step, batch in enumerate(batches):
        rate = np.float32(RATE * _pace(step / len(batches)))
        for layer, adam, slope in zip(
            layers, adams, _slopes(random, rows[batch], wanted[batch], layers), strict=True
        ):
            layer[...] -= rate * (adam.step(slope) + np.float32(DECAY) * layer)
    layers[0][:-1] *= SPREAD
    return layers


def _slopes(
    random: np.random.Generator, rows: Matrix, wanted: Matrix, layers: tuple[Matrix, Matrix]
) -> tuple[Matrix, Matrix]:
    """Which way the loss of these rows rises, for both layers, with some of what is said left out."""
    seen = rows * _kept(random, rows.shape, DROPPED[0])
    sums = seen @ layers[0]
    counts = (sums > 0) * _kept(random, sums.shape, DROPPED[1])
    hidden = _with_ones((sums * counts).T).T
    wrong = (shares(hidden @ layers[1]) - wanted) / np.float32(len(rows))
    return seen.T @ ((wrong @ layers[1][:-1].T) * counts), hidden.T @ wrong


def _kept(random: np.random.Generator, shape: tuple[int, ...], dropped: float) -> Matrix:
    """1 / (1 - dropped) for what is kept, so that sums stay as they are, and 0 for the others."""
    kept: Matrix = (random.random(shape, dtype=np.float32) >= dropped) * np.float32(1 / (1 - dropped))
    return kept


def _batches(random: np.random.Generator, rows: int) -> list[NDArray[np.intp]]:
    return np.array_split(random.permutation(rows), -(-rows // BATCH))


def _pace(done: float) -> float:
    """Share of the rate: rising over the first third, then falling to 0."""
    return done / 0.3 if done < 0.3 else (1 + math.cos(math.pi * (done - 0.3) / 0.7)) / 2


def _with_ones(rows: Matrix, value: float = 1.0) -> Matrix:
    """With a last row of one value."""
    return np.pad(rows, ((0, 1), (0, 0)), constant_values=value)


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
    said = dict.fromkeys(learned.features(words), learned.loudness(len(words)))
    return {learned.ALWAYS: 1.0, **said, **signed}


def write_words(texts: list[str], labels: NDArray[np.intp], intents: list[str]) -> int:
    """Writes the table of words; how many features it has."""
    classifier = KeywordClassifier(SHIPPED)
    hurried = [place for place, text in enumerate(texts) if bare(text) != text]
    given = [described(classifier, text) for text in (*texts, *(bare(texts[place]) for place in hurried))]
    names = known_words(given)
    read_as = np.concatenate((labels, labels[hurried]))
    weights = np.rint(regression(Sparse(given, names), read_as, CERTAINTY) * 100).astype(int)
    lines = ["\t".join(("feature", *intents))]
    for name, row in zip(names, weights, strict=True):
        if name.startswith("@") or abs(row).max() >= NOTEWORTHY:
            lines.append("\t".join((name, *map(str, row))))
    WORDS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines) - 1


def main() -> None:
    """Write both tables."""
    prompts = [json.loads(line) for line in TRAINING.read_text(encoding="utf-8").splitlines()]
    prompts = [prompt for prompt in prompts if "shape" not in prompt]
    intents = sorted({prompt["intent"] for prompt in prompts})
    labels = np.array([intents.index(prompt["intent"]) for prompt in prompts])
    texts = [prompt["text"] for prompt in prompts]
    features = write_words(texts, labels, intents)
    vectors = Encoder().encode(texts)
    inner, outer = joined([network(vectors, labels, seed) for seed in range(NETWORKS)])
    np.savez(WEIGHTS, inner=inner.astype(np.float16), outer=outer.astype(np.float16))
    print(f"{len(prompts)} prompts, {features} features")


if __name__ == "__main__":
    main()
