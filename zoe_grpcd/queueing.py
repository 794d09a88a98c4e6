"""How one request waits: whose it is, what it waits for, who is before it, and what it is told meanwhile.

The rule: between a look in vain and taking the seat nothing awaits, and who is told something holds up nobody.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from zoe_grpcd.admission import LOOK_AGAIN, Intent, Seat, WaitingRoom
from zoe_grpcd.core.ask import NO_LIMITS, Limits
from zoe_grpcd.core.awaited import behind
from zoe_grpcd.core.decision import Decision, Reason
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.estimate import prompt_tokens
from zoe_grpcd.core.key import Key
from zoe_grpcd.core.line import BEGUN, RANKS, Ticket
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.core.progress import Progress, no_further_back
from zoe_grpcd.core.timetable import Task
from zoe_grpcd.core.views import Snapshot
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.run import Around, Reliability, Run

# Seconds: a load that begins as soon waits for nobody; and nobody waits here for memory for longer than that.
SOON, LONGEST_FOR_MEMORY = 0.5, 30.0
# So many may look again every LOOK_AGAIN seconds; of more, each does so less often.
FEW = 32
Blocked = Mapping[Key, tuple[Reason, ...]]
"""Who would serve if it were not for what ends by itself, and what that is."""


class Queueing:
    """One for the life of the daemon."""

    def __init__(self, fleet: Fleet, reliability: Reliability, waiting: WaitingRoom, around: Around) -> None:
        self._fleet = fleet
        self._longest_load = reliability.first_token.ceiling
        self._waiting = waiting
        self._clock = around.clock

    def seat(self, question: Question, run: Run | None = None) -> Seat:
        """A way in. A request that has begun goes before all that have not."""
        ask, now = question.ask, self._clock()
        arrived = run.started if run else now
        rank = BEGUN if run and run.attempts else RANKS[ask.priority]
        deadline = math.inf if ask.limits.deadline is None else arrived + ask.limits.deadline
        return self._waiting.seat(Ticket(ask.caller, rank, 1.0, arrived, deadline))

    def shed(self, question: Question) -> None:
        """Refuses a newcomer at once, before any decision, where it could only wait and every seat is taken."""
        if not self._waiting.is_full:
            return
        wanted: set[str] | None = set()
        for tier in question.resolution.tiers:
            wanted = None if wanted is None or tier.models is None else wanted | tier.models
        if not self._fleet.leases.has_any_room(wanted):
            raise self._waiting.full()

    def picture(self, snapshot: Snapshot, seat: Seat) -> Snapshot:
        """The fleet as this request would find it, with those who are served before it."""
        before = self._waiting.ahead(seat)
        if not before:
            return snapshot
        tasks: dict[str, list[Task]] = defaultdict(list)
        for other in before:
            if other.intent is not None:
                tasks[other.intent.backend].append(other.intent.task)
        return behind(snapshot, tasks)

    def left(self, question: Question, run: Run) -> Limits:
        """What is left of a request's time; what was tried once is tried to the end."""
        limits = question.ask.limits
        if run.attempts:
            return NO_LIMITS
        passed = self._clock() - run.started
        return Limits(*(None if limit is None else limit - passed for limit in limits))

    def admits(self, question: Question, seat: Seat, decision: Decision) -> bool:
        """Whether a request may start where it was decided, now."""
        key = decision.chosen.deployment.key
        return self._waiting.admits(seat, key) and not self._waits_for_memory(question, seat, decision)

    def _waits_for_memory(self, question: Question, seat: Seat, decision: Decision) -> bool:
        """Whether a request for a model that is not in memory is better off here: its load cannot begin before others are done.

        At the server it would hold up who comes after it, or push out a model that is asked for again meanwhile. Here it
        loses nothing for as long as it would have waited there, and decides anew whenever somebody is done. Whoever would
        lose by it is sent at once: who limits its wait, all when the daemon drains, and while few seats are left.
        """
        expected = decision.chosen.estimate
        if expected is None or expected.load <= 0 or expected.queue < SOON:
            return False
        waiting = self._waiting
        if question.ask.max_queue_time is not None or waiting.closed or 2 * len(waiting) > waiting.max_queue:
            return False
        view = self._fleet.picture.view(decision.chosen.deployment, self._clock())
        if view is None or view.state is LoadState.LOADING:
            return False
        if not seat.spared:
            seat.spared = seat.waited + min(expected.queue, LONGEST_FOR_MEMORY, waiting.max_queue_time)
        return seat.waited < seat.spared

    async def wait_for_room(self, question: Question, decision: Decision, run: Run, seat: Seat) -> Question:
        """Waits for a place among the options of a decision. Who would not wait takes one that is free instead."""
        keys = {option.view.key for option in seat.options}
        free = frozenset(key for key in keys if self._fleet.leases.has_room(key))
        if question.ask.max_queue_time == 0 and free and question.only != free:
            return replace(question, only=free)
        expected = decision.chosen.estimate
        why = Reason.LOADING if expected is not None and expected.load > 0 else Reason.SATURATED
        await self.wait(question, decision, run, seat, dict.fromkeys(keys, (why,)))
        return question

    async def wait(
        self, question: Question, decision: Decision | None, run: Run, seat: Seat, blocked: Blocked
    ) -> None:
        """Waits for one of those that are blocked now. `decision`: where it would go. Raises as `Seat.turn` does."""
        limit = question.ask.max_queue_time
        if limit is None and any(Reason.LOADING in reasons for reasons in blocked.values()):
            limit = self._longest_load
        self._aim(question, decision, frozenset(blocked), seat)
        seat.sit()
        if run.eager and decision is not None and not run.seen:
            with seat.absent():
                loads = seat.waited >= seat.spared and all(r == (Reason.LOADING,) for r in blocked.values())
                await self._tell(decision, run, seat, "LOADING" if loads else "QUEUED")
            if seat.missed:
                return
        curious = run.eager or len(seat.reach) > 1 or question.ask.limits.deadline is not None
        curious = curious or seat.waited < seat.spared
        crowd = max(1.0, len(self._waiting) / FEW)  # the more look, the more each look costs
        await seat.turn(limit, LOOK_AGAIN * crowd if curious else None)

    def _aim(self, question: Question, decision: Decision | None, reach: frozenset[Key], seat: Seat) -> None:
        """Says what a request waits for, and what it will take."""
        if decision is None:
            seat.aim(reach, None)
            return
        chosen = decision.chosen
        expected = chosen.estimate
        view = self._fleet.picture.view(chosen.deployment, self._clock())
        task = Task(chosen.deployment.model, 0.0)
        if expected is not None and view is not None:
            output = expected.decode * expected.tokens_per_second
            if seat.intent is None:
                seat.ticket.tokens = max(1.0, round(prompt_tokens(question.size, view) + output))
            task = task._replace(work=(expected.prefill + expected.decode) / expected.slowdown)
        seat.aim(reach, Intent(chosen.deployment.backend, task))

    async def _tell(self, decision: Decision, run: Run, seat: Seat, state: str) -> None:
        """Tells an eager caller where it would go and how far it has come; never more than before."""
        if run.announced is None:
            run.announced = decision
            await run.deliver(decision)
        ahead = len(self._waiting.ahead(seat))
        expected = decision.chosen.estimate
        news = Progress(state, expected.time_to_first_token if expected else None, ahead)
        if state == "LOADING":
            news.fraction = self._fleet.catalogue.load_fraction(decision.chosen.deployment, self._clock())
        if (told := run.told) is not None:
            moved = told.state == "QUEUED" and (state == "LOADING" or news.ahead < told.ahead)
            if not moved and self._clock() - run.told_at < LOOK_AGAIN:
                return
            news = no_further_back(news, told)
        run.told, run.told_at = news, self._clock()
        await run.deliver(news)
