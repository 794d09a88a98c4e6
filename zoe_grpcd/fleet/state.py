"""The state of the fleet: what is kept of a backend, of a model on it, and of a request in flight there.

Only `Fleet` changes it.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence

from zoe_grpcd.core.domain import (
    FREE,
    Backend,
    Deployment,
    LoadState,
    ModelFacts,
    ModelStatus,
    Observation,
    Phase,
    Prefill,
    Price,
)
from zoe_grpcd.core.estimate import sharing
from zoe_grpcd.core.learning import Learned
from zoe_grpcd.core.speed import Speed
from zoe_grpcd.core.usage import DecayedMean
from zoe_grpcd.core.views import BackendView, DeploymentView

COLD = {LoadState.UNLOADED, LoadState.SLEEPING, LoadState.FAILED}
# A request is taken to need at least this share of its time so far still: the lengths of answers have long tails.
LONG_TAIL = 0.5
# A server that was asked for a model begins to load it within this, unless it waits for memory (seconds).
LOAD_BEGINS = 0.5
STEADY = 0.01  # a pace that differs by less is none


class Lease:
    """One request's place on a deployment, from the decision to its last byte. Given back by `Fleet.release`."""

    __slots__ = ("abandon", "backend", "cold", "deployment", "due", "price", "slowdown", "started", "waited")

    def __init__(self, served: "Served", view: BackendView, started: float) -> None:
        self.deployment = served.deployment
        self.backend = view.backend
        self.price = served.price
        self.started = started
        self.due = started  # when it is expected to end
        self.cold = served.state in COLD
        # for a slot, or for a load that began before it
        self.waited = view.in_flight + view.foreign >= view.slots or served.state is LoadState.LOADING
        self.slowdown = sharing(view)
        self.abandon: Callable[[], None] | None = (
            None  # called when the backend is found dead before the first token
        )


class Served:
    """A deployment's state."""

    __slots__ = ("deployment", "facts", "learned", "loading_since", "prefill", "served", "status", "view")

    def __init__(self, deployment: Deployment, facts: ModelFacts) -> None:
        self.deployment = deployment
        self.facts = facts
        self.status: ModelStatus | None = None
        self.learned = Learned(parameters=facts.parameters)
        self.served = True
        self.loading_since: float | None = None
        self.view: DeploymentView | None = None
        self.prefill: Prefill | None = None  # as it was seen; None: not yet

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


class Host:
    """A backend's state."""

    def __init__(self, backend: Backend, configured: Sequence[Deployment], now: float, usual: Speed) -> None:
        self.backend = backend
        self.configured = tuple(configured)
        self.phase = Phase.UNKNOWN
        self.since = now
        self.detail = "not probed yet"
        self.observation: Observation | None = None
        self.probed_at: float | None = None
        self.leases: set[Lease] = set()
        self.ended: deque[float] = deque(maxlen=256)  # when requests of ours ended since the last probe
        self.served: dict[str, Served] = {}
        self.foreign = 0
        self.own_since_probe = 0
        self.service = DecayedMean(5.0, prior_weight=0.3)
        self.speed = Speed(usual)
        self.revision = 0
        self.view: BackendView | None = None
        self.view_at = now

    @property
    def slots(self) -> int:
        """Requests that it works on at the same time."""
        told = self.observation.slots if self.observation else None
        return max(1, told or self.backend.max_in_flight or self.backend.usual_slots)

    @property
    def model_slots(self) -> int:
        """Slots of one model: a server that tells its slots tells the sum over the models that it has loaded."""
        if self.observation is None or not self.observation.slots:
            return self.slots
        loaded = sum(served.state is LoadState.LOADED for served in self.served.values())
        return max(1, self.slots // max(1, loaded))

    def remaining(self, now: float) -> dict[str, tuple[float, ...]]:
        """Seconds until each request of ours is expected to end, by model, ascending."""
        ends: defaultdict[str, list[float]] = defaultdict(list)
        for lease in self.leases:
            left, least = lease.due - now, LONG_TAIL * (now - lease.started)
            # at every decision for all that is in flight, where max() would cost as much as the rest of it
            ends[lease.deployment.model].append(left if left > least else least)  # noqa: FURB136
        return {model: tuple(sorted(seconds)) for model, seconds in ends.items()}

    def swapping(self, now: float) -> bool:
        """Somebody of ours waits for a load that the server has not begun."""
        return any(
            served.loading_since is not None
            and now - served.loading_since > LOAD_BEGINS
            and served.status is not None
            and served.status.state is LoadState.UNLOADED
            for served in self.served.values()
        )

    def let_fade(self, now: float) -> None:
        """Has the views made anew that show failures, a slow spell or a slow response: all are forgotten with time, so
        that it gets another chance.
        """
        self.rescale(views=abs(self.speed.pace(now) - 1.0) > STEADY)
        for served in self.served.values():
            view, learned = served.view, served.learned
            aged = view is not None and view.response_p95 != learned.response.quantile(0.95, now)
            if aged or learned.success.value < 1.0:
                served.view = None

    def rescale(self, *, views: bool = True) -> None:
        """What the backend showed of its speed is true of all its models."""
        for served in self.served.values():
            served.learned.scale(self.speed.reading, self.speed.writing)
            if views or not served.learned.token.weight:
                served.view = None
