"""Whether another backend is asked while the first is silent, and when, and who may be.

The one rule: it takes nothing away from anybody. Only who is warm and has nothing to do is asked, only while nobody
waits, and only for a share of the recent requests.
"""

from dataclasses import replace

from zoe_grpcd.admission import WaitingRoom
from zoe_grpcd.core.backend import Phase
from zoe_grpcd.core.decision import Candidate, Decision
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.line import BATCH, RANKS
from zoe_grpcd.core.recovery import RetryBudget
from zoe_grpcd.core.views import DeploymentView, Snapshot
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.run import Around, Reliability, Run

# Few requests earn little: so many may be asked twice all the same, in about so many seconds.
FLOOR, HALF_LIFE = 3.0, 10.0


class Hedging:
    """One for the life of the daemon."""

    def __init__(self, fleet: Fleet, reliability: Reliability, waiting: WaitingRoom, around: Around) -> None:
        self._fleet = fleet
        self._always = reliability.hedge
        self._waiting = waiting
        self._clock = around.clock
        share = reliability.hedge_share
        self.budget = RetryBudget(share, FLOOR if share else 0.0, HALF_LIFE)

    def after(self, question: Question, decision: Decision, run: Run) -> float | None:
        """Seconds of silence after which another one is asked; None: nobody is."""
        ask = question.ask
        if not self._always and ask.hedge_after is None:
            return None
        if run.draft.begun or RANKS[ask.priority] == BATCH:
            return None
        if ask.max_attempts and run.made + 2 > ask.max_attempts:
            return None
        return self._usual(decision.chosen) if ask.hedge_after is None else ask.hedge_after

    def _usual(self, chosen: Candidate) -> float | None:
        """As long as all but one in twenty of its first tokens take; None: not enough of them were timed."""
        timed, expected = (
            self._fleet.catalogue.timed(chosen.deployment, self._clock()).response,
            chosen.estimate,
        )
        if timed is None or expected is None:
            return timed
        return expected.queue + expected.load + max(timed, expected.prefill)

    def narrowed(self, question: Question, decision: Decision) -> Question | None:
        """The question for those who may be asked as well; None: there is none."""
        if len(self._waiting):
            return None
        snapshot, first = self._fleet.picture.snapshot(self._clock()), decision.chosen.deployment
        idle = frozenset(
            (view.deployment.backend, view.deployment.model)
            for view in snapshot.by_model.get(first.model, ())
            if view.deployment.backend != first.backend and _is_idle(view, snapshot)
        )
        if question.only is not None:
            idle &= question.only
        return replace(question, only=idle) if idle else None


def _is_idle(view: DeploymentView, snapshot: Snapshot) -> bool:
    """It has its model in memory, and nothing to do."""
    backend = snapshot.backends[view.deployment.backend]
    return backend.phase is Phase.READY and not (view.load_seconds or backend.in_flight or backend.foreign)
