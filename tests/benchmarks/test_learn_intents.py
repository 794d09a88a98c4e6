"""What the tables of intents are learned by: words in proportion to what they say, meanings beyond what a line can part."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.learn_intents import Matrix, Sparse, bare, joined, known_words, network, regression


def scores(layers: tuple[Matrix, Matrix], vectors: Matrix) -> Matrix:
    inner, outer = layers
    hidden = np.maximum(vectors @ inner[:-1] + inner[-1], 0.0)
    return np.asarray(hidden @ outer[:-1] + outer[-1], dtype=np.float32)


@pytest.fixture(scope="module")
def corners() -> tuple[Matrix, NDArray[np.intp]]:
    """Points about the four corners of a square, labelled alike where the corners are opposite: no line parts them."""
    random = np.random.default_rng(1)
    signs = random.choice([-1.0, 1.0], (1000, 2))
    points = signs + random.normal(0, 0.1, signs.shape)
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), (
        signs.prod(axis=1) > 0
    ).astype(np.intp)


def test_a_word_speaks_for_the_intent_whose_prompts_have_it() -> None:
    prompts = [{"@always": 1.0, "play": 1.0}, {"@always": 1.0, "why": 1.0}, {"@always": 1.0, "why": 0.5}] * 4
    names = known_words(prompts)
    weights = regression(Sparse(prompts, names), np.array([0, 1, 1] * 4), 1.0)
    assert names == ["@always", "play", "why"]
    assert weights[1, 0] > weights[1, 1]
    assert weights[2, 1] > weights[2, 0]


def test_a_word_of_few_prompts_has_no_weight() -> None:
    assert known_words([{"often": 1.0}] * 4 + [{"seldom": 1.0}] * 3) == ["often"]


def test_a_network_parts_what_no_line_can(corners: tuple[Matrix, NDArray[np.intp]]) -> None:
    points, labels = corners
    found = scores(network(points, labels, 0), points).argmax(axis=1)
    assert np.mean(found == labels) > 0.99


def test_networks_joined_score_as_the_mean_of_all(corners: tuple[Matrix, NDArray[np.intp]]) -> None:
    points, labels = corners
    several = [network(points[:200], labels[:200], seed) for seed in (0, 1)]
    means = np.mean([scores(layers, points) for layers in several], axis=0)
    np.testing.assert_allclose(scores(joined(several), points), means, atol=1e-4)


def test_what_is_learned_is_the_same_every_time(corners: tuple[Matrix, NDArray[np.intp]]) -> None:
    points, labels = corners
    first, second = (network(points[:200], labels[:200], 5) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_a_hurried_writer_leaves_out_capitals_and_stops() -> None:
    assert bare("Hi, what is 3.5 in Rome?") == "hi what is 3.5 in rome"
