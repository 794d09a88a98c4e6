"""The last hour, minute by minute, as numbers for charts.

Rule: a minute that is over is added up once, however many look at it, and others may run between two minutes.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from zoe_grpcd.core.statistics import Span, Statistics

MINUTES = 60
# A minute that has only begun says nothing yet (seconds).
ENOUGH = 10.0

Minute = dict[str, Any]


class History:
    """Of one daemon."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._known: dict[int, Minute] = {}

    async def minutes(self, now: float) -> AsyncIterator[Minute | None]:
        """An hour of minutes up to now, the oldest first; None: not counted, or only begun."""
        present = int(now // 60.0)
        self._known = {minute: known for minute, known in self._known.items() if minute > present - MINUTES}
        for minute in range(present - MINUTES + 1, present):
            if (known := self._known.get(minute)) is None:
                known = self._known[minute] = self.of(self._statistics.minute(minute, now))
                await asyncio.sleep(0)
            yield known if known["seconds"] else None
        latest = self._statistics.minute(present, now)
        yield self.of(latest) if latest.seconds >= ENOUGH else None

    @staticmethod
    def of(span: Span) -> Minute:
        """Rates a second, times in seconds; a time is None where nothing was measured."""
        total, seconds = span.count.total(), max(span.seconds, 1.0)
        served = span.count.grouped(lambda series: series.backend)
        measured = bool(total.first_token.count)
        return {
            "seconds": span.seconds,
            "requests": total.requests / seconds,
            "failed": total.failed / seconds,
            "tokens": total.completion_tokens / seconds,
            "first_p50": total.first_token.quantile(0.5) if measured else None,
            "first_p95": total.first_token.quantile(0.95) if measured else None,
            "wait_p95": total.queue.quantile(0.95) if measured else None,
            "backends": {name: tally.completion_tokens / seconds for name, tally in served.items()},
        }
