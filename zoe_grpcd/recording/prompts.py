"""A file of what was said: each request that was sent on, with its messages and its answer. JSON lines.

    {"time": unix seconds, "request_id": ..., "caller": name of the key, "method": ..., "model": ..., "backend": ...,
     "messages": [...], "answer": {"text": ..., "reasoning": ..., "refusal": ..., "tool_calls": [...]},
     "finish_reason": ..., null: the answer was broken off}

Rule: prompts are written nowhere else, and here only while the operator names a file for them.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from zoe_grpcd.core.answer import Delta, Event, FinishReason, Seam, ToolDelta
from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.generation import Json
from zoe_grpcd.core.outcome import Completed, Switched
from zoe_grpcd.decisions import Entry
from zoe_grpcd.recording.file import LineFile, encoded
from zoe_grpcd.recording.writer import Writer

log = logging.getLogger(__name__)

Deliver = Callable[[Any], Awaitable[None]]


class Heard:
    """What is delivered to one caller, taken down on its way."""

    __slots__ = ("_deliver", "_events", "_finish")

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._events: list[Event] = []
        self._finish: FinishReason | None = None

    async def __call__(self, item: Any) -> None:
        """Passes on an item of an answer."""
        if isinstance(item, list):
            self._events += item
        elif isinstance(item, Switched) and item.seam is Seam.RESTART:
            self._events.clear()
        elif isinstance(item, Completed):
            self._finish = item.finish
        await self._deliver(item)

    def line(self) -> Json:
        """The answer so far."""
        deltas = [event for event in self._events if isinstance(event, Delta)]
        answer = {
            kind: "".join(getattr(d, kind) for d in deltas) for kind in ("text", "reasoning", "refusal")
        }
        told = {kind: text for kind, text in answer.items() if text} | self._calls()
        return {"answer": told, "finish_reason": self._finish}

    def _calls(self) -> Json:
        calls: dict[int, Json] = {}
        for piece in self._events:
            if isinstance(piece, ToolDelta):
                call = calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
                call["id"], call["name"] = call["id"] or piece.id, call["name"] or piece.name
                call["arguments"] += piece.arguments
        return {"tool_calls": list(calls.values())} if calls else {}


class Book:
    """One file, `max_bytes` with the one before it."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._file = LineFile(path, max_bytes)
        self.writer: Writer[tuple[Json, Ask, Heard]] = Writer("prompts", self._file, self._write)

    def _write(self, record: tuple[Json, Ask, Heard]) -> None:
        head, ask, heard = record
        messages = [_without_pictures(message) for message in ask.generation.messages]
        line = encoded({**head, "messages": messages, **heard.line()})
        if not self._file.fits(line):
            log.warning("a request is longer than log.prompts_max_bytes allows: %d bytes", len(line))
            return
        self._file.make_room(len(line))
        if not self._file.is_open:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file.open()
        self._file.append(line)


class Prompts:
    """The file of the moment, if there is one."""

    def __init__(self) -> None:
        self._named: tuple[Path, int] | None = None
        self._book: Book | None = None

    def change(self, path: Path | None, max_bytes: int) -> None:
        """Where prompts go from now on, those of running requests too; None: nowhere."""
        named = None if path is None else (path, max_bytes)
        if named == self._named:
            return
        if self._book is not None:
            self._book.writer.retire()
            self._book = None
            log.warning("prompts are not written to %s any more", self._named and self._named[0])
        self._named = named
        if path is not None:
            log.warning("prompts and answers are written to %s (log.prompts)", path)
            self._book = Book(path, max_bytes)
            self._book.writer.start()

    def overhear(self, ask: Ask, entry: Entry, deliver: Deliver) -> AbstractContextManager[Deliver]:
        """What a request is delivered with, so that it is written down when it is over."""
        return nullcontext(deliver) if self._book is None else self._listening(ask, entry, deliver)

    @contextmanager
    def _listening(self, ask: Ask, entry: Entry, deliver: Deliver) -> Iterator[Deliver]:
        heard = Heard(deliver)
        try:
            yield heard
        finally:
            if self._book is not None:
                self._book.writer.put((_head(entry), ask, heard), ask.prompt_bytes)

    @property
    def waiting(self) -> int:
        """Requests that are over and not written yet."""
        return self._book.writer.waiting if self._book else 0

    def close(self) -> None:
        """Writes what waits."""
        if self._book is not None:
            self._book.writer.close()


def _head(entry: Entry) -> Json:
    return {
        "time": round(entry.arrived, 3),
        "request_id": entry.request_id,
        "caller": entry.key_name,
        "method": entry.method,
        "model": entry.model,
        "backend": entry.backend,
    }


def _without_pictures(message: Json) -> Json:
    """The size of an image in place of its bytes."""
    parts = message.get("content")
    return message if not isinstance(parts, list) else {**message, "content": list(map(_part, parts))}


def _part(part: Json) -> Json:
    address = part.get("image_url", {}).get("url", "") if part.get("type") == "image_url" else ""
    if not address.startswith("data:"):
        return part
    return {**part, "image_url": {"url": f"{address.partition(',')[0]},... ({len(address)} characters)"}}
