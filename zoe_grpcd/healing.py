"""Gets a model going again that is in memory and has stopped answering, by having it unloaded once.

The runner of Ollama 0.9.3 may lose a slot for good when a caller leaves just as it is given one. All that a probe asks
stays well then, and whoever comes waits for ever. Dropped from memory, the model is loaded by another runner for the
next request. Where all callers leave before a silence would tell anything, one with patience is needed: a request of the
daemon's own, for a token.

The one rule: nobody's answer is cut off. It begins only when nothing of ours is in flight there and nobody else is seen;
and as nobody can tell what others have in flight on an Ollama, only those are told to unload who do so when the last
request there has ended: then the worst that others meet is a load.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from typing import NamedTuple

from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Call, Generation
from zoe_grpcd.core.key import Key
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.ports import Dispatcher, Warmer
from zoe_grpcd.run import Around

log = logging.getLogger(__name__)

REST = 600.0  # s; no model is unloaded twice in that time
LOOKS = 2  # with nobody there: what others do shows in the second at the earliest
LOOK = 5.0  # s for one of them
LONGEST = 60.0  # s for an unload: Ollama 0.9.3 has taken 9
AGAIN = 60.0  # s; no model that has answered is asked twice in that time


class Times(NamedTuple):
    """Seconds between two looks at a server that stalls, and for a token of our own where its backend has no
    first_token_timeout.
    """

    pause: float = 1.0
    patience: float = 30.0


USUAL = Times()


class Healing:
    """One for the life of the daemon. `dispatchers` and `warmers` go by backend name; of the latter those that say how long a
    model stays can unload it.
    """

    def __init__(
        self,
        fleet: Fleet,
        dispatchers: Mapping[str, Dispatcher],
        warmers: Mapping[str, Warmer],
        around: Around,
        times: Times = USUAL,
    ) -> None:
        self._fleet = fleet
        self._dispatchers = dispatchers
        self._warmers = warmers
        self._clock, self._look = around.clock, around.look
        self._times = times
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._begun: dict[Key, float] = {}
        self._answered: dict[Key, float] = {}
        fleet.picture.subscribe(self._heed)

    async def close(self) -> None:
        """Ends what is going on."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _heed(self, name: str) -> None:
        """Something has changed about a backend."""
        if name in self._tasks or not (self._ailing(name) or self._doubtful(name)):
            return
        task = self._tasks[name] = asyncio.create_task(self._heal(name), name=f"heal {name}")
        task.add_done_callback(lambda _: self._tasks.pop(name))

    def _ailing(self, name: str) -> Deployment | None:
        """A model there that has stopped answering and may be unloaded; None: there is none, or not again so soon."""
        return self._unless_lately(name, self._fleet.health.stalled(name), self._begun, REST)

    def _doubtful(self, name: str) -> Deployment | None:
        """A model there of which it is to be found out; None: there is none, or it has answered lately."""
        deployment = self._unless_lately(name, self._fleet.health.doubtful(name), self._answered, AGAIN)
        return self._unless_lately(name, deployment, self._begun, REST)

    def _unless_lately(
        self, name: str, deployment: Deployment | None, done: Mapping[Key, float], rest: float
    ) -> Deployment | None:
        warmer = self._warmers.get(name)
        if deployment is None or warmer is None or not warmer.keeps or not self._fleet.backend(name).local:
            return None
        at = done.get(deployment.key)
        return None if at is not None and self._clock() - at < rest else deployment

    async def _heal(self, name: str) -> None:
        """Waits until nobody is there, and has the model unloaded; an answer, or its end, makes that needless."""
        alone = 0
        while (deployment := self._ailing(name) or self._doubtful(name)) is not None:
            alone = alone + 1 if self._fleet.leases.is_left_alone(deployment) else 0
            if alone > LOOKS:
                if self._ailing(name) is not None:
                    await self._unload(deployment, self._warmers[name])
                    return
                await self._ask(deployment)
            await asyncio.sleep(self._times.pause)
            await self._see(name)

    async def _ask(self, deployment: Deployment) -> None:
        """A request for one token, which shows whether the model only lacks callers with time."""
        backend, dispatcher = self._fleet.backend(deployment.backend), self._dispatchers[deployment.backend]
        lease = self._fleet.leases.take(deployment, self._clock())
        log.info("%s @ %s: nobody waited for its token; it is asked for one", deployment.model, backend.name)
        options = {"max_output_tokens": 1}
        generation = Generation(
            ({"role": "user", "content": "Hi"},), options=options, backend_options=deployment.backend_options
        )
        try:
            async with (
                asyncio.timeout(backend.first_token_timeout or self._times.patience),
                aclosing(dispatcher.stream(Call(backend, deployment.backend_model, generation))) as upstream,
            ):
                async for batch in upstream:
                    if batch:
                        break
            self._fleet.leases.first_token(lease, self._clock())
            self._answered[deployment.key] = self._clock()
        except TimeoutError:
            silence = UpstreamError(Fault.TIMEOUT, "no token in time, which nobody but the daemon waited for")
            self._fleet.health.failed(lease, silence, self._clock())
        except UpstreamError as error:
            self._fleet.health.failed(lease, error, self._clock())
            self._answered[deployment.key] = self._clock()
        finally:
            self._fleet.leases.release(lease, None, self._clock())

    async def _unload(self, deployment: Deployment, warmer: Warmer) -> None:
        backend, begun = self._fleet.backend(deployment.backend), self._clock()
        place = f"{deployment.model} @ {backend.name}"
        self._begun[deployment.key] = begun
        try:
            async with asyncio.timeout(LONGEST):
                await warmer(Call(backend, deployment.backend_model, Generation(())), 0.0)
        except TimeoutError:
            log.warning("%s has stopped answering, and was not unloaded within %g s", place, LONGEST)
        except UpstreamError as error:
            log.warning("%s has stopped answering, and could not be unloaded: %s", place, error.message)
        else:
            await self._see(backend.name)
            self._fleet.health.unloaded(deployment, self._clock())
            log.warning(
                "%s had stopped answering, and was unloaded, which took %.2f s; the next request loads it",
                place,
                self._clock() - begun,
            )

    async def _see(self, name: str) -> None:
        if self._look is not None:
            await self._look({name}, LOOK)
