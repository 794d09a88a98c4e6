"""Simulated time: an event loop whose clock leaps to the next thing that happens, so that an hour takes seconds.

The rule: whatever runs in it is the daemon's own code, which asks the loop for the time and never the machine.
"""

import asyncio
import math
import selectors
from typing import Protocol


class Timeline(Protocol):
    """What happens by itself, beside the timers of the loop."""

    def next_at(self) -> float:
        """When the next of it happens, in seconds of simulated time; inf: nothing does."""
        ...

    def step(self, at: float) -> None:
        """Lets it happen."""
        ...


class Clock(asyncio.SelectorEventLoop):
    """The loop. Its time begins at 0, and stands still while anything runs."""

    def __init__(self) -> None:
        self._now = 0.0  # the base class asks for the time already
        super().__init__(_Leaping(self))
        self.timeline: Timeline | None = None

    def time(self) -> float:
        """Seconds of simulated time."""
        return self._now

    def leap(self, seconds: float | None) -> None:
        """Nothing is left to do for so long (None: ever) as far as the loop knows."""
        timer = math.inf if seconds is None else self._now + seconds
        at = self.timeline.next_at() if self.timeline else math.inf
        if at < timer and self.timeline:
            self._now = max(self._now, at)
            self.timeline.step(self._now)
        elif timer < math.inf:
            self._now = timer
        else:
            raise RuntimeError("nothing happens any more, and requests wait")


class _Leaping(selectors.SelectSelector):
    """Waits for nobody: there is nothing outside."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As the base class has it, but that time passes at once."""
        self._clock.leap(timeout)
        return []
