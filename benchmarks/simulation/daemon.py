"""The daemon in simulated time: its own fleet, resolver, choice, transcripts and lessons; only the loops are retold.

The rule: what `monitor.py` and `router.py` do with a clock and sockets is done here with the world's, step by step,
and nothing of what they call is replaced. All policies run in it, so all have the probes, the retries and the
first-token limits of the daemon.
"""

from dataclasses import dataclass, replace

from benchmarks.simulation.jobs import Job, Stage
from benchmarks.simulation.rivals import Moment, Rival
from benchmarks.simulation.runs import Place, Queue, Run, place_of
from benchmarks.simulation.traces import Request
from benchmarks.simulation.world import Listener, World
from zoe_grpcd.admission import LOOK_AGAIN
from zoe_grpcd.core.awaited import behind, held_up, key_of
from zoe_grpcd.core.domain import (
    Ask,
    Backend,
    Candidate,
    Deployment,
    Estimate,
    Finish,
    FinishReason,
    Generation,
    Observation,
    Outcome,
    Phase,
    Target,
    Usage,
)
from zoe_grpcd.core.eligible import Question, views_of, why_not
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.estimate import estimate, size_of
from zoe_grpcd.core.fallback import ELSEWHERE, Elsewhere
from zoe_grpcd.core.intents import SHIPPED
from zoe_grpcd.core.phases import Signal
from zoe_grpcd.core.recovery import AFTER, pauses
from zoe_grpcd.core.resolve import Policy, Resolver
from zoe_grpcd.core.transcript import Transcript
from zoe_grpcd.core.views import DeploymentView, Snapshot
from zoe_grpcd.fleet import Fleet, Lease
from zoe_grpcd.monitor import EAGER_INTERVAL, MIN_INTERVAL
from zoe_grpcd.router import Reliability

LONGEST_WAIT = 30.0  # for somebody who may serve
PATIENCE = 600.0  # for the whole answer, whoever chooses: the daemon's max_request_time by default
ERROR_SECONDS, REFUSAL_SECONDS = 0.03, 0.002


@dataclass(slots=True)
class Try:
    """One attempt."""

    run: Run
    lease: Lease
    transcript: Transcript
    job: Job
    over: bool = False


