"""The truth: how llama-server, its router mode and Ollama hand out slots and memory, and what each of them tells a probe.

The rule: a server tells a probe what the real one tells, no more. llama-server tells its busy slots but not its
queue; a router tells which models load; Ollama tells no slots, lists a model as loaded while it still loads, and
counts the wait for memory into the `load_duration` of its answer.
"""

import math
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, replace

from benchmarks.simulation.jobs import Job, Stage
from zoe_grpcd.core.answer import Measured
from zoe_grpcd.core.observation import LoadState, ModelStatus, Observation

PROBE_SECONDS = 0.01
CAPABILITIES = frozenset({"chat", "tools"})
KEEP_ALIVE = 300.0  # Ollama's
EVICTION = 0.3


@dataclass(frozen=True, slots=True)
class Model:
    """A model as it is: `parameters` in billions, `gigabytes` on disk and in memory."""

    name: str
    parameters: float
    gigabytes: float
    talk: float = 1.0  # how much longer its answers are than a usual model's


class Server(ABC):
    """One server process; a subclass says who may start. `disk`: gigabytes a second that it loads with."""

    kind = "llamacpp"

    def __init__(self, name: str, models: tuple[Model, ...], slots: int, disk: float = 1.0) -> None:
        self.name = name
        self.models = {model.name: model for model in models}
        self.slots = slots
        self.disk = disk
        self.fault = ""  # "refuses": nothing listens; "errors": each request is answered 500 at once
        self.running: list[Job] = []
        self.waiting: deque[Job] = deque()
        self.loaded: dict[str, float] = {}  # model -> when it was last used
        self.loading: dict[str, float] = {}  # model -> when it is loaded
        self.loads = 0

    # ---------------------------------------------------------------------------------------------------- truth

    def submit(self, job: Job, now: float) -> None:
        """A request comes in; it starts at the next `settle`, if it may."""
        self.waiting.append(job)

    def forget(self, job: Job, now: float) -> None:
        """A request has ended, or its caller has gone."""
        if job in self.running:
            self.running.remove(job)
            self.loaded[job.model] = now
        elif job in self.waiting:
            self.waiting.remove(job)

    def stop(self) -> list[Job]:
        """The process dies: its requests are cut, its memory is empty."""
        cut = [*self.running, *self.waiting]
        self.running.clear()
        self.waiting.clear()
        self.loaded.clear()
        self.loading.clear()
        return cut

    def next_load(self) -> float:
        """When the next load ends by itself."""
        return min(self.loading.values(), default=math.inf)

    def settle(self, now: float) -> None:
        """Ends loads, starts what may start."""
        for model in [model for model, at in self.loading.items() if at <= now + 1e-9]:
            del self.loading[model]
            self.loaded[model] = now
        self._admit(now)

    @abstractmethod
    def _admit(self, now: float) -> None:
        """Starts what may start."""

    def _start(self, job: Job, now: float) -> None:
        job.stage, job.left, job.started_at = Stage.READING, job.reading, now
        job.granted_at = job.granted_at or now
        self.running.append(job)

    def _busy(self, model: str) -> int:
        return sum(job.model == model for job in self.running)

    def _load(self, job: Job, now: float, extra: float = 0.0) -> None:
        self.loading[job.model] = now + extra + self.load_seconds(job.model) * job.load_noise
        self.loads += 1
        job.loads += 1

    def load_seconds(self, model: str) -> float:
        """What a load takes, noise apart."""
        return 0.6 + self.models[model].gigabytes / self.disk

    def clone(self) -> "Server":
        """A copy with copied jobs."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twins = {id(job): job.clone() for job in (*self.running, *self.waiting)}
        twin.running = [twins[id(job)] for job in self.running]
        twin.waiting = deque(twins[id(job)] for job in self.waiting)
        twin.loaded, twin.loading = dict(self.loaded), dict(self.loading)
        return twin

    # --------------------------------------------------------------------------------------------- what it tells

    @abstractmethod
    def observe(self, now: float) -> Observation:
        """What a probe sees."""

    def measured(self, job: Job, prompt_tokens: int, output_tokens: int) -> Measured:
        """What goes along with the end of an answer."""
        return Measured(
            prefill=job.first_at - job.started_at,
            prefill_tokens=prompt_tokens,
            decode=job.done_at - job.first_at,
            decode_tokens=output_tokens,
        )

    def _status(self, model: Model, state: LoadState) -> ModelStatus:
        return ModelStatus(
            model.name,
            state,
            context_tokens=8192,
            capabilities=CAPABILITIES,
            parameters=model.parameters,
            size_bytes=int(model.gigabytes * 1e9),
        )


class Single(Server):
    """A llama-server with one model, loaded from its start on."""

    def settle(self, now: float) -> None:
        """As above; its model loads as soon as the process is up."""
        if not self.fault and not self.loaded and not self.loading:
            (name,) = self.models
            self.loading[name] = now + (self.load_seconds(name) if now > 0 else 0.0)
        super().settle(now)

    def _admit(self, now: float) -> None:
        while self.loaded and self.waiting and len(self.running) < self.slots:
            self._start(self.waiting.popleft(), now)

    def observe(self, now: float) -> Observation:
        """/slots shows who is at work; who waits is not told."""
        if self.loading:
            return Observation(ok=True, duration=PROBE_SECONDS, loading=True)
        models = tuple(self._status(model, LoadState.LOADED) for model in self.models.values())
        return Observation(
            ok=True, duration=PROBE_SECONDS, models=models, slots=self.slots, busy=len(self.running)
        )


class Router(Server):
    """A llama-server in router mode: a process a model, at most `most` of them, the least recently used has to go."""

    def __init__(
        self, name: str, models: tuple[Model, ...], slots: int, disk: float = 1.0, *, most: int = 2
    ) -> None:
        super().__init__(name, models, slots, disk)
        self.most = most
        self.doomed = ""
        self.seen: set[str] = set()  # a model tells its size once it was loaded

    def _admit(self, now: float) -> None:
        for job in tuple(self.waiting):
            if job.model in self.loaded and job.model != self.doomed:
                if self._busy(job.model) < self.slots:
                    self.waiting.remove(job)
                    self.loaded[job.model] = now
                    self._start(job, now)
            elif job.model not in self.loading and job.model != self.doomed and self._room(now):
                self._load(job, now)
        self.seen = self.seen | set(self.loaded)

    def _room(self, now: float) -> bool:
        """Whether one more model may load; if not, the one that has to go for it gets no more requests."""
        if len(self.loaded) + len(self.loading) < self.most:
            return True
        if not self.doomed and self.loaded:
            self.doomed = min(self.loaded, key=self.loaded.__getitem__)
        if self.doomed and not self._busy(self.doomed):
            del self.loaded[self.doomed]
            self.doomed = ""
            return True
        return False

    def stop(self) -> list[Job]:
        """As above."""
        self.doomed = ""
        return super().stop()

    def observe(self, now: float) -> Observation:
        """The models with their states; slots and busy ones are summed over the loaded models."""
        statuses = []
        for model in self.models.values():
            state = LoadState.UNLOADED
            if model.name in self.loaded:
                state = LoadState.LOADED
            elif model.name in self.loading:
                state = LoadState.LOADING
            status = self._status(model, state)
            statuses.append(
                status if model.name in self.seen else replace(status, parameters=None, size_bytes=0)
            )
        slots = self.slots * len(self.loaded)
        busy = len(self.running) if self.loaded else None
        return Observation(
            ok=True, duration=PROBE_SECONDS, models=tuple(statuses), slots=slots or None, busy=busy
        )


class Ollama(Server):
    """An Ollama with `memory` gigabytes: one request after the other gets its model, and whoever waits for memory
    holds up all behind it, also those whose model is loaded.
    """

    kind = "ollama"

    def __init__(
        self, name: str, models: tuple[Model, ...], slots: int, disk: float = 1.0, *, memory: float = 8.0
    ) -> None:
        super().__init__(name, models, slots, disk)
        self.memory = memory
        self.pending: deque[Job] = deque()

    def submit(self, job: Job, now: float) -> None:
        """As above; it has to be given its model first."""
        self.pending.append(job)

    def forget(self, job: Job, now: float) -> None:
        """As above."""
        if job in self.pending:
            self.pending.remove(job)
        else:
            super().forget(job, now)

    def stop(self) -> list[Job]:
        """As above."""
        cut = [*self.pending, *super().stop()]
        self.pending.clear()
        return cut

    def _admit(self, now: float) -> None:
        while self.pending and self._grant(self.pending[0], now):
            job = self.pending.popleft()
            self.waiting.append(job)
        for job in tuple(self.waiting):
            if job.model in self.loaded:
                job.granted_at = job.granted_at or now
                if self._busy(job.model) < self.slots:
                    self.waiting.remove(job)
                    self._start(job, now)

    def _grant(self, job: Job, now: float) -> bool:
        if job.model in self.loaded:
            expired = now - self.loaded[job.model] > KEEP_ALIVE and not self._wanted(job.model)
            if not expired:
                job.granted_at = now
                return True
            del self.loaded[job.model]
        if job.model in self.loading:
            return True
        if self.loading or not self._room(job, now):
            return False
        self._load(job, now, EVICTION)
        return True

    def _room(self, job: Job, now: float) -> bool:
        wanted = self.models[job.model].gigabytes
        for model in sorted(self.loaded, key=self.loaded.__getitem__):
            if sum(self.models[name].gigabytes for name in self.loaded) + wanted <= self.memory:
                break
            if not self._wanted(model):
                del self.loaded[model]
        return not self.loaded or sum(self.models[m].gigabytes for m in self.loaded) + wanted <= self.memory

    def _wanted(self, model: str) -> bool:
        return any(job.model == model for job in (*self.running, *self.waiting))

    def clone(self) -> "Ollama":
        """As above."""
        twin = super().clone()
        assert isinstance(twin, Ollama)
        twin.pending = deque(job.clone() for job in self.pending)
        return twin

    def observe(self, now: float) -> Observation:
        """The models on disk, those in memory with their expiry; one that loads is listed as if it were loaded."""
        statuses = []
        for model in self.models.values():
            status = self._status(model, LoadState.UNLOADED)
            used = self.loaded.get(model.name, now if model.name in self.loading else -math.inf)
            if used + KEEP_ALIVE > now or self._wanted(model.name):
                status = replace(status, state=LoadState.LOADED, expire_at=used + KEEP_ALIVE)
            statuses.append(status)
        return Observation(ok=True, duration=PROBE_SECONDS, models=tuple(statuses))

    def measured(self, job: Job, prompt_tokens: int, output_tokens: int) -> Measured:
        """As above, but not how much of the prompt was new to it; and the wait for the model as its load."""
        return replace(
            super().measured(job, prompt_tokens, output_tokens),
            prefill_tokens=None,
            load=0.002 + job.granted_at - job.submitted_at,
        )
