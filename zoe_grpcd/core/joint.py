"""What comes after a seam, fitted to what was there before.

The one rule: joined, it reads as if nobody had been lost: nothing twice, and nothing after a stop text.
"""

from collections.abc import Sequence
from dataclasses import replace

from zoe_grpcd.core.answer import Delta, Event, Finish, FinishReason


class Joint:
    """Drops a beginning that is said once more, and ends the answer at a stop text that lies across the seam.

    `before`: the text so far. `repeats`: it may come again. Once `settled`, all that comes may pass without it.
    """

    __slots__ = ("_again", "_held", "_stops", "_tail", "_tokens", "settled")

    def __init__(self, before: str, stops: Sequence[str], *, repeats: bool) -> None:
        longest = max(map(len, stops), default=1)
        self._again = before if repeats else ""
        self._tail = before[-(longest - 1) :] if longest > 1 else ""
        self._stops = tuple(stops) if self._tail else ()
        self._held = ""
        self._tokens = 0
        self.settled = not (self._again or self._stops)

    def fit(self, batch: list[Event]) -> list[Event]:
        """What may pass of a batch; what is not clear yet waits for the next one."""
        fitted: list[Event] = []
        for event in batch:
            if isinstance(event, Finish):
                return [*fitted, *self._rest(), event]
            if self.settled or not (isinstance(event, Delta) and event.text):
                fitted += [*self._rest(), event]
                continue
            self._take(event)
            if self._is_stopped():
                return [*fitted, Finish(FinishReason.STOP)]
            fitted += self._passed(event)
        return fitted

    def _take(self, event: Delta) -> None:
        """Adds to what is held; of a beginning that was said once more nothing is left."""
        self._held += event.text
        self._tokens += event.tokens
        again = self._again
        if again and not again.startswith(self._held):
            self._again = ""
        if self._held.startswith(again) and again:
            self._held, self._again = self._held.removeprefix(again), ""
            self._tokens = event.tokens if self._held else 0

    def _passed(self, last: Delta) -> list[Event]:
        """What is held, once it is clear."""
        return self._rest(last) if self.settled else []

    def _rest(self, last: Delta | None = None) -> list[Event]:
        """What is held, in a piece like the last one."""
        text, tokens, self._held, self._tokens = self._held, self._tokens, "", 0
        return [replace(last or Delta(), text=text, tokens=tokens)] if text else []

    def _is_stopped(self) -> bool:
        """Looks at what is held; True if a stop text ends in it that has begun before the seam."""
        if self._again or not self._held:
            return False
        text, seam = self._tail + self._held, len(self._tail)
        stopped = any(_lies_across(text, stop, seam) for stop in self._stops)
        self.settled = stopped or not any(_ends_with_a_part(text, stop, seam) for stop in self._stops)
        return stopped


def _lies_across(text: str, stop: str, seam: int) -> bool:
    """The stop text begins before the seam and ends after it."""
    return text.find(stop, max(0, seam - len(stop) + 1), seam + len(stop) - 1) >= 0


def _ends_with_a_part(text: str, stop: str, seam: int) -> bool:
    """The text ends with the beginning of a stop text that lies across the seam."""
    first = max(0, len(text) - len(stop) + 1)
    return any(stop.startswith(text[start:]) for start in range(first, seam))