class Daemon:
    """One policy at work in one world."""

    def __init__(self, world: World, rival: Rival) -> None:
        self.world = world
        self.rival = rival
        self.fleet = Fleet()
        self.reliability = Reliability()
        self.runs: list[Run] = []
        self.open = 0
        self._resolver = Resolver(Policy(aliases=world.home.aliases), SHIPPED)
        self._queue = Queue()
        self._looked: dict[str, float] = {}
        self._nudged: set[str] = set()
        self.fleet.subscribe(lambda _name: world.at(world.now, self._stir_all))
        for name, (box, server) in world.servers.items():
            url = f"http://{box.name}:8080"
            self.fleet.add(
                Backend(
                    name,
                    server.kind,
                    url,
                    truncates=server.kind == "ollama",
                    loads_in_turn=server.kind == "ollama",
                ),
                0.0,
            )
            self._look(name)
            self._watch(name)

    # ------------------------------------------------------------------------------------------------- its monitor

    def _watch(self, name: str) -> None:
        """The next look, as `Monitor._pause` has it."""
        moving = self.fleet.phase(name) in (Phase.LOADING, Phase.DEGRADED) or self.fleet.is_loading(name)
        pause = EAGER_INTERVAL if moving else self.fleet.backend(name).probe_interval
        looked = self._looked[name]

        def look() -> None:
            if self._looked[name] == looked:  # nobody had a doubt in between
                self._look(name)
                self._watch(name)

        self.world.at(looked + pause, look)

    def _nudge(self, name: str) -> None:
        if name in self._nudged:
            return
        self._nudged.add(name)

        def look() -> None:
            self._nudged.discard(name)
            self._look(name)
            self._watch(name)

        self.world.at(max(self.world.now, self._looked[name] + MIN_INTERVAL), look)

    def _look(self, name: str) -> None:
        _, server = self.world.servers[name]
        seen = Observation(ok=False, duration=0.002, error="connection refused")
        if server.fault != "refuses":
            seen = server.observe(self.world.now)
        self._looked[name] = self.world.now
        self.fleet.observe(name, seen, self.world.now)

    # -------------------------------------------------------------------------------------------------- its router

    def begin(self, request: Request) -> None:
        """A request arrives."""
        generation = Generation(
            ({"role": "user", "content": request.activity.text},),
            options={"max_output_tokens": request.activity.limit} if request.activity.limit else {},
        )
        ask = Ask(
            generation,
            Target(model=request.target),
            text=request.activity.text,
            prompt_bytes=request.prompt_bytes,
        )
        resolution = self._resolver.resolve(ask, self.fleet.snapshot(self.world.now).by_model)
        question = Question(ask, resolution, size_of(ask, resolution.defaults.get("max_output_tokens")))
        run = Run(request, question, self.world.now)
        self.runs.append(run)
        self.open += 1
        self.world.at(self.world.now + PATIENCE, lambda: self._expire(run))
        self._decide(run)

    def _expire(self, run: Run) -> None:
        """Its time is over, wherever it is by now."""
        if run.over:
            return
        self._queue.leave(run)
        self._end(run, answered=False)
        if run.hang_up is not None:
            run.hang_up()

    def _decide(self, run: Run) -> None:
        if run.over:
            return
        now = self.world.now
        snapshot = behind(self.fleet.snapshot(now), self._queue.ahead(run))
        options = eligible(run.question, snapshot)
        if not options:
            self._queue.leave(run)
            self._without_anybody(run, snapshot)
            return
        moment = Moment(now, run.request, run.question, snapshot, options, self.world)
        deployment = self.rival.pick(moment)
        expected = expectation(run.question, deployment, snapshot)
        if run.expected is None:
            run.expected = expected
        if self.rival.waits and not self.fleet.has_room(key_of(deployment)):
            self._wait(run, place_of(deployment, expected, options))
            return
        self._queue.leave(run)
        self._attempt(run, deployment, expected)

    def _wait(self, run: Run, place: Place) -> None:
        """As `Queueing.wait_for_room` has it: whoever could go elsewhere, too, looks again after a while."""
        run.place = place
        self._queue.enter(run)

        def look() -> None:
            if run.place is place and run in self._queue:
                self._decide(run)

        if len(place.reach) > 1:
            self.world.at(self.world.now + LOOK_AGAIN, look)

    def _stir(self, name: str) -> None:
        """A place is free: those in the queue who may take it look, one after the other."""
        for run in self._queue.hopeful(name, self.fleet.has_room):
            if run in self._queue:
                self._decide(run)

    def _stir_all(self) -> None:
        """The fleet has changed, maybe so that more may start."""
        for run in self._queue.everybody():
            if run in self._queue:
                self._decide(run)

    def _without_anybody(self, run: Run, snapshot: Snapshot) -> None:
        now = self.world.now
        if held_up(run.question, snapshot):
            if now - run.started > LONGEST_WAIT:
                self._end(run, answered=False)
            else:
                self.world.at(now + EAGER_INTERVAL, lambda: self._decide(run))
            return
        waits = pauses(run.attempts, run.faults, self.reliability.retry_delay) if run.faults else {}
        waits = {key: pause for key, pause in waits.items() if key in run.question.excluded}
        if not waits:
            self._end(run, answered=False)
            return
        pause = min(waits.values())
        back = {key for key, wait in waits.items() if wait <= pause}
        run.question = replace(run.question, excluded=run.question.excluded - back)
        self.world.at(now + pause, lambda: self._decide(run))

    def _attempt(self, run: Run, deployment: Deployment, expected: Estimate) -> None:
        now, name = self.world.now, deployment.backend
        lease = self.fleet.lease(deployment, now, expected)
        backend = lease.backend
        chosen = Candidate(deployment, backend.kind, backend.local, eligible=True, estimate=expected)
        transcript = Transcript(chosen, run.question.size, now, cold=lease.cold, waited=lease.waited)
        job = self.world.job(run.request, name, deployment.backend_model)
        one = Try(run, lease, transcript, job)
        run.hang_up = lambda: self._hang_up(one)
        _, server = self.world.servers[name]
        if server.fault:
            fault = Fault.REFUSED if server.fault == "refuses" else Fault.SERVER
            after = REFUSAL_SECONDS if fault is Fault.REFUSED else ERROR_SECONDS
            self.world.at(now + after, lambda: self._fail(one, fault))
            return
        lease.abandon = lambda: self._give_up(one)
        limits = self.reliability
        budget = max(limits.first_token_floor, limits.first_token_factor * expected.time_to_first_token)
        self.world.at(now + min(limits.first_token_ceiling, budget), lambda: self._give_up(one))
        listener = Listener(
            lambda: self._first(one), lambda: self._done(one), lambda: self._fail(one, Fault.CUT)
        )
        self.world.submit(name, job, listener)

    def _first(self, one: Try) -> None:
        one.transcript.first_at = self.world.now
        self.fleet.first_token(one.lease, self.world.now)
        one.lease.written = lambda: self._written(one)

    def _written(self, one: Try) -> int:
        """Tokens that have come so far, of a stream that the daemon counts as it passes."""
        box, _ = self.world.servers[one.lease.backend.name]
        box.advance(self.world.now)
        done = 1.0 - one.job.left / one.job.writing if one.job.stage is Stage.WRITING else 1.0
        return int(done * one.run.request.output_tokens(one.lease.deployment.model))

    def _give_up(self, one: Try) -> None:
        """No first token in time, or the backend was found dead."""
        if not one.over and one.transcript.first_at is None:
            self.world.cancel(one.lease.backend.name, one.job)
            self._fail(one, Fault.TIMEOUT)

    def _hang_up(self, one: Try) -> None:
        """The caller waits no longer."""
        if one.over:
            return
        one.over = True
        name = one.lease.backend.name
        self.world.cancel(name, one.job)
        self.fleet.release(one.lease, None, self.world.now)
        self._stir(name)

    def _done(self, one: Try) -> None:
        now, run, deployment = self.world.now, one.run, one.lease.deployment
        name, request = deployment.backend, run.request
        _, server = self.world.servers[name]
        one.over = True
        output = request.output_tokens(deployment.model)
        cut = bool(request.activity.limit) and output == request.activity.limit
        one.transcript.finish = Finish(
            FinishReason.LENGTH if cut else FinishReason.STOP,
            Usage(prompt_tokens=request.prompt_tokens, completion_tokens=output),
            server.measured(one.job, request.prompt_tokens, output),
        )
        self.fleet.signal(name, Signal.ANSWERED, "", now)
        self.fleet.release(one.lease, one.transcript.lesson(now, failed=False), now)
        if one.lease.cold:
            self._nudge(name)
        self.rival.learn(request, deployment, now - one.lease.started, now)
        self._end(run, answered=True)
        self._stir(name)

    def _fail(self, one: Try, fault: Fault) -> None:
        """As `Router._failed` and `Router._next` have it, for a caller who wants a whole answer."""
        if one.over:
            return
        one.over = True
        now, run, after = self.world.now, one.run, AFTER[fault]
        deployment = one.lease.deployment
        name, error = deployment.backend, UpstreamError(fault, fault.value)
        run.attempts.append(
            one.transcript.attempt(len(run.attempts) + 1, run.started, now, Outcome.FAILED, error)
        )
        run.faults.append(error)
        lesson = one.transcript.lesson(now, failed=True) if after.counts else None
        self.fleet.release(one.lease, lesson, now)
        self.world.at(now, lambda: self._stir(name))
        if after.signal is not None:
            self.fleet.signal(name, after.signal, error.message, now)
        if after.nudge or one.lease.cold:
            self._nudge(name)
        if len(run.attempts) >= self.reliability.max_attempts:
            self._end(run, answered=False)
            return
        if ELSEWHERE[error.fault] is not Elsewhere.ANYWHERE:
            failed = (name, deployment.model)
            run.question = replace(run.question, excluded=run.question.excluded | {failed})
        self._decide(run)

    def _end(self, run: Run, *, answered: bool) -> None:
        run.ended, run.over, run.answered = self.world.now, True, answered
        run.disturbed = bool(run.attempts)
        self.open -= 1


def eligible(question: Question, snapshot: Snapshot) -> list[DeploymentView]:
    """The deployments of the first tier that has some which may serve, by name."""
    for tier in question.resolution.tiers:
        views = [
            view
            for view in views_of(tier, snapshot)
            if not why_not(question, view, snapshot.backends[view.deployment.backend])
        ]
        if views:
            return sorted(views, key=lambda view: (view.deployment.backend, view.deployment.model))
    return []


def expectation(question: Question, deployment: Deployment, snapshot: Snapshot) -> Estimate:
    """The daemon's estimate for a deployment, whoever chose it."""
    backend = snapshot.backends[deployment.backend]
    views = snapshot.by_model[deployment.model]
    view = next(view for view in views if view.deployment == deployment)
    return estimate(question.size, view, backend)
