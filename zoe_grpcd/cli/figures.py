"""stats: what was counted, in tables."""

import argparse
import json
import sys
import time
from collections.abc import Iterable

from google.protobuf.json_format import MessageToDict

from zoe.admin.v1 import admin_service_pb2 as pb
from zoe.admin.v1 import stats_pb2
from zoe_client import Client
from zoe_grpcd.cli.tables import seconds, size, table

ADMIN_TIMEOUT = 10.0
# How often --watch prints (seconds).
INTERVAL = 2.0
HEADER = ("REQUESTS", "OK", "FAILED", "GONE", "RUNNING", "REQ/S", "TOK/S", "TOKENS", "QUEUE P95")
TIMES = ("FIRST P50", "P95", "TOTAL P50", "P95", "USD")


def stats(client: Client, options: argparse.Namespace) -> None:
    """Once, or with --watch every two seconds."""
    request = pb.GetStatsRequest()
    if options.window:
        request.window.FromNanoseconds(round(options.window * 1e9))
    while True:
        found = client.admin.GetStats(request, timeout=ADMIN_TIMEOUT, metadata=client.headers)
        text = json.dumps(MessageToDict(found)) if options.json else told(found)
        print(text, end="\n\n" if options.watch and not options.json else "\n")
        sys.stdout.flush()
        if not options.watch:
            return
        time.sleep(INTERVAL)


def told(found: pb.GetStatsResponse) -> str:
    """All of it, for people."""
    parts = [f"the last {_span(seconds(found.window))}", _requests("", [("all", found.totals)])]
    for title, rows in (("BACKEND", found.backends), ("MODEL", found.models), ("KEY", found.keys)):
        if rows:
            parts.append(_requests(title, [(row.name, row.stats) for row in rows]))
    if found.errors_by_reason:
        errors = sorted(found.errors_by_reason.items(), key=lambda item: (-item[1], item[0]))
        parts.append(table(("ERROR", "REQUESTS"), [(reason, str(count)) for reason, count in errors]))
    return "\n\n".join([*parts, _routing(found.routing), _process(found.process)])


def _requests(title: str, rows: Iterable[tuple[str, stats_pb2.RequestStats]]) -> str:
    return table((title, *HEADER, *TIMES), [(name, *_cells(counted)) for name, counted in rows])


def _cells(counted: stats_pb2.RequestStats) -> tuple[str, ...]:
    first, total, queue = counted.time_to_first_token, counted.total, counted.queue
    return (
        str(counted.requests),
        str(counted.succeeded),
        str(counted.failed or ""),
        str(counted.cancelled or ""),
        str(counted.in_flight or ""),
        f"{counted.requests_per_second:.2f}",
        f"{counted.tokens_per_second:.1f}",
        str(counted.completion_tokens),
        _time(queue, "p95"),
        _time(first, "p50"),
        _time(first, "p95"),
        _time(total, "p50"),
        _time(total, "p95"),
        f"{counted.cost_micro_usd / 1e6:.4f}" if counted.cost_micro_usd else "",
    )


def _time(quantiles: stats_pb2.Quantiles, name: str) -> str:
    """A quantile in the unit that leaves it readable; empty if nothing was measured."""
    if not quantiles.count:
        return ""
    value = seconds(getattr(quantiles, name))
    if value < 0.001:
        return f"{value * 1e6:.0f} us"
    return f"{value * 1e3:.0f} ms" if value < 1 else f"{value:.1f} s"


def _span(value: float) -> str:
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def _routing(routing: stats_pb2.RoutingStats) -> str:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in sorted(routing.backend_share.items()))
    reasons = ", ".join(
        f"{reason.replace('_', ' ').lower()} {count}"
        for reason, count in sorted(routing.decisions_by_reason.items())
    )
    times = f"P50 {_time(routing.decide, 'p50') or '-'}, P99 {_time(routing.decide, 'p99') or '-'}"
    switches = f"{routing.midstream_switches} answers went on elsewhere after the first token"
    lines = [
        f"decisions    {routing.decisions}, {times}{f' ({reasons})' if reasons else ''}",
        f"matches      exact {routing.exact_match_ratio:.0%}, pattern {routing.pattern_match_ratio:.0%}",
        f"fallbacks    {routing.fallback_ratio:.1%} of the requests; {switches}",
        f"shares       {shares or '-'}; balance {routing.balance:.2f}",
        f"cache hits   {routing.cache_hit_ratio:.0%}",
    ]
    return "\n".join(lines)


def _process(process: stats_pb2.ProcessStats) -> str:
    uptime = time.time() - process.start_time.ToNanoseconds() / 1e9
    return (
        f"zoe-grpcd {process.version}, up {_span(uptime)}: {size(process.rss_bytes)},"
        f" {process.cpu_ratio:.0%} of a processor, loop lag P99 {_time(process.loop_lag, 'p99') or '-'},"
        f" {process.connections} connections, {process.active_calls} calls"
    )
