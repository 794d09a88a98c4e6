"""The way to one simulated server: what the daemon's dispatchers and probes are to a real one.

The rule: an answer comes as a stream, a piece every `BEAT` seconds, with as many tokens as the server has written by
then. Its text says nothing; it is as long as a text of so many tokens, and an answer that was cut off goes on from it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextvars import ContextVar

from benchmarks.simulation.jobs import Job, Stage
from benchmarks.simulation.traces import Request
from benchmarks.simulation.world import Listener, World
from zoe_grpcd.core.answer import Delta, Event, Finish, FinishReason, Usage
from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Call
from zoe_grpcd.core.observation import Observation

BEAT = 0.2
ERROR_SECONDS, REFUSAL_SECONDS = 0.03, 0.002

ASKED: ContextVar[Request] = ContextVar("ASKED")
"""The request that the present task is about."""
Learn = Callable[[Request, Deployment, float, float], None]
"""Is told of each answer: whose, from where, after how many seconds, and when."""


class Link:
    """A dispatcher and a probe."""

    def __init__(self, world: World, name: str, learn: Learn) -> None:
        self._world = world
        self._name = name
        self._learn = learn
        self._box, self._server = world.servers[name]

    async def __call__(self) -> Observation:
        """A probe."""
        if self._server.fault == "refuses":
            return Observation(ok=False, duration=REFUSAL_SECONDS, error="connection refused")
        return self._server.observe(self._world.now)

    async def resumed(self, call: Call) -> Call:
        """It goes on from any text."""
        return call

    async def stream(self, call: Call) -> AsyncGenerator[list[Event]]:
        """An answer."""
        await self._open()
        began, request, kept = self._world.now, ASKED.get(), call.continues.tokens if call.continues else 0
        job = self._world.job(request, self._name, call.backend_model, kept)
        news = _News()
        self._world.submit(self._name, job, Listener(news.tell, news.tell, news.cut))
        whole = max(1, request.output_tokens(call.backend_model) - kept)
        said = 0
        try:
            while job.stage is not Stage.DONE:
                await news.wait(BEAT if job.stage is Stage.WRITING else None)
                written = max(said, 1, self._written(job, whole))
                if job.stage in (Stage.WRITING, Stage.DONE) and written > said:
                    text = "".join(f"{kept + number:4}" for number in range(said, written))
                    yield [Delta(text, tokens=written - said)]
                    said = written
        finally:
            if job.stage is not Stage.DONE:
                self._world.cancel(self._name, job)
        now, deployment = self._world.now, Deployment(call.backend_model, self._name, call.backend_model)
        self._learn(request, deployment, now - began, now)
        yield [self._end(job, request, kept, whole)]

    async def _open(self) -> None:
        if self._server.fault == "refuses":
            await asyncio.sleep(REFUSAL_SECONDS)
            raise UpstreamError(Fault.REFUSED, "connection refused")
        if self._server.fault:
            await asyncio.sleep(ERROR_SECONDS)
            raise UpstreamError(Fault.SERVER, "internal error", http_status=500)

    def _written(self, job: Job, whole: int) -> int:
        """Tokens so far."""
        if job.stage is Stage.DONE:
            return whole
        self._box.advance(self._world.now)
        return int((1.0 - job.left / job.writing) * whole)

    def _end(self, job: Job, request: Request, kept: int, whole: int) -> Finish:
        cut = bool(request.activity.limit) and kept + whole == request.activity.limit
        prompt = request.prompt_tokens + kept
        return Finish(
            FinishReason.LENGTH if cut else FinishReason.STOP,
            Usage(prompt_tokens=prompt, completion_tokens=whole),
            self._server.measured(job, prompt, whole),
        )


class _News:
    """Wakes who waits for a server."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._is_cut = False

    def tell(self) -> None:
        """Something has happened."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def cut(self) -> None:
        """The server has died."""
        self._is_cut = True
        self.tell()

    async def wait(self, seconds: float | None) -> None:
        """Returns when something has happened, or after so long. Raises if the server has died."""
        self._waiter = self._loop.create_future()
        timer = None if seconds is None else self._loop.call_later(seconds, self.tell)
        try:
            await self._waiter
        finally:
            if timer is not None:
                timer.cancel()
        if self._is_cut:
            raise UpstreamError(Fault.CUT, "the server has closed the connection")
