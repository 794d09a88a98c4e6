"""One attempt: leased, sent, delivered as it comes, and given up when its backend is silent for too long.

It reports how it ended in `Run` and decides nothing about what follows.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from zoe_grpcd.admission import WaitingRoom
from zoe_grpcd.core.domain import (
    Attempt,
    Backend,
    Candidate,
    Completed,
    Decision,
    Event,
    Outcome,
    Phase,
    Progress,
    Switched,
)
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.errors import BackendLost, Fault, UpstreamError
from zoe_grpcd.core.merge import call_of
from zoe_grpcd.core.phases import Signal
from zoe_grpcd.core.recovery import AFTER
from zoe_grpcd.core.transcript import Transcript
from zoe_grpcd.fleet import Fleet, Lease
from zoe_grpcd.patience import Patience
from zoe_grpcd.ports import Dispatcher

# A backend that is down may finish an answer, as a server does that was told to stop; silent for so long it is dead, too.
# llama-server b10434 may hold a connection open for 30 s after it has stopped.
LAST_WORDS = 3.0

Item = Decision | Progress | Switched | list[Event] | Completed
Deliver = Callable[[Item], Awaitable[None]]
"""Takes one item of an answer, and returns when the next one may come; what it raises ends the request."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """How hard to try, and what a first token may take where a backend sets no limit of its own (seconds)."""

    max_attempts: int = 3
    retry_delay: float = 0.5
    first_token_floor: float = 30.0
    first_token_ceiling: float = 600.0
    first_token_factor: float = 4.0  # times what is expected
    longest_pause: float = 10.0  # a backend that wants a longer one is not waited for; the caller is told


@dataclass(slots=True)
class Run:
    """One request's way through its attempts.

    `eager`: the caller wants the decision before a backend has accepted. `whole`: nothing of an answer is handed on
    before all of it is there, so that a backend may die in the middle and nobody sees it.
    """

    started: float
    patience: Patience
    deliver: Deliver
    eager: bool = False
    whole: bool = False
    explain: bool = False
    announced: Decision | None = None
    done: bool = False
    queued: float = 0.0
    attempts: tuple[Attempt, ...] = ()
    faults: tuple[UpstreamError, ...] = ()


@dataclass(frozen=True, slots=True)
class Around:
    """What is told of the world: a monotonic clock, and a way to ask for a probe of a backend at once."""

    clock: Callable[[], float]
    nudge: Callable[[str], None]


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
        self._clock = around.clock
        self._nudge = around.nudge

    async def make(self, question: Question, decision: Decision, lease: Lease, run: Run) -> None:
        """One attempt. Sets `run.done` at the proper end; raises only what ends the request."""
        transcript = Transcript(
            decision.chosen,
            question.size,
            lease.started,
            lease.cold,
            lease.waited,
            lease.slowdown,
            lease.price,
        )
        try:
            if run.eager:
                for item in _announcement(decision, lease, run):
                    await run.deliver(item)
            call = call_of(question.ask, question.resolution, decision, lease.backend)
            async with aclosing(self._dispatchers[lease.backend.name].stream(call)) as upstream:
                held = await self._answer(upstream, decision, lease, transcript, run)
            run.done = self._ended(transcript, lease)
            if run.whole:
                await run.deliver(decision)
                await run.deliver(held)
            await run.deliver(transcript.completed(run.attempts, run.started, run.queued, self._clock()))
        except UpstreamError as error:
            self._failed(transcript, lease, run, error)
        finally:
            self._fleet.release(lease, None, self._clock())  # nothing to do if it is back already
            if lease.cold:
                self._nudge(lease.backend.name)
            self._waiting.stir()

    async def _answer(
        self,
        upstream: AsyncGenerator[list[Event]],
        decision: Decision,
        lease: Lease,
        transcript: Transcript,
        run: Run,
    ) -> list[Event]:
        """Delivers an answer as it comes, the decision before it; with `run.whole` returns it, and delivers nothing."""
        held: list[Event] = []
        batch: list[Event] | None = await self._first(upstream, lease, transcript, run)
        self._fleet.first_token(lease)
        lease.abandon = partial(run.patience.shorten, LAST_WORDS)
        if run.announced is None and not run.whole:
            run.announced = decision
            await run.deliver(decision)
        while batch is not None:
            events = transcript.take(batch, self._clock())
            if run.whole:
                held += events
            elif events:
                transcript.delivered = True
                await run.deliver(events)
            batch = None if transcript.finish else await self._more(upstream, lease.backend, run)
        return held

    async def _first(
        self, upstream: AsyncGenerator[list[Event]], lease: Lease, transcript: Transcript, run: Run
    ) -> list[Event]:
        """The first batch with something in it, within the first-token budget.

        Given up at once when a probe, or another request, finds the backend dead.
        """
        lease.abandon = run.patience.lose
        try:
            with run.patience(first_token_budget(lease.backend, transcript.chosen, self._reliability)):
                async for batch in upstream:
                    transcript.accepted(self._clock())
                    if batch:
                        return batch
        except TimeoutError:
            name, text = lease.backend.name, "no first token in time"
            if self._fleet.phase(name) is Phase.DOWN:
                text = f"given up before the first token: {self._fleet.detail(name)}"
            raise UpstreamError(Fault.TIMEOUT, text) from None
        finally:
            lease.abandon = None
        raise UpstreamError(Fault.CUT, "the answer ended before its first token")

    async def _more(
        self, upstream: AsyncGenerator[list[Event]], backend: Backend, run: Run
    ) -> list[Event] | None:
        """The next batch, within the backend's idle timeout; one that is down may only finish what it says."""
        limit = backend.idle_timeout
        if self._fleet.phase(backend.name) is Phase.DOWN:
            limit = min(limit, LAST_WORDS)
        try:
            with run.patience(limit):
                return await anext(upstream, None)
        except TimeoutError:
            text = f"silent for {limit:g} s"
            if self._fleet.phase(backend.name) is Phase.DOWN:
                text = f"silent, and down: {self._fleet.detail(backend.name)}"
            raise UpstreamError(Fault.TIMEOUT, text) from None

    def _ended(self, transcript: Transcript, lease: Lease) -> bool:
        """Takes in the proper end of an answer; raises if it was none."""
        if transcript.finish is None:
            raise UpstreamError(Fault.CUT, "the answer ended without a finish reason")
        now = self._clock()
        self._fleet.signal(lease.backend.name, Signal.ANSWERED, "", now)
        self._fleet.release(lease, transcript.lesson(now, failed=False), now)
        return True

    # ------------------------------------------------------------------------------------------------ recovering

    def _failed(self, transcript: Transcript, lease: Lease, run: Run, error: UpstreamError) -> None:
        """Observes and reports a failed attempt; raises if something of it has reached the caller."""
        name, now, after = lease.backend.name, self._clock(), AFTER[error.fault]
        outcome = Outcome.LOST if transcript.delivered else after.outcome
        attempt = transcript.attempt(len(run.attempts) + 1, run.started, now, outcome, error)
        run.attempts, run.faults = (*run.attempts, attempt), (*run.faults, error)
        self._fleet.release(lease, transcript.lesson(now, failed=True) if after.counts else None, now)
        if after.signal is not None:
            self._fleet.signal(name, after.signal, error.message, now)
        if after.nudge:
            self._nudge(name)
        if transcript.delivered:
            text = f"backend {name} failed after {transcript.tokens} tokens: {error.message}"
            raise BackendLost(text, attempts=run.attempts, output_tokens_sent=transcript.tokens)


def first_token_budget(backend: Backend, chosen: Candidate, bounds: Reliability) -> float:
    """Seconds that a first token may take: the backend's own limit, else so many times what is expected."""
    if backend.first_token_timeout is not None:
        return backend.first_token_timeout
    expected = chosen.estimate.time_to_first_token if chosen.estimate else 0.0
    return min(
        bounds.first_token_ceiling, max(bounds.first_token_floor, bounds.first_token_factor * expected)
    )


def _announcement(decision: Decision, lease: Lease, run: Run) -> list[Item]:
    """What an eager caller hears before the first token: the choice, or the change of it, and what is waited for."""
    previous, run.announced = run.announced, decision
    items: list[Item] = [decision]
    if previous is not None:
        moved = previous.chosen.deployment != decision.chosen.deployment
        items = [Switched(previous.chosen, decision.chosen, run.attempts[-1])] if moved else []
    expected = decision.chosen.estimate
    loads = expected is not None and expected.load > 0
    state = "LOADING" if loads else "QUEUED" if lease.waited else "PREFILLING"
    return [*items, Progress(state, expected.time_to_first_token if expected else 0.0)]
