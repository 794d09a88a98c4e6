"""A limit on each wait of a call, by one timer for the waits of all calls.

`asyncio.timeout` makes a timer for every wait, which costs more than a token does. Here a wait sets a number; the timer
is set for the first of these limits, and moves itself on when it fires too early.
"""

import asyncio
from functools import lru_cache
from types import TracebackType

from zoe_grpcd.eventloop import running_loop

NEVER = float("inf")


class Patience:
    """`with patience(seconds): await ...` raises TimeoutError when that takes longer.

    For the waits of one task, that of the first one, one after the other; whatever else the task does in between has no limit. To be closed
    at the end of the call.
    """

    __slots__ = ("_cancelling", "_expired", "_loop", "_task", "_timer", "deadline", "lost")

    def __init__(self) -> None:
        self._loop = running_loop()
        self._timer = _timer_of(self._loop)
        self._task: asyncio.Task[object] | None = None  # whoever waits
        self.deadline = NEVER  # of the wait that goes on, on the loop's clock
        self._cancelling = 0
        self._expired = False
        self.lost = False  # a wait has taken too long

    def __call__(self, seconds: float) -> "Patience":
        """Sets the limit of the wait that begins now."""
        self.deadline = self._loop.time() + seconds
        return self

    def __enter__(self) -> None:
        """The wait begins."""
        if self._task is None:
            self._task = asyncio.current_task(self._loop)
            assert self._task is not None
            self._timer.watched.add(self)
        self._cancelling = self._task.cancelling()
        if self.deadline < self._timer.at:
            self._timer.set(self.deadline)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The wait is over; a cancellation of ours becomes a TimeoutError, one of somebody else stays what it is."""
        self.deadline = NEVER
        if self._expired:
            self._expired, self.lost = False, True
            assert self._task is not None
            if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def lose(self) -> None:
        """Ends the wait that goes on, if any, as if its time were over."""
        self.shorten(0.0)

    def shorten(self, seconds: float) -> None:
        """Gives the wait that goes on, if any, no more than that from now."""
        if self.deadline != NEVER:
            self.deadline = min(self.deadline, self._loop.time() + seconds)
            if self.deadline < self._timer.at:
                self._timer.set(self.deadline)

    def extend(self, seconds: float) -> None:
        """Gives the wait that goes on, if any, at least that from now."""
        if self.deadline != NEVER:
            self.deadline = max(self.deadline, self._loop.time() + seconds)

    def expire(self) -> None:
        """The wait that goes on has taken too long; for the timer to say."""
        if not self._expired:
            self._expired = True
            assert self._task is not None
            self._task.cancel()

    def close(self) -> None:
        """Nothing is waited for any more."""
        self._timer.watched.discard(self)


class _Timer:
    """The timer of one loop. It stays set when a call ends, for the next one: making it costs as much as all else here."""

    __slots__ = ("_handle", "_loop", "at", "watched")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None
        self.at = NEVER  # when it fires, at the latest with the first limit
        self.watched: set[Patience] = set()  # those that may wait

    def set(self, at: float) -> None:
        """Has it fire then."""
        if self._handle is not None:
            self._handle.cancel()
        self.at = at
        self._handle = self._loop.call_at(at, self.fire)

    def fire(self) -> None:
        """Ends the waits that have taken too long, and is set for the next limit."""
        self._handle, self.at = None, NEVER
        now, following = self._loop.time(), NEVER
        for patience in self.watched:
            if patience.deadline <= now:
                patience.expire()
            else:
                following = min(following, patience.deadline)
        if following != NEVER:
            self.set(following)


# Of the latest loop only: an older one that still runs gets another timer, and is none the worse for it.
_timer_of = lru_cache(maxsize=1)(_Timer)
