"""One attempt: sent, delivered as it comes, and given up when its backend is silent for too long.

It reports how it ended in `Run` and decides nothing about what follows.
"""

from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing
from functools import partial

from zoe_grpcd.admission import WaitingRoom
from zoe_grpcd.core.answer import Event, Finish, FinishReason, Seam
from zoe_grpcd.core.backend import Prefill
from zoe_grpcd.core.continuation import Loss, continued, stops_of
from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Call
from zoe_grpcd.core.hold import Hold, sift
from zoe_grpcd.core.joint import Joint
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.core.oddity import end_of, looks_wrong
from zoe_grpcd.core.outcome import Moved, Outcome, Switched
from zoe_grpcd.core.progress import no_further_back
from zoe_grpcd.core.recovery import AFTER
from zoe_grpcd.core.transcript import Transcript
from zoe_grpcd.core.views import DeploymentView
from zoe_grpcd.fleet import Fleet, Lease
from zoe_grpcd.opening import Hedge, Opening, Try, transcript_of
from zoe_grpcd.ports import Dispatcher
from zoe_grpcd.run import Around, Item, Reliability, Run

# A backend that is down may finish an answer, as a server does that was told to stop; silent for so long it is dead, too.
# llama-server b10434 may hold a connection open for 30 s after it has stopped.
LAST_WORDS = 3.0


class Attempts:
    """Makes attempts. One for the life of the daemon; `dispatchers` go by backend name."""

    def __init__(
        self,
        fleet: Fleet,
        reliability: Reliability,
        dispatchers: Mapping[str, Dispatcher],
        waiting: WaitingRoom,
        around: Around,
    ) -> None:
        self._fleet = fleet
        self._reliability = reliability
        self._dispatchers = dispatchers
        self._waiting = waiting
        self._opening = Opening(fleet, reliability, dispatchers, waiting, around)
        self._clock = around.clock
        self._nudge = around.nudge

    async def make(
        self, question: Question, decision: Decision, lease: Lease, run: Run, hedge: Hedge | None = None
    ) -> None:
        """One attempt, or two at once. Sets `run.done` at the proper end; raises only what ends the request.

        Nothing awaits between the lease and this: whoever has that name later speaks to another server.
        """
        dispatcher = self._dispatchers[lease.backend.name]
        transcript = transcript_of(question, decision, lease, run)
        try:
            if run.eager and not run.seen:
                await self._announce(decision, lease, run)
            call = self._opening.call(question, decision, lease)
            if run.kept.text:
                call = await self._resumed(dispatcher, call, transcript, question.ask.minimum_seam, run)
            transcript.limit = call.generation.options.get("max_output_tokens")
            upstream = dispatcher.stream(call)
            one = Try(question, decision, lease, transcript, call, upstream)
            first: Awaitable[list[Event]]
            if hedge is None and not (run.eager and not run.seen):
                first = self._opening.first(one, run.patience)
            else:
                one, first = await self._opening.attended(one, run, hedge, self._failed)
                question, decision, lease, transcript = one.question, one.decision, one.lease, one.transcript
                transcript.spent = run.spent
            async with aclosing(one.upstream):
                await self._answer(one, first, _joint_of(one.call), run)
            self._ended(transcript, lease)
            await self._finish(decision, transcript, run)
        except UpstreamError as error:
            self._failed(question, transcript, lease, run, error)
            if transcript.is_full and run.hold in (Hold.NOTHING, Hold.ALL):
                # all that may be said was said: only the news of its end was lost
                transcript.finish = Finish(FinishReason.LENGTH)
                run.attempts = run.attempts[:-1]
                await self._finish(decision, transcript, run)
        finally:
            if question.ask.licence is not None and transcript.first_at is not None:
                question.ask.licence.spent(transcript.usage(), transcript.cost())
            self._fleet.leases.release(lease, None, self._clock())  # nothing to do if it is back already
            if lease.cold:
                self._nudge(lease.backend.name)
            self._waiting.stir(lease.backend.name)

    async def _announce(self, decision: Decision, lease: Lease, run: Run) -> None:
        """What an eager caller hears before the first token: the choice, or the change of it, and what is waited for."""
        previous, run.announced = run.announced, decision
        if previous is None:
            await run.deliver(decision)
        elif previous.chosen.deployment != decision.chosen.deployment:
            await run.deliver(_change(previous, decision, run))
        news = self._fleet.leases.progress(lease, self._clock())
        run.told = news if run.told is None or run.attempts else no_further_back(news, run.told)
        await run.deliver(run.told)

    async def _resumed(
        self, dispatcher: Dispatcher, call: Call, transcript: Transcript, worst: Seam, run: Run
    ) -> Call:
        """The call that goes on with what the caller has, at the seam that the backend can really offer."""
        assert run.seam is not None
        repeats = self._fleet.catalogue.prefill(transcript.chosen.deployment) is not Prefill.CONTINUES
        call = continued(call, run.draft, run.seam, repeats=repeats)
        limit = self._opening.budget(transcript.chosen, call.backend)
        try:
            with run.patience(limit):
                call = await dispatcher.resumed(call)
        except TimeoutError:
            raise UpstreamError(Fault.TIMEOUT, f"not ready to go on within {limit:g} s") from None
        assert call.continues is not None
        run.seam = call.continues.seam
        if run.seam > worst and not run.whole:
            raise UpstreamError(Fault.REJECTED, "it cannot go on from just these tokens")
        return call

    async def _answer(self, one: Try, first: Awaitable[list[Event]], joint: Joint | None, run: Run) -> None:
        """Delivers an answer as it comes, and what belongs before it; what has to wait goes to `run.held`."""
        lease, transcript = one.lease, one.transcript
        batch: list[Event] | None = await first
        self._fleet.leases.first_token(lease, self._clock())
        lease.written = transcript.written
        transcript.end = end_of(transcript.limit, self._fleet.leases.window(lease))
        lease.abandon = partial(run.patience.shorten, LAST_WORDS)
        await _open(one.decision, run)
        while batch is not None:
            if joint is not None:
                batch = joint.fit(batch)
                joint = None if joint.settled else joint
            events = transcript.take(batch, self._clock())
            if run.hold is not Hold.NOTHING:
                events, held = sift(events, run.hold)
                run.held += held
            if events:
                await run.deliver(events)
            if transcript.said > transcript.end and transcript.finish is None:
                transcript.finish = Finish(FinishReason.LENGTH)
            batch = None if transcript.finish else await self._more(one.upstream, lease, run)

    async def _more(
        self, upstream: AsyncGenerator[list[Event]], lease: Lease, run: Run
    ) -> list[Event] | None:
        """The next batch, within the backend's idle timeout; one that is down may only finish what it says."""
        limit = lease.backend.idle_timeout
        if self._fleet.health.why_down(lease) is not None:
            limit = min(limit, LAST_WORDS)
        try:
            with run.patience(limit):
                return await anext(upstream, None)
        except TimeoutError:
            text = f"silent for {limit:g} s"
            if (why := self._fleet.health.why_down(lease)) is not None:
                text = f"silent, and down: {why}"
            raise UpstreamError(Fault.TIMEOUT, text) from None

    def _ended(self, transcript: Transcript, lease: Lease) -> None:
        """Takes in the proper end of an answer; raises if it was none."""
        if transcript.finish is None:
            raise UpstreamError(Fault.CUT, "the answer ended without a finish reason")
        now = self._clock()
        self._fleet.health.answered(lease, now, doubt=looks_wrong(transcript))
        self._fleet.leases.release(lease, transcript.lesson(now, failed=False), now)

    async def _finish(self, decision: Decision, transcript: Transcript, run: Run) -> None:
        """Delivers what has waited for the end, and the end."""
        run.done = True
        if run.whole:
            await run.deliver(decision)
        if run.held:
            await run.deliver(run.held)
        await run.deliver(transcript.completed(run.reported, run.started, run.queued, self._clock()))

    # ------------------------------------------------------------------------------------------------ recovering

    def _failed(
        self, question: Question, transcript: Transcript, lease: Lease, run: Run, error: UpstreamError
    ) -> None:
        """Observes and reports a failed attempt, and keeps what the caller has of it."""
        name, now, after = lease.backend.name, self._clock(), AFTER[error.fault]
        outcome = after.outcome if transcript.first_at is None else Outcome.LOST
        attempt = transcript.attempt(run.made + 1, run.started, now, outcome, error)
        run.attempts, run.faults = (*run.attempts, attempt), (*run.faults, error)
        if question.ask.observer is not None:
            question.ask.observer(attempt)
        if transcript.first_at is not None:
            self._keep(question, transcript, lease, run)
        counts = self._fleet.health.failed(lease, error, now) and after.counts
        self._fleet.leases.release(lease, transcript.lesson(now, failed=True) if counts else None, now)
        if after.nudge:
            self._nudge(name)
        if (
            error.fault is Fault.REJECTED and error.http_status and run.kept.text
        ):  # the rest had been good before
            self._fleet.catalogue.note_prefill(lease.deployment, Prefill.CLOSES)

    def _keep(self, question: Question, transcript: Transcript, lease: Lease, run: Run) -> None:
        """What the next attempt may go on from."""
        run.spent += transcript.cost()
        more = transcript.draft(run.hold, thoughts=question.ask.include_reasoning)
        draft = run.kept.grown(more)
        if run.hold in (Hold.CALLS, Hold.OBJECTS):
            run.held.clear()
        if run.whole and not draft.text:  # nothing to go on from, and nobody has seen it
            run.drop()
            return
        if not more.begun:
            return
        now = self._clock()
        view = self._fleet.picture.view(lease.deployment, now)
        run.opened = run.opened or transcript.first_at
        unknown = DeploymentView(lease.deployment, LoadState.UNLOADED, frozenset())
        run.advance(draft, Loss(view or unknown, lease.backend))


