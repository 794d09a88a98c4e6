"""A tiny Llama of random weights as a folder, in the form that vLLM and others load: tokenizer, settings, weights.

The one rule: only whole words are ever said, each of them one token, and never an end: an answer is as long as it may be.
"""

import json
import random
import struct
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from .vocabulary import WORDS

SPECIALS = ("<|pad|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "{% if not (loop.last and continue_final_message|default(false)) %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPACE = "\u0120"  # how a token of bytes spells a space


@dataclass(frozen=True, slots=True)
class TinyLlama:
    """How much of it there is: all in numbers of floats, but for `context`, which is in tokens."""

    hidden: int = 128
    layers: int = 2
    heads: int = 4
    inner: int = 256
    context: int = 2048
    seed: int = 0


def make_llama(folder: Path, model: TinyLlama | None = None) -> Path:
    """Returns the folder, 2 MB, the same for the same numbers."""
    model = model or TinyLlama()
    folder.mkdir(parents=True, exist_ok=True)
    tokens, merges = _tokens()
    end = tokens.index("<|im_end|>")
    _write(folder / "tokenizer.json", _tokenizer(tokens, merges))
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "<|im_end|>",
            "pad_token": "<|pad|>",
            "model_max_length": model.context,
            "clean_up_tokenization_spaces": False,
            "chat_template": TEMPLATE,
        },
    )
    _write(folder / "generation_config.json", {"eos_token_id": end, "pad_token_id": 0})
    _write(folder / "config.json", _settings(model, len(tokens), end))
    _save(folder / "model.safetensors", _weights(model, tokens))
    return folder


def _write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _tokens() -> tuple[list[str], list[tuple[str, str]]]:
    """All tokens in the order of their ids, and how words are put together: letter by letter, from the space on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [*map(chr, printable), *(chr(256 + number) for number in range(len(others)))]
    merges: dict[tuple[str, str], str] = {}
    for word in WORDS:
        for length in range(len(word)):
            merges[SPACE + word[:length], word[length]] = SPACE + word[: length + 1]
    return [*SPECIALS, *letters, *merges.values()], list(merges)


def _tokenizer(tokens: list[str], merges: list[tuple[str, str]]) -> dict[str, Any]:
    by_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    marks = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "added_tokens": [{"id": at, "content": text, **marks} for at, text in enumerate(SPECIALS)],
        "pre_tokenizer": by_bytes,
        "decoder": by_bytes,
        "model": {
            "type": "BPE",
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": [list(merge) for merge in merges],
        },
    }


def _settings(model: TinyLlama, tokens: int, end: int) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": model.hidden,
        "intermediate_size": model.inner,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.heads,
        "vocab_size": tokens,
        "max_position_embeddings": model.context,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "eos_token_id": end,
        "pad_token_id": 0,
    }


Tensors: TypeAlias = "dict[str, tuple[tuple[int, ...], array[float]]]"


def _weights(model: TinyLlama, tokens: list[str]) -> Tensors:
    """Noise; the rows of the output that are no whole word are zero, so that they are never the likeliest."""
    draw = random.Random(model.seed)

    def noise(rows: int, columns: int, scale: float) -> "array[float]":
        return array("f", (draw.gauss(0.0, scale) for _ in range(rows * columns)))

    hidden, inner = model.hidden, model.inner
    words = {SPACE + word for word in WORDS if len(word) > 1}
    nothing = array("f", bytes(4 * hidden))
    head = array("f")
    for token in tokens:
        head += noise(1, hidden, 0.5) if token in words else nothing
    found: Tensors = {
        "model.embed_tokens.weight": ((len(tokens), hidden), noise(len(tokens), hidden, 1.0)),
        "model.norm.weight": ((hidden,), array("f", [1.0] * hidden)),
        "lm_head.weight": ((len(tokens), hidden), head),
    }
    shapes = {f"self_attn.{name}_proj": (hidden, hidden) for name in "qkvo"}
    shapes |= {
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    for layer in range(model.layers):
        for name, (rows, columns) in shapes.items():
            matrix = noise(rows, columns, columns**-0.5)
            found[f"model.layers.{layer}.{name}.weight"] = ((rows, columns), matrix)
        for name in ("input_layernorm", "post_attention_layernorm"):
            found[f"model.layers.{layer}.{name}.weight"] = ((hidden,), array("f", [1.0] * hidden))
    return found


def _save(file: Path, tensors: Tensors) -> None:
    """safetensors: the length of a header, the header, and the numbers one after the other."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, (shape, numbers) in tensors.items():
        end = start + 4 * len(numbers)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
        start = end
    head = json.dumps(header).encode()
    with file.open("wb") as out:
        out.write(struct.pack("<Q", len(head)) + head)
        for _, numbers in tensors.values():
            out.write(numbers.tobytes())
