"""GetStats and ListDecisions: what was counted, of a window or since the start, and what is still remembered."""

import time
from collections import Counter
from collections.abc import Callable, Iterable

from zoe.admin.v1 import admin_service_pb2 as pb
from zoe.admin.v1 import stats_pb2
from zoe_grpcd import __version__
from zoe_grpcd.core.calls import Calls
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.errors import InvalidRequest, Violation
from zoe_grpcd.core.histogram import Histogram
from zoe_grpcd.core.statistics import HOUR, Span
from zoe_grpcd.core.tally import Count, Tally, balance_of
from zoe_grpcd.decisions import ROUTE, DecisionLog, Entry
from zoe_grpcd.rpc.admin_encode import duration, timestamp
from zoe_grpcd.rpc.decision_list import listed
from zoe_grpcd.rpc.guard import Context, Handler
from zoe_grpcd.vitals import rss_bytes

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


class Figures:
    """Answers what is asked of the past. `connections`: how many clients are connected now."""

    def __init__(self, log: DecisionLog, calls: Calls, connections: Callable[[], int]) -> None:
        self._log = log
        self._calls = calls
        self._connections = connections
        self._started = time.time()

    def handlers(self) -> dict[str, Handler]:
        """The methods of the admin service that are answered here."""
        return {"GetStats": self.get_stats, "ListDecisions": self.list_decisions}

    async def list_decisions(
        self, request: pb.ListDecisionsRequest, context: Context
    ) -> pb.ListDecisionsResponse:
        """The last requests that match, newest first, with what was decided and what came of it."""
        return await listed(self._log, request)

    async def get_stats(self, request: pb.GetStatsRequest, context: Context) -> pb.GetStatsResponse:
        """Counts and quantiles."""
        statistics, now = self._log.statistics, self._log.now()
        if request.HasField("window"):
            hour = span = statistics.last(_window_of(request), now)
        else:
            hour = statistics.last(HOUR, now)
            span = Span(statistics.seconds_since_start(now), statistics.since_start(), time.process_time())
        running = [entry for entry in self._log.running if entry.method != ROUTE]
        return pb.GetStatsResponse(
            window=duration(span.seconds),
            totals=_stats(span.count.total(), hour.count.total(), len(running), span.seconds),
            backends=_named(_Group(span, hour, "backend", running)),
            models=_named(_Group(span, hour, "model", running)),
            keys=_named(_Group(span, hour, "key", running)),
            errors_by_reason=span.count.errors,
            routing=_routing(span.count, hour.count),
            process=self._process(span, hour),
        )

    def _process(self, span: Span, hour: Span) -> stats_pb2.ProcessStats:
        return stats_pb2.ProcessStats(
            version=__version__,
            start_time=timestamp(self._started),
            rss_bytes=rss_bytes(),
            cpu_time=duration(time.process_time()),
            cpu_ratio=span.cpu_seconds / span.seconds if span.seconds else 0.0,
            loop_lag=_quantiles(hour.count.loop_lag),
            connections=self._connections(),
            active_calls=self._calls.active,
        )


def _window_of(request: pb.GetStatsRequest) -> float:
    told = request.window
    seconds = told.seconds + told.nanos / 1e9  # a timedelta has no room for all of them
    if not (0 < seconds <= HOUR and 0 <= told.nanos < 1_000_000_000):
        violation = Violation("window", f"must be more than 0 and at most {HOUR:.0f} s")
        raise InvalidRequest("there are no counts of such a window", violations=(violation,))
    return seconds


class _Group:
    """One way to group the requests: by backend, model or key."""

    def __init__(self, span: Span, hour: Span, field: str, running: Iterable[Entry]) -> None:
        self.tallies = span.count.grouped(lambda series: str(getattr(series, field)))
        self.of_hour = hour.count.grouped(lambda series: str(getattr(series, field)))
        attribute = "key_name" if field == "key" else field
        self.running = Counter(str(getattr(entry, attribute)) for entry in running)
        self.seconds = span.seconds

    def names(self) -> list[str]:
        """All that have anything to show."""
        return sorted({*self.tallies, *(name for name in self.running if name)})


def _named(group: _Group) -> list[stats_pb2.NamedStats]:
    empty = Tally()
    return [
        stats_pb2.NamedStats(
            name=name,
            stats=_stats(
                group.tallies.get(name, empty),
                group.of_hour.get(name, empty),
                group.running[name],
                group.seconds,
            ),
        )
        for name in group.names()
    ]


def _stats(tally: Tally, of_hour: Tally, running: int, seconds: float) -> stats_pb2.RequestStats:
    """The counts of a span, and the quantiles of its last hour."""
    return stats_pb2.RequestStats(
        requests=tally.requests,
        succeeded=tally.succeeded,
        failed=tally.failed,
        cancelled=tally.cancelled,
        in_flight=running,
        prompt_tokens=tally.prompt_tokens,
        completion_tokens=tally.completion_tokens,
        cached_prompt_tokens=tally.cached_tokens,
        cost_micro_usd=round(tally.cost_usd * 1e6),
        requests_per_second=tally.requests / seconds if seconds else 0.0,
        tokens_per_second=tally.completion_tokens / seconds if seconds else 0.0,
        queue=_quantiles(of_hour.queue),
        time_to_first_token=_quantiles(of_hour.first_token),
        total=_quantiles(of_hour.total),
    )


def _quantiles(histogram: Histogram) -> stats_pb2.Quantiles:
    if not histogram.count:
        return stats_pb2.Quantiles()
    return stats_pb2.Quantiles(
        count=histogram.count,
        max=duration(histogram.largest),
        **{name: duration(histogram.quantile(q)) for name, q in QUANTILES.items()},
    )


def _routing(count: Count, hour: Count) -> stats_pb2.RoutingStats:
    reasons: Counter[str] = Counter()
    for (_, _, reason), number in count.decisions.items():
        reasons[reason] += number
    first = reasons.total() - reasons[Reason.FAILOVER]
    looked_up = count.lookups.total()
    shares = _shares(count)
    return stats_pb2.RoutingStats(
        decisions=reasons.total(),
        decide=_quantiles(hour.decide),
        exact_match_ratio=reasons[Reason.EXACT_MODEL] / first if first else 0.0,
        pattern_match_ratio=reasons[Reason.PATTERN] / first if first else 0.0,
        fallback_ratio=count.fallbacks / count.total().requests if count.fallbacks else 0.0,
        cache_hit_ratio=count.lookups["hit"] / looked_up if looked_up else 0.0,
        backend_share=shares,
        balance=balance_of(shares),
        decisions_by_reason=reasons,
        midstream_switches=count.seams.total(),
    )


def _shares(count: Count) -> dict[str, float]:
    """The part of the requests that each backend got, of those that one got."""
    requests = {name: tally.requests for name, tally in count.grouped(lambda s: s.backend).items()}
    total = sum(requests.values())
    return {name: number / total for name, number in requests.items()} if total else {}
