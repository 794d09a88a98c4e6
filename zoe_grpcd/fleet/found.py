"""What is found on a backend: which models it serves, and which of them are in memory or on their way there.

The rule: a probe, a request and the server as a whole may each show a load, and the first that shows its end ends it.
"""

from collections.abc import Callable
from dataclasses import replace

from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.observation import LoadState, ModelStatus, Observation
from zoe_grpcd.fleet.host import Host
from zoe_grpcd.fleet.lease import Lease
from zoe_grpcd.fleet.probes import is_meant
from zoe_grpcd.fleet.served import Served

Serve = Callable[[Deployment], Served]
"""Begins to keep account of a deployment."""


def found_on(host: Host, observation: Observation, serve: Serve, now: float) -> dict[str, Served]:
    """What a backend serves by the names that callers use: what was configured, then whatever else it lists."""
    models = observation.models or ()
    found: dict[str, Served] = {}
    for deployment in host.configured:
        served = found[deployment.model] = host.served.get(deployment.model) or serve(deployment)
        status = next((s for s in models if is_meant(s, deployment)), None)
        serves = status is not None or observation.loading  # who knows what a loading server will have
        if served.served is not serves:
            served.served, served.view = serves, None
        if status:
            _take_status(host, served, status, now)
    for status in models:
        public = status.alias or status.name
        if public not in found:
            found[public] = _listed(host, public, status, serve)
            _take_status(host, found[public], status, now)
    return found


def _listed(host: Host, public: str, status: ModelStatus, serve: Serve) -> Served:
    """A model that nobody configured under this name."""
    stands = any(is_meant(status, d) for d in host.configured)
    deployment = Deployment(public, host.backend.name, status.name, auto=not stands)
    known = host.served.get(public)
    # the same name for another file is another model: nothing that was learned holds
    return known if known and known.deployment == deployment else serve(deployment)


def _take_status(host: Host, served: Served, status: ModelStatus, now: float) -> None:
    """What is awaited and listed as loaded still loads; and how large a model is says nothing of how fast a service is."""
    if status.state is LoadState.LOADED and served.loading_since is not None and host.awaits(served):
        status = replace(status, state=LoadState.LOADING)
    if status == served.status and served.loading_since is None:
        return
    size = served.facts.parameters or status.parameters
    served.learned.assume(status.size_bytes, size if host.backend.local else None)
    if status.state is LoadState.LOADING:
        served.loading_since = now if served.loading_since is None else served.loading_since
    elif status.state is LoadState.LOADED or served.status is None or status.state is not served.status.state:
        served.loading_since = None
    if served.status and status.fingerprint != served.status.fingerprint:
        served.prefill = None
    served.status = status
    served.view = None


def follow_load(host: Host, now: float, *, loads: bool) -> None:
    """What a server loads as a whole is there when it is ready: how long that took is learned."""
    since = host.loads_since
    host.loads_since = (now if since is None else since) if loads else None
    for served in host.served.values():
        if loads:
            served.loading_since, served.view = host.loads_since, None
        elif since is not None:
            served.learned.learn_load(now - since, now)
            served.loading_since = served.view = None


def give_up_load(host: Host, served: Served) -> None:
    """Nobody of ours waits for this load any longer: whether it goes on, the next probe will tell."""
    waits = any(lease.deployment == served.deployment for lease in host.leases)
    told = served.status is not None and served.status.state is LoadState.LOADING
    if served.loading_since is not None and not waits and not told:
        served.loading_since = None
        served.view = None


def still_loads(host: Host, lease: Lease, now: float) -> bool:
    """Its model is being loaded, and is not later than loads sometimes are: whoever gave up meanwhile was impatient."""
    served = host.served.get(lease.deployment.model)
    if served is None or served.loading_since is None:
        return False
    return now - served.loading_since <= served.learned.load.value * served.learned.spread.ninety
