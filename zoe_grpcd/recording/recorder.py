"""Records decisions, each with the fleet as it was then, for whoever wants to decide anew from it.

Rule: nothing that somebody said is in it; `lines` says what is.
"""

import time
from collections.abc import Iterable
from pathlib import Path

from zoe_grpcd import __version__
from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.generation import Json
from zoe_grpcd.core.views import Snapshot
from zoe_grpcd.recording.file import LineFile, encoded
from zoe_grpcd.recording.lines import FORMAT, Changes, ask_line
from zoe_grpcd.recording.writer import Writer

Record = tuple[float, Question, Snapshot, Decision | None]


class Recorder:
    """One file of decisions, `max_bytes` with the one before it. `configured` are the operator's own deployments."""

    def __init__(self, path: Path, max_bytes: int, configured: Iterable[Deployment] = ()) -> None:
        self._configured = sorted([d.backend, d.model] for d in configured)
        self._file = LineFile(path, max_bytes)
        self._changes = Changes()
        self._writer: Writer[Record] = Writer("decisions", self._file, self._write)
        self.start, self.close = self._writer.start, self._writer.close

    @property
    def waiting(self) -> int:
        """Decisions that are not written yet."""
        return self._writer.waiting

    def __call__(self, question: Question, snapshot: Snapshot, decision: Decision | None) -> None:
        """Takes a decision, None: nobody could serve. Never blocks and never raises."""
        self._writer.put((time.time(), question, snapshot, decision))

    def _write(self, record: Record) -> None:
        self._file.make_room()
        if not self._file.is_open:
            self._file.open()
            self._changes = Changes()
            self._file.append(encoded(self._head()))
        self._file.append(encoded(self._line(*record)))

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
