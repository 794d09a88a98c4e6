"""A GGUF file, the format that llama.cpp and Ollama load: metadata, and named tensors of 32-bit floats.

The one rule: the file is there whole or not at all, and the same content always becomes the same bytes.
"""

import math
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

ALIGNMENT = 32  # bytes; where each tensor begins
BLOCK = 1 << 20  # bytes written at a time

# The numbers that GGUF gives to the types of its metadata.
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
PACKED = {U32: "<I", F32: "<f", BOOL: "<?"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named matrix of 32-bit floats, the fastest dimension first. Data that is shorter is repeated to fill it."""

    name: str
    shape: tuple[int, ...]
    data: bytes

    @property
    def size(self) -> int:
        """Its bytes in the file, without what aligns the next one."""
        return 4 * math.prod(self.shape)


def spelt(value: str | bytes) -> bytes:
    """A string as GGUF spells it."""
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def entry(key: str, kind: int, value: str | float) -> bytes:
    """One entry of the metadata: a STRING, or a number of a kind in `PACKED`."""
    data = spelt(value) if isinstance(value, str) else struct.pack(PACKED[kind], value)
    return spelt(key) + struct.pack("<I", kind) + data


def array_entry(key: str, kind: int, length: int, data: bytes) -> bytes:
    """An entry of the metadata that has `length` values of one kind, spelt already."""
    return spelt(key) + struct.pack("<IIQ", ARRAY, kind, length) + data


def floats(values: Sequence[float]) -> bytes:
    """Numbers as the data of a tensor, or of an array of F32."""
    return array("f", values).tobytes()


def write_gguf(path: Path, metadata: Sequence[bytes], tensors: Sequence[Tensor]) -> Path:
    """Writes the entries and tensors to `path` and returns the path."""
    scratch = path.with_name(f"{path.name}.part")
    with scratch.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)) + b"".join(metadata))
        offset = 0
        for tensor in tensors:
            file.write(_directory_entry(tensor, offset))
            offset += -(-tensor.size // ALIGNMENT) * ALIGNMENT
        _align(file)
        for tensor in tensors:
            _write_data(file, tensor)
    return scratch.replace(path)


def _directory_entry(tensor: Tensor, offset: int) -> bytes:
    shape = tensor.shape
    return spelt(tensor.name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)


def _write_data(file: BinaryIO, tensor: Tensor) -> None:
    left = tensor.size
    data = tensor.data if len(tensor.data) >= left else tensor.data * max(1, BLOCK // len(tensor.data))
    while left:
        left -= file.write(data[:left])
    _align(file)


def _align(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % ALIGNMENT))
