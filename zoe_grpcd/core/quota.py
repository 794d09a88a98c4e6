"""How much of something may be used within any minute: requests, or tokens.

Rule: in no minute, wherever it begins, is more granted than the limit. What still runs counts with what it is held to
need; when it is over, what it really took is counted from then on for a minute.
"""

from collections import deque

MINUTE = 60.0


class Quota:
    """What was used within the last minute, and is held for what runs. `limit` per minute, >= 1; it may change."""

    __slots__ = ("_held", "_total", "_used", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._used: deque[tuple[float, int]] = deque()  # (when, how much), the oldest first
        self._total = 0
        self._held = 0

    def wait(self, amount: int, now: float) -> float:
        """Seconds until so much may be used; 0: now. More than the limit may be used when nothing else is."""
        self._forget(now)
        excess = self._total + self._held + min(amount, self.limit) - self.limit
        if excess <= 0:
            return 0.0
        for at, used in self._used:
            excess -= used
            if excess <= 0:
                return at + MINUTE - now
        return MINUTE  # what runs leaves the minute no sooner than that, unless it takes less than is held

    def use(self, amount: int, now: float) -> None:
        """So much is used now."""
        if amount > 0:
            self._forget(now)
            self._used.append((now, amount))
            self._total += amount

    def hold(self, amount: int) -> int:
        """Keeps so much free for what begins now, at most all; returns what is to be settled."""
        held = min(amount, self.limit)
        self._held += held
        return held

    def settle(self, held: int, used: int, now: float) -> None:
        """What was held is over, and took so much."""
        self._held -= held
        self.use(used, now)

    def _forget(self, now: float) -> None:
        while self._used and self._used[0][0] + MINUTE <= now:
            self._total -= self._used.popleft()[1]
