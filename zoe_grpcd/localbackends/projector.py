"""Writes a tiny projector, the second file of a model that sees: it turns a picture into tokens for the tiny models.

A picture is scaled to a square of patches, and each patch becomes one token. Its colours are turned at random into a row
of +1 and -1 that the circuit reads like a word's, so that what is said depends on what is seen. The one rule: the same
arguments always write the same bytes.
"""

import random
from collections.abc import Iterator
from pathlib import Path

from .circuit import EMBEDDING, FIRST_NOISE, ONE
from .container import BOOL, F32, STRING, U32, Tensor, array_entry, entry, floats, write_gguf

PATCH = 2  # pixels a side
WIDTH = 16  # numbers that a patch is mixed into first
CHANNELS = EMBEDDING - FIRST_NOISE
STEEP = 8.0  # how sharply a channel turns from -1 to +1


def make_projector(path: Path, patches: int = 24, seed: int = 0) -> Path:
    """Writes the projector to `path` and returns the path: 0.6 MB, for llama-server's --mmproj or beside Ollama's model.

    A picture is `patches` * `patches` tokens; 24 makes as many as LLaVA 1.5 has.
    """
    return write_gguf(path, list(_metadata(patches)), list(_tensors(patches, random.Random(seed))))


def _metadata(patches: int) -> Iterator[bytes]:
    yield entry("general.architecture", STRING, "clip")
    yield entry("general.type", STRING, "projector")  # by which Ollama tells it from the model
    yield entry("clip.projector_type", STRING, "mlp")
    yield entry("clip.has_vision_encoder", BOOL, value=True)
    numbers = {
        "image_size": patches * PATCH,
        "patch_size": PATCH,
        "embedding_length": WIDTH,
        "feed_forward_length": WIDTH,
        "block_count": 0,
        "attention.head_count": 1,
        "projection_dim": EMBEDDING,
    }
    for key, number in numbers.items():
        yield entry(f"clip.vision.{key}", U32, number)
    yield entry("clip.vision.attention.layer_norm_epsilon", F32, 1e-5)
    for key in ("image_mean", "image_std"):  # colours from -1 to 1
        yield array_entry(f"clip.vision.{key}", F32, 3, floats([0.5] * 3))


def _tensors(patches: int, rng: random.Random) -> Iterator[Tensor]:
    """Two layers with a GELU between: a channel is the difference of two that rise one after the other, so a step."""
    patch = floats([rng.gauss(0.0, 1.0) for _ in range(PATCH * PATCH * 3 * WIDTH)])
    mix: list[float] = []
    shift: list[float] = []
    join = [0.0] * (2 * CHANNELS * EMBEDDING)
    for channel in range(CHANNELS):
        row = [STEEP * rng.gauss(0.0, 1.0) for _ in range(WIDTH)]
        middle = STEEP * rng.gauss(0.0, 1.0)
        mix += [*row, *row]
        shift += [middle + STEEP / 2, middle - STEEP / 2]
        at = 2 * (CHANNELS * (FIRST_NOISE + channel) + channel)
        join[at : at + 2] = [2 / STEEP, -2 / STEEP]
    yield Tensor("v.patch_embd.weight", (PATCH, PATCH, 3, WIDTH), patch)
    yield Tensor("v.position_embd.weight", (WIDTH, patches * patches), b"\0")
    yield Tensor("mm.0.weight", (WIDTH, 2 * CHANNELS), floats(mix))
    yield Tensor("mm.0.bias", (2 * CHANNELS,), floats(shift))
    yield Tensor("mm.2.weight", (2 * CHANNELS, EMBEDDING), floats(join))
    yield Tensor("mm.2.bias", (EMBEDDING,), floats([1.0 if c == ONE else -1.0 for c in range(EMBEDDING)]))
