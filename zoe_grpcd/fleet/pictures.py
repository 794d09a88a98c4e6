"""Pictures of the state: what decisions look at, and what an operator sees. Made here, kept by the state."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from math import ceil, inf
from operator import attrgetter
from typing import Any, NamedTuple

from zoe_grpcd.core.backend import Backend, Phase
from zoe_grpcd.core.breaker import WELL
from zoe_grpcd.core.observation import LoadState, ModelStatus, Observation
from zoe_grpcd.core.phases import Signal
from zoe_grpcd.core.views import BackendReport, BackendView, DeploymentView, Known, ModelReport
from zoe_grpcd.fleet.host import Host
from zoe_grpcd.fleet.outlook import reloads_of, shop_of, tasks_of
from zoe_grpcd.fleet.served import Served, load_left
from zoe_grpcd.fleet.stalls import unloads_in_words
from zoe_grpcd.fleet.trouble import NO_BAR


def backend_view_of(host: Host, now: float) -> BackendView:
    """A backend at this moment; the same object as long as nothing changed and nothing is in flight.

    Of what its neighbours do only a number is in it, so that most of it outlasts a change there.
    """
    if host.view is None or (host.leases and host.view_at != now):
        host.view_at = now
        standing = WELL if host.trouble is None else host.trouble.server(now)
        host.view = BackendView(
            host.backend,
            host.phase,
            len(host.leases),
            host.foreign,
            host.slots,
            host.service.value,
            tasks_of(host, now),
            shop_of(host, now),
            reloads_of(host, now),
            standing.trust * (host.doubted if host.is_doubted else 1.0),
            standing.trial,
            standing.until if standing.signal is Signal.TRIPPED and standing.until < inf else None,
            host.crowd.neighbours,
        )
    elif host.view.neighbours != host.crowd.neighbours:
        host.view = _beside(host.view, host.crowd.neighbours)
    return host.view


_ALL_BUT_NEIGHBOURS = attrgetter(*(f.name for f in fields(BackendView) if f.init and f.name != "neighbours"))


def _beside(view: BackendView, neighbours: int) -> BackendView:
    """The same beside so many; `replace` takes several times as long."""
    values: tuple[Any, ...] = (*_ALL_BUT_NEIGHBOURS(view), neighbours)
    fresh = BackendView(*values)
    fresh.played = view.played
    return fresh


def view_of(served: Served, host: Host, now: float) -> DeploymentView:
    """A deployment at this moment."""
    facts, status, learned = served.facts, served.status, served.learned
    backend, pace = host.backend, host.speed.pace(now)
    bar = NO_BAR if host.trouble is None else host.trouble.model(served.deployment.model, now)
    told = status.capabilities if status else frozenset({"chat"})
    if not (status and status.complete):
        told |= backend.assumed
    price = served.price
    return DeploymentView(
        served.deployment,
        served.state,
        told | facts.capabilities if facts.capabilities else told,
        context_tokens=window_of(served, backend),
        parameters=served.parameters,
        quality=facts.quality,
        load_seconds=load_left(served, now),
        seconds_per_prompt_token=learned.prefill.value * pace,
        seconds_per_token=learned.token.value * pace,
        overhead_seconds=learned.overhead.value,
        output_tokens=learned.output_tokens.value,
        bytes_per_token=learned.bytes_per_token.value,
        image_tokens=learned.image_tokens.value,
        bytes_known=learned.bytes_per_token.weight >= 1.0,
        success=learned.success.at(now),
        response_p95=learned.response.quantile(0.95, now),
        quickest=0.0 if learned.prefill.weight else learned.response.quantile(0.0, now) or 0.0,
        input_usd_per_token=price.input / 1e6,
        output_usd_per_token=price.output / 1e6,
        spread=learned.spread.ninety,
        served=served.served,
        fingerprint=status.fingerprint if status else "",
        prefill=served.prefill or backend.prefill,
        known=Known(learned.load.weight > 0, learned.prefill.weight > 0, learned.token.weight > 0),
        trust=bar.trust,
        barred=bar.barred,
        until=bar.until,
        asked=bar.asked,
    )


class Gallery(NamedTuple):
    """The views of all deployments, as `Snapshot` has them."""

    by_model: Mapping[str, tuple[DeploymentView, ...]]
    auto: tuple[DeploymentView, ...]  # of requests that name no model


def gallery_of(views: Iterable[tuple[str, DeploymentView]]) -> Gallery:
    """The views with their models, put in order."""
    by_model: dict[str, list[DeploymentView]] = {}
    for model, view in views:
        by_model.setdefault(model, []).append(view)
    auto = [v for views in by_model.values() for v in views if v.deployment.auto and "chat" in v.capabilities]
    return Gallery({model: tuple(views) for model, views in by_model.items()}, tuple(auto))


def window_of(served: Served, backend: Backend) -> int:
    """The window that a request gets: the bundle's num_ctx decides where the kind sets its window by request (such
    kinds truncate), then the operator's word, then the server's.
    """
    told = (served.status.context_tokens if served.status else None) or 0
    bundle = served.deployment.backend_options.get("num_ctx")
    if isinstance(bundle, int) and backend.truncates:
        return bundle
    return served.facts.context_tokens or told


def _left(host: Host) -> str:
    """How far a drain has come."""
    if host.phase is not Phase.DRAINING:
        return ""
    return f"{len(host.leases)} still running" if host.leases else "empty"


def report_of(host: Host, now: float) -> BackendReport:
    """A backend as an operator sees it."""
    seen = host.observation or Observation(ok=False)
    learned = [s.learned for s in host.served.values() if s.learned.token.weight > 0]
    windows = [s.learned.ttft for s in host.served.values()]
    ttft = [(window.quantile(0.5, now), window.quantile(0.95, now)) for window in windows]
    held = host.trouble.words(now) if host.trouble is not None else ""
    words = (_left(host), host.detail, held, _load_in_words(host, now), unloads_in_words(host, now))
    success = min((s.learned.success.at(now) for s in host.served.values()), default=1.0)
    return BackendReport(
        host.backend,
        host.phase,
        ". ".join(text for text in words if text),
        host.since,
        tuple(_model_report(served, host, now) for _, served in sorted(host.served.items())),
        in_flight=len(host.leases),
        max_in_flight=host.backend.max_in_flight or host.slots,
        foreign=host.foreign,
        deferred=seen.deferred or 0,
        tokens_per_second=max((1 / x.token.value for x in learned), default=0.0),
        prefill_tokens_per_second=max(
            (1 / x.prefill.value for x in learned if x.prefill.weight), default=0.0
        ),
        error_ratio=1.0 - success,
        ttft_p50=max((a for a, _ in ttft if a is not None), default=None),
        ttft_p95=max((b for _, b in ttft if b is not None), default=None),
        kv_cache_usage=seen.kv_cache_usage,
        probed_at=host.probed_at,
        probe_ok=seen.ok,
        probe_error=seen.error,
        probe_duration=seen.duration,
        revision=host.revision,
    )


def _load_in_words(host: Host, now: float) -> str:
    """How far a server is that loads its model as a whole; empty: it does not."""
    if host.loads_since is None:
        return ""
    left = max((load_left(served, now) for served in host.served.values()), default=0.0)
    more = f", about {ceil(left)} s more" if left else ""
    return f"it has been loading for {int(now - host.loads_since)} s{more}"


def _model_report(served: Served, host: Host, now: float) -> ModelReport:
    view, status = (
        view_of(served, host, now),
        served.status or ModelStatus(served.deployment.backend_model),
    )
    state = _state_seen(view.state, host)
    fraction = 1.0 if state is LoadState.LOADED else status.load_fraction or 0.0
    return ModelReport(
        served.deployment,
        state,
        fraction,
        view.context_tokens,
        view.capabilities,
        view.parameters,
        status.expire_at,
        status.size_bytes,
        status.vram_bytes,
        view.load_seconds,
    )


def _state_seen(state: LoadState, host: Host) -> LoadState:
    """With a server that sleeps all of its models do, and with one that is gone none."""
    if host.is_asleep:
        return LoadState.SLEEPING
    gone = host.phase is Phase.DOWN and state is LoadState.SLEEPING
    return LoadState.UNLOADED if gone else state
