"""The use case: resolve, rank, lease, attempt, stream, go on elsewhere. The only retry loop in the daemon.

Deciding and leasing are one synchronous stretch, so that a burst sees its own requests in flight.
"""

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

from zoe_grpcd.admission import Seat, WaitingRoom
from zoe_grpcd.attempt import Attempts
from zoe_grpcd.core.ask import NO_LIMITS, Ask, Target
from zoe_grpcd.core.awaited import held_up
from zoe_grpcd.core.backend import Phase
from zoe_grpcd.core.budget import most_usd
from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.eligible import Question, views_of
from zoe_grpcd.core.errors import ContextTooLong, Fault, Violation, ZoeError
from zoe_grpcd.core.fallback import next_question
from zoe_grpcd.core.hold import hold_of
from zoe_grpcd.core.licence import Licence
from zoe_grpcd.core.line import RANKS
from zoe_grpcd.core.recovery import failure_of, lost_of, pauses
from zoe_grpcd.core.refusal import lengths
from zoe_grpcd.deciding import Deciding, Rules
from zoe_grpcd.fleet import Fleet, Lease
from zoe_grpcd.hedging import Hedging
from zoe_grpcd.opening import Hedge
from zoe_grpcd.patience import Patience
from zoe_grpcd.ports import Dispatcher
from zoe_grpcd.queueing import Queueing
from zoe_grpcd.run import Around, Deliver, Run
from zoe_grpcd.succession import Succession

# Seconds for one more look at those who are down, and how long ago another look makes it needless.
COMEBACK = 0.25
JUST_NOW = 0.1


