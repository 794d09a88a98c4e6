"""The only mutable state of the daemon: backends, their models, warmth, what is in flight, what was learned.

Every method is synchronous, so that on one event loop each change is whole. Nothing awaits between `snapshot` and
`lease`. Times are seconds of one monotonic clock, and always an argument.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from math import inf

from zoe_grpcd.core import phases
from zoe_grpcd.core.backend import Backend, Deployment, ModelFacts, Phase, Prefill
from zoe_grpcd.core.breaker import Caution
from zoe_grpcd.core.decision import Estimate
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.learning import Lesson, Timed, seconds_of_service
from zoe_grpcd.core.observation import LoadState, Observation
from zoe_grpcd.core.phases import Signal
from zoe_grpcd.core.progress import Progress
from zoe_grpcd.core.recovery import AFTER
from zoe_grpcd.core.turns import Owed, Scope, Turn, remembered
from zoe_grpcd.core.views import BackendReport, DeploymentView, Snapshot
from zoe_grpcd.fleet.found import follow_load, found_on, give_up_load, still_loads
from zoe_grpcd.fleet.machine import Machine, machine_of
from zoe_grpcd.fleet.memory import Memory
from zoe_grpcd.fleet.pictures import Gallery, backend_view_of, gallery_of, report_of, view_of, window_of
from zoe_grpcd.fleet.probes import foreign_of, signal_of
from zoe_grpcd.fleet.stalls import is_left_alone, note_silence, stalled_on
from zoe_grpcd.fleet.state import COLD, Host, Lease, Served, load_left
from zoe_grpcd.fleet.trouble import Trouble

NO_FACTS = ModelFacts()
ANSWERING = frozenset({Phase.READY, Phase.BUSY, Phase.DEGRADED, Phase.COOLING_DOWN})


class Fleet:
    """All backends. `facts` and `deployments` are what the operator states about models.

    `first_number`: the number of the first request, from which random strategies draw. `caution`: what is held against
    those that fail.
    """

    def __init__(
        self,
        facts: Mapping[str, ModelFacts] | None = None,
        deployments: Sequence[Deployment] = (),
        first_number: int = 0,
        caution: Caution | None = None,
    ) -> None:
        self._caution = caution or Caution()
        self._stale_at = inf  # when something that is held against a backend changes by itself
        self._facts = dict(facts or {})
        self._deployments = tuple(deployments)
        self._hosts: dict[str, Host] = {}
        self._machines: dict[str, Machine] = {}
        self._subscribers: list[Callable[[str], None]] = []
        self.memory = Memory(self._hosts)
        self._snapshot: Snapshot | None = None
        self._gallery: Gallery | None = None
        self._is_loading = False  # some model of the last picture
        self._models: dict[str, None] | None = None
        self._silent: list[str] | None = None
        self._number = first_number
        self._owing: Mapping[Scope, Owed] = {}
        self.revision = 0
        self.waits: Callable[[str], int] = lambda _name: (
            0
        )  # requests of ours that wait for a place on a backend

    # ------------------------------------------------------------------------------------------------- backends

    def add(self, backend: Backend, now: float) -> None:
        """Takes in a backend; its models are unknown until the first probe, but for the configured ones."""
        configured = [d for d in self._deployments if d.backend == backend.name]
        shared = machine_of(backend)
        machine = Machine(self.memory.usual)
        if shared:
            machine = self._machines.setdefault(shared, machine)
        if former := self._hosts.get(backend.name):
            former.leave(now)
            self.memory.keep(former, now)
        host = self._hosts[backend.name] = Host(backend, configured, now, machine)
        host.doubted = self._caution.degraded_weight
        self.memory.tell_host(host)
        host.served = {d.model: self._serve(d) for d in configured}
        self._models = self._silent = self._gallery = None
        self._changed(host)

    def refit(
        self,
        facts: Mapping[str, ModelFacts],
        deployments: Sequence[Deployment],
        caution: Caution,
        now: float,
    ) -> None:
        """Takes other facts, deployments and rules. What was learned stays, and so does what runs; what is held against
        a backend ends by the rules by which it began.
        """
        self._facts, self._deployments, self._caution = dict(facts), tuple(deployments), caution
        for host in self._hosts.values():
            self._refit(host, now)

    def change(self, backend: Backend, now: float) -> None:
        """Takes other settings for a backend that is there; it is the same server."""
        host = self._hosts[backend.name]
        host.backend = backend
        self._refit(host, now)
        if host.retired:
            host.retired = False
            self._signal(host, "not probed since it was taken back", now, Signal.UNDRAIN)

    def retire(self, name: str, now: float) -> None:
        """Sends a backend nothing new, for good: it is gone when its last request has ended."""
        host = self._hosts[name]
        host.retired = True
        self._signal(host, "no longer configured", now, Signal.DRAIN)
        self._note_empty(host, now)

    def _refit(self, host: Host, now: float) -> None:
        host.doubted = self._caution.degraded_weight
        configured = tuple(d for d in self._deployments if d.backend == host.backend.name)
        facts = {model: self._facts.get(model, NO_FACTS) for model in host.served}
        if configured != host.configured or any(host.served[m].facts != facts[m] for m in facts):
            self._serve_anew(host, configured, now)
        host.forget_views()
        self._changed(host)

    def _serve_anew(self, host: Host, configured: tuple[Deployment, ...], now: float) -> None:
        """Its models with other facts or settings, and with all that is known of them."""
        self.memory.keep(host, now)
        former, host.configured = host.served, configured
        host.served = {d.model: self._serve(d) for d in configured}
        if host.observation is not None:
            self._take_models(host, host.observation, now)
        for model in host.served.keys() & former.keys():
            host.served[model].succeed(former[model])
        host.rescale()
        self._models = self._silent = self._gallery = None

    def observe(self, name: str, observation: Observation, now: float) -> None:
        """Takes in what a probe saw."""
        host = self._hosts[name]
        before = (host.phase, host.observation and host.observation.models)
        revision, host.probed_at = self.revision, now
        if not observation.ok:
            known = host.observation or observation
            models = known.models if observation.models is None else observation.models
            host.observation = replace(
                known, ok=False, error=observation.error, sleeping=observation.sleeping, models=models
            )
            if not host.served:  # one that sleeps says what it would serve
                self._take_models(host, host.observation, now)
            host.gone = True
            host.foreign = 0  # whoever was served there is so no longer
            host.settle(now)
            host.view = self._snapshot = None
            self._signal(host, observation.error, now, Signal.BROKEN)
            return
        if observation.models is None and host.observation is not None:
            observation = replace(observation, models=host.observation.models)
        host.foreign = foreign_of(host, observation, now)
        self._see_progress(host, observation)
        host.own_since_probe = len(host.leases)
        host.ended.clear()
        host.observation = observation
        host.take_pulse(now)
        self._take_models(host, observation, now)
        if host.loads_since is not None:
            self.memory.changed.add(name)
        follow_load(host, now, loads=observation.loading)
        host.settle(now)
        due = now >= host.changes_at
        if host.trouble is not None and (host.gone or observation.loading):
            host.trouble.came_back(now)
        host.gone = False
        self._signal(host, observation.detail, now, signal_of(observation), *self._held(host, now))
        host.let_fade(now)
        host.view = None
        self._snapshot = None
        if revision == self.revision and (due or before != (host.phase, observation.models)):
            self._changed(host)

    @staticmethod
    def _see_progress(host: Host, observation: Observation) -> None:
        """A prompt that is being read is further than it was: whoever waits for a first token there may wait longer."""
        if observation.reading is None:
            return
        before, host.reading = host.reading, dict(observation.reading)
        if any(tokens > before.get(task, tokens) for task, tokens in observation.reading):
            for lease in host.leases:
                if lease.go_on is not None:
                    lease.go_on()

    def observe_silence(self, name: str, seconds: float, now: float) -> None:
        """A probe had no answer in its time."""
        host = self._hosts[name]
        host.probed_at = now
        error = f"no answer to a probe within {seconds:g} s"
        known = host.observation or Observation(ok=False)
        host.observation = replace(known, ok=False, error=error, sleeping=False)
        self._signal(host, error, now, Signal.SILENT)
        host.gone = host.phase is Phase.DOWN

    def signal(self, name: str, signal: Signal, detail: str, now: float) -> None:
        """Takes in what the operator, or an attempt, showed of a backend. Who is no longer configured stays so."""
        host = self._hosts[name]
        if not (host.retired and signal is Signal.UNDRAIN):
            self._signal(host, detail, now, signal)

    def window(self, lease: Lease) -> int:
        """Tokens that a prompt and its answer may have there; 0: not known."""
        host = self._host_of(lease)
        served = host and host.served.get(lease.deployment.model)
        return window_of(served, lease.backend) if served else 0

    def answered(self, lease: Lease, now: float, *, doubt: bool = False) -> None:
        """An attempt has had its whole answer; `doubt`: one that looks wrong."""
        host, model = self._host_of(lease), lease.deployment.model
        if host is None:
            return
        revision, ended = self.revision, doubt
        if doubt:
            self._trouble_of(host).doubt(model, now)
        elif host.trouble is not None:
            ended = host.trouble.answer(model, lease.started, now)
        self._signal(host, "", now, Signal.ANSWERED, *self._held(host, now))
        if ended and revision == self.revision:
            self._changed(host)

    def failed(self, lease: Lease, error: UpstreamError, now: float) -> bool:
        """An attempt has failed: held against whose fault it is, and a sign of how its backend does.

        False: it says nothing against anybody, since its model still loads. To be told before the lease is released.
        """
        host, after = self._host_of(lease), AFTER[error.fault]
        if host is None:
            return False
        host.gone = host.gone or error.gone
        excused = error.fault is Fault.TIMEOUT and still_loads(host, lease, now)
        if not excused:
            self._hold_against(host, lease, error, now)
            if error.fault is Fault.TIMEOUT:
                note_silence(host, lease)
        revision = self.revision
        shown = () if after.signal is None else (after.signal,)
        # that nothing is held against it does not end a suspicion
        held = tuple(signal for signal in self._held(host, now) if signal is not Signal.MENDED)
        detail = error.message if shown else _in_brief(error) if held else ""
        self._signal(host, detail, now, *shown, *held)
        if host.trouble is not None and revision == self.revision:
            self._changed(host)
        return not excused

    def _hold_against(self, host: Host, lease: Lease, error: UpstreamError, now: float) -> None:
        """Counts a failure, and keeps requests away for as long as the backend wants."""
        model, after = lease.deployment.model, AFTER[error.fault]
        if error.fault is Fault.RATE_LIMITED or (error.retry_after and error.fault is not Fault.LOADING):
            self._trouble_of(host).pause(model, error.retry_after, now)
        if after.whose is not None:
            gone = after.leaves and (error.fault is not Fault.TIMEOUT or host.phase is Phase.DOWN)
            self._trouble_of(host).fail(model, after.whose, lease.started, now, gone=gone)

    def _trouble_of(self, host: Host) -> Trouble:
        if host.trouble is None:
            models = {served.deployment.backend_model for served in host.served.values()}
            host.trouble = Trouble(self._caution, several=len(models) > 1)
        return host.trouble

    def _held(self, host: Host, now: float) -> tuple[Signal, ...]:
        """What is held against a backend at this moment, as its phase sees it. Forgets what is over."""
        if host.trouble is None:
            return ()
        signal, host.changes_at = host.trouble.signal(now), host.trouble.changes_at(now)
        if host.trouble.is_over(now):
            host.trouble = None
        host.forget_views()
        self._snapshot = None
        return (signal,)

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Calls back with a backend's name after each change that an operator would see; returns the way out."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def _signal(self, host: Host, detail: str, now: float, *signals: Signal) -> None:
        phase = host.phase
        for signal in signals:
            phase = phases.after(phase, signal)
        if phase is host.phase:
            if phase is not Phase.DRAINING or Signal.DRAIN in signals:
                host.detail = detail or host.detail  # down for another reason than at first, say
            return
        host.phase, host.since, host.detail = phase, now, detail
        if phase is Phase.DOWN:
            host.loads_since = None
            for served in host.served.values():  # whatever comes up next may be another server
                served.prefill = served.loading_since = served.view = None
            for lease in host.leases:
                if lease.abandon:
                    lease.abandon()
        self._changed(host)

    def _changed(self, host: Host) -> None:
        self.revision += 1
        host.revision = self.revision
        host.view = None
        self._snapshot = None
        for callback in tuple(self._subscribers):
            callback(host.backend.name)

    # --------------------------------------------------------------------------------------------------- models

    def _serve(self, deployment: Deployment) -> Served:
        served = Served(deployment, self._facts.get(deployment.model, NO_FACTS))
        self.memory.tell_served(served)
        return served

    def _take_models(self, host: Host, observation: Observation, now: float) -> None:
        if observation.models is not None:
            host.served = found_on(host, observation, self._serve, now)
            host.see_residents()
            self._models = self._silent = self._gallery = None

    # --------------------------------------------------------------------------------------------------- leases

    def lease(
        self, deployment: Deployment, now: float, expected: Estimate | None = None, turn: Turn | None = None
    ) -> Lease:
        """Counts a request in. `expected`: what it will take; None: what others took here. `turn`: the one that it takes.

        A cold model counts as loading from now on, or from when its load is expected to begin.
        """
        host = self._hosts[deployment.backend]
        served = host.served[deployment.model]
        # the decision's own picture will do, unless the wait is asked for: all else in it does not age
        view = host.view if host.view and expected is not None else backend_view_of(host, now)
        if expected is None:
            expected = Estimate(0.0, 0.0, 0.0, view.service, 1.0 / served.learned.token.value, 0.0)
        lease = Lease(served, view, now, expected)
        if host.trouble is not None and (trials := host.trouble.begin(deployment.model, now)):
            lease.trials = trials
            host.forget_views()
        host.leases.add(lease)
        host.asked[deployment.model] += 1
        served.asked.add(now)
        served.used_at = now
        host.own_since_probe += 1
        host.view = None
        if lease.cold:
            served.loading_since, served.view = now + expected.queue, None
        host.settle(now)
        self._number += 1
        if turn is not None:
            self._owing = remembered(self._owing, turn)
        self._snapshot = None
        return lease

    def load(self, deployment: Deployment, now: float) -> Lease:
        """Counts in a request that wants its model in memory, and nothing else."""
        host = self._hosts[deployment.backend]
        load = load_left(host.served[deployment.model], now)
        lease = self.lease(deployment, now, Estimate(0.0, load, 0.0, 0.0, 1.0, 0.0))
        self._changed(host)
        return lease

    def loaded(self, lease: Lease, now: float) -> None:
        """The model is in memory, so the request for that is over; how long it took is learned, unless it waited."""
        self.first_token(lease, now)
        host = self._host_of(lease)
        served = host.served.get(lease.deployment.model) if host else None
        if host and served is not None and lease.cold:
            if not lease.waited:
                served.learned.learn_load(now - lease.started, now)
                self.memory.changed.add(host.backend.name)
            self.answered(lease, now)
        self.release(lease, None, now)
        if host:
            self._changed(host)

    def first_token(self, lease: Lease, now: float) -> None:
        """The deployment answers: it is warm, and its backend is no longer given up for this request."""
        lease.abandon = lease.go_on = None
        host = self._host_of(lease)
        if host is not None:
            host.begin_answer(lease, now)
            host.view = None
            self._snapshot = None
        served = host.served.get(lease.deployment.model) if host else None
        if served is not None:
            served.stalls = 0
        if host and served is not None and served.loading_since is not None:
            served.loading_since = None
            if served.status:
                served.status = replace(served.status, state=LoadState.LOADED)
            host.settle(now)
            served.view = None
            self._snapshot = None

    def release(self, lease: Lease, lesson: Lesson | None, now: float) -> None:
        """Counts a request out and learns from it; `lesson` None: it taught nothing (cancelled, the caller's mistake)."""
        host = self._host_of(lease)
        if host is None:
            return
        for breaker in lease.trials:
            breaker.trying = False
            host.forget_views()
        beside = host.beside(lease, now)
        host.leases.discard(lease)
        host.asked[lease.deployment.model] -= 1
        host.settle(now)
        host.ended.append(now)
        host.view = None
        self._snapshot = None
        self._note_empty(host, now)
        served = host.served.get(lease.deployment.model)
        if served is None:
            return
        served.used_at = now
        if lesson is None or lesson.failed:
            give_up_load(host, served)
        if lesson is not None:
            self.memory.changed.add(host.backend.name)
            host.see_company(lease)
            lesson.slowdown = host.contention.slowdown(beside)
            slower = host.speed.learn(lesson, served.learned, now)
            if slower is not None:
                host.contention.learn(beside, slower, now)
            served.learned.learn(lesson, now)
            host.rescale()
            for other in self._hosts.values():  # they share the length of its answers
                if same := other.served.get(lease.deployment.model):
                    same.view = None
            if not lesson.failed and lesson.first_token is not None:
                served.learned.spread.learn(lease.expected.total, now - lease.started)
                host.service.add(max(0.01, seconds_of_service(lesson, served.learned.load.value)), now)

    def _host_of(self, lease: Lease) -> Host | None:
        """Where a request is counted; None: another server has that name by now."""
        host = self._hosts.get(lease.backend.name)
        return host if host is not None and lease in host.leases else None

    def _note_empty(self, host: Host, now: float) -> None:
        """A drained backend has ended its last request."""
        if host.phase is not Phase.DRAINING or host.leases:
            return
        if host.retired:
            host.leave(now)
            self.memory.keep(host, now)
            del self._hosts[host.backend.name]
            self._models = self._silent = self._gallery = None
        self._changed(host)

    # ---------------------------------------------------------------------------------------------------- views

    def models(self) -> Mapping[str, None]:
        """The public names of all models, as keys. They last, while each request makes a snapshot out of date."""
        if self._models is None:
            self._models = {model: None for host in self._hosts.values() for model in host.served}
        return self._models

    def silent(self) -> Sequence[str]:
        """The backends that have never told what they serve, sorted; they last as `models` does."""
        if self._silent is None:
            told = {
                n
                for n, host in self._hosts.items()
                if host.observation and host.observation.models is not None
            }
            self._silent = sorted(self._hosts.keys() - told)
        return self._silent

    def snapshot(self, now: float) -> Snapshot:
        """The picture that decisions look at; the same object as long as nothing changed."""
        if now >= self._stale_at:
            self._snapshot = None
            for host in self._hosts.values():
                if host.trouble is not None:
                    host.forget_views()
        if self._snapshot is not None and not self._is_loading:
            return self._with_time(self._snapshot, now)
        gallery = self._gallery_at(now)
        self._snapshot = Snapshot(
            backends={name: backend_view_of(host, now) for name, host in self._hosts.items()},
            by_model=gallery.by_model,
            auto=gallery.auto,
            number=self._number,
            owing=self._owing,
        )
        troubles = [host.trouble for host in self._hosts.values() if host.trouble is not None]
        self._stale_at = min((trouble.changes_at(now) for trouble in troubles), default=inf)
        if troubles:
            self._snapshot.at = now
        return self._snapshot

    def _gallery_at(self, now: float) -> Gallery:
        """All deployments; the same object as long as none of them changed: most requests change their backend only."""
        self._is_loading = False
        for host in self._hosts.values():
            for served in host.served.values():
                loads = served.loading_since is not None  # what is left of it changes with time
                if loads or served.view is None:
                    served.view = view_of(served, host, now)
                    self._gallery = None
                    self._is_loading = self._is_loading or loads
        if self._gallery is None:
            pairs = [pair for host in self._hosts.values() for pair in host.served.items()]
            self._gallery = gallery_of((model, served.view) for model, served in pairs if served.view)
        return self._gallery

    def _with_time(self, snapshot: Snapshot, now: float) -> Snapshot:
        """The same picture, with what is left of the requests in flight by now, and of what is held against backends."""
        if snapshot.at and snapshot.at != now:
            snapshot = self._snapshot = replace(snapshot, at=now)
        busy = [host for host in self._hosts.values() if host.leases and host.view_at != now]
        if busy:
            fresh = {host.backend.name: backend_view_of(host, now) for host in busy}
            self._snapshot = replace(snapshot, backends={**snapshot.backends, **fresh})
            return self._snapshot
        return snapshot

    def view(self, deployment: Deployment, now: float) -> DeploymentView | None:
        """One deployment at this moment; None if it is no longer there."""
        views = self.snapshot(now).by_model.get(deployment.model, ())
        return next((view for view in views if view.deployment == deployment), None)

    def prefill(self, deployment: Deployment) -> Prefill | None:
        """How a deployment takes the beginning of an answer; None: not known."""
        host = self._hosts[deployment.backend]
        served = host.served.get(deployment.model)
        return (served and served.prefill) or host.backend.prefill

    def note_prefill(self, deployment: Deployment, prefill: Prefill) -> None:
        """What was seen of how a deployment takes the beginning of an answer."""
        served = self._hosts[deployment.backend].served.get(deployment.model)
        if served is not None and served.deployment == deployment:
            served.prefill, served.view, self._snapshot = prefill, None, None

    def load_fraction(self, deployment: Deployment, now: float) -> float:
        """How much of the load of a model is done, 0..1, as its server tells or by how long it usually takes."""
        host = self._hosts.get(deployment.backend)
        served = host.served.get(deployment.model) if host is not None else None
        if served is None or not served.learned.load.value:
            return 0.0
        return max(0.0, 1.0 - load_left(served, now) / served.learned.load.value)

    def progress(self, lease: Lease, now: float) -> Progress:
        """What a request waits for that was sent and has no first token yet."""
        host, passed, expected = self._hosts.get(lease.backend.name), now - lease.started, lease.expected
        served = host.served.get(lease.deployment.model) if host else None
        left = max(0.0, expected.time_to_first_token - passed)
        if served is not None and served.state in (*COLD, LoadState.LOADING):
            asleep = served.status is not None and served.status.state is LoadState.SLEEPING
            fraction = self.load_fraction(lease.deployment, now)
            return Progress("WAKING" if asleep else "LOADING", left, fraction=fraction)
        return Progress("QUEUED" if passed < expected.queue else "PREFILLING", left)

    def timed(self, deployment: Deployment, now: float) -> Timed:
        """How long its loads and first tokens take at most, but for one in twenty."""
        served = self._hosts[deployment.backend].served.get(deployment.model)
        return served.learned.timed(now) if served is not None else Timed()

    def names(self) -> list[str]:
        """The backends' names, sorted."""
        return sorted(self._hosts)

    def backend(self, name: str) -> Backend:
        """One backend as it was set up."""
        return self._hosts[name].backend

    def in_flight(self, name: str) -> int:
        """Requests of ours on one backend."""
        return len(self._hosts[name].leases)

    def has_room(self, key: tuple[str, str]) -> bool:
        """Whether a (backend, model) takes one more request at once."""
        host = self._hosts.get(key[0])
        return host is not None and host.has_room(key[1])

    def has_any_room(self, models: Collection[str] | None) -> bool:
        """Whether some backend that answers takes one more request of one of these models at once; None: of any."""
        answering = (host for host in self._hosts.values() if host.phase in ANSWERING)
        return any(
            host.has_room(model)
            for host in answering
            for model in host.served
            if models is None or model in models
        )

    def phase(self, name: str) -> Phase:
        """The phase of one backend."""
        return self._hosts[name].phase

    def probed_at(self, name: str) -> float | None:
        """When a backend was last looked at; None: never."""
        return self._hosts[name].probed_at

    def detail(self, name: str) -> str:
        """Why it is in that phase, in words."""
        return self._hosts[name].detail

    def is_loading(self, name: str) -> bool:
        """One of its models is being loaded, as far as we know."""
        return any(served.loading_since is not None for served in self._hosts[name].served.values())

    def is_doubted(self, name: str) -> bool:
        """Its last probe had no answer, and it is not known to be down."""
        return self._hosts[name].is_doubted

    def is_asleep(self, name: str) -> bool:
        """It answers nothing until it is woken."""
        host = self._hosts[name]
        return host.phase is Phase.DOWN and host.observation is not None and host.observation.sleeping

    def stalled(self, name: str) -> Deployment | None:
        """A model there that is in memory and has stopped answering; None: there is none."""
        host = self._hosts.get(name)
        return None if host is None or host.phase is Phase.DOWN else stalled_on(host)

    def is_left_alone(self, deployment: Deployment) -> bool:
        """Nothing of ours is in flight for its model there, and nothing of others is seen on its backend."""
        return is_left_alone(self._hosts[deployment.backend], deployment)

    def unloaded(self, deployment: Deployment, now: float) -> None:
        """It had stopped answering, and was dropped from memory: another process will load it."""
        host = self._hosts.get(deployment.backend)
        served = host.served.get(deployment.model) if host else None
        if host is None or served is None:
            return
        served.stalls, served.unloaded_at = 0, now
        if host.trouble is not None:
            host.trouble.restarted(deployment.model, now)
            self._signal(host, "", now, *self._held(host, now))
        self._changed(host)

    def changes_in(self, name: str, now: float) -> float:
        """Seconds until something that is held against it ends or changes by itself; inf: not with time."""
        trouble = self._hosts[name].trouble
        return inf if trouble is None else max(0.0, trouble.changes_at(now) - now)

    def report(self, name: str, now: float) -> BackendReport:
        """What an operator sees of one backend; KeyError if there is none of that name."""
        return replace(report_of(self._hosts[name], now), queued=self.waits(name))


def _in_brief(error: UpstreamError) -> str:
    """Without the backend's own words, which may repeat what it was asked."""
    return f"HTTP {error.http_status}" if error.http_status else error.fault.replace("_", " ").lower()


__all__ = ["Fleet", "Lease"]
