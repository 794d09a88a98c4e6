"""How long one call may last, and when it may be tried again.

The rule: gRPC itself repeats UNAVAILABLE; this is for RESOURCE_EXHAUSTED, and only with the daemon's advice, since
without it a repetition adds to the load.
"""

import time

import grpc

from zoe_client.errors import ZoeError


class Patience:
    """The time and the tries that are left for one call.

    Args:
        timeout: Seconds for all tries together.
        retries: Most repetitions.
    """

    def __init__(self, timeout: float, retries: int) -> None:
        self._end = time.monotonic() + timeout
        self._retries = retries

    def remaining(self) -> float:
        """Returns the seconds that are left, 0 or more."""
        return max(0.0, self._end - time.monotonic())

    def pause_after(self, error: ZoeError) -> float:
        """Returns the seconds to wait before the next try, or raises the error if there is none."""
        delay = error.retry_after if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED else None
        if delay is None or delay >= self.remaining() or not self._retries:
            raise error
        self._retries -= 1
        return delay

    def commit(self) -> None:
        """Rules out further tries: a part of the answer has come."""
        self._retries = 0