class Router:
    """One for each configuration. `dispatchers` go by backend name."""

    def __init__(
        self,
        fleet: Fleet,
        rules: Rules,
        dispatchers: Mapping[str, Dispatcher],
        waiting: WaitingRoom,
        around: Around,
    ) -> None:
        self._fleet = fleet
        self._policy = rules.policy
        self._reliability = rules.reliability
        self._waiting = waiting
        fleet.waits = waiting.meant_for
        self._clock = around.clock
        self._record = around.record
        self._look = around.look
        self._chance = around.chance
        self._queueing = Queueing(fleet, rules.reliability, waiting, around)
        self._deciding = Deciding(fleet, rules, self._queueing, around)
        self._hedging = Hedging(fleet, rules.reliability, waiting, around)
        self._succession = Succession(fleet, rules.reliability, dispatchers, around)
        self._attempts = Attempts(fleet, rules.reliability, dispatchers, waiting, around)

    def inherit(self, former: "Router") -> None:
        """Takes the place of another one, which goes on with the requests that it has begun."""
        self._succession.inherit(former._succession)  # noqa: SLF001 - the same class

    async def close(self) -> None:
        """Ends what goes on beside the requests."""
        await self._succession.close()

    # ------------------------------------------------------------------------------------------------- deciding

    def route(self, ask: Ask, *, explain: bool = False) -> Decision:
        """What would be chosen now; sends nothing. Raises the ZoeError that the request would end with."""
        question = self._deciding.question(ask)
        return self._deciding.decide(question, self._queueing.seat(question), explain=explain)

    def mistakes(self, target: Target) -> Iterable[Violation]:
        """What a target names that does not exist here, by its fields."""
        return self._deciding.mistakes(target)

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
        run = Run(self._clock(), Patience(), deliver, eager, whole, explain, hold_of(ask, whole=whole))
        self._succession.budget.earn(run.started)
        self._hedging.budget.earn(run.started)
        question = self._deciding.question(ask)
        try:
            self._queueing.shed(question)
            while True:
                asked, decision, lease = await self._start(question, run)
                made = len(run.attempts)
                with self._waiting.running(RANKS[ask.priority], lease.backend.name):
                    await self._attempts.make(asked, decision, lease, run, self._hedge(asked, decision, run))
                if run.done:
                    self._succession.look_ahead(asked, decision, lease)
                    return
                question = self._next(question, run, made)
        except ZoeError as error:
            error.attempts = run.reported if run.beaten else error.attempts or run.attempts
            raise
        finally:
            run.patience.close()

    async def _start(self, question: Question, run: Run) -> tuple[Question, Decision, Lease]:
        """Decides and leases, in one synchronous stretch; waits for a slot or a load where that would help."""
        with self._queueing.seat(question, run) as seat:
            while True:
                try:
                    asked, decision = self._choose(question, run, seat)
                except ZoeError as refusal:
                    question = await self._without_anybody(question, run, refusal, seat)
                    continue
                if decision.doubtful and self._look is not None:
                    run.looked = True
                    seat.step_aside()
                    await self._look(decision.doubtful, self._policy.check_timeout)
                    continue
                if not self._queueing.admits(question, seat, decision):
                    question = await self._queueing.wait_for_room(question, decision, run, seat)
                    continue
                if self._succession.is_unknown(decision, run):
                    seat.step_aside()
                    await self._succession.find_out(asked, decision, run)
                    continue
                if not self._succession.is_affordable(decision, run):
                    raise self._failure(question, run)
                return asked, decision, self._lease(question, decision, run, seat)

    def _lease(self, question: Question, decision: Decision, run: Run, seat: Seat) -> Lease:
        """Acts on a decision."""
        if self._record is not None and not question.faults and seat.picture is not None:
            self._record(question, seat.picture, decision)
        if run.announced is not None and not run.attempts:
            decision.id = run.announced.id
        if question.ask.observer is not None:
            question.ask.observer(decision)
        now, chosen = self._clock(), decision.chosen
        if question.ask.licence is not None:
            self._reserve(question.ask.licence, question, decision)
        if not run.attempts:
            run.queued = now - run.started
        seat.started = True
        return self._fleet.leases.take(chosen.deployment, now, chosen.estimate, decision.turn)

    def _reserve(
        self, licence: Licence, question: Question, decision: Decision, *, beside: bool = False
    ) -> bool:
        view = self._fleet.picture.view(decision.chosen.deployment, self._clock())
        return licence.reserve(0.0 if view is None else most_usd(question.size, view), beside=beside)

    def _choose(self, question: Question, run: Run, seat: Seat) -> tuple[Question, Decision]:
        """Decides; with an answer that has begun, for the best seam that somebody can offer now."""
        run.seam = None
        if question.ask.limits is not NO_LIMITS:
            question.limits = self._queueing.left(question, run)
        if run.loss is None:
            return question, self._deciding.decide(
                question, seat, explain=run.explain, sent=True, sure=run.looked
            )
        refusal: ZoeError | None = None
        for way in self._succession.ways(question, run):
            asked = self._succession.narrowed(question, way, run)
            try:
                decision = self._deciding.decide(asked, seat, explain=run.explain, sent=True)
            except ZoeError as error:
                refusal = error
                continue
            run.seam = way.seam
            return asked, decision
        raise refusal or self._failure(question, run)

    async def _without_anybody(self, question: Question, run: Run, refusal: ZoeError, seat: Seat) -> Question:
        """Nobody may serve now: waits if that helps, tries once more what failed if that may help, else raises."""
        snapshot = self._fleet.picture.snapshot(self._clock())
        whoever = self._succession.open_to(question, run)
        blocked = held_up(whoever, self._queueing.picture(snapshot, seat))
        if blocked:
            try:
                patient = whoever.ask.max_queue_time != 0
                later = self._deciding.decide(whoever, seat, explain=run.explain) if patient else None
                await self._queueing.wait(whoever, later, run, seat, blocked)
            except ZoeError:
                if run.seen:
                    raise self._failure(question, run) from None
                raise
            return question
        if await self._somebody_is_back(whoever, run, seat):
            return question
        if not run.faults:
            if self._record is not None:
                self._record(question, snapshot, None)
            raise refusal
        seat.step_aside()
        waits = pauses(run.attempts, run.faults, self._retry_delay(question), self._chance())
        waits = {key: pause for key, pause in waits.items() if key in question.excluded}
        pause = min(waits.values(), default=math.inf)
        if pause > self._longest_pause(question, run):
            if (returned := await self._succession.wait_for_return(question, run)) is not None:
                return returned
            raise self._failure(question, run)
        await asyncio.sleep(pause)
        return replace(question, excluded=question.excluded - {k for k, v in waits.items() if v <= pause})

    async def _somebody_is_back(self, question: Question, run: Run, seat: Seat) -> bool:
        """Looks once more at those who are down, of whose return no probe may know yet."""
        now = self._clock()
        snapshot = self._fleet.picture.snapshot(now)
        places = {view.key[0] for tier in question.resolution.tiers for view in views_of(tier, snapshot)}
        gone = frozenset(name for name in places if self._fleet.health.phase(name) is Phase.DOWN)
        late = frozenset(
            name for name in gone if now - (self._fleet.health.probed_at(name) or 0.0) > JUST_NOW
        )
        if run.sought or not late or self._look is None:
            return False
        run.sought = True
        seat.step_aside()
        await self._look(late, COMEBACK)
        there = gone.intersection(self._fleet.names())  # who was taken away meanwhile is not back
        return any(self._fleet.health.phase(name) is not Phase.DOWN for name in there)

    def _hedge(self, question: Question, decision: Decision, run: Run) -> Hedge | None:
        """Another one that is asked if the chosen one is slow; None: nobody is."""
        after = self._hedging.after(question, decision, run)
        return None if after is None else Hedge(after, partial(self._another, question, decision, run))

    def _another(
        self, question: Question, decision: Decision, run: Run
    ) -> tuple[Question, Decision, Lease] | None:
        """Decides and leases once more, among those who have nothing to do."""
        asked = self._hedging.narrowed(question, decision)
        if asked is None:
            return None
        try:
            seat = self._queueing.seat(asked, run)
            another = self._deciding.decide(asked, seat, explain=run.explain, sent=True)
        except ZoeError:
            return None
        licence = asked.ask.licence
        if licence is not None and not self._reserve(licence, asked, another, beside=True):
            return None
        now, chosen = self._clock(), another.chosen
        if not self._hedging.budget.spend(now):
            return None
        another.id = decision.id
        return asked, another, self._fleet.leases.take(chosen.deployment, now, chosen.estimate, another.turn)

    def _next(self, question: Question, run: Run, made: int) -> Question:
        """The question for the next attempt, without what failed since so many; raises when trying on would not help."""
        following: Question | None = question if self._succession.may_try(question, run) else None
        for attempt, error in zip(run.attempts[made:], run.faults[made:], strict=True):
            fault = error.fault
            if run.draft.begun and fault is Fault.REJECTED:
                fault = (
                    Fault.CUT
                )  # the request is good, as was seen: this backend does not go on with an answer
            if following is not None:
                snapshot = self._fleet.picture.snapshot(self._clock())
                following = next_question(following, attempt.deployment, fault, snapshot)
        if following is None or (run.seen and not self._succession.ways(question, run)):
            raise self._failure(question, run)
        return self._succession.without_grudge(following, run)

    def _longest_pause(self, question: Question, run: Run) -> float:
        """What is left of the caller's time bounds it: who cannot try again in time is told so now."""
        longest, deadline = self._reliability.longest_pause, question.ask.limits.deadline
        return longest if deadline is None else min(longest, run.started + deadline - self._clock())

    def _retry_delay(self, question: Question) -> float:
        own = question.resolution.chain.retry_delay if question.resolution.chain else None
        return self._reliability.retry_delay if own is None else own

    def _failure(self, question: Question, run: Run) -> ZoeError:
        """The error of a request whose attempts all failed, or whose answer nobody can go on with."""
        if run.seen:
            return lost_of(run.attempts, run.faults, run.draft)
        failure = failure_of(run.attempts, run.faults, self._retry_delay(question))
        if isinstance(failure, ContextTooLong):
            failure.metadata |= lengths(question, self._fleet.picture.snapshot(self._clock()))
        return failure
