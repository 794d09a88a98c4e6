"""The truth: simulated time, and everything that happens from outside the daemon: foreign requests and mishaps."""

import math
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.simulation.boxes import Box
from benchmarks.simulation.clock import Clock
from benchmarks.simulation.fleets import Home
from benchmarks.simulation.jobs import Job, Stage
from benchmarks.simulation.servers import Server
from benchmarks.simulation.traces import Mishap, Request, Trace

READING_NOISE, WRITING_NOISE, LOAD_NOISE = 0.15, 0.12, 0.15
REQUEST_SECONDS = 0.03  # of any request: template, first batch, network
TOKEN_SECONDS = 0.0015  # of any token: sampling, framing


@dataclass(slots=True)
class Listener:
    """Who wants to know what becomes of a job."""

    first: Callable[[], None]
    done: Callable[[], None]
    cut: Callable[[], None]


class World:
    """The boxes, and what happens to them as the time of a clock passes."""

    def __init__(self, home: Home, trace: Trace, clock: Clock) -> None:
        self.home = home
        self.servers = home.servers()
        self._clock = clock
        self._listeners: dict[int, Listener] = {}
        clock.timeline = self
        for box in home.boxes:
            box.change(0.0)
        for request in trace.foreign:
            clock.call_at(request.at, self._foreign, request)
        for mishap in trace.mishaps:
            clock.call_at(mishap.start, self._begin, mishap)
            clock.call_at(mishap.end, self._end, mishap)

    @property
    def now(self) -> float:
        """Seconds of simulated time."""
        return self._clock.time()

    def next_at(self) -> float:
        """When something happens on a box by itself."""
        return min(box.next_at for box in self.home.boxes)

    def step(self, at: float) -> None:
        """Plays what happens next."""
        box = min(self.home.boxes, key=lambda box: box.next_at)
        for job in box.step():
            self._tell(job)

    def submit(self, server: str, job: Job, listener: Listener | None = None) -> None:
        """A request reaches a server that listens."""
        if listener:
            self._listeners[id(job)] = listener
        box, where = self.servers[server]
        box.submit(where, job, self.now)

    def cancel(self, server: str, job: Job) -> None:
        """Its caller has gone."""
        self._listeners.pop(id(job), None)
        box, where = self.servers[server]
        box.cancel(where, job, self.now)

    def job(self, request: Request, server: str, model: str, kept: int = 0) -> Job:
        """The request as work for this server; see `work`."""
        box, where = self.servers[server]
        return work(box, where, request, model, kept)

    def completion(self, request: Request, server: str, model: str) -> float:
        """When the request would be done there, if nothing else came."""
        box, where = self.servers[server]
        if where.fault:
            return math.inf
        twin, servers = box.clone()
        job = self.job(request, server, model)
        twin.submit(servers[server], job, self.now)
        while job.stage is not Stage.DONE:
            if twin.next_at == math.inf:
                return math.inf
            twin.step()
        return job.done_at

    def _tell(self, job: Job) -> None:
        listener = self._listeners.get(id(job))
        if listener is None:
            return
        if job.stage is Stage.WRITING:
            listener.first()
        else:
            del self._listeners[id(job)]
            listener.done()

    def _foreign(self, request: Request) -> None:
        _, where = self.servers[request.server]
        if not where.fault:
            self.submit(request.server, self.job(request, request.server, request.target))

    def _begin(self, mishap: Mishap) -> None:
        if mishap.speed != 1.0:
            self._box(mishap.where).set_speed(mishap.speed, self.now)
            return
        box, where = self.servers[mishap.where]
        where.fault = mishap.fault
        if mishap.fault == "refuses":
            box.advance(self.now)
            for job in where.stop():
                if listener := self._listeners.pop(id(job), None):
                    listener.cut()
            box.change(self.now)

    def _end(self, mishap: Mishap) -> None:
        if mishap.speed != 1.0:
            self._box(mishap.where).set_speed(1.0, self.now)
            return
        box, where = self.servers[mishap.where]
        where.fault = ""
        box.change(self.now)

    def _box(self, name: str) -> Box:
        return next(box for box in self.home.boxes if box.name == name)


def work(box: Box, where: Server, request: Request, model: str, kept: int = 0) -> Job:
    """The request as work for this server, with the noise that it will meet there; `kept`: tokens of its answer that are
    there already, and are read.
    """
    facts = where.models[model]
    luck = random.Random(request.seed ^ zlib.crc32(where.name.encode()))
    reading = REQUEST_SECONDS + (request.prompt_tokens + kept) * facts.parameters / box.flow
    writing = max(1, request.output_tokens(model) - kept) * (TOKEN_SECONDS + facts.gigabytes / box.gigabytes)
    return Job(
        model,
        reading * math.exp(luck.gauss(0.0, READING_NOISE)),
        writing * math.exp(luck.gauss(0.0, WRITING_NOISE)),
        math.exp(luck.gauss(0.0, LOAD_NOISE)),
        foreign=bool(request.server),
    )


def loads(world: World) -> int:
    """Model loads so far, whoever set them off."""
    return sum(server.loads for _, server in world.servers.values())


def unloaded_seconds(home: Home, request: Request) -> float:
    """What the request takes alone where it is fastest, its model loaded."""
    times = []
    for box, server in home.servers().values():
        for model in home.candidates(request.target) & set(server.models):
            job = work(box, server, request, model)
            times.append(job.reading + job.writing)
    return min(times)
