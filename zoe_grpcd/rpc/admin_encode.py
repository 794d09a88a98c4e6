"""From the fleet's reports to the messages of zoe.admin.v1. `Clock` brings the fleet's time to wall time."""

from collections.abc import Callable

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from zoe.admin.v1 import backend_pb2 as pb
from zoe_grpcd.core.backend import Phase
from zoe_grpcd.core.views import BackendReport, ModelReport

WallTime = Callable[[float], float]
"""Seconds of the fleet's monotonic clock -> unix seconds."""

USABLE = {Phase.READY, Phase.BUSY, Phase.DEGRADED}
"""Phases in which a backend serves requests."""


def timestamp(unix_seconds: float) -> Timestamp:
    """Unix seconds as a Timestamp."""
    nanos = round(unix_seconds * 1e9)
    return Timestamp(seconds=nanos // 1_000_000_000, nanos=nanos % 1_000_000_000)


def duration(seconds: float) -> Duration:
    """Seconds as a Duration, none if they are negative."""
    nanos = int(max(0.0, seconds) * 1e9)
    return Duration(seconds=nanos // 1_000_000_000, nanos=nanos % 1_000_000_000)


def backend(report: BackendReport, wall: WallTime) -> pb.Backend:
    """A backend as an operator sees it."""
    known = report.backend
    probe = None
    if report.probed_at is not None:
        probe = pb.HealthProbe(
            ok=report.probe_ok,
            error=report.probe_error,
            time=timestamp(wall(report.probed_at)),
            duration=duration(report.probe_duration),
        )
    return pb.Backend(
        name=known.name,
        kind=known.kind,
        endpoint=known.url,
        state=pb.Backend.State.Value(f"STATE_{report.phase}"),
        state_detail=report.detail,
        state_time=timestamp(wall(report.since)),
        models=[served(model) for model in report.models],
        load=load(report),
        labels=dict(known.labels),
        local=known.local,
        last_probe=probe,
        revision=report.revision,
    )


def load(report: BackendReport) -> pb.BackendLoad:
    """What a backend has to do."""
    return pb.BackendLoad(
        in_flight=report.in_flight,
        max_in_flight=report.max_in_flight,
        queued=report.deferred + report.queued,
        foreign_in_flight=report.foreign,
        tokens_per_second=report.tokens_per_second,
        prefill_tokens_per_second=report.prefill_tokens_per_second,
        error_ratio=report.error_ratio,
        ttft_p50=None if report.ttft_p50 is None else duration(report.ttft_p50),
        ttft_p95=None if report.ttft_p95 is None else duration(report.ttft_p95),
        kv_cache_usage=report.kv_cache_usage,
    )


def served(report: ModelReport) -> pb.ServedModel:
    """A model on a backend."""
    return pb.ServedModel(
        model=report.deployment.model,
        backend_model=report.deployment.backend_model,
        load_state=pb.LoadState.Value(f"LOAD_STATE_{report.state}"),
        load_fraction=report.load_fraction,
        context_tokens=report.context_tokens,
        capabilities=sorted(report.capabilities),
        expire_time=None if report.expire_at is None else timestamp(report.expire_at),
        size_bytes=report.size_bytes,
        vram_bytes=report.vram_bytes,
        expected_load=duration(report.expected_load),
    )


def models(reports: list[BackendReport], aliases: dict[str, list[str]]) -> list[pb.Model]:
    """The models of all backends by public name; `aliases` are the names that stand for each."""
    by_name: dict[str, list[tuple[BackendReport, ModelReport]]] = {}
    for report in reports:
        for model in report.models:
            by_name.setdefault(model.deployment.model, []).append((report, model))
    return [_model(name, places, aliases.get(name, [])) for name, places in sorted(by_name.items())]


def _size(billions: float) -> str:
    return f"{billions:.3g}B" if billions >= 1.0 else f"{billions * 1000:.3g}M"


def _model(name: str, places: list[tuple[BackendReport, ModelReport]], aliases: list[str]) -> pb.Model:
    sizes = [model.parameters for _, model in places if model.parameters]
    return pb.Model(
        model=name,
        aliases=sorted(aliases),
        capabilities=sorted({c for _, model in places for c in model.capabilities}),
        context_tokens=max(model.context_tokens for _, model in places),
        size=_size(max(sizes)) if sizes else "",
        available=any(report.phase in USABLE for report, _ in places),
        deployments=[
            pb.ModelDeployment(
                backend=report.backend.name,
                backend_state=pb.Backend.State.Value(f"STATE_{report.phase}"),
                served=served(model),
                weight=model.deployment.weight,
            )
            for report, model in places
        ],
    )
