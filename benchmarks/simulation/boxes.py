"""The truth: machines that compute, and how fast, given all that runs on them. Seconds of simulated time.

The rule: nothing here knows what the daemon assumes. Each request runs at 1 / slowdown of its speed when alone:

    slowdown = (1 + batch * (others of its model on its server) + contend * (all others on the box)) / speed

A box is advanced event by event, and can be cloned, so that an oracle may play a future through.
"""

import math
from dataclasses import dataclass, field

from benchmarks.simulation.jobs import Job, Stage
from benchmarks.simulation.servers import Server

EPSILON = 1e-9


@dataclass(slots=True, eq=False)
class Box:
    """One machine with its servers. `gigabytes`: read per second while writing tokens; `flow`: tokens x billions read a second."""

    name: str
    gigabytes: float
    flow: float
    disk: float  # gigabytes a second, of a load
    batch: float
    contend: float
    servers: list[Server] = field(default_factory=list)
    now: float = 0.0
    speed: float = 1.0
    running: list[tuple[Server, Job]] = field(default_factory=list)
    slowdowns: list[float] = field(default_factory=list)
    next_at: float = math.inf  # when something happens by itself

    def submit(self, server: Server, job: Job, now: float) -> None:
        """A request arrives."""
        self.advance(now)
        job.submitted_at = now
        server.submit(job, now)
        self._settle()

    def cancel(self, server: Server, job: Job, now: float) -> None:
        """Its caller has gone."""
        self.advance(now)
        server.forget(job, now)
        self._settle()

    def set_speed(self, speed: float, now: float) -> None:
        """The box gets slower or faster, for whatever reason."""
        self.advance(now)
        self.speed = speed
        self._settle()

    def change(self, now: float) -> None:
        """A server was started or stopped from outside."""
        self.advance(now)
        self._settle()

    def advance(self, now: float) -> None:
        """Work is done until now, which is not after `next_at`."""
        passed = now - self.now
        if passed > 0:
            for (_, job), slowdown in zip(self.running, self.slowdowns, strict=True):
                job.left -= passed / slowdown
        self.now = now

    def step(self) -> list[Job]:
        """Plays `next_at`; returns the jobs that gave their first token, or ended."""
        at = self.next_at
        self.advance(at)
        moved = []
        for server, job in self.running:
            if job.left > EPSILON:
                continue
            moved.append(job)
            if job.stage is Stage.READING:
                job.stage, job.left, job.first_at = Stage.WRITING, job.writing, at
            else:
                job.stage, job.done_at = Stage.DONE, at
                server.forget(job, at)
        self._settle()
        return moved

    def _settle(self) -> None:
        for server in self.servers:
            server.settle(self.now)
        self.running = [(server, job) for server in self.servers for job in server.running]
        counts: dict[tuple[str, str], int] = {}
        for server, job in self.running:
            key = (server.name, job.model)
            counts[key] = counts.get(key, 0) + 1
        total = len(self.running)
        self.slowdowns = []
        at = min((server.next_load() for server in self.servers), default=math.inf)
        for server, job in self.running:
            same = counts[server.name, job.model]
            slowdown = (1.0 + self.batch * (same - 1) + self.contend * (total - same)) / self.speed
            self.slowdowns.append(slowdown)
            at = min(at, self.now + max(0.0, job.left) * slowdown)
        self.next_at = at

    def clone(self) -> "tuple[Box, dict[str, Server]]":
        """A copy with copied jobs, and its servers by name."""
        servers = [server.clone() for server in self.servers]
        twin = Box(
            self.name, self.gigabytes, self.flow, self.disk, self.batch, self.contend, servers, self.now
        )
        twin.speed = self.speed
        twin._settle()
        return twin, {server.name: server for server in servers}