def _joint_of(call: Call) -> Joint | None:
    """What fits an answer to the text before it; None: there is none, or nothing to fit."""
    if call.continues is None:
        return None
    before: str = call.generation.messages[-1]["content"]
    stops = stops_of(call.generation) if call.continues.text else ()  # none begins before the answer does
    joint = Joint(before, stops, repeats=call.continues.repeats)
    return None if joint.settled else joint


async def _open(decision: Decision, run: Run) -> None:
    """Tells the caller who answers, now that somebody does."""
    previous, run.announced = run.announced, decision
    decision.seam = run.seam
    if run.attempts and (run.seam is Seam.RESTART or (run.whole and not run.kept.begun)):
        run.drop()
    if run.whole:
        return
    if previous is None:
        await run.deliver(decision)
    elif run.seam is not None and run.lost is not None:
        kept = run.kept.tokens
        await run.deliver(Switched(previous.chosen, decision.chosen, run.lost, run.seam, kept))
    elif previous.chosen.deployment != decision.chosen.deployment:
        await run.deliver(_change(previous, decision, run))


def _change(previous: Decision, decision: Decision, run: Run) -> Item:
    """It goes on elsewhere after a failure, or starts elsewhere than it was told while it waited."""
    if not run.attempts or run.attempts[-1].deployment != previous.chosen.deployment:
        return Moved(previous.chosen, decision.chosen)
    return Switched(previous.chosen, decision.chosen, run.attempts[-1])
