"""The only mutable state of the daemon: backends, their models, warmth, what is in flight, what was learned.

Every method is synchronous, so that on one event loop each change is whole. Nothing awaits between `snapshot` and
`lease`. Times are seconds of one monotonic clock, and always an argument.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from zoe_grpcd.core import phases
from zoe_grpcd.core.domain import Backend, Deployment, LoadState, ModelFacts, ModelStatus, Observation, Phase
from zoe_grpcd.core.estimate import queue_seconds, sharing
from zoe_grpcd.core.learning import Learned, Lesson, seconds_of_service
from zoe_grpcd.core.phases import Signal
from zoe_grpcd.core.speed import Speed
from zoe_grpcd.core.usage import DecayedMean
from zoe_grpcd.core.views import BackendReport, BackendView, DeploymentView, ModelReport, Snapshot

COLD = {LoadState.UNLOADED, LoadState.SLEEPING, LoadState.FAILED}
# A load that takes longer than expected is taken to need this share of it still.
LOAD_TAIL = 0.1
# A request is taken to need at least this share of its time so far still: the lengths of answers have long tails.
LONG_TAIL = 0.5
# A server that was asked for a model begins to load it within this, unless it waits for memory (seconds).
LOAD_BEGINS = 0.5
STEADY = 0.01  # a pace that differs by less is none
NO_FACTS = ModelFacts()
# A server's own expiry that moved this much without us shows that somebody else uses the model.
EXPIRY_DRIFT = 1.0


class Lease:
    """One request's place on a deployment, from the decision to its last byte. Given back by `Fleet.release`."""

    __slots__ = ("abandon", "backend", "cold", "deployment", "due", "facts", "slowdown", "started", "waited")

    def __init__(self, served: "_Served", view: BackendView, started: float) -> None:
        self.deployment = served.deployment
        self.backend = view.backend
        self.facts = served.facts
        self.started = started
        self.due = started  # when it is expected to end
        self.cold = served.state in COLD
        # for a slot, or for a load that began before it
        self.waited = view.in_flight + view.foreign >= view.slots or served.state is LoadState.LOADING
        self.slowdown = sharing(view)
        self.abandon: Callable[[], None] | None = (
            None  # called when the backend is found dead before the first token
        )


class _Served:
    """A deployment's state."""

    __slots__ = ("deployment", "facts", "learned", "loading_since", "served", "status", "view")

    def __init__(self, deployment: Deployment, facts: ModelFacts) -> None:
        self.deployment = deployment
        self.facts = facts
        self.status: ModelStatus | None = None
        self.learned = Learned(parameters=facts.parameters)
        self.served = True
        self.loading_since: float | None = None
        self.view: DeploymentView | None = None

    @property
    def state(self) -> LoadState:
        """The model's state; nothing known yet counts as loaded, as a server with one model is."""
        if self.loading_since is not None:
            return LoadState.LOADING
        return self.status.state if self.status else LoadState.LOADED


