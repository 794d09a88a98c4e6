"""What a probe's observation says of a backend, beyond what stands in it."""

from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.observation import ModelStatus, Observation
from zoe_grpcd.core.phases import Signal
from zoe_grpcd.fleet.host import Host

# A server's own expiry that moved this much without us shows that somebody else uses the model.
EXPIRY_DRIFT = 1.0


def signal_of(observation: Observation) -> Signal:
    """What it means for the phase."""
    if observation.loading:
        return Signal.LOADING
    full = (
        observation.slots is not None
        and observation.busy is not None
        and observation.busy >= observation.slots
    )
    return Signal.FULL if full else Signal.IDLE


def foreign_of(host: Host, observation: Observation, now: float) -> int:
    """Work on the backend that is not ours: slots that are busy beyond our own, or an expiry that moved by itself."""
    ours = len(host.leases)
    if observation.busy is not None:
        # what ended while the probe was on its way may be among the busy ones
        just_ended = sum(1 for at in host.ended if at >= now - observation.duration)
        return max(0, observation.busy + (observation.deferred or 0) - ours - just_ended)
    if ours or host.own_since_probe or not host.observation:
        return 0
    before, after = (
        {m.digest or m.name: m.expire_at for m in seen.models or () if m.expire_at}
        for seen in (host.observation, observation)
    )
    return sum(1 for name, at in after.items() if name in before and at - before[name] > EXPIRY_DRIFT)


def is_meant(status: ModelStatus, deployment: Deployment) -> bool:
    """The name that an operator gave stands for this model; Ollama's ":latest" may be left out."""
    name = deployment.backend_model
    named = name in (status.name, status.alias) or f"{name}:latest" == status.name
    return named or (status.sole and deployment.any_name)
