"""The metrics in Prometheus' words, made when they are asked for out of what is counted anyway.

Rule: a request pays nothing for a scrape. Every label is the name of a backend, model, method, reason or state, none of
which a caller can invent.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from zoe_grpcd.core.answer import Seam
from zoe_grpcd.core.backend import Phase
from zoe_grpcd.core.calls import Calls
from zoe_grpcd.core.histogram import Histogram
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.core.tally import Count
from zoe_grpcd.core.views import BackendReport

# Upper bounds in seconds, all of them out of `core.histogram.BOUNDS`.
FAST = (5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1)
SLOW = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0)
LAG = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

Rows = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """All figures at one moment, which nobody changes. `running`: requests by backend; `queued`: by priority;
    `certificates`: seconds until they end, by the options that name their files.
    """

    version: str
    calls: Calls
    count: Count
    reports: Sequence[BackendReport]
    running: Mapping[str, int]
    queued: Mapping[str, int]
    certificates: Mapping[str, float]

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry would collect all metrics once more, to learn their names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The metrics of the contract."""
        info = GaugeMetricFamily("zoe_build_info", "Version of the daemon.", labels=("version",))
        info.add_metric((self.version,), 1)
        yield info
        yield from _of_calls(self.calls)
        yield from _of_routing(self.count)
        yield from _of_requests(self.count)
        yield from _of_backends(self.reports)
        yield _gauge(
            "zoe_requests_in_flight",
            "Requests that run, by the backend that was chosen last.",
            ("backend",),
            (((name,), number) for name, number in self.running.items()),
        )
        yield _gauge(
            "zoe_queue_depth",
            "Requests that wait for a place.",
            ("priority",),
            (((name,), number) for name, number in self.queued.items()),
        )
        yield _gauge(
            "zoe_certificate_expires_in_seconds",
            "Time until the first certificate of a file of server.tls ends.",
            ("file",),
            (((option,), left) for option, left in self.certificates.items()),
        )


class Exposition:
    """The metrics as text. `take`: reads all figures."""

    def __init__(self, take: Callable[[], Readings]) -> None:
        self._take = take
        self._process = ProcessCollector(registry=None)

    async def text(self, accept: str = "") -> tuple[bytes, str]:
        """The exposition and its content type: OpenMetrics for whoever accepts that, else Prometheus' own.

        It is written beside the event loop: for 128 models that takes 25 ms.
        """
        return await asyncio.to_thread(self._written, self._take(), accept)

    def _written(self, readings: Readings, accept: str) -> tuple[bytes, str]:
        registry = CollectorRegistry()
        registry.register(self._process)
        registry.register(readings)
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type


def _of_calls(calls: Calls) -> Iterator[Metric]:
    labels = ("grpc_type", "grpc_service", "grpc_method")
    yield _counter(
        "grpc_server_started", "Calls that began.", labels, ((m, n) for m, n in calls.started.items())
    )
    yield _counter(
        "grpc_server_handled",
        "Calls that ended.",
        (*labels, "grpc_code"),
        (((*method, code), number) for (method, code), number in calls.handled.items()),
    )
    yield _histogram(
        "grpc_server_handling_seconds",
        "Times of calls, from their arrival to their end.",
        labels,
        calls.seconds.items(),
        SLOW,
    )


def _of_routing(count: Count) -> Iterator[Metric]:
    yield _histogram(
        "zoe_route_decision_seconds", "Times that deciding took.", (), (((), count.decide),), FAST
    )
    yield _counter(
        "zoe_route_decisions",
        "Decisions that were acted on or told, by the model, the backend and the reason.",
        ("model", "backend", "reason"),
        count.decisions.items(),
    )
    yield _counter(
        "zoe_route_fallbacks", "Requests with more than one attempt.", (), (((), count.fallbacks),)
    )
    yield _counter(
        "zoe_attempts",
        "Attempts on a backend by their outcome.",
        ("backend", "outcome"),
        count.attempts.items(),
    )
    yield _counter(
        "zoe_midstream_switches",
        "Answers that went on elsewhere after their first token, by the seam.",
        ("seam",),
        (((seam.name,), count.seams[seam.name]) for seam in Seam if seam is not Seam.NONE),
    )
    yield _counter(
        "zoe_request_errors",
        "Requests that failed, by the reason.",
        ("reason",),
        (((reason,), number) for reason, number in count.errors.items()),
    )
    yield _counter(
        "zoe_cache_requests",
        "Requests that the cache was asked for.",
        ("result",),
        (((result,), count.lookups[result]) for result in ("hit", "miss")),
    )


def _of_requests(count: Count) -> Iterator[Metric]:
    tallies = count.served()
    places = ("backend", "model")
    yield _histogram(
        "zoe_queue_seconds",
        "Waits for a place, of requests that were answered.",
        (),
        (((), count.total().queue),),
        SLOW,
    )
    yield _histogram(
        "zoe_time_to_first_token_seconds",
        "Times from the arrival of a request to its first token.",
        places,
        ((place, tally.first_token) for place, tally in tallies.items()),
        SLOW,
    )
    yield _counter(
        "zoe_tokens",
        "Tokens of answered requests; those of cached_prompt are part of prompt.",
        (*places, "type"),
        (
            ((*place, kind), number)
            for place, tally in tallies.items()
            for kind, number in (
                ("prompt", tally.prompt_tokens),
                ("cached_prompt", tally.cached_tokens),
                ("completion", tally.completion_tokens),
            )
        ),
    )
    yield _counter(
        "zoe_cost_usd",
        "US dollars, as far as prices are known.",
        places,
        ((place, tally.cost_usd) for place, tally in tallies.items()),
    )
    yield _histogram("zoe_event_loop_lag_seconds", "How late timers were.", (), (((), count.loop_lag),), LAG)


def _of_backends(reports: Sequence[BackendReport]) -> Iterator[Metric]:
    yield _gauge(
        "zoe_backend_state",
        "1 for the state that a backend is in.",
        ("backend", "state"),
        (((report.backend.name, phase), report.phase is phase) for report in reports for phase in Phase),
    )
    yield _gauge(
        "zoe_model_loaded",
        "1 for a model that a backend has in memory.",
        ("backend", "model"),
        (
            ((report.backend.name, model.deployment.model), model.state is LoadState.LOADED)
            for report in reports
            for model in report.models
        ),
    )


def _counter(name: str, text: str, labels: Sequence[str], rows: Rows) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _gauge(name: str, text: str, labels: Sequence[str], rows: Rows) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _histogram(
    name: str,
    text: str,
    labels: Sequence[str],
    rows: Iterable[tuple[tuple[str, ...], Histogram]],
    bounds: Sequence[float],
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, histogram in rows:
        counts = zip(bounds, histogram.up_to(bounds), strict=True)
        buckets = [(str(bound), count) for bound, count in counts]
        family.add_metric(values, [*buckets, ("+Inf", histogram.count)], histogram.total)
    return family
