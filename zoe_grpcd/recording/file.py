"""A file that grows by whole lines, for its owner alone, and is put aside when it is large.

Rule: it and the one before it (`FILE.1`) together stay below the size that is allowed.
"""

import json
import os
import stat
from contextlib import suppress
from pathlib import Path

from zoe_grpcd.core.generation import Json


def encoded(line: Json) -> bytes:
    """One JSON line, UTF-8."""
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"


class LineFile:
    """One file; `max_bytes` with the one before it. Every method may raise OSError, and leaves no half a line behind."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._limit = max_bytes // 2
        self._size = 0

    @property
    def is_open(self) -> bool:
        """Lines may be appended."""
        return self._descriptor is not None

    def open(self) -> None:
        """Goes on behind what is there; a daemon that was killed may have left half a line."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        found = os.fstat(descriptor)
        self._descriptor, self._size = descriptor, found.st_size
        if stat.S_ISREG(found.st_mode):
            os.fchmod(descriptor, 0o600)  # somebody else may have made it
        if self._size and os.pread(descriptor, 1, self._size - 1) != b"\n":
            self.append(b"\n")

    def append(self, line: bytes) -> None:
        """Writes all of it or nothing."""
        assert self._descriptor is not None
        left = line
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(line)

    def fits(self, line: bytes) -> bool:
        """Whether a file may hold a line of this length at all."""
        return len(line) <= self._limit

    def make_room(self, more: int = 0) -> None:
        """Puts the file aside if it has no room for so many bytes; the next one is to be opened."""
        if self._size + more > self._limit:
            self.give_up()
            self._path.replace(self._path.with_name(self._path.name + ".1"))

    def give_up(self) -> None:
        """Closes it."""
        descriptor, self._descriptor, self._size = self._descriptor, None, 0
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)
