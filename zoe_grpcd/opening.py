"""From the sending of an attempt to its first token: how long that may take, what the caller hears meanwhile, and whom
else to ask when the first one is slow.

The one rule: whoever comes first answers, and everybody else is ended before anything of the answer goes on.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import inf

from zoe_grpcd.admission import LOOK_AGAIN, WaitingRoom
from zoe_grpcd.core.answer import Event
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.continuation import begun, is_begun
from zoe_grpcd.core.decision import Candidate, Decision
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.firsttoken import budget_of
from zoe_grpcd.core.generation import Call
from zoe_grpcd.core.merge import call_of, traced
from zoe_grpcd.core.outcome import Outcome
from zoe_grpcd.core.progress import no_further_back
from zoe_grpcd.core.transcript import Transcript
from zoe_grpcd.fleet import Fleet, Lease
from zoe_grpcd.patience import Patience
from zoe_grpcd.ports import Dispatcher
from zoe_grpcd.run import Around, Reliability, Run


@dataclass(slots=True)
class Try:
    """One backend that was asked: why it, its place there, what it has brought, and where that comes from."""

    question: Question
    decision: Decision
    lease: Lease
    transcript: Transcript
    call: Call
    upstream: AsyncGenerator[list[Event]]


@dataclass(frozen=True, slots=True)
class Hedge:
    """Another one is to be asked if the first is silent for so long (seconds). `another` decides and leases; None: nobody."""

    after: float
    another: Callable[[], tuple[Question, Decision, Lease] | None]


Task = asyncio.Task[list[Event]]
Lose = Callable[[Question, Transcript, Lease, Run, UpstreamError], None]
"""Takes in an attempt that has failed."""


class Opening:
    """One for the life of the daemon. `dispatchers` go by backend name."""

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
        self._clock = around.clock
        self._nudge = around.nudge

    def budget(self, chosen: Candidate, backend: Backend) -> float:
        """Seconds that a first token may take: the backend's own limit, else what is sized to its work."""
        if backend.first_token_timeout is not None:
            return backend.first_token_timeout
        timed = self._fleet.catalogue.timed(chosen.deployment, self._clock())
        return budget_of(chosen.estimate, timed, self._reliability.first_token)

    def call(self, question: Question, decision: Decision, lease: Lease) -> Call:
        """What is asked of it; from where the caller has begun the answer itself, if it can go on from there."""
        call = traced(call_of(question.ask, question.resolution, decision, lease.backend), question.ask)
        if not is_begun(call.generation):
            return call
        return begun(call, self._fleet.catalogue.prefill(lease.deployment))

    async def first(self, one: Try, patience: Patience) -> list[Event]:
        """The first batch with something in it, within the first-token budget.

        Given up at once when a probe, or another request, finds the backend dead.
        """
        lease = one.lease
        budget = self.budget(one.transcript.chosen, lease.backend)
        lease.abandon = patience.lose
        lease.go_on = partial(self._go_on, lease, patience, budget)
        try:
            with patience(budget):
                async for batch in one.upstream:
                    one.transcript.accepted(self._clock())
                    if batch:
                        return batch
        except TimeoutError:
            text = "no first token in time"
            if (why := self._fleet.health.why_down(lease)) is not None:
                text = f"given up before the first token: {why}"
            raise UpstreamError(Fault.TIMEOUT, text) from None
        except asyncio.CancelledError:
            self._fleet.health.departed(lease, self._clock())
            raise
        finally:
            lease.abandon = lease.go_on = None
        raise UpstreamError(Fault.CUT, "the answer ended before its first token")

    def _go_on(self, lease: Lease, patience: Patience, budget: float) -> None:
        """The backend is at work on a prompt: it is slow, and does not hang."""
        if lease.backend.first_token_timeout is None:
            left = lease.started + self._reliability.first_token.ceiling - self._clock()
            patience.extend(min(budget, left))

    # ------------------------------------------------------------------------------------------------- several at once

    async def attended(
        self, one: Try, run: Run, hedge: Hedge | None, lose: Lose
    ) -> tuple[Try, Awaitable[list[Event]]]:
        """The first to answer, or the last to fail, and its first batch. The caller hears of the wait, if it wants to."""
        contest: dict[Task, Try] = {self._enter(one): one}
        try:
            first = await self._settled(contest, run, hedge, lose)
            await self._end({task: other for task, other in contest.items() if task is not first}, run)
        except BaseException:
            await self._end(contest, run)
            raise
        return contest[first], first

    async def _settled(self, contest: dict[Task, Try], run: Run, hedge: Hedge | None, lose: Lose) -> Task:
        """Who has answered, or was the last to fail."""
        now = asyncio.get_running_loop().time
        ask_at = inf if hedge is None else now() + hedge.after
        tell_at = now() + LOOK_AGAIN if run.eager and not run.seen else inf
        while (ended := await self._ended(contest, min(ask_at, tell_at), run, lose)) is None:
            if hedge is not None and now() >= ask_at:
                ask_at = inf
                if (other := self._other(hedge, run)) is not None:
                    contest[self._enter(other)] = other
            if now() >= tell_at:
                tell_at += LOOK_AGAIN
                await self._tell(next(iter(contest.values())), run)
        return ended

    async def _ended(self, contest: dict[Task, Try], until: float, run: Run, lose: Lose) -> Task | None:
        """Who has answered, or was the last to fail; None: nobody until then. Those who failed before are out."""
        left = None if until == inf else max(0.0, until - asyncio.get_running_loop().time())
        done, _ = await asyncio.wait(contest, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        for task in sorted(done, key=_has_failed):
            error = task.exception()
            if len(contest) == 1 or not isinstance(error, UpstreamError):
                return task
            one = contest.pop(task)
            lose(one.question, one.transcript, one.lease, run, error)
            self._left(one)
        return None

    def _enter(self, one: Try) -> Task:
        return asyncio.create_task(self._first_alone(one))

    async def _first_alone(self, one: Try) -> list[Event]:
        """The first batch, in a task of its own."""
        patience = Patience()
        try:
            return await self.first(one, patience)
        finally:
            patience.close()

    def _other(self, hedge: Hedge, run: Run) -> Try | None:
        """A second one that is asked."""
        found = hedge.another()
        if found is None:
            return None
        question, decision, lease = found
        transcript = transcript_of(question, decision, lease, run)
        call = self.call(question, decision, lease)
        transcript.limit = call.generation.options.get("max_output_tokens")
        upstream = self._dispatchers[lease.backend.name].stream(call)
        return Try(question, decision, lease, transcript, call, upstream)

    async def _end(self, contest: Mapping[Task, Try], run: Run) -> None:
        """Ends those whom nobody waits for any longer, to the end even if the caller leaves meanwhile."""
        if not contest:
            return
        closing = asyncio.create_task(_close(contest))
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await asyncio.wait((closing,))
            raise
        finally:
            for beaten in contest.values():
                self._beat(beaten, run)

    def _beat(self, beaten: Try, run: Run) -> None:
        """Reports one that another was faster than. What it read already is paid for."""
        transcript = beaten.transcript
        run.beaten += (transcript.attempt(run.made + 1, run.started, self._clock(), Outcome.CANCELLED),)
        run.spent += transcript.cost()
        if beaten.question.ask.observer is not None:
            beaten.question.ask.observer(run.beaten[-1])
        self._left(beaten)
        self._nudge(beaten.lease.backend.name)

    def _left(self, one: Try) -> None:
        """Gives its place back, if it has one still."""
        self._fleet.leases.release(one.lease, None, self._clock())
        self._waiting.stir(one.lease.backend.name)

    # ------------------------------------------------------------------------------------------------------ the wait

    async def _tell(self, one: Try, run: Run) -> None:
        """Tells an eager caller how far its first token is."""
        news = self._fleet.leases.progress(one.lease, self._clock())
        run.told = news if run.told is None else no_further_back(news, run.told)
        await run.deliver(run.told)


def transcript_of(question: Question, decision: Decision, lease: Lease, run: Run) -> Transcript:
    """The record of an attempt that begins."""
    return Transcript(
        decision.chosen,
        question.size,
        lease.started,
        lease.cold,
        lease.waited,
        lease.price,
        kept=run.kept,
        opened=run.opened,
        spent=run.spent,
    )


async def _close(contest: Mapping[Task, Try]) -> None:
    """Cancels all, and closes their connections."""
    for task in contest:
        task.cancel()
    await asyncio.wait(contest)
    for task, one in contest.items():
        if not task.cancelled():
            task.exception()  # nobody else asks for it
        await one.upstream.aclose()


def _has_failed(task: Task) -> bool:
    return task.exception() is not None
