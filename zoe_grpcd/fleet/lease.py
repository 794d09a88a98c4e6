"""One request's place on a deployment, from the decision to its last byte.

Rule: it is made and given back by `Leases` alone, and says of itself only what a play of the future needs to know.
"""

from collections.abc import Callable

from zoe_grpcd.core.breaker import Breaker
from zoe_grpcd.core.decision import Estimate
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.core.timetable import Task
from zoe_grpcd.core.views import BackendView
from zoe_grpcd.fleet.crowd import Reading
from zoe_grpcd.fleet.served import COLD, Served

# A request is taken to need at least this share of its time so far still: the lengths of answers have long tails.
LONG_TAIL = 0.5
# Of a prompt that takes longer than expected, this share is taken to be read.
NEARLY = 0.9
NOTHING_DONE = Reading()
# A wait that is shorter is none (seconds).
AT_ONCE = 0.01


class Lease:
    """One request's place on a deployment, from the decision to its last byte. Given back by `Leases.release`."""

    __slots__ = (
        "_reading",
        "_tokens",
        "abandon",
        "backend",
        "before",
        "cold",
        "company",
        "deployment",
        "expected",
        "first_at",
        "go_on",
        "price",
        "pulse",
        "said",
        "started",
        "trials",
        "waited",
        "written",
    )

    def __init__(self, served: Served, view: BackendView, started: float, expected: Estimate) -> None:
        self.deployment = served.deployment
        self.backend = view.backend
        self.price = served.price
        self.started = started
        self.expected = expected
        self._reading = expected.prefill / expected.slowdown  # seconds, alone
        self._tokens = expected.decode * expected.tokens_per_second
        self.trials: tuple[Breaker, ...] = ()  # that it is the trial of
        state = served.state
        self.cold = state in COLD
        # for a slot, or for a load that began before it
        self.waited = view.in_flight + view.foreign >= view.slots or state is LoadState.LOADING
        self.waited = self.waited or expected.queue > AT_ONCE
        self.first_at: float | None = None
        self.before = NOTHING_DONE  # what the crowd had done when it got its first token
        self.said = 0  # tokens of its answer at the last probe
        self.pulse = (started, 0)  # when its tokens were counted last, and how many there were
        # answers of its model under way since the last of them began, and its own tokens then
        self.company = (1, 0)
        # Tokens of its answer so far; None: nobody counts them.
        self.written: Callable[[], int] | None = None
        # Called when the backend is found dead before the first token, and when it is seen to be at work.
        self.abandon: Callable[[], None] | None = None
        self.go_on: Callable[[], None] | None = None

    def task(self, now: float, per_token: float) -> Task:
        """What is left of it; `per_token`: seconds, alone."""
        expected, model = self.expected, self.deployment.model
        tokens = self._tokens
        if self.first_at is None:
            read = self._reading
            at_it = now - self.started - expected.queue - expected.load
            return Task(model, read - min(NEARLY * read, max(0.0, at_it)) + tokens * per_token)
        if self.written is None:
            said = (now - self.first_at) / (per_token * expected.slowdown)
        else:
            said = self.written()
        return Task(model, max(tokens - said, LONG_TAIL * said, 1.0) * per_token)