class _Host:
    """A backend's state."""

    def __init__(self, backend: Backend, configured: Sequence[Deployment], now: float, usual: Speed) -> None:
        self.backend = backend
        self.configured = tuple(configured)
        self.phase = Phase.UNKNOWN
        self.since = now
        self.detail = "not probed yet"
        self.observation: Observation | None = None
        self.probed_at: float | None = None
        self.leases: set[Lease] = set()
        self.ended: deque[float] = deque(maxlen=256)  # when requests of ours ended since the last probe
        self.served: dict[str, _Served] = {}
        self.foreign = 0
        self.own_since_probe = 0
        self.service = DecayedMean(5.0, prior_weight=0.3)
        self.speed = Speed(usual)
        self.revision = 0
        self.view: BackendView | None = None
        self.view_at = now

    @property
    def slots(self) -> int:
        told = self.observation.slots if self.observation else None
        return max(1, told or self.backend.max_in_flight or self.backend.usual_slots)

    @property
    def model_slots(self) -> int:
        """Slots of one model: a server that tells its slots tells the sum over the models that it has loaded."""
        if self.observation is None or not self.observation.slots:
            return self.slots
        loaded = sum(served.state is LoadState.LOADED for served in self.served.values())
        return max(1, self.slots // max(1, loaded))

    def remaining(self, now: float) -> dict[str, tuple[float, ...]]:
        """Seconds until each request of ours is expected to end, by model, ascending."""
        ends: dict[str, tuple[float, ...]] = {}
        left = sorted(
            (max(lease.due - now, LONG_TAIL * (now - lease.started)), lease.deployment.model)
            for lease in self.leases
        )
        for seconds, model in left:
            ends[model] = (*ends.get(model, ()), seconds)
        return ends

    def swapping(self, now: float) -> bool:
        """Somebody of ours waits for a load that the server has not begun."""
        return any(
            served.loading_since is not None
            and now - served.loading_since > LOAD_BEGINS
            and served.status is not None
            and served.status.state is LoadState.UNLOADED
            for served in self.served.values()
        )


class Fleet:
    """All backends. `facts` and `deployments` are what the operator states about models."""

    def __init__(
        self, facts: Mapping[str, ModelFacts] | None = None, deployments: Sequence[Deployment] = ()
    ) -> None:
        self._facts = dict(facts or {})
        self._deployments = tuple(deployments)
        self._hosts: dict[str, _Host] = {}
        self._subscribers: list[Callable[[str], None]] = []
        self._usual = Speed()  # of all backends
        # An answer's length is a matter of the model, whoever runs it; a mean for each backend would compare their luck.
        self._output_tokens: dict[str, DecayedMean] = {}
        self._snapshot: Snapshot | None = None
        self.revision = 0

    # ------------------------------------------------------------------------------------------------- backends

    def add(self, backend: Backend, now: float) -> None:
        """Takes in a backend; its models are unknown until the first probe, but for the configured ones."""
        configured = [d for d in self._deployments if d.backend == backend.name]
        host = self._hosts[backend.name] = _Host(backend, configured, now, self._usual)
        host.served = {d.model: self._serve(d) for d in configured}
        self._changed(host)

    def observe(self, name: str, observation: Observation, now: float) -> None:
        """Takes in what a probe saw."""
        host = self._hosts[name]
        before = (host.phase, host.observation and host.observation.models)
        revision, host.probed_at = self.revision, now
        if not observation.ok:
            host.observation = replace(host.observation or observation, ok=False, error=observation.error)
            self._signal(host, Signal.BROKEN, observation.error, now)
            return
        if observation.models is None and host.observation is not None:
            observation = replace(observation, models=host.observation.models)
        host.foreign = self._foreign(host, observation, now)
        host.own_since_probe = len(host.leases)
        host.ended.clear()
        host.observation = observation
        self._take_models(host, observation, now)
        self._signal(host, _signal_of(observation), observation.detail, now)
        _let_fade(host, now)
        host.view = None
        self._snapshot = None
        if revision == self.revision and before != (host.phase, observation.models):
            self._changed(host)

    def observe_silence(self, name: str, seconds: float, now: float) -> None:
        """A probe had no answer in its time."""
        host = self._hosts[name]
        host.probed_at = now
        error = f"no answer to a probe within {seconds:g} s"
        host.observation = replace(host.observation or Observation(ok=False), ok=False, error=error)
        self._signal(host, Signal.SILENT, error, now)

    def signal(self, name: str, signal: Signal, detail: str, now: float) -> None:
        """Takes in what an attempt, or the operator, showed of a backend."""
        self._signal(self._hosts[name], signal, detail, now)

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Calls back with a backend's name after each change that an operator would see; returns the way out."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def _signal(self, host: _Host, signal: Signal, detail: str, now: float) -> None:
        phase = phases.after(host.phase, signal)
        if phase is host.phase:
            return
        host.phase, host.since, host.detail = phase, now, detail
        if phase is Phase.DOWN:
            for lease in host.leases:
                if lease.abandon:
                    lease.abandon()
        self._changed(host)

    def _changed(self, host: _Host) -> None:
        self.revision += 1
        host.revision = self.revision
        host.view = None
        self._snapshot = None
        for callback in tuple(self._subscribers):
            callback(host.backend.name)

    # --------------------------------------------------------------------------------------------------- models

    def _serve(self, deployment: Deployment) -> _Served:
        served = _Served(deployment, self._facts.get(deployment.model, NO_FACTS))
        learned = served.learned
        learned.output_tokens = self._output_tokens.setdefault(deployment.model, learned.output_tokens)
        return served

    def _take_models(self, host: _Host, observation: Observation, now: float) -> None:
        if observation.models is None:
            return
        found: dict[str, _Served] = {}
        for deployment in host.configured:
            served = found[deployment.model] = host.served.get(deployment.model) or self._serve(deployment)
            status = next((s for s in observation.models if _is_named(s, deployment.backend_model)), None)
            serves = status is not None or observation.loading  # who knows what a loading server will have
            if served.served is not serves:
                served.served, served.view = serves, None
            if status:
                self._take_status(served, status, now)
        taken = {d.backend_model for d in host.configured}
        for status in observation.models:
            public = status.alias or status.name
            if public in found:
                continue
            stands = any(_is_named(status, name) for name in taken)
            deployment = Deployment(public, host.backend.name, status.name, auto=not stands)
            known = host.served.get(public)
            # the same name for another file is another model: nothing that was learned holds
            served = known if known and known.deployment == deployment else self._serve(deployment)
            self._take_status(served, status, now)
            found[public] = served
        host.served = found

    @staticmethod
    def _take_status(served: _Served, status: ModelStatus, now: float) -> None:
        if status == served.status and served.loading_since is None:
            return
        served.learned.assume(status.size_bytes, served.facts.parameters or status.parameters)
        if status.state is LoadState.LOADING:
            served.loading_since = now if served.loading_since is None else served.loading_since
        elif (
            status.state is LoadState.LOADED
            or served.status is None
            or status.state is not served.status.state
        ):
            served.loading_since = None
        served.status = status
        served.view = None

    @staticmethod
    def _foreign(host: _Host, observation: Observation, now: float) -> int:
        """Work on the backend that is not ours: slots that are busy beyond our own, or an expiry that moved by itself."""
        ours = len(host.leases)
        if observation.busy is not None:
            # what ended while the probe was on its way may be among the busy ones
            just_ended = sum(1 for at in host.ended if at >= now - observation.duration)
            return max(0, observation.busy + (observation.deferred or 0) - ours - just_ended)
        if ours or host.own_since_probe or not host.observation:
            return 0
        before = {m.name: m.expire_at for m in host.observation.models or () if m.expire_at}
        after = {m.name: m.expire_at for m in observation.models or () if m.expire_at}
        return sum(1 for name, at in after.items() if name in before and at - before[name] > EXPIRY_DRIFT)

    # --------------------------------------------------------------------------------------------------- leases

    def lease(self, deployment: Deployment, now: float, expected: float | None = None) -> Lease:
        """Counts a request in, which is expected to take so long (seconds; None: as others did here).

        A cold model counts as loading from now on.
        """
        host = self._hosts[deployment.backend]
        served = host.served[deployment.model]
        view = self._backend_view(host, now)
        lease = Lease(served, view, now)
        lease.due = now + (queue_seconds(view) + view.service if expected is None else expected)
        host.leases.add(lease)
        host.own_since_probe += 1
        host.view = None
        if lease.cold:
            served.loading_since, served.view = now, None
        self._snapshot = None
        return lease

    def first_token(self, lease: Lease) -> None:
        """The deployment answers: it is warm, and its backend is no longer given up for this request."""
        lease.abandon = None
        host = self._hosts.get(lease.backend.name)
        served = host.served.get(lease.deployment.model) if host else None
        if served is not None and served.loading_since is not None:
            served.loading_since = None
            if served.status:
                served.status = replace(served.status, state=LoadState.LOADED)
            served.view = None
            self._snapshot = None

    def release(self, lease: Lease, lesson: Lesson | None, now: float) -> None:
        """Counts a request out and learns from it; `lesson` None: it taught nothing (cancelled, the caller's mistake)."""
        host = self._hosts.get(lease.backend.name)
        if host is None or lease not in host.leases:
            return
        host.leases.discard(lease)
        host.ended.append(now)
        host.view = None
        self._snapshot = None
        served = host.served.get(lease.deployment.model)
        if served is None:
            return
        if lesson is None or lesson.failed:
            self._give_up_load(host, served)
        if lesson is not None:
            host.speed.learn(lesson, served.learned, now)
            served.learned.learn(lesson, now)
            _rescale(host)
            for other in self._hosts.values():  # they share the length of its answers
                if same := other.served.get(lease.deployment.model):
                    same.view = None
            if not lesson.failed and lesson.first_token is not None:
                host.service.add(max(0.01, seconds_of_service(lesson, served.learned.load.value)), now)

    @staticmethod
    def _give_up_load(host: _Host, served: _Served) -> None:
        """Nobody of ours waits for this load any longer: whether it goes on, the next probe will tell."""
        waits = any(lease.deployment == served.deployment for lease in host.leases)
        told = served.status is not None and served.status.state is LoadState.LOADING
        if served.loading_since is not None and not waits and not told:
            served.loading_since = None
            served.view = None

    # ---------------------------------------------------------------------------------------------------- views

    def snapshot(self, now: float) -> Snapshot:
        """The picture that decisions look at; the same object as long as nothing changed."""
        loading = [s for h in self._hosts.values() for s in h.served.values() if s.loading_since is not None]
        if self._snapshot is not None and not loading:
            return self._with_time(self._snapshot, now)
        for served in loading:
            served.view = None
        by_model: dict[str, list[DeploymentView]] = {}
        for host in self._hosts.values():
            for model, served in host.served.items():
                if served.view is None:
                    served.view = _view(served, host.backend, now, host.speed.pace(now))
                by_model.setdefault(model, []).append(served.view)
        self._snapshot = Snapshot(
            backends={name: self._backend_view(host, now) for name, host in self._hosts.items()},
            by_model={model: tuple(views) for model, views in by_model.items()},
            auto=tuple(v for views in by_model.values() for v in views if v.deployment.auto and _can_chat(v)),
        )
        return self._snapshot

    def _with_time(self, snapshot: Snapshot, now: float) -> Snapshot:
        """The same picture, with what is left of the requests in flight by now."""
        busy = [host for host in self._hosts.values() if host.leases and host.view_at != now]
        if busy:
            fresh = {host.backend.name: self._backend_view(host, now) for host in busy}
            self._snapshot = replace(snapshot, backends={**snapshot.backends, **fresh})
            return self._snapshot
        return snapshot

    @staticmethod
    def _backend_view(host: _Host, now: float) -> BackendView:
        if host.view is None or (host.leases and host.view_at != now):
            host.view_at = now
            host.view = BackendView(
                host.backend,
                host.phase,
                len(host.leases),
                host.foreign,
                host.slots,
                host.service.value,
                host.model_slots,
                host.remaining(now),
                host.swapping(now),
            )
        return host.view

    def names(self) -> list[str]:
        """The backends' names, sorted."""
        return sorted(self._hosts)

    def backend(self, name: str) -> Backend:
        """One backend as it was set up."""
        return self._hosts[name].backend

    def in_flight(self, name: str) -> int:
        """Requests of ours on one backend."""
        return len(self._hosts[name].leases)

    def phase(self, name: str) -> Phase:
        """The phase of one backend."""
        return self._hosts[name].phase

    def detail(self, name: str) -> str:
        """Why it is in that phase, in words."""
        return self._hosts[name].detail

    def is_loading(self, name: str) -> bool:
        """One of its models is being loaded, as far as we know."""
        return any(served.loading_since is not None for served in self._hosts[name].served.values())

    def report(self, name: str, now: float) -> BackendReport:
        """What an operator sees of one backend; KeyError if there is none of that name."""
        host = self._hosts[name]
        seen = host.observation or Observation(ok=False)
        learned = [s.learned for s in host.served.values() if s.learned.token.weight > 0]
        windows = [s.learned.ttft for s in host.served.values()]
        ttft = [(window.quantile(0.5, now), window.quantile(0.95, now)) for window in windows]
        success = min((s.learned.success.at(now) for s in host.served.values()), default=1.0)
        return BackendReport(
            host.backend,
            host.phase,
            host.detail,
            host.since,
            tuple(_model_report(served, host.backend, now) for _, served in sorted(host.served.items())),
            in_flight=len(host.leases),
            max_in_flight=host.backend.max_in_flight or host.slots,
            foreign=host.foreign,
            deferred=seen.deferred or 0,
            tokens_per_second=max((1 / x.token.value for x in learned), default=0.0),
            prefill_tokens_per_second=max(
                (1 / x.prefill.value for x in learned if x.prefill.weight), default=0.0
            ),
            error_ratio=1.0 - success,
            ttft_p50=max((a for a, _ in ttft if a is not None), default=None),
            ttft_p95=max((b for _, b in ttft if b is not None), default=None),
            kv_cache_usage=seen.kv_cache_usage,
            probed_at=host.probed_at,
            probe_ok=seen.ok,
            probe_error=seen.error,
            probe_duration=seen.duration,
            revision=host.revision,
        )


def _signal_of(observation: Observation) -> Signal:
    if observation.loading:
        return Signal.LOADING
    full = (
        observation.slots is not None
        and observation.busy is not None
        and observation.busy >= observation.slots
    )
    return Signal.FULL if full else Signal.IDLE


def _let_fade(host: _Host, now: float) -> None:
    """Has the views made anew that show failures or a slow spell: both are forgotten with time, so that it gets another
    chance.
    """
    _rescale(host, views=abs(host.speed.pace(now) - 1.0) > STEADY)
    for served in host.served.values():
        if served.learned.success.value < 1.0:
            served.view = None


def _rescale(host: _Host, *, views: bool = True) -> None:
    """What the backend showed of its speed is true of all its models."""
    for served in host.served.values():
        served.learned.scale(host.speed.reading, host.speed.writing)
        if views or not served.learned.token.weight:
            served.view = None


def _is_named(status: ModelStatus, name: str) -> bool:
    return name in (status.name, status.alias) or f"{name}:latest" == status.name


def _can_chat(view: DeploymentView) -> bool:
    return "chat" in view.capabilities


def _load_left(served: _Served, now: float) -> float:
    state = served.state
    if state is LoadState.LOADED:
        return 0.0
    whole = served.learned.load.value
    if state is not LoadState.LOADING:
        return whole
    if served.status and served.status.load_fraction is not None and served.status.state is LoadState.LOADING:
        return whole * max(LOAD_TAIL, 1.0 - served.status.load_fraction)
    since = now if served.loading_since is None else served.loading_since
    return max(whole * LOAD_TAIL, whole - (now - since))


def _view(served: _Served, backend: Backend, now: float, pace: float = 1.0) -> DeploymentView:
    facts, status, learned = served.facts, served.status, served.learned
    told = (status.capabilities if status else frozenset({"chat"})) | backend.assumed
    return DeploymentView(
        served.deployment,
        served.state,
        told | facts.capabilities if facts.capabilities else told,
        context_tokens=_window(served, backend),
        parameters=facts.parameters or (status.parameters if status else None),
        quality=facts.quality,
        load_seconds=_load_left(served, now),
        seconds_per_prompt_token=learned.prefill.value * pace,
        seconds_per_token=learned.token.value * pace,
        overhead_seconds=learned.overhead.value,
        output_tokens=learned.output_tokens.value,
        bytes_per_token=learned.bytes_per_token.value,
        bytes_known=learned.bytes_per_token.weight >= 1.0,
        success=learned.success.at(now),
        input_usd_per_token=facts.input_usd_per_mtok / 1e6,
        output_usd_per_token=facts.output_usd_per_mtok / 1e6,
        served=served.served,
    )


def _window(served: _Served, backend: Backend) -> int:
    """The window that a request gets: the bundle's num_ctx decides where the kind sets its window by request (such
    kinds truncate), then the operator's word, then the server's.
    """
    told = (served.status.context_tokens if served.status else None) or 0
    bundle = served.deployment.backend_options.get("num_ctx")
    if isinstance(bundle, int) and backend.truncates:
        return bundle
    return served.facts.context_tokens or told


def _model_report(served: _Served, backend: Backend, now: float) -> ModelReport:
    view, status = _view(served, backend, now), served.status or ModelStatus(served.deployment.backend_model)
    fraction = 1.0 if view.state is LoadState.LOADED else status.load_fraction or 0.0
    return ModelReport(
        served.deployment,
        view.state,
        fraction,
        view.context_tokens,
        view.capabilities,
        view.parameters,
        status.expire_at,
        status.size_bytes,
        status.vram_bytes,
        view.load_seconds,
    )
