"""A model that is in memory, as its server says, and has stopped answering.

The one rule: a stall is a silence for longer than the whole budget of a first token, of a model that had not to be
loaded; the next first token makes it forgotten.
"""

from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.fleet.host import Host
from zoe_grpcd.fleet.lease import Lease

ENOUGH = 2  # in a row: one alone may be the rest of somebody's long prompt
TOLD = 600.0  # s; so long an operator is told of an unload


def note_silence(host: Host, lease: Lease) -> None:
    """No first token came in time. Of a model that was being loaded meanwhile, that says nothing."""
    served = host.served.get(lease.deployment.model)
    if served is not None and lease.first_at is None:
        loads = lease.cold or served.loading_since is not None
        served.stalls = 0 if loads else served.stalls + 1


def stalled_on(host: Host) -> Deployment | None:
    """A model of a backend that has stalled so often that another silence would surprise nobody."""
    return next(
        (s.deployment for s in host.served.values() if s.stalls >= ENOUGH and s.state is LoadState.LOADED),
        None,
    )


def is_left_alone(host: Host, deployment: Deployment) -> bool:
    """Nothing of ours is in flight for a model, by whatever name, and as far as is seen nothing of others there."""
    served = host.served.get(deployment.model)
    if served is None or host.foreign:
        return False
    names = {name for name, other in host.served.items() if other.own_name == served.own_name}
    return not any(lease.deployment.model in names for lease in host.leases)


def unloads_in_words(host: Host, now: float) -> str:
    """What an operator reads of it; empty: there was none lately."""
    lately = (
        f"{model}: unloaded {now - served.unloaded_at:.0f} s ago, since it had stopped answering"
        for model, served in sorted(host.served.items())
        if served.unloaded_at is not None and now - served.unloaded_at < TOLD
    )
    return ". ".join(lately)
