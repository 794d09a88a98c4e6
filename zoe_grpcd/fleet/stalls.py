"""A model that is in memory, as its server says, and has stopped answering.

The one rule: a stall is a silence for longer than the whole budget of a first token, of a model that had not to be
loaded; the next first token makes it forgotten. Callers who leave earlier than that make it doubtful, and no more: their
deadlines may be too short for a model that is well.
"""

from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.fleet.host import Host
from zoe_grpcd.fleet.lease import Lease

ENOUGH = 2  # in a row: one alone may be the rest of somebody's long prompt
# Who leaves has waited in vain after so many times what was expected, and so many seconds.
IN_VAIN, A_WHILE = 4.0, 1.0
TOLD = 600.0  # s; so long an operator is told of an unload


def note_silence(host: Host, lease: Lease) -> None:
    """No first token came in time. Of a model that was being loaded meanwhile, that says nothing."""
    served = host.served.get(lease.deployment.model)
    if served is not None and lease.first_at is None:
        loads = lease.cold or served.loading_since is not None
        served.stalls = 0 if loads else served.stalls + 1


def note_departure(host: Host, lease: Lease, now: float) -> bool:
    """A caller has left, or was answered by another one sooner; true: such waits have made the model doubtful."""
    served = host.served.get(lease.deployment.model)
    if served is None or lease.first_at is not None or lease.cold or served.loading_since is not None:
        return False
    if now - lease.started < max(A_WHILE, IN_VAIN * lease.expected.time_to_first_token):
        return False
    served.left += 1
    return served.left >= ENOUGH


def doubtful_on(host: Host) -> Deployment | None:
    """A model of a backend that several callers in a row have waited for in vain."""
    return next(
        (s.deployment for s in host.served.values() if s.left >= ENOUGH and s.state is LoadState.LOADED),
        None,
    )


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
