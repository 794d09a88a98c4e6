"""Writes beside the event loop: a record is handed over in a microsecond, and never waits for the disk.

Rule: what cannot be written is lost, and that is logged once, until it works again.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from zoe_grpcd.recording.file import LineFile

log = logging.getLogger(__name__)

# Records that may wait to be written, and their bytes; what comes on top is lost.
WAITING, WAITING_BYTES = 2000, 64 << 20
# Time for what waits to be written at the end (seconds).
LAST_WORDS = 3.0
# Time until a file is tried again that could not be written (seconds).
RETRY = 10.0

Record = TypeVar("Record")


class Writer(Generic[Record]):
    """Hands records to `write`, on a thread of its own. `what`: what the log calls them."""

    def __init__(self, what: str, file: LineFile, write: Callable[[Record], None]) -> None:
        self._what = what
        self._file = file
        self._write = write
        self._queue: queue.Queue[tuple[Record, int] | None] = queue.Queue(WAITING)
        self._taken = self._done = 0  # bytes, each counted by one thread
        self._lost = 0
        self._closed = False
        self._thread = threading.Thread(target=self._write_all, name=what, daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Records that are not written yet."""
        return self._queue.qsize()

    def put(self, record: Record, size: int = 0) -> None:
        """Takes a record of about so many bytes. Never blocks and never raises."""
        if self._closed or self._taken + size - self._done > WAITING_BYTES:
            self._lost += 1
            return
        try:
            self._queue.put_nowait((record, size))
        except queue.Full:
            self._lost += 1
        else:
            self._taken += size

    def retire(self) -> None:
        """Takes nothing more; what waits is written, and nobody waits for that."""
        self._closed = True
        with suppress(queue.Full):  # whoever empties it sees that it is closed
            self._queue.put_nowait(None)

    def close(self) -> None:
        """Writes what waits, and ends. A disk that hangs is not waited for longer than `LAST_WORDS`."""
        self.retire()
        self._thread.join(LAST_WORDS)

    def _write_all(self) -> None:
        retry_at, working = 0.0, True
        while (item := self._queue.get()) is not None:
            record, size = item
            self._done += size
            if time.monotonic() < retry_at:
                self._lost += 1
                continue
            try:
                self._write(record)
            except OSError as error:
                self._lost += 1
                self._file.give_up()
                retry_at = time.monotonic() + RETRY
                if working:
                    log.warning("%s are not recorded: %s", self._what, error)
                working = False
            else:
                if not working:
                    log.info("%s are recorded again; %d were lost", self._what, self._lost)
                working = True
            if self._closed and self._queue.empty():
                break
        self._file.give_up()
