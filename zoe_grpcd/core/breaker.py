"""Counts failed attempts: when to send less, when to stop, when to try again, and how to come back.

The rules, the same for a server and for a model on it:

1. An error counts for `error_window`. Half of `error_threshold` (rounded up) in that time: it is STRAINED, and its weight
   is multiplied by `degraded_weight`. As many as `error_threshold`: it has TRIPPED, and gets nothing for `cooldown`. Both
   only if they are more than one in ten (`FEW`) of the attempts that ended since the first of them.
2. After that it is half open: one request at a time is its trial. A trial that fails doubles the last cooldown, up to
   `LONGEST` times the first; one that ends otherwise (cancelled, the caller's mistake) leaves room for the next.
3. A whole answer of an attempt that began after it tripped closes it, whoever made it. A good probe closes it where what
   was wrong is what a probe sees, too: a server that was gone, as a probe or a refused connection has shown, and is back.
   A server that answers its probes and fails every request is not believed. Of other errors the return of a server, as
   it is another process now, ends the wait.
4. Then the slow start: its weight rises from a tenth to the whole in as long as `cooldown`, at most `SLOW_START`. An
   error of an attempt that began in that time trips it again, as a failed trial does. When it is over, all is forgotten.
5. Requests that lose their server at the same time have one cause: of an attempt that began before the last error, that
   its server was gone is none of its own.
6. An answer that looks wrong is a doubt: the caller may have asked for just that. Doubts strain, but never trip.
7. Of a server with several models, what may be the fault of the model counts only if two models or more had it and none
   has answered since.

Time is an argument, in seconds of any one clock.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, inf
from typing import NamedTuple

from zoe_grpcd.core.phases import Signal

LONGEST = 8.0  # times the first cooldown
FEW = 0.1  # of all attempts: fewer errors than this do not tell
SLOW_START, STEPS = 30.0, 10  # seconds at most, and how many times the weight rises


@dataclass(frozen=True, slots=True)
class Caution:
    """What the operator decided: `reliability` of the configuration. Times in seconds."""

    error_threshold: int = 3
    error_window: float = 60.0
    cooldown: float = 300.0
    degraded_weight: float = 0.5  # 0..1
    rate_limit_cooldown: float = 60.0  # after a 429 that does not say how long


class Whose(StrEnum):
    """Whose fault a failed attempt is."""

    MODEL = "MODEL"
    SERVER = "SERVER"
    EITHER = "EITHER"  # the model's, unless other models of the server fail, too


class Standing(NamedTuple):
    """What follows now. `trust`: factor on the weight, 0..1. `trial`: open, but one request may try.

    `until`: when it changes by itself; inf: not with time.
    """

    signal: Signal
    trust: float = 1.0
    trial: bool = False
    until: float = inf


WELL = Standing(Signal.MENDED)


class Slip(NamedTuple):
    """One error: when, which model had it (empty: it is the server's), and what else is known of it."""

    at: float
    model: str
    answers: int  # good ones, until then
    gone: bool = False  # there was no server any more
    doubt: bool = False  # only an answer that looks wrong


class Breaker:
    """Of one server, or of one model on it. Made at its first error, to be dropped when it `is_over`."""

    __slots__ = (
        "_answers",
        "_caution",
        "_gone",
        "_last",
        "_length",
        "_mended",
        "_opened",
        "_slips",
        "_until",
        "_why",
        "several",
        "trying",
    )

    def __init__(self, caution: Caution, *, several: bool = False) -> None:
        self.several = several  # it is of a server with several models
        self.trying = False  # a trial is under way
        self._caution = caution
        self._slips: deque[Slip] = deque()
        self._answers = 0
        self._last = -inf  # error
        self._opened: float | None = None  # None: closed
        self._until = -inf  # the end of the cooldown
        self._length = 0.0  # of the last cooldown
        self._gone = False  # all that it tripped for
        self._mended: float | None = None  # when the slow start began
        self._why = ""  # it tripped

    def fail(self, model: str, began: float, now: float, *, gone: bool = False) -> None:
        """Takes in an error of an attempt that began then; `gone`: it had lost its server."""
        self._forget(now)
        if gone and began < self._last:
            return
        self._last = now
        if self._opened is not None:
            if began >= self._until:
                self._trip(now, "the trial failed", gone=gone)
        elif self._mended is not None:
            if began >= self._mended:
                self._trip(now, "an error soon after it was back", gone=gone)
        else:
            self._slips.append(Slip(now, model, self._answers, gone))
            told = self._told(doubts=False)
            if self._is_often(told, self._caution.error_threshold):
                self._trip(now, self._count(), gone=all(slip.gone for slip in told))

    def doubt(self, model: str, now: float) -> None:
        """Takes in an answer that looks wrong."""
        self._forget(now)
        if self._opened is None and self._mended is None:
            self._slips.append(Slip(now, model, self._answers, doubt=True))

    def answer(self, began: float, now: float) -> bool:
        """Takes in a whole answer to an attempt that began then; True if that ends something."""
        self._answers += 1
        if self._opened is not None:
            if began < self._opened:
                return False
            self._opened, self._mended = None, now
            return True
        if self.several and self._mended is None:
            before = len(self._slips)
            self._slips = deque(slip for slip in self._slips if not slip.model)
            return len(self._slips) < before
        return False

    def came_back(self, now: float) -> None:
        """A probe, or the server itself, shows that it was gone and is up again."""
        if self._opened is None:
            return  # one that dies again and again is to trip
        if self._gone:
            self._opened, self._mended = None, now
        else:
            self._until = min(self._until, now)

    def standing(self, now: float) -> Standing:
        """What follows at this moment."""
        self._forget(now)
        if self._opened is not None:
            if now < self._until:
                return Standing(Signal.TRIPPED, 0.0, until=self._until)
            return Standing(Signal.TRIPPED, trial=not self.trying)
        if self._mended is not None:
            step = int((now - self._mended) / self._ramp * STEPS)
            end = self._mended + (step + 1) * self._ramp / STEPS
            return Standing(Signal.STRAINED, min(1.0, (step + 1) / STEPS), until=end)
        until = self._slips[0].at + self._caution.error_window if self._slips else inf
        if self._is_strained():
            return Standing(Signal.STRAINED, self._caution.degraded_weight, until=until)
        return WELL._replace(until=until)

    def is_over(self, now: float) -> bool:
        """Nothing is left to remember."""
        self._forget(now)
        return self._opened is None and self._mended is None and not self._slips

    def words(self, now: float) -> str:
        """What an operator reads: `3 errors in 60 s; next trial in 42 s`. Empty: nothing worth telling."""
        standing = self.standing(now)
        if standing.signal is Signal.MENDED:
            return ""
        if self._mended is not None:
            return f"back after errors, with {standing.trust:.0%} of its weight"
        if standing.signal is Signal.STRAINED:
            return self._count()
        if standing.until < inf:
            return f"{self._why}; next trial in {ceil(standing.until - now)} s"
        return f"{self._why}; {'a trial is under way' if self.trying else 'the next request is its trial'}"

    def _count(self) -> str:
        doubts = sum(slip.doubt for slip in self._slips)
        errors = len(self._slips) - doubts
        parts = [f"{errors} error{'s' * (errors != 1)}"] if errors else []
        if doubts:
            parts.append(f"{doubts} answer{'s' * (doubts != 1)} that looked wrong")
        return f"{' and '.join(parts)} in {self._caution.error_window:g} s"

    @property
    def _ramp(self) -> float:
        """Seconds of the slow start."""
        return min(SLOW_START, self._caution.cooldown)

    def _told(self, *, doubts: bool) -> list[Slip]:
        """The errors that say something of it."""
        slips = [slip for slip in self._slips if doubts or not slip.doubt]
        models = {slip.model for slip in slips}
        return [] if self.several and len(models) < 2 and "" not in models else slips

    def _is_strained(self) -> bool:
        return self._is_often(self._told(doubts=True), ceil(self._caution.error_threshold / 2))

    def _is_often(self, slips: list[Slip], count: int) -> bool:
        """The last so many of them came with few answers between."""
        if len(slips) < count:
            return False
        answers = self._answers - slips[-count].answers
        return count > FEW * (count + answers)

    def _trip(self, now: float, why: str, *, gone: bool) -> None:
        shortest = self._caution.cooldown
        self._why, self._gone = why, gone
        self._length = min(2 * self._length, LONGEST * shortest) if self._length else shortest
        self._opened, self._until, self._mended = now, now + self._length, None
        self._slips.clear()

    def _forget(self, now: float) -> None:
        """Drops what is too old."""
        if self._mended is not None and now >= self._mended + self._ramp:
            self._mended, self._length = None, 0.0
        while self._slips and now >= self._slips[0].at + self._caution.error_window:
            self._slips.popleft()
