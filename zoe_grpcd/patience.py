"""A limit on each wait of one call, by one timer for all of its waits.

`asyncio.timeout` makes a timer for every wait, which costs more than a token does. Here a wait sets a number, and the
timer moves itself on when it fires too early.
"""

import asyncio
from types import TracebackType

NEVER = float("inf")


class Patience:
    """`with patience(seconds): await ...` raises TimeoutError when that takes longer.

    For the waits of one task, that of the first one, one after the other; whatever else the task does in between has no limit. To be closed
    at the end of the call.
    """

    __slots__ = ("_armed", "_cancelling", "_deadline", "_expired", "_loop", "_task", "_timer", "lost")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] | None = None  # whoever waits
        self._timer: asyncio.TimerHandle | None = None
        self._armed = NEVER  # when the timer fires
        self._deadline = NEVER  # of the wait that goes on
        self._cancelling = 0
        self._expired = False
        self.lost = False  # a wait has taken too long

    def __call__(self, seconds: float) -> "Patience":
        """Sets the limit of the wait that begins now."""
        self._deadline = self._loop.time() + seconds
        return self

    def __enter__(self) -> None:
        """The wait begins."""
        if self._task is None:
            self._task = asyncio.current_task(
                self._loop
            )  # once: on some machines it costs more than the wait
            assert self._task is not None
        self._cancelling = self._task.cancelling()
        if self._deadline < self._armed:
            self._arm()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The wait is over; a cancellation of ours becomes a TimeoutError, one of somebody else stays what it is."""
        self._deadline = NEVER
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
        if self._deadline != NEVER:
            self._deadline = min(self._deadline, self._loop.time() + seconds)
            self._arm()

    def close(self) -> None:
        """Takes the timer away."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._armed = None, NEVER

    def _arm(self) -> None:
        self.close()
        self._armed = self._deadline
        self._timer = self._loop.call_at(self._armed, self._fire)

    def _fire(self) -> None:
        self._timer, self._armed = None, NEVER
        if self._deadline == NEVER or self._expired:
            return
        if self._loop.time() < self._deadline:
            self._arm()
            return
        self._expired = True
        assert self._task is not None
        self._task.cancel()
