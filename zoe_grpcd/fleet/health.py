"""How the backends do: what probes and attempts show of them moves their phase, or is held against them.

Rule: `move` is the only place where a phase changes, and `core.phases` says to which.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import inf

from zoe_grpcd.core import phases
from zoe_grpcd.core.backend import Deployment, Phase
from zoe_grpcd.core.breaker import Caution
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.observation import Observation
from zoe_grpcd.core.phases import Signal
from zoe_grpcd.core.recovery import AFTER
from zoe_grpcd.fleet.catalogue import Catalogue
from zoe_grpcd.fleet.found import follow_load, still_loads
from zoe_grpcd.fleet.host import Host, host_of
from zoe_grpcd.fleet.lease import Lease
from zoe_grpcd.fleet.memory import Memory
from zoe_grpcd.fleet.picture import Picture
from zoe_grpcd.fleet.probes import foreign_of, signal_of
from zoe_grpcd.fleet.stalls import doubtful_on, note_departure, note_silence, stalled_on
from zoe_grpcd.fleet.trouble import Trouble


class Health:
    """Of one fleet. `caution`: what is held against backends that fail."""

    def __init__(
        self,
        hosts: Mapping[str, Host],
        catalogue: Catalogue,
        picture: Picture,
        memory: Memory,
    ) -> None:
        self._hosts = hosts
        self._catalogue = catalogue
        self._picture = picture
        self._memory = memory
        self.caution = Caution()

    def observe(self, name: str, observation: Observation, now: float) -> None:
        """Takes in what a probe saw."""
        host = self._hosts[name]
        before = _shown(host)
        revision, host.probed_at = self._picture.revision, now
        if not observation.ok:
            known, slept = host.observation or observation, host.is_asleep
            models = known.models if observation.models is None else observation.models
            host.observation = replace(
                known, ok=False, error=observation.error, sleeping=observation.sleeping, models=models
            )
            if not host.served:  # one that sleeps says what it would serve
                self._catalogue.take(host, host.observation, now)
            host.gone = True
            host.foreign = 0  # whoever was served there is so no longer
            host.settle(now)
            host.view = self._picture.current = None
            self.move(host, observation.error, now, Signal.BROKEN)
            if revision == self._picture.revision and slept is not host.is_asleep:
                self._picture.changed(host)
            return
        if observation.models is None and host.observation is not None:
            observation = replace(observation, models=host.observation.models)
        host.foreign = foreign_of(host, observation, now)
        self._see_progress(host, observation)
        host.own_since_probe = len(host.leases)
        host.ended.clear()
        host.observation = observation
        host.take_pulse(now)
        self._catalogue.take(host, observation, now)
        if host.loads_since is not None:
            self._memory.changed.add(name)
        follow_load(host, now, loads=observation.loading)
        host.settle(now)
        due = now >= host.changes_at
        if host.trouble is not None and (host.gone or observation.loading):
            host.trouble.came_back(now)
        host.gone = False
        self.move(host, observation.detail, now, signal_of(observation), *self._held(host, now))
        host.let_fade(now)
        host.view = None
        self._picture.current = None
        if revision == self._picture.revision and (due or before != _shown(host)):
            self._picture.changed(host)

    @staticmethod
    def _see_progress(host: Host, observation: Observation) -> None:
        """A prompt that is being read is further than it was, or answers are: whoever waits for a first token behind them
        may wait longer.
        """
        since = host.got_on_from()
        if observation.reading is not None:
            before, host.reading = host.reading, dict(observation.reading)
            if any(tokens > before.get(task, tokens) for task, tokens in observation.reading):
                since = -inf
        for lease in host.leases:
            if lease.go_on is not None and lease.started >= since:
                lease.go_on()

    def observe_silence(self, name: str, seconds: float, now: float) -> None:
        """A probe had no answer in its time."""
        host = self._hosts[name]
        host.probed_at = now
        error = f"no answer to a probe within {seconds:g} s"
        known = host.observation or Observation(ok=False)
        host.observation = replace(known, ok=False, error=error, sleeping=False)
        self.move(host, error, now, Signal.SILENT)
        host.gone = host.phase is Phase.DOWN

    def signal(self, name: str, signal: Signal, detail: str, now: float) -> None:
        """Takes in what the operator, or an attempt, showed of a backend. Who is no longer configured stays so."""
        host = self._hosts[name]
        if not (host.retired and signal is Signal.UNDRAIN):
            self.move(host, detail, now, signal)

    def answered(self, lease: Lease, now: float, *, doubt: bool = False) -> None:
        """An attempt has had its whole answer; `doubt`: one that looks wrong."""
        host, model = host_of(self._hosts, lease), lease.deployment.model
        if host is None:
            return
        revision, ended = self._picture.revision, doubt
        if doubt:
            self._trouble_of(host).doubt(model, now)
        elif host.trouble is not None:
            ended = host.trouble.answer(model, lease.started, now)
        self.move(host, "", now, Signal.ANSWERED, *self._held(host, now))
        if ended and revision == self._picture.revision:
            self._picture.changed(host)

    def failed(self, lease: Lease, error: UpstreamError, now: float) -> bool:
        """An attempt has failed: held against whose fault it is, and a sign of how its backend does.

        False: it says nothing against anybody, since its model still loads. To be told before the lease is released.
        """
        host, after = host_of(self._hosts, lease), AFTER[error.fault]
        if host is None:
            return False
        host.gone = host.gone or error.gone
        excused = error.fault is Fault.TIMEOUT and still_loads(host, lease, now)
        if not excused:
            self._hold_against(host, lease, error, now)
            if error.fault is Fault.TIMEOUT:
                note_silence(host, lease)
        revision = self._picture.revision
        shown = () if after.signal is None else (after.signal,)
        # that nothing is held against it does not end a suspicion
        held = tuple(signal for signal in self._held(host, now) if signal is not Signal.MENDED)
        detail = error.message if shown else _in_brief(error) if held else ""
        self.move(host, detail, now, *shown, *held)
        if host.trouble is not None and revision == self._picture.revision:
            self._picture.changed(host)
        return not excused

    def departed(self, lease: Lease, now: float) -> None:
        """Nobody waits any longer for the first token of an attempt. To be told before the lease is released."""
        host = host_of(self._hosts, lease)
        if host is not None and note_departure(host, lease, now):
            self._picture.changed(host)

    def unloaded(self, deployment: Deployment, now: float) -> None:
        """It had stopped answering, and was dropped from memory: another process will load it."""
        host = self._hosts.get(deployment.backend)
        served = host.served.get(deployment.model) if host else None
        if host is None or served is None:
            return
        served.stalls, served.left, served.unloaded_at = 0, 0, now
        if host.trouble is not None:
            host.trouble.restarted(deployment.model, now)
            self.move(host, "", now, *self._held(host, now))
        self._picture.changed(host)

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
            host.trouble = Trouble(self.caution, several=len(models) > 1)
        return host.trouble

    def _held(self, host: Host, now: float) -> tuple[Signal, ...]:
        """What is held against a backend at this moment, as its phase sees it. Forgets what is over."""
        if host.trouble is None:
            return ()
        signal, host.changes_at = host.trouble.signal(now), host.trouble.changes_at(now)
        if host.trouble.is_over(now):
            host.trouble = None
        host.forget_views()
        self._picture.current = None
        return (signal,)

    def move(self, host: Host, detail: str, now: float, *signals: Signal) -> None:
        """To the phase that these lead to, one after the other; `detail`: why, in words."""
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
        self._picture.changed(host)

    # ------------------------------------------------------------------------------------------------ questions

    def phase(self, name: str) -> Phase:
        """The phase of one backend."""
        return self._hosts[name].phase

    def probed_at(self, name: str) -> float | None:
        """When a backend was last looked at; None: never."""
        return self._hosts[name].probed_at

    def detail(self, name: str) -> str:
        """Why it is in that phase, in words."""
        return self._hosts[name].detail

    def why_down(self, lease: Lease) -> str | None:
        """Why the backend of a request is down, in words; None: it is not, or it is no longer the one of that name."""
        host = host_of(self._hosts, lease)
        return host.detail if host is not None and host.phase is Phase.DOWN else None

    def is_loading(self, name: str) -> bool:
        """One of its models is being loaded, as far as we know."""
        return any(served.loading_since is not None for served in self._hosts[name].served.values())

    def is_starting(self, name: str) -> bool:
        """It loads as a whole and answers nothing before, also if it is drained or doubted meanwhile."""
        host = self._hosts[name]
        return host.phase is Phase.LOADING or host.loads_since is not None

    def is_doubted(self, name: str) -> bool:
        """Its last probe had no answer, and it is not known to be down."""
        return self._hosts[name].is_doubted

    def is_asleep(self, name: str) -> bool:
        """It answers nothing until it is woken."""
        return self._hosts[name].is_asleep

    def stalled(self, name: str) -> Deployment | None:
        """A model there that is in memory and has stopped answering; None: there is none."""
        host = self._hosts.get(name)
        return None if host is None or host.phase is Phase.DOWN else stalled_on(host)

    def doubtful(self, name: str) -> Deployment | None:
        """A model there that is in memory and that callers wait for in vain; None: there is none."""
        host = self._hosts.get(name)
        return None if host is None or host.phase is Phase.DOWN else doubtful_on(host)

    def changes_in(self, name: str, now: float) -> float:
        """Seconds until something that is held against it ends or changes by itself; inf: not with time."""
        trouble = self._hosts[name].trouble
        return inf if trouble is None else max(0.0, trouble.changes_at(now) - now)


def _shown(host: Host) -> tuple[object, ...]:
    """What a probe has shown that others are told of."""
    return host.phase, host.observation and host.observation.models, host.loads_since is None


def _in_brief(error: UpstreamError) -> str:
    """Without the backend's own words, which may repeat what it was asked."""
    return f"HTTP {error.http_status}" if error.http_status else error.fault.replace("_", " ").lower()
