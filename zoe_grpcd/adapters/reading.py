"""A streamed answer, from bytes to events, whatever pieces it comes in.

The one rule: raw objects are read before LiteLLM's parser sees them, because it drops measured times and changes them.
"""

from collections.abc import Callable
from typing import Any, Final

from zoe_grpcd.adapters.answer import Answer
from zoe_grpcd.adapters.dialects.refusals import scrub
from zoe_grpcd.adapters.framing import DONE, Lines, Malformed, payload
from zoe_grpcd.adapters.jsontext import decoded
from zoe_grpcd.core.answer import Event, Measured, Usage
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Json
from zoe_grpcd.ports import Dialect

NOT_MEASURED: Final = Measured()
MOST_TOKENS: Final = 1 << 16  # of one piece: more is no count
# What reading raises where a field holds something else than it should.
ODD: Final = (ValueError, RecursionError, AttributeError, TypeError, LookupError)


class Reading:
    """One answer. `feed` until `over`, or until the bytes end; then `end`. `error` is set once it is broken."""

    def __init__(
        self,
        dialect: Dialect,
        parser: Callable[[], Callable[[Json], Any]],
        top_logprobs: int | None = None,
    ) -> None:
        self._dialect = dialect
        self._parser = parser
        self._parse: Callable[[Json], Any] | None = (
            None  # set: every chunk goes through it, for it keeps state
        )
        self._lines = Lines()
        self._answer = Answer(top_logprobs)
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._latest: Json = {}  # a usage on the way, if that is the latest
        self._told = 0  # tokens of the answer up to the last piece, as the server counts them
        self._measured = NOT_MEASURED
        self._model = ""
        self.over = False  # nothing more is expected
        self.error: UpstreamError | None = None

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes; what came before an error is among them."""
        self._read(data)
        return self._answer.take()

    def end(self) -> list[Event]:
        """The last events and the one `Finish`; `error` is set if the answer has none."""
        if not self.over:
            self._read(b"\n")  # the last line may have no break
        if self.error is None and self._finish is None:
            self.error = UpstreamError(Fault.CUT, "the answer ended without a finish reason")
        if self.error is not None or self._finish is None:
            return self._answer.take()
        return self._answer.end(self._finish, self._total(), self._measured, self._model)

    def _read(self, data: bytes) -> None:
        try:
            for line in self._lines.feed(data):
                text = payload(line) if line else None  # an empty one ends each event
                if text is None:
                    continue
                if text == DONE:
                    self.over = True
                    return
                raw = decoded(text)
                if not isinstance(raw, dict):
                    raise Malformed(f"no object: {text[:200].decode(errors='replace')}")
                self._object(raw)
                if self.over or self.error is not None:
                    return
        except ODD as error:
            self.error = _broken(error)

    def _object(self, raw: Json) -> None:
        if self._parse is None and (plain := self._dialect.piece(raw)) is not None:
            channel, piece = plain
            tokens = 1
            if piece and type(usage := raw.get("usage")) is dict:
                self._latest, tokens = usage, self._tokens(usage)
            if channel == "text":
                self._answer.say(piece, tokens)
            else:
                self._answer.think(piece, tokens)
            return
        facts = self._dialect.read(raw)
        if facts is not None:
            if facts.error is not None:
                self.error = facts.error
                return
            self._finish = facts.finish or self._finish
            if facts.usage is not None:
                self._usage, self._latest = facts.usage, {}
            self._measured = facts.measured or self._measured
            self._model = raw.get("model") or self._model
            self.over = facts.final
            if facts.bare:
                return
        if self._parse is None:
            self._parse = self._parser()
        try:
            tokens = self._tokens(raw.get("usage") or {})
            self._answer.chunk(self._parse(raw).choices, tokens)
        except Exception as error:  # of any class: what its parser raises depends on the field that is wrong
            raise Malformed(f"not understood: {error}") from error

    def _tokens(self, usage: Json) -> int:
        """In how many tokens a piece came, where the server counts as it speaks: to a slow reader, several in one."""
        now = usage.get("completion_tokens")
        fresh = now - self._told if type(now) is int else 0
        if not 0 < fresh < MOST_TOKENS:
            return 1
        self._told += fresh
        return fresh

    def _total(self) -> Usage | None:
        """What the whole answer took; what was counted on the way will do, if that is the last word."""
        facts = self._dialect.read({"usage": self._latest}) if self._latest else None
        return facts.usage if facts is not None else self._usage


def _broken(error: Exception) -> UpstreamError:
    if isinstance(error, Malformed):
        text = str(error)
    else:
        text = (
            f"{'no JSON' if isinstance(error, (ValueError, RecursionError)) else 'not understood'}: {error}"
        )
    return UpstreamError(Fault.CUT, scrub(text))
