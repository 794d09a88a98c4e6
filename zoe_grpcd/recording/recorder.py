"""Writes a recording beside the event loop. A decision is handed over in a microsecond and never waits for the disk.

Rule: what cannot be written is lost, and that is logged once, until it works again. The file and the one before it
(`FILE.1`) together stay below the size that is allowed.
"""

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from zoe_grpcd import __version__
from zoe_grpcd.core.domain import Decision, Deployment, Json
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.views import Snapshot
from zoe_grpcd.recording.lines import FORMAT, Changes, ask_line

log = logging.getLogger(__name__)

# Decisions that may wait to be written; what comes on top is lost.
WAITING = 2000
# Time for what waits to be written at the end (seconds).
LAST_WORDS = 3.0
# Time until a file is tried again that could not be written (seconds).
RETRY = 10.0

Record = tuple[float, Question, Snapshot, Decision | None]


class Recorder:
    """One file of decisions, `max_bytes` with the one before it. `configured` are the operator's own deployments."""

    def __init__(self, path: Path, max_bytes: int, configured: Iterable[Deployment] = ()) -> None:
        self._path = path
        self._limit = max_bytes // 2
        self._configured = sorted([d.backend, d.model] for d in configured)
        self._queue: queue.Queue[Record | None] = queue.Queue(WAITING)
        self._lost = 0
        self._file = _File(path)
        self._changes = Changes()
        self._thread = threading.Thread(target=self._write_all, name="recorder", daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def __call__(self, question: Question, snapshot: Snapshot, decision: Decision | None) -> None:
        """Takes a decision, None: nobody could serve. Never blocks and never raises."""
        try:
            self._queue.put_nowait((time.time(), question, snapshot, decision))
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        """Writes what waits, and ends. A disk that hangs is not waited for longer than `LAST_WORDS`."""
        with suppress(queue.Full):
            self._queue.put(None, timeout=LAST_WORDS)
        self._thread.join(LAST_WORDS)

    def _write_all(self) -> None:
        retry_at, working = 0.0, True
        while (record := self._queue.get()) is not None:
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
                    log.warning("decisions are not recorded: %s", error)
                working = False
            else:
                if not working:
                    log.info("decisions are recorded again; %d were lost", self._lost)
                working = True
        self._file.give_up()

    def _write(self, record: Record) -> None:
        at, question, snapshot, decision = record
        if self._file.size > self._limit:
            self._file.rotate()
        if not self._file.is_open:
            self._file.open()
            self._changes = Changes()
            self._file.append(_encoded(self._head()))
        self._file.append(_encoded(self._line(at, question, snapshot, decision)))

    def _head(self) -> Json:
        return {
            "recording": FORMAT,
            "time": time.time(),
            "version": __version__,
            "configured": self._configured,
        }

    def _line(self, at: float, question: Question, snapshot: Snapshot, decision: Decision | None) -> Json:
        chosen = decision.chosen.deployment if decision else None
        return {
            "time": round(at, 3),
            "id": decision.id if decision else "",
            "ask": ask_line(question),
            "fleet": self._changes.line(snapshot),
            "chosen": [chosen.backend, chosen.model] if chosen else None,
        }


def _encoded(line: Json) -> bytes:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"


class _File:
    """A file that grows by whole lines. Every method may raise OSError, and leaves no half a line behind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self.size = 0

    @property
    def is_open(self) -> bool:
        """Lines may be appended."""
        return self._descriptor is not None

    def open(self) -> None:
        """Goes on behind what is there; a daemon that was killed may have left half a line."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._descriptor, self.size = descriptor, os.fstat(descriptor).st_size
        if self.size and os.pread(descriptor, 1, self.size - 1) != b"\n":
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
                os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(line)

    def rotate(self) -> None:
        """Puts the file aside; the next one is to be opened."""
        self.give_up()
        self._path.replace(self._path.with_name(self._path.name + ".1"))

    def give_up(self) -> None:
        """Closes it."""
        descriptor, self._descriptor, self.size = self._descriptor, None, 0
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)
