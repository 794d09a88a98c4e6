"""What a load has to do and what came of it: the same bounds and the same counting for every server."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from .processes import Server

CONCURRENCY = 32  # requests in flight, whatever the server and the measure
CONNECTIONS = 4  # gRPC only; HTTP/1.1 needs one for each request in flight


@dataclass(frozen=True)
class Bounds:
    """Where a load ends: at so many requests or after so many seconds, whichever comes first."""

    requests: int
    seconds: float
    concurrency: int = CONCURRENCY


@dataclass(frozen=True)
class Answered:
    """What a load received, without a single failure among it."""

    requests: int
    tokens: int
    messages: int = 0  # of streams over gRPC: deltas that the tokens came in


Load = Callable[[Bounds], Awaitable[Answered]]


@dataclass(frozen=True)
class Sample:
    """One server under one load for a few seconds."""

    answered: Answered
    seconds: float
    cpu_seconds: float  # of the server

    @property
    def requests_per_second(self) -> float:
        """Requests answered in a second of wall time."""
        return self.answered.requests / self.seconds

    @property
    def tokens_per_second(self) -> float:
        """Tokens delivered in a second of wall time."""
        return self.answered.tokens / self.seconds

    @property
    def cpu_us_per_request(self) -> float:
        """Microseconds of the server's CPU for one request."""
        return 1e6 * self.cpu_seconds / self.answered.requests

    @property
    def cpu_us_per_token(self) -> float:
        """Microseconds of the server's CPU for one token."""
        return 1e6 * self.cpu_seconds / self.answered.tokens

    @property
    def busy(self) -> float:
        """Share of its core that the server used: well under 1, the load or a neighbour was the limit."""
        return self.cpu_seconds / self.seconds


@dataclass(frozen=True)
class Contender:
    """A server with a load of its own."""

    server: Server
    load: Load
    concurrency: int = CONCURRENCY


async def contest(
    contenders: Mapping[str, Contender], rounds: int, seconds: float
) -> dict[str, list[Sample]]:
    """Returns `rounds` samples of each contender, taken in turns, so that a neighbour's noise meets all of them.

    Only one of them has a load at a time. A round that is not counted warms them up.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for lap in range(rounds + 1):
        for name, contender in contenders.items():
            bounds = Bounds(10**9, seconds if lap else min(1.0, seconds), contender.concurrency)
            taken = await sample(contender, bounds)
            if lap:
                samples[name].append(taken)
    return samples


async def sample(contender: Contender, bounds: Bounds) -> Sample:
    """Puts its load on a server and returns what came of it."""
    server = contender.server
    cpu, start = server.cpu_seconds(), time.perf_counter()
    answered = await contender.load(bounds)
    return Sample(answered, time.perf_counter() - start, server.cpu_seconds() - cpu)
