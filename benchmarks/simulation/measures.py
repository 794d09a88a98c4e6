"""What comes out of a run: how long requests took, how many models were loaded, and how good the estimates were.

The rule: a request without an answer counts as one of `PATIENCE`, so that nobody looks fast who answers the easy half.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.simulation.bound import soonest
from benchmarks.simulation.clock import Clock
from benchmarks.simulation.daemon import PATIENCE, Call, Daemon
from benchmarks.simulation.fleets import Home
from benchmarks.simulation.rivals import POLICIES, Rival
from benchmarks.simulation.traces import Request, Trace
from benchmarks.simulation.world import World, loads, unloaded_seconds

DEADLINE_FACTOR, DEADLINE_GRACE = 3.0, 5.0
BOUND = "bound"


@dataclass(frozen=True, slots=True)
class Sample:
    """One request's end. `expected`: the daemon's estimate at its first decision; None: there was none, or it was disturbed."""

    seconds: float
    deadline: float
    answered: bool
    expected: float | None
    ninety: float = 0.0  # its stated P90


@dataclass(frozen=True, slots=True)
class Outcome:
    """All of one policy's runs of one trace."""

    samples: tuple[Sample, ...]
    loads: int

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome((*self.samples, *other.samples), self.loads + other.loads)

    def seconds(self) -> list[float]:
        """Of all, sorted."""
        return sorted(sample.seconds if sample.answered else PATIENCE for sample in self.samples)


@dataclass(frozen=True, slots=True)
class Figures:
    """One row of the table. Seconds; `missed` and `loads` are per 100 requests."""

    requests: int
    mean: float
    p50: float
    p95: float
    p99: float
    loads: float
    missed: float
    failed: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """How good the estimates were. `bias`: the median of truth / estimate."""

    error: float
    bias: float
    ninety: float  # 0.9-quantile of truth / estimate
    under: float = 0.0  # share of the answers that took no longer than the stated P90


def simulate(home: Home, trace: Trace, policy: str, seed: int) -> Outcome:
    """Plays a trace with one policy, to the end of its last request; "bound" is none, and nothing is played for it."""
    if policy == BOUND:
        return _bound(home, trace)
    with asyncio.Runner(loop_factory=Clock) as runner:
        world, calls = runner.run(played(home, trace, POLICIES[policy](seed)))
    return Outcome(tuple(_sample(call, world) for call in calls), loads(world))


async def played(home: Home, trace: Trace, rival: Rival) -> tuple[World, list[Call]]:
    """The world at its end, and what became of each request. To be run by a `Clock`."""
    clock = asyncio.get_running_loop()
    assert isinstance(clock, Clock)
    world = World(home, trace, clock)
    daemon = Daemon(world, rival)
    async with asyncio.TaskGroup() as group:
        for request in trace.requests:
            await asyncio.sleep(request.at - clock.time())
            group.create_task(daemon.serve(request))
    await daemon.close()
    return world, daemon.calls


def _bound(home: Home, trace: Trace) -> Outcome:
    """What no policy does better; see `soonest`."""
    least = zip(trace.requests, soonest(home, trace), strict=True)
    samples = (
        Sample(seconds, _deadline(home, request), seconds < PATIENCE, None) for request, seconds in least
    )
    return Outcome(tuple(samples), 0)


def _deadline(home: Home, request: Request) -> float:
    return DEADLINE_FACTOR * unloaded_seconds(home, request) + DEADLINE_GRACE


def _sample(call: Call, world: World) -> Sample:
    told = None if call.disturbed else call.expected
    return Sample(
        call.ended - call.started,
        _deadline(world.home, call.request),
        call.answered,
        told and told.total,
        told.ninety if told else 0.0,
    )


def figures(outcome: Outcome) -> Figures:
    """The row of one policy."""
    seconds, count = outcome.seconds(), len(outcome.samples)
    missed = sum(not s.answered or s.seconds > s.deadline for s in outcome.samples)
    return Figures(
        count,
        sum(seconds) / len(seconds),
        quantile(seconds, 0.5),
        quantile(seconds, 0.95),
        quantile(seconds, 0.99),
        100.0 * outcome.loads / count,
        100.0 * missed / count,
        sum(not sample.answered for sample in outcome.samples),
    )


def calibration(outcome: Outcome) -> Calibration:
    """Of all undisturbed requests."""
    pairs = [(s.seconds, s.expected) for s in outcome.samples if s.expected]
    errors = sorted(abs(seconds - expected) / seconds for seconds, expected in pairs)
    ratios = sorted(seconds / expected for seconds, expected in pairs)
    return Calibration(
        quantile(errors, 0.5),
        quantile(ratios, 0.5),
        quantile(ratios, 0.9),
        sum(s.seconds <= s.ninety for s in outcome.samples if s.expected) / len(pairs),
    )


def quantile(ordered: Sequence[float], q: float) -> float:
    """Nearest rank."""
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]
