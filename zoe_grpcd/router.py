"""The use case: resolve, rank, lease, attempt, stream, go on elsewhere. The only retry loop in the daemon.

Deciding and leasing are one synchronous stretch, so that a burst sees its own requests in flight.
"""

import asyncio
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from zoe_grpcd.admission import Seat, WaitingRoom
from zoe_grpcd.attempt import Around, Attempts, Deliver, Item, Reliability, Run
from zoe_grpcd.core import explain as explaining
from zoe_grpcd.core.domain import Ask, Decision, Deployment, Reason
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.errors import ContextTooLong, Fault, ZoeError
from zoe_grpcd.core.estimate import size_of
from zoe_grpcd.core.recovery import AFTER, ends_request, failure_of, pauses
from zoe_grpcd.core.resolve import Policy, Resolver
from zoe_grpcd.core.scoring import choose
from zoe_grpcd.fleet import Fleet, Lease
from zoe_grpcd.patience import Patience
from zoe_grpcd.ports import Dispatcher

__all__ = ["Around", "Item", "Reliability", "Router", "Rules"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator decided."""

    resolver: Resolver
    policy: Policy
    reliability: Reliability


class Router:
    """One for the life of the daemon. `dispatchers` go by backend name."""

    def __init__(
        self,
        fleet: Fleet,
        rules: Rules,
        dispatchers: Mapping[str, Dispatcher],
        waiting: WaitingRoom,
        around: Around,
    ) -> None:
        self._fleet = fleet
        self._resolver = rules.resolver
        self._policy = rules.policy
        self._reliability = rules.reliability
        self._waiting = waiting
        self._clock = around.clock
        self._attempts = Attempts(fleet, rules.reliability, dispatchers, waiting, around)

    # ------------------------------------------------------------------------------------------------- deciding

    def route(self, ask: Ask, *, explain: bool = False) -> Decision:
        """What would be chosen now; sends nothing. Raises the ZoeError that the request would end with."""
        return self._decide(self._question(ask), explain=explain)

    def _question(self, ask: Ask) -> Question:
        resolution = self._resolver.resolve(ask, self._fleet.models())
        window = ask.generation.backend_options.get("num_ctx")
        return Question(
            ask,
            resolution,
            size_of(ask, resolution.defaults.get("max_output_tokens")),
            features=frozenset() if self._policy.drop_params else ask.features,
            window=window if isinstance(window, int) else 0,
            min_window=ask.target.min_context_tokens,
        )

    def _decide(self, question: Question, *, explain: bool) -> Decision:
        """Chooses; raises the refusal if nobody may serve."""
        started = self._clock()
        snapshot = self._fleet.snapshot(started)
        choice = choose(question, snapshot, self._policy)
        if choice is None:
            raise explaining.refusal_of(question, snapshot, self._reliability.retry_delay)
        decision = explaining.decision_of(question, choice, snapshot, self._policy, explain=explain)
        decision.id = f"{random.getrandbits(64):016x}"
        decision.decide_seconds = self._clock() - started
        return decision

    # --------------------------------------------------------------------------------------------------- doing

    async def run(
        self, ask: Ask, deliver: Deliver, *, explain: bool = False, eager: bool = False, whole: bool = False
    ) -> None:
        """Delivers the decision, once a backend has accepted (with `eager`: at once), then events as they come, then
        the end.

        With `eager`, what is waited for, and each change of backend, comes too. With `whole`, decision and events
        come at the end, all at once. Raises a ZoeError. Cancelling its task frees the backend at once. The caller
        bounds its time. It is no generator, since two of those, one in the other, cost a token as much as reading it.
        """
        run = Run(self._clock(), Patience(), deliver, eager, whole, explain)
        question = self._question(ask)
        try:
            while True:
                decision, lease = await self._start(question, run)
                await self._attempts.make(question, decision, lease, run)
                if run.done:
                    return
                question = self._next(question, decision, run)
        finally:
            run.patience.close()

    async def _start(self, question: Question, run: Run) -> tuple[Decision, Lease]:
        """Decides and leases, in one synchronous stretch; waits for a slot or a load where that would help."""
        with self._waiting.seat() as seat:
            while True:
                try:
                    decision = self._decide(question, explain=run.explain)
                except ZoeError as refusal:
                    question = await self._without_anybody(question, run, refusal, seat)
                    continue
                now = self._clock()
                if not run.attempts:
                    run.queued = now - run.started
                chosen = decision.chosen
                expected = chosen.estimate.total if chosen.estimate else None
                return decision, self._fleet.lease(chosen.deployment, now, expected, decision.turn)

    async def _without_anybody(self, question: Question, run: Run, refusal: ZoeError, seat: Seat) -> Question:
        """Nobody may serve now: waits if that helps, tries once more what failed if that may help, else raises."""
        reasons = explaining.waited_for(question, self._fleet.snapshot(self._clock()))
        if reasons:
            limit = question.ask.max_queue_time
            if limit is None and Reason.LOADING in reasons:
                limit = self._reliability.first_token_ceiling
            await seat.change(limit)
            return question
        if not run.faults:
            raise refusal
        waits = pauses(run.attempts, run.faults, self._reliability.retry_delay)
        waits = {key: pause for key, pause in waits.items() if key in question.excluded}
        pause = min(waits.values(), default=math.inf)
        if pause > self._reliability.longest_pause:
            raise self._failure(question, run)
        await asyncio.sleep(pause)
        return replace(question, excluded=question.excluded - {k for k, v in waits.items() if v <= pause})

    def _next(self, question: Question, decision: Decision, run: Run) -> Question:
        """The question for the next attempt, without what failed; raises when trying on would not help."""
        fault, failed = run.faults[-1].fault, decision.chosen.deployment
        limit = question.ask.max_attempts or self._reliability.max_attempts
        if ends_request(fault) or len(run.attempts) >= limit:
            raise self._failure(question, run)
        if question.ask.allow_different_model and None not in question.resolution.tiers:
            tiers = (*question.resolution.tiers, None)
            question = replace(question, resolution=replace(question.resolution, tiers=tiers))
        if fault is Fault.CONTEXT_TOO_LONG:
            larger = self._window(question, failed) + 1
            question = replace(question, min_window=max(question.min_window, larger))
        if not AFTER[fault].exclude:
            return question
        return replace(question, excluded=question.excluded | {(failed.backend, failed.model)})

    def _window(self, question: Question, deployment: Deployment) -> int:
        """The window that the request had on a deployment; 0: unknown."""
        views = self._fleet.snapshot(self._clock()).by_model.get(deployment.model, ())
        view = next((v for v in views if v.deployment == deployment), None)
        if question.window and self._fleet.backend(deployment.backend).truncates:
            return question.window
        return view.context_tokens if view else 0

    def _failure(self, question: Question, run: Run) -> ZoeError:
        """The error of a request whose attempts all failed."""
        failure = failure_of(run.attempts, run.faults, self._reliability.retry_delay)
        if isinstance(failure, ContextTooLong):
            failure.metadata |= explaining.lengths(question, self._fleet.snapshot(self._clock()))
        return failure
