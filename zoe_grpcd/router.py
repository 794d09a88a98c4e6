"""The use case: resolve, rank, lease, attempt, stream, go on elsewhere. The only retry loop in the daemon.

Deciding and leasing are one synchronous stretch, so that a burst sees its own requests in flight.
"""

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from zoe_grpcd.admission import Seat, WaitingRoom
from zoe_grpcd.core import explain as explaining
from zoe_grpcd.core.domain import (
    Ask,
    Attempt,
    Backend,
    Candidate,
    Completed,
    Decision,
    Deployment,
    Event,
    Outcome,
    Phase,
    Progress,
    Reason,
    Switched,
)
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.errors import (
    BackendLost,
    ContextTooLong,
    Fault,
    InvalidRequest,
    UpstreamError,
    Violation,
    ZoeError,
)
from zoe_grpcd.core.estimate import size_of
from zoe_grpcd.core.merge import call_of
from zoe_grpcd.core.phases import Signal
from zoe_grpcd.core.recovery import AFTER, ends_request, failure_of, pauses
from zoe_grpcd.core.resolve import Policy, Resolver
from zoe_grpcd.core.scoring import choose
from zoe_grpcd.core.strategies import STRATEGIES
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


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator decided."""

    resolver: Resolver
    policy: Policy
    reliability: Reliability


@dataclass(frozen=True, slots=True)
class Around:
    """What the router is told of the world: a monotonic clock, and a way to ask for a probe of a backend at once."""

    clock: Callable[[], float]
    nudge: Callable[[str], None]


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
        self._dispatchers = dispatchers
        self._waiting = waiting
        self._clock = around.clock
        self._nudge = around.nudge

    # ------------------------------------------------------------------------------------------------- deciding

    def route(self, ask: Ask, *, explain: bool = False) -> Decision:
        """What would be chosen now; sends nothing. Raises the ZoeError that the request would end with."""
        return self._decide(self._question(ask), explain=explain)

    def _question(self, ask: Ask) -> Question:
        if ask.strategy and ask.strategy not in STRATEGIES:
            known = ", ".join(sorted(STRATEGIES))
            violation = Violation(
                "spec.routing.strategy", f"{ask.strategy!r} is unknown here; must be one of {known}"
            )
            raise InvalidRequest("the strategy does not exist", violations=(violation,))
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
                await self._attempt(question, decision, lease, run)
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
                return decision, self._fleet.lease(chosen.deployment, now, expected)

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

    async def _attempt(self, question: Question, decision: Decision, lease: Lease, run: Run) -> None:
        """One attempt. Sets `run.done` at the proper end; raises only what ends the request."""
        transcript = Transcript(
            decision.chosen,
            question.size,
            lease.started,
            lease.cold,
            lease.waited,
            lease.slowdown,
            lease.facts,
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
            with run.patience(self._first_token_budget(lease.backend, transcript.chosen)):
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

    def _first_token_budget(self, backend: Backend, chosen: Candidate) -> float:
        if backend.first_token_timeout is not None:
            return backend.first_token_timeout
        bounds = self._reliability
        expected = chosen.estimate.time_to_first_token if chosen.estimate else 0.0
        return min(
            bounds.first_token_ceiling, max(bounds.first_token_floor, bounds.first_token_factor * expected)
        )

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
