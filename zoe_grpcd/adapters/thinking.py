"""`<think>...</think>` at the start of an answer: reasoning of models whose server does not tell it apart.

LiteLLM's own parsers either leave the tags in or lose track of them in a stream, so text is taken as the server sent it.
"""

from typing import Final

OPEN: Final = "<think>"
CLOSE: Final = "</think>"


class Thinking:
    """Tells reasoning from answer, piece by piece. Text that does not begin with the tag passes untouched."""

    __slots__ = ("_begun", "_closed", "_held", "_inside", "over")

    def __init__(self) -> None:
        self._held = ""
        self._inside = False
        self._begun = False  # some of the thought was told
        self._closed = False
        self.over = False  # all that follows is answer: no need to ask

    def split(self, text: str) -> tuple[str, str]:
        """(reasoning, answer) that `text` completes; what may be a part of a tag is held back."""
        if self.over:
            return "", text
        text, self._held = self._held + text, ""
        if self._closed:
            return "", self._trimmed(text)
        return self._within(text) if self._inside else self._begin(text)

    def rest(self) -> tuple[str, str]:
        """(reasoning, answer) held back when the stream ends."""
        held, self._held = self._held, ""
        return (held, "") if self._inside else ("", held)

    def _begin(self, text: str) -> tuple[str, str]:
        start = text.lstrip()
        if start.startswith(OPEN):
            self._inside = True
            return self._within(start[len(OPEN) :])
        if OPEN.startswith(start):  # may become one
            self._held = text
            return "", ""
        self.over = True
        return "", text

    def _within(self, text: str) -> tuple[str, str]:
        if not self._begun:
            text = text.lstrip("\n")
            self._begun = bool(text)
        reasoning, tag, answer = text.partition(CLOSE)
        if tag:
            self._inside, self._closed = False, True
            return reasoning, self._trimmed(answer)
        keep = next((n for n in range(len(CLOSE) - 1, 0, -1) if text.endswith(CLOSE[:n])), 0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], ""

    def _trimmed(self, answer: str) -> str:
        answer = answer.lstrip()
        self.over = bool(answer)
        return answer
