"""Who may go on with a request after a failure: at which seam, with which leave, and after which wait.

The one rule: nothing here decides between deployments. It narrows the question that is decided, or says no.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from zoe_grpcd.core.answer import Seam
from zoe_grpcd.core.continuation import Unfinished, Way, size_with, ways
from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.errors import Fault
from zoe_grpcd.core.key import Key
from zoe_grpcd.core.merge import call_of
from zoe_grpcd.core.recovery import AFTER, RetryBudget
from zoe_grpcd.fleet import Fleet, Lease
from zoe_grpcd.ports import Dispatcher
from zoe_grpcd.run import Around, Reliability, Run
from zoe_grpcd.scout import Scout

# A deployment that succeeds so often is no part of an outage: what failed elsewhere may go there without a budget.
TRUSTED = 0.9
# Attempts at most, however far each of them came.
MOST = 10
# How often a server is looked for that died in the middle of an answer (seconds).
RETURN_LOOK = 0.2


class Succession:
    """One for the life of the daemon. `dispatchers` go by backend name."""

    def __init__(
        self, fleet: Fleet, reliability: Reliability, dispatchers: Mapping[str, Dispatcher], around: Around
    ) -> None:
        self._fleet = fleet
        self._reliability = reliability
        self._clock = around.clock
        self._nudge = around.nudge
        self._scout = Scout(fleet, dispatchers, around.clock)
        self.budget = RetryBudget()

    def inherit(self, former: "Succession") -> None:
        """Goes on with what the one before it has begun, and with its budget."""
        self._scout, self.budget = former._scout, former.budget  # noqa: SLF001 - the same class

    async def close(self) -> None:
        """Ends what goes on beside the requests."""
        await self._scout.close()

    def ways(self, question: Question, run: Run) -> list[Way]:
        """The ways to go on with an answer, the best first. One that nobody has seen can always begin anew."""
        if run.loss is None:
            return []
        answer = Unfinished(question.ask, run.draft, run.loss)
        found = ways(answer, self._fleet.picture.snapshot(self._clock()), question.ask.minimum_seam)
        found = [way for way in (_without(way, run.silent) for way in found) if way.only != frozenset()]
        anew = Way(Seam.RESTART, None)
        return [*found, anew] if run.whole and anew not in found else found

    def narrowed(self, question: Question, way: Way, run: Run) -> Question:
        """The question for those who offer this seam, with the answer so far in its prompt."""
        anew = way.seam is Seam.RESTART
        size = question.size if anew else size_with(question.size, run.draft)
        return replace(question, only=way.only, size=size)

    def open_to(self, question: Question, run: Run) -> Question:
        """The question for all who offer a seam that will do."""
        found = [way.only for way in self.ways(question, run)]
        if not found or None in found:
            return question
        return replace(question, only=frozenset().union(*(only for only in found if only is not None)))

    # -------------------------------------------------------------------------------------------- who goes on at all

    def is_unknown(self, decision: Decision, run: Run) -> bool:
        """Nobody knows yet whether the chosen one goes on with a text."""
        if run.seam is not Seam.TEXT_PREFILL or not run.draft.text:
            return False
        return self._fleet.catalogue.prefill(decision.chosen.deployment) is None

    async def find_out(self, asked: Question, decision: Decision, run: Run) -> None:
        """Asks the chosen one, so that a better decision can be made; who gives no answer is passed over."""
        deployment = decision.chosen.deployment
        call = call_of(asked.ask, asked.resolution, decision, self._fleet.backend(deployment.backend))
        if await asyncio.shield(self._scout.begin(call, deployment)) is None:
            run.silent |= {(deployment.backend, deployment.model)}

    def look_ahead(self, asked: Question, decision: Decision, lease: Lease) -> None:
        """Finds out beside the requests, while the model is warm, what a later one would have to wait for."""
        backend = lease.backend
        if (
            backend.prefill is None
            and backend.local
            and self._fleet.catalogue.prefill(lease.deployment) is None
        ):
            self._scout.begin(call_of(asked.ask, asked.resolution, decision, backend), lease.deployment)

    # -------------------------------------------------------------------------------------------------- with which leave

    def may_try(self, question: Question, run: Run) -> bool:
        """Whether one more is within the limits; what brought the answer forward counts for the caller's own only."""
        made, chain = run.made, question.resolution.chain
        if question.ask.max_attempts:
            return made < question.ask.max_attempts
        limit = (chain and chain.max_attempts) or self._reliability.max_attempts
        return made - run.advances < limit and made < max(limit, MOST)

    def without_grudge(self, question: Question, run: Run) -> Question:
        """The question for those, too, who died before the answer came this far: they may be back by now."""
        last = run.attempts[-1]
        if run.lost is not last:
            return question
        dead = {key for key, fault in _failed(run).items() if AFTER[fault].leaves}
        dead.discard((last.deployment.backend, last.deployment.model))
        return replace(question, excluded=question.excluded - dead)

    def is_affordable(self, decision: Decision, run: Run) -> bool:
        """Whether this attempt may be made: what failed is done once more within a budget only.

        Free is who has not failed lately, and to go on with an answer, which repeats nothing.
        """
        if not run.attempts or run.seam is not None:
            return True
        chosen, now = decision.chosen.deployment, self._clock()
        view = self._fleet.picture.view(chosen, now)
        if (
            (chosen.backend, chosen.model) not in _failed(run)
            and view is not None
            and view.success >= TRUSTED
        ):
            return True
        return self.budget.spend(now)

    async def wait_for_return(self, question: Question, run: Run) -> Question | None:
        """Who died in the middle of an answer may be started again and go on with it; None: nobody will."""
        dead = {key for key, fault in _failed(run).items() if AFTER[fault].leaves}
        waited = run.returns * RETURN_LOOK
        if not (run.draft.begun and dead) or waited >= self._reliability.return_time:
            return None
        run.returns += 1
        for backend, _ in dead:
            self._nudge(backend)
        await asyncio.sleep(RETURN_LOOK)
        return replace(question, excluded=question.excluded - dead)


def _without(way: Way, silent: frozenset[Key]) -> Way:
    return way if way.only is None else way._replace(only=way.only - silent)


def _failed(run: Run) -> dict[Key, Fault]:
    """The (backend, model) that failed, and how they did so last."""
    keys = [(attempt.deployment.backend, attempt.deployment.model) for attempt in run.attempts]
    return dict(zip(keys, (fault.fault for fault in run.faults), strict=True))
