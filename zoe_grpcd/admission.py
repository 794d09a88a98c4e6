"""Who waits, and for how long: a bounded room for requests that somebody can serve as soon as a slot is free."""

import asyncio
from types import TracebackType
from typing import Self

from zoe_grpcd.core.errors import Exhausted, ShuttingDown


class WaitingRoom:
    """Requests wait here in the order of their arrival until the fleet changes, then look again."""

    def __init__(self, max_queue: int = 256, max_queue_time: float = 30.0) -> None:
        self.max_queue = max_queue
        self.max_queue_time = max_queue_time
        self.closed = False
        self._seats: dict[Seat, None] = {}

    def __len__(self) -> int:
        return len(self._seats)

    def seat(self) -> "Seat":
        """A way in for one request; left at the end of its `with`."""
        return Seat(self)

    def close(self) -> None:
        """The daemon drains: nobody waits any longer."""
        self.closed = True
        self.stir()

    def stir(self) -> None:
        """The fleet has changed: everybody looks again, the first come first."""
        for seat in self._seats:
            seat.stirred.set()

    def enter(self, seat: "Seat") -> None:
        """Seats a request behind the others; raises QUEUE_FULL."""
        if len(self) >= self.max_queue:
            raise Exhausted(f"{self.max_queue} requests wait already", cause="QUEUE_FULL", retry_after=1.0)
        self._seats[seat] = None

    def leave(self, seat: "Seat") -> None:
        """Nothing to do for who never sat down."""
        self._seats.pop(seat, None)


class Seat:
    """One request's place in the order, taken with its first wait and kept however often it looks in vain."""

    def __init__(self, room: WaitingRoom) -> None:
        self._room = room
        self._since: float | None = None  # on the loop's clock
        self.stirred = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._room.leave(self)

    async def change(self, limit: float | None = None) -> None:
        """Returns when the fleet has changed. `limit`: seconds in this seat in all, default max_queue_time.

        Raises Exhausted: QUEUE_FULL at once, or QUEUE_TIMEOUT; or ShuttingDown.
        """
        room = self._room
        limit = room.max_queue_time if limit is None else limit
        if room.closed:
            raise ShuttingDown("the daemon is shutting down", retry_after=1.0)
        if self._since is None:
            room.enter(self)
            self._since = asyncio.get_running_loop().time()
        self.stirred.clear()
        try:
            async with asyncio.timeout_at(self._since + limit):
                await self.stirred.wait()
        except TimeoutError:
            text = f"no backend could start the request within {limit:g} s"
            raise Exhausted(text, cause="QUEUE_TIMEOUT", retry_after=1.0) from None
