"""Writes a tiny llama-architecture model, as a file that llama.cpp and Ollama load.

The one rule: the same arguments always write the same bytes.
"""

import random
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import circuit
from .circuit import EMBEDDING, HEAD_SIZE, HEADS, ROPE_BASE, Matrix
from .container import BOOL, F32, I32, STRING, U32, Tensor, array_entry, entry, floats, spelt, write_gguf
from .templates import CHAT_TEMPLATE
from .vocabulary import WORDS, TokenKind, Vocabulary, vocabulary


@dataclass(frozen=True, slots=True)
class TinyModel:
    """What a model says and how much it costs to run.

    Further `layers`, `ffn` width and `experts` (one used per token) add nothing to the text: layers and width add
    time per token, experts add size and so time to load (for llama-server; Ollama 0.9.3 loads such a file and
    crashes at the first token). `reply_tokens` ends each reply after just that many tokens; None never ends one.
    With `script` every reply is just these pieces, one token each; they must not be words of `words`. One that `embeds`
    says so, as embedding models do, and Ollama asks it for nothing else.
    """

    name: str = "tiny"
    seed: int = 0
    layers: int = 1
    ffn: int = 256
    experts: int = 0
    context: int = 32768
    reply_tokens: int | None = None
    words: Sequence[str] = WORDS
    script: Sequence[str] = ()
    chat_template: str = CHAT_TEMPLATE
    embeds: bool = False


def make_gguf(path: Path, model: TinyModel | None = None) -> Path:
    """Writes the model to `path` and returns the path. Every word it says begins with its space (" river")."""
    model = model or TinyModel()
    words = vocabulary(model.words, model.script)
    metadata = [*_metadata(model, words), *_tokenizer(words)]
    return write_gguf(path, metadata, list(_tensors(model, words)))


def _metadata(model: TinyModel, words: Vocabulary) -> Iterator[bytes]:
    yield entry("general.architecture", STRING, "llama")
    yield entry("general.type", STRING, "model")
    yield entry("general.name", STRING, model.name)
    yield entry("general.file_type", U32, 0)
    yield entry("tokenizer.chat_template", STRING, model.chat_template)
    numbers = {
        "context_length": model.context,
        "embedding_length": EMBEDDING,
        "block_count": model.layers,
        "feed_forward_length": model.ffn,
        "attention.head_count": HEADS,
        "attention.head_count_kv": HEADS,
        "rope.dimension_count": HEAD_SIZE,
        "vocab_size": len(words),
    }
    if model.experts:
        numbers |= {"expert_count": model.experts, "expert_used_count": 1}
    if model.embeds:
        numbers["pooling_type"] = 1  # the mean
    for key, number in numbers.items():
        yield entry(f"llama.{key}", U32, number)
    yield entry("llama.attention.layer_norm_rms_epsilon", F32, 1e-5)
    yield entry("llama.rope.freq_base", F32, ROPE_BASE)


def _tokenizer(words: Vocabulary) -> Iterator[bytes]:
    yield entry("tokenizer.ggml.model", STRING, "llama")
    yield entry("tokenizer.ggml.pre", STRING, "default")
    ids = {"bos_token_id": words.bos, "eos_token_id": words.eos, "unknown_token_id": words.unknown}
    for key, number in ids.items():
        yield entry(f"tokenizer.ggml.{key}", U32, number)
    for key, flag in {"add_bos_token": True, "add_eos_token": False, "add_space_prefix": False}.items():
        yield entry(f"tokenizer.ggml.{key}", BOOL, flag)
    # Longer pieces win, so that a word is joined to its end.
    scores = [float(len(text)) if kind == TokenKind.NORMAL else 0.0 for text, kind in words.tokens]
    columns = {
        "tokens": (STRING, b"".join(spelt(text) for text, _ in words.tokens)),
        "scores": (F32, floats(scores)),
        "token_type": (I32, array("i", [kind for _, kind in words.tokens]).tobytes()),
    }
    for key, (kind, data) in columns.items():
        yield array_entry(f"tokenizer.ggml.{key}", kind, len(words), data)


def _tensors(model: TinyModel, words: Vocabulary) -> Iterator[Tensor]:
    rng = random.Random(model.seed)
    embedding = circuit.embeddings(words, rng)
    first = circuit.attention(rng, model.reply_tokens)
    ends = model.reply_tokens is not None
    output = circuit.output_matrix(words, embedding, rng, ends=ends)
    noise = floats([rng.gauss(0.0, 0.05) for _ in range(1 << 14)])
    yield Tensor("token_embd.weight", (EMBEDDING, len(words)), embedding.tobytes())
    for layer in range(model.layers):
        yield from _attention(f"blk.{layer}.", first if layer == 0 else None, noise)
        yield from _feed_forward(f"blk.{layer}.", model, noise)
    yield Tensor("output_norm.weight", (EMBEDDING,), _ones())
    yield Tensor("output.weight", (EMBEDDING, len(words)), output.tobytes())


def _attention(prefix: str, layer: circuit.Attention | None, noise: bytes) -> Iterator[Tensor]:
    square = (EMBEDDING, EMBEDDING)
    if layer is None:  # reads noise, and adds nothing
        data = {"attn_q": noise, "attn_k": noise, "attn_v": noise, "attn_output": b"\0"}
    else:
        data = {"attn_q": _flat(layer.query), "attn_k": _flat(layer.key), "attn_v": _flat(layer.value)}
        data["attn_output"] = _flat(layer.output)
    for name, values in data.items():
        yield Tensor(f"{prefix}{name}.weight", square, values)
    yield Tensor(f"{prefix}attn_norm.weight", (EMBEDDING,), _ones())


def _feed_forward(prefix: str, model: TinyModel, noise: bytes) -> Iterator[Tensor]:
    yield Tensor(f"{prefix}ffn_norm.weight", (EMBEDDING,), _ones())
    suffix, experts = ("_exps", (model.experts,)) if model.experts else ("", ())
    if model.experts:
        yield Tensor(f"{prefix}ffn_gate_inp.weight", (EMBEDDING, model.experts), noise)
    yield Tensor(f"{prefix}ffn_gate{suffix}.weight", (EMBEDDING, model.ffn, *experts), noise)
    yield Tensor(f"{prefix}ffn_up{suffix}.weight", (EMBEDDING, model.ffn, *experts), noise)
    yield Tensor(f"{prefix}ffn_down{suffix}.weight", (model.ffn, EMBEDDING, *experts), b"\0")


def _flat(matrix: Matrix) -> bytes:
    return b"".join(row.tobytes() for row in matrix)


def _ones() -> bytes:
    return floats([1.0] * EMBEDDING)
