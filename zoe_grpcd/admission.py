"""Who waits, and for how long: a bounded room for requests that somebody can serve as soon as a slot is free."""

import asyncio
from collections import deque

from zoe_grpcd.core.errors import Exhausted, ShuttingDown


class WaitingRoom:
    """Requests wait here in the order of their arrival until the fleet changes, then look again."""

    def __init__(self, max_queue: int = 256, max_queue_time: float = 30.0) -> None:
        self._max_queue = max_queue
        self._max_queue_time = max_queue_time
        self._closed = False
        self._waiters: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._waiters)

    async def change(self, waited: float, limit: float | None = None) -> None:
        """Returns when the fleet has changed. `waited`: seconds so far; `limit`: in all, default max_queue_time.

        Raises Exhausted: QUEUE_FULL at once, or QUEUE_TIMEOUT; or ShuttingDown.
        """
        limit = self._max_queue_time if limit is None else limit
        if self._closed:
            raise ShuttingDown("the daemon is shutting down", retry_after=1.0)
        if len(self._waiters) >= self._max_queue:
            raise Exhausted(f"{self._max_queue} requests wait already", cause="QUEUE_FULL", retry_after=1.0)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            async with asyncio.timeout(max(0.0, limit - waited)):
                await turn
        except TimeoutError:
            text = f"no backend could start the request within {limit:g} s"
            raise Exhausted(text, cause="QUEUE_TIMEOUT", retry_after=1.0) from None
        finally:
            if turn in self._waiters:
                self._waiters.remove(turn)

    def close(self) -> None:
        """The daemon drains: nobody waits any longer."""
        self._closed = True
        self.stir()

    def stir(self) -> None:
        """The fleet has changed: everybody looks again, the first come first."""
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_result(None)
