"""What is counted of requests: of one backend, model and key in one span of time, or of all together.

Rule: everything here can be added up, so that any span and any grouping is a sum of the parts that were recorded.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.histogram import Histogram
from zoe_grpcd.core.outcome import Attempt, Completed

MOST_SERIES = 1_000
"""How many series are told apart; a tally is a kilobyte or less."""
CANCELLED = frozenset({"CANCELLED", "DEADLINE_EXCEEDED"})
"""Codes of requests that their callers gave up, or had no more time for."""


class Series(NamedTuple):
    """Whose requests: those that a backend served with a model for a key. Empty: none had been chosen; no keys."""

    backend: str = ""
    model: str = ""
    key: str = ""


OTHERS = Series("(others)", "(others)", "(others)")


class Tally:
    """Requests that have ended. Times are of those that succeeded."""

    __slots__ = (
        "cached_tokens",
        "cancelled",
        "completion_tokens",
        "cost_usd",
        "failed",
        "first_token",
        "prompt_tokens",
        "queue",
        "succeeded",
        "total",
    )

    def __init__(self) -> None:
        self.succeeded = self.failed = self.cancelled = 0
        self.prompt_tokens = self.completion_tokens = self.cached_tokens = 0
        self.cost_usd = 0.0
        self.queue, self.first_token, self.total = Histogram(), Histogram(), Histogram()

    @property
    def requests(self) -> int:
        """All of them."""
        return self.succeeded + self.failed + self.cancelled

    def take(self, code: str, end: Completed | None) -> None:
        """One more has ended: the name of its code, and its answer if there was one."""
        if code == "OK":
            self.succeeded += 1
        elif code in CANCELLED:
            self.cancelled += 1
        else:
            self.failed += 1
        if end is None:
            return
        usage, timings = end.usage, end.timings
        self.prompt_tokens += usage.prompt_tokens
        self.completion_tokens += usage.completion_tokens
        self.cached_tokens += usage.cached_prompt_tokens
        self.cost_usd += end.cost_usd
        self.queue.add(timings.queue)
        self.first_token.add(timings.time_to_first_token)
        self.total.add(timings.total)

    def merge(self, other: "Tally") -> None:
        """Adds another one."""
        self.succeeded += other.succeeded
        self.failed += other.failed
        self.cancelled += other.cancelled
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.cached_tokens += other.cached_tokens
        self.cost_usd += other.cost_usd
        self.queue.merge(other.queue)
        self.first_token.merge(other.first_token)
        self.total.merge(other.total)


class Ended(NamedTuple):
    """A request that is over. `code`: the name of its gRPC status; `error_reason`: empty with OK.

    `decisions`: those that were acted on, in order; `end`: None without an answer. A Route has no attempts, and counts
    for its decision alone.
    """

    series: Series
    code: str
    error_reason: str
    decisions: tuple[Decision, ...]
    attempts: tuple[Attempt, ...]
    end: Completed | None


class Count:
    """All that was counted in a span of time."""

    __slots__ = (
        "attempts",
        "decide",
        "decisions",
        "errors",
        "fallbacks",
        "lookups",
        "loop_lag",
        "seams",
        "tallies",
    )

    def __init__(self) -> None:
        self.tallies: dict[Series, Tally] = {}
        self.decisions: Counter[tuple[str, str, str]] = Counter()  # model, backend, reason
        self.decide = Histogram()
        self.attempts: Counter[tuple[str, str]] = Counter()  # backend, outcome
        self.errors: Counter[str] = Counter()  # by reason, of requests that failed
        self.fallbacks = 0  # requests with more than one attempt
        self.seams: Counter[str] = Counter()  # answers that went on elsewhere after their first token
        self.lookups: Counter[str] = Counter()  # in the cache: "hit" or "miss"
        self.loop_lag = Histogram()

    def take(self, ended: Ended) -> None:
        """A request has ended."""
        self._of(ended.series).take(ended.code, ended.end)
        for attempt in ended.attempts:
            self.attempts[attempt.deployment.backend, attempt.outcome] += 1
        if len(ended.attempts) > 1:
            self.fallbacks += 1
        if ended.code != "OK" and ended.code not in CANCELLED:
            self.errors[ended.error_reason] += 1
        for decision in ended.decisions[1:]:
            if decision.seam is not None:
                self.seams[decision.seam.name] += 1

    def merge(self, other: "Count") -> None:
        """Adds another one."""
        for series, tally in other.tallies.items():
            self._of(series).merge(tally)
        self.decisions.update(other.decisions)
        self.attempts.update(other.attempts)
        self.errors.update(other.errors)
        self.seams.update(other.seams)
        self.lookups.update(other.lookups)
        self.fallbacks += other.fallbacks
        self.decide.merge(other.decide)
        self.loop_lag.merge(other.loop_lag)

    def _of(self, series: Series) -> Tally:
        """The tally of a series; with too many of them, that of all others."""
        if (tally := self.tallies.get(series)) is None:
            series = series if len(self.tallies) < MOST_SERIES else OTHERS
            tally = self.tallies.setdefault(series, Tally())
        return tally

    def total(self) -> Tally:
        """All requests together."""
        return self.grouped(lambda _series: "all").get("all") or Tally()

    def served(self) -> dict[tuple[str, str], Tally]:
        """The requests by backend and model, of those that had both."""
        groups: dict[tuple[str, str], Tally] = {}
        for (backend, model, _), tally in self.tallies.items():
            if backend:
                groups.setdefault((backend, model), Tally()).merge(tally)
        return groups

    def grouped(self, name: Callable[[Series], str]) -> dict[str, Tally]:
        """The requests by a name out of their series, in order of the names; those without one are left out."""
        groups: dict[str, Tally] = {}
        for series, tally in self.tallies.items():
            if its := name(series):
                groups.setdefault(its, Tally()).merge(tally)
        return dict(sorted(groups.items()))


def balance_of(shares: Mapping[str, float]) -> float:
    """Evenness of parts, 0..1: their entropy over its maximum (Pielou's index); 0 with fewer than two."""
    if len(shares) < 2:
        return 0.0
    entropy = -sum(share * math.log(share) for share in shares.values() if share > 0)
    return entropy / math.log(len(shares))
