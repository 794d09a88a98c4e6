"""Bytes of a streamed answer to JSON texts. One line is one object, as server-sent events or bare (NDJSON).

The one rule: nothing is decoded before its line is complete, so no character is ever split.
"""

from typing import Final

LONGEST_LINE: Final = 8 * 1024 * 1024  # bytes; a single chunk of an answer is a few hundred
DONE: Final = b"[DONE]"

_SKIPPED: Final = (b":", b"event:", b"id:", b"retry:")


class Malformed(ValueError):
    """Something that belongs to no stream of JSON objects; the text says what."""


class Lines:
    """Cuts bytes into lines, however the network split them."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, stripped. Raises `Malformed` beyond `LONGEST_LINE`."""
        if b"\n" not in data:
            self._rest += data
            lines: list[bytes] = []
        elif self._rest:
            *lines, rest = (bytes(self._rest) + data).split(b"\n")
            self._rest = bytearray(rest)
        else:
            *lines, rest = data.split(b"\n")
            self._rest += rest
        if len(self._rest) > LONGEST_LINE:
            raise Malformed(f"a line of more than {LONGEST_LINE} bytes")
        return lines


def payload(line: bytes) -> bytes | None:
    """The JSON text, or `DONE`, of a line; None for what carries nothing: blanks, comments, other SSE fields."""
    line = line.strip()
    if line.startswith(b"data:"):
        return line[5:].lstrip() or None
    if line.startswith(b"{"):
        return line
    if not line or line.startswith(_SKIPPED):
        return None
    raise Malformed(line[:2000].decode(errors="replace"))
