"""A model on a backend: what is known of it, what was learned of it, and how far its load is.

Rule: what the operator says goes before what its server tells, and that before what its name tells.
"""

from zoe_grpcd.core.backend import FREE, Deployment, ModelFacts, Prefill, Price
from zoe_grpcd.core.learning import Learned
from zoe_grpcd.core.observation import LoadState, ModelStatus
from zoe_grpcd.core.sizes import called, size_in
from zoe_grpcd.core.usage import Decayed
from zoe_grpcd.core.views import DeploymentView

COLD = {LoadState.UNLOADED, LoadState.SLEEPING, LoadState.FAILED}
# A server that was asked for a model begins to load it within this, unless it waits for memory (seconds).
LOAD_BEGINS = 0.5
# A load that takes longer than expected is taken to need this share of it still.
LOAD_TAIL = 0.1
# How long a model that was asked for counts as in demand (seconds).
DEMAND_HALF_LIFE = 1800.0


class Served:
    """A deployment's state."""

    __slots__ = (
        "asked",
        "deployment",
        "facts",
        "learned",
        "left",
        "loading_since",
        "prefill",
        "served",
        "stalls",
        "status",
        "unloaded_at",
        "used_at",
        "view",
    )

    def __init__(self, deployment: Deployment, facts: ModelFacts) -> None:
        self.deployment = deployment
        self.facts = facts
        self.status: ModelStatus | None = None
        self.learned = Learned(parameters=facts.parameters)
        self.served = True
        self.loading_since: float | None = None
        self.view: DeploymentView | None = None
        self.prefill: Prefill | None = None  # as it was seen; None: not yet
        self.asked = Decayed(DEMAND_HALF_LIFE)
        self.used_at = 0.0
        self.stalls = 0  # in a row; see `fleet.stalls`
        self.left = 0  # callers in a row who waited in vain
        self.unloaded_at: float | None = None  # for those

    def succeed(self, former: "Served") -> None:
        """Takes over what is under way from the one before it, if that was the same model, set up otherwise."""
        if former.deployment.backend_model != self.deployment.backend_model:
            return
        self.status = self.status or former.status
        self.served, self.used_at = former.served, former.used_at
        self.stalls, self.left, self.unloaded_at = former.stalls, former.left, former.unloaded_at
        self.loading_since, self.prefill = former.loading_since, former.prefill

    def has_begun(self, now: float) -> bool:
        """Its load is under way, as far as we know."""
        if self.loading_since is None or self.loading_since > now:
            return False
        told = self.status is not None and self.status.state is LoadState.UNLOADED
        return not (told and now - self.loading_since > LOAD_BEGINS)

    @property
    def own_name(self) -> str:
        """What tells it from others of its server: callers, and a server, may know one model by several names."""
        status = self.status
        return self.deployment.backend_model if status is None else status.digest or status.name

    @property
    def parameters(self) -> float | None:
        """Its size, billions: the operator's word, then the backend's, then what its names tell."""
        names = (self.deployment.backend_model, self.deployment.model)
        if self.facts.parameters or self.status is None or not self.status.parameters:
            return self.facts.parameters or next(filter(None, map(size_in, names)), None)
        return called(self.status.parameters, *names)

    @property
    def price(self) -> Price:
        """What its tokens cost: the operator's word, then the backend's."""
        told = self.status.price if self.status else None
        return self.deployment.price or self.facts.price or told or FREE

    @property
    def state(self) -> LoadState:
        """The model's state; nothing known yet counts as loaded, as a server with one model is."""
        if self.loading_since is not None:
            return LoadState.LOADING
        return self.status.state if self.status else LoadState.LOADED


def load_left(served: Served, now: float) -> float:
    """Seconds until its model is in memory, if the load has begun or begins now; 0: it is."""
    state = served.state
    if state is LoadState.LOADED:
        return 0.0
    whole = served.learned.load.value
    if state is not LoadState.LOADING:
        return whole
    if served.status and served.status.load_fraction is not None and served.status.state is LoadState.LOADING:
        return whole * max(LOAD_TAIL, 1.0 - served.status.load_fraction)
    since = now if served.loading_since is None else served.loading_since
    return max(whole * LOAD_TAIL, whole - (now - since))


def load_fraction(served: Served, now: float) -> float:
    """How much of the load of its model is done, 0..1, as its server tells or by how long it usually takes."""
    whole = served.learned.load.value
    return max(0.0, 1.0 - load_left(served, now) / whole) if whole else 0.0
