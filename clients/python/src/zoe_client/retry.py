"""How long one call may last, and when it may be tried again.

The rule: gRPC itself repeats UNAVAILABLE, unless somebody wants to hear of it; this is for RESOURCE_EXHAUSTED, and only
with the daemon's advice, since without it a repetition adds to the load.
"""

import time
from collections.abc import Callable

import grpc

from zoe_client.errors import ZoeError

OnWait = Callable[[ZoeError, float], None]
"""Takes why a call is repeated, and after how many seconds."""
FIRST_BACKOFF = 0.1  # s; as gRPC's own, for a daemon that was not reached and could give no advice


class Patience:
    """The time and the tries that are left for one call.

    Args:
        timeout: Seconds for all tries together.
        retries: Most repetitions.
        on_wait: Hears of each repetition; UNAVAILABLE is then repeated here, too.
    """

    def __init__(self, timeout: float, retries: int, on_wait: OnWait | None = None) -> None:
        self._end = time.monotonic() + timeout
        self._retries = retries
        self._on_wait = on_wait
        self._backoff = FIRST_BACKOFF

    def remaining(self) -> float:
        """Returns the seconds that are left, 0 or more."""
        return max(0.0, self._end - time.monotonic())

    def pause_after(self, error: ZoeError) -> float:
        """Returns the seconds to wait before the next try, or raises the error if there is none."""
        delay = self._delay_after(error)
        if delay is None or delay >= self.remaining() or not self._retries:
            raise error
        self._retries -= 1
        if self._on_wait is not None:
            self._on_wait(error, delay)
        return delay

    def commit(self) -> None:
        """Rules out further tries: a part of the answer has come."""
        self._retries = 0

    def _delay_after(self, error: ZoeError) -> float | None:
        if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return error.retry_after
        if error.code is not grpc.StatusCode.UNAVAILABLE or self._on_wait is None:
            return None
        if error.retry_after is not None:
            return error.retry_after
        backoff, self._backoff = self._backoff, 2 * self._backoff
        return backoff
