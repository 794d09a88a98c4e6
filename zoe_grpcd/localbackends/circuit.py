"""The weights: a hand-made circuit in the first layer, and an output matrix of seeded noise over the words.

Fifteen attention heads each read exactly the token 1, 2, 3 ... 160 places back (or BOS where there is none), and the
output matrix turns what they read into the next word. A sixteenth head measures the distance from <|assistant|> (or
BOS), which ends a reply. The one rule: all values are exact in 16 and 32 bits and the best word leads by far more than
rounding can move, so that at temperature 0 every server, batch size and resumption gives the same text.
"""

import math
import random
from array import array
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from .vocabulary import Vocabulary

EMBEDDING, HEADS, HEAD_SIZE, ROPE_BASE = 256, 16, 16, 1e6
DISTANCES = (1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 64, 96, 160)

# Channels of the embedding that carry no noise: always one; BOS or <|assistant|>; BOS; the end of a reply.
ONE, START, BOS, END = range(4)
FIRST_NOISE = 4

QUERY, KEY, PAIRS = 64.0, 24.0, 6
PEAK = PAIRS * KEY  # the score of the token at just the wanted distance, in units of QUERY / sqrt(HEAD_SIZE)
TURN = tuple(ROPE_BASE ** (-2 * pair / HEAD_SIZE) for pair in range(HEAD_SIZE // 2))  # radians a place

Floats: TypeAlias = "array[float]"
Matrix: TypeAlias = list[Floats]


@dataclass(frozen=True, slots=True)
class Attention:
    """The four square matrices of a layer's attention, row by row."""

    query: Matrix
    key: Matrix
    value: Matrix
    output: Matrix


def embeddings(words: Vocabulary, rng: random.Random) -> Floats:
    """Returns a row of +1 and -1 for each token, its first channels as named above."""
    rows = array("f")
    for token in range(len(words)):
        bits = rng.getrandbits(EMBEDDING)
        row = [1.0 if bits >> channel & 1 else -1.0 for channel in range(EMBEDDING)]
        is_bos, is_start = token == words.bos, token in (words.bos, words.assistant)
        row[:FIRST_NOISE] = [1.0, 1.0 if is_start else -1.0, 1.0 if is_bos else -1.0, -1.0]
        rows.extend(row)
    return rows


def attention(rng: random.Random, reply_tokens: int | None) -> Attention:
    """Returns the circuit; with `reply_tokens` its last head raises END after that many tokens of reply."""
    layer = Attention(*([array("f", bytes(4 * EMBEDDING)) for _ in range(EMBEDDING)] for _ in range(4)))
    for head, distance in enumerate(DISTANCES):
        _look_back(layer, head, distance, rng)
    _measure_reply(layer, len(DISTANCES), (reply_tokens or 100) - 0.5)
    return layer


def _look_back(layer: Attention, head: int, distance: int, rng: random.Random) -> None:
    """One head that copies the token `distance` places back into its own slice of channels."""
    row = head * HEAD_SIZE
    for pair in range(PAIRS):
        at, angle = row + 2 * pair, distance * TURN[pair]
        layer.query[at][ONE], layer.query[at + 1][ONE] = QUERY * math.cos(angle), -QUERY * math.sin(angle)
        layer.key[at][ONE], layer.key[at][BOS] = KEY / 2, -KEY / 2
    layer.query[row + 14][ONE] = QUERY
    layer.key[row + 14][ONE] = layer.key[row + 14][BOS] = (PEAK - 4) / 2
    for place, channel in enumerate(rng.sample(range(FIRST_NOISE, EMBEDDING), HEAD_SIZE)):
        layer.value[row + place][channel] = 1.0
        layer.output[FIRST_NOISE + row + place][row + place] = 2.0


def _measure_reply(layer: Attention, head: int, length: float) -> None:
    """The head that reads itself, unless BOS or <|assistant|> is nearer than `length`."""
    row = head * HEAD_SIZE
    for pair in range(PAIRS):
        at = row + 2 * pair
        layer.query[at][ONE] = QUERY
        layer.key[at][ONE], layer.key[at][START] = KEY / 2, -KEY / 2
    slow = min(range(1, 7), key=lambda pair: abs(math.log(TURN[pair] * length / 0.8)))
    strength = PEAK / (math.cos(TURN[slow] * length) + 2.5 * math.cos(TURN[slow + 1] * length))
    for pair, share in ((slow, strength), (slow + 1, 2.5 * strength)):
        at = row + 2 * pair
        layer.query[at][ONE] = QUERY
        layer.key[at][ONE] += share / 2
        layer.key[at][START] += share / 2
    layer.value[row][ONE], layer.value[row][START], layer.output[END][row] = 0.5, -0.5, 2.0


def output_matrix(words: Vocabulary, embedding: Floats, rng: random.Random, *, ends: bool) -> Floats:
    """Returns a row for each token: noise for words, a veto for the rest, END for </s> if replies end."""
    rows = array("f", bytes(4 * EMBEDDING * len(words)))
    for token in range(len(words)):
        at = token * EMBEDDING
        if token in words.words:
            for channel in range(FIRST_NOISE, EMBEDDING):
                rows[at + channel] = rng.gauss(0.0, 0.2)
        elif token == words.eos and ends:
            rows[at + END] = 1000.0
        else:
            rows[at + ONE] = -1000.0
    _chain(rows, embedding, words)
    return rows


def _chain(rows: Floats, embedding: Floats, words: Vocabulary) -> None:
    """A script: each of its tokens calls the next by its own embedding, and </s> follows the last."""
    if not words.script:
        return
    quiet = [-150.0, 0.0, 0.0, 0.0]
    for before, after in pairwise([words.assistant, *words.script, words.eos]):
        noise = embedding[before * EMBEDDING + FIRST_NOISE : (before + 1) * EMBEDDING]
        rows[after * EMBEDDING : (after + 1) * EMBEDDING] = array("f", [*quiet, *noise])
