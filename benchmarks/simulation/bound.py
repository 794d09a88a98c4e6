"""How soon each request of a trace can be answered at all, whoever chooses: what no policy can beat.

The rule: whatever is not certain is left out, in favour of the policy, so that the bound is one.
"""

import math
from collections.abc import Iterable

from benchmarks.simulation.boxes import Box
from benchmarks.simulation.fleets import Home
from benchmarks.simulation.jobs import Job
from benchmarks.simulation.servers import EVICTION, Ollama, Server, Single
from benchmarks.simulation.traces import Mishap, Request, Trace
from benchmarks.simulation.world import work

Ready = dict[tuple[str, str], float]
"""When a model can be in the memory of a server for the first time, by server and model."""


def soonest(home: Home, trace: Trace) -> list[float]:
    """Seconds from each request to its last token, in the order of the trace, that no policy stays below.

    Let a request be answered by the model m of the server s. It is work of w(s, m) seconds on an idle box, the noise of
    its draw included, and

        end >= F(s, max(at, up(s, at), ready(s, m)), w(s, m))

    since the box does at most `speed` seconds of work a second for it, whatever else runs (a slowdown is at least
    1 / speed; F is when a box that does nothing else has done w); since a server accepts nothing between its fault and
    the end of that, `up`; and since the model has to be in memory. Of those that are in none at first, the first load
    is set off by a request that may go there or by a foreign one, so ready(s, m) >= min(at + load) over these. The
    policy chooses s and m, and when it sends; F grows with its start. So the least of it over all s and m is a bound
    for any policy, one that knows the future, too. A quantile or the mean of greater numbers is greater: those of the
    bounds are bounds of the policy's. One that sends a request to several servers at once gains nothing by it here.

    Left out are all neighbours, queues, slots, foreign work, and each load but the first. It is about answers that one
    server gives from their first to their last token; one whose server dies is gone on with elsewhere, and by a model
    that says less may end sooner.
    """
    ready = _ready(home, trace)
    return [_soonest(home, trace.mishaps, ready, request) for request in trace.requests]


def _soonest(home: Home, mishaps: Iterable[Mishap], ready: Ready, request: Request) -> float:
    def end(box: Box, server: Server, job: Job) -> float:
        start = max(_up(server.name, request.at, mishaps), ready[server.name, job.model])
        return _done(box.name, start, job.reading + job.writing, mishaps)

    return min(end(*way) for way in _jobs(home, request)) - request.at


def _jobs(home: Home, request: Request) -> list[tuple[Box, Server, Job]]:
    """Each way to answer it."""
    models = {request.target} if request.server else home.candidates(request.target)
    return [
        (box, server, work(box, server, request, model))
        for box, server in home.servers().values()
        if request.server in ("", server.name)
        for model in sorted(models & set(server.models))
    ]


def _ready(home: Home, trace: Trace) -> Ready:
    """See `Ready`; a llama-server with one model has it from the start."""
    ready: Ready = {}
    for request in (*trace.requests, *trace.foreign):
        for _, server, job in _jobs(home, request):
            eviction = EVICTION if isinstance(server, Ollama) else 0.0
            loaded = request.at + eviction + server.load_seconds(job.model) * job.load_noise
            key = server.name, job.model
            ready[key] = 0.0 if isinstance(server, Single) else min(loaded, ready.get(key, math.inf))
    return ready


def _up(server: str, at: float, mishaps: Iterable[Mishap]) -> float:
    """When the server next accepts a request."""
    faults = [mishap for mishap in mishaps if mishap.where == server and mishap.fault]
    return max((mishap.end for mishap in faults if mishap.start < at < mishap.end), default=at)


def _done(box: str, at: float, seconds: float, mishaps: Iterable[Mishap]) -> float:
    """When an idle box has done work of so many seconds, from then on; its spells of another speed do not overlap."""
    for mishap in sorted(mishaps, key=lambda mishap: mishap.start):
        if mishap.where != box or mishap.fault or mishap.end <= at:
            continue
        if at + seconds <= mishap.start:
            break
        begin = max(at, mishap.start)
        seconds -= begin - at
        if seconds <= (mishap.end - begin) * mishap.speed:
            return begin + seconds / mishap.speed
        at, seconds = mishap.end, seconds - (mishap.end - begin) * mishap.speed
    return at + seconds
