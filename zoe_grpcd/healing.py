"""Gets a model going again that is in memory and has stopped answering, by having it unloaded once.

The runner of Ollama 0.9.3 may lose a slot for good when a caller leaves just as it is given one. All that a probe asks
stays well then, and whoever comes waits for ever. Dropped from memory, the model is loaded by another runner for the
next request.

The one rule: nobody's answer is cut off. It begins only when nothing of ours is in flight there and nobody else is seen;
and as nobody can tell what others have in flight on an Ollama, only those are told to unload who do so when the last
request there has ended: then the worst that others meet is a load.
"""

import asyncio
import logging
from collections.abc import Mapping

from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.errors import UpstreamError
from zoe_grpcd.core.generation import Call, Generation
from zoe_grpcd.core.key import Key
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.ports import Warmer
from zoe_grpcd.run import Around

log = logging.getLogger(__name__)

REST = 600.0  # s; no model is unloaded twice in that time
PAUSE = 1.0  # s between two looks at a server that stalls
LOOKS = 2  # with nobody there: what others do shows in the second at the earliest
LOOK = 5.0  # s for one of them
LONGEST = 60.0  # s for an unload: Ollama 0.9.3 has taken 9


class Healing:
    """One for the life of the daemon. `warmers` go by backend name; those that say how long a model stays can unload it."""

    def __init__(
        self, fleet: Fleet, warmers: Mapping[str, Warmer], around: Around, pause: float = PAUSE
    ) -> None:
        self._fleet = fleet
        self._warmers = warmers
        self._clock, self._look = around.clock, around.look
        self._pause = pause
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._begun: dict[Key, float] = {}
        fleet.picture.subscribe(self._heed)

    async def close(self) -> None:
        """Ends what is going on."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _heed(self, name: str) -> None:
        """Something has changed about a backend."""
        if name in self._tasks or self._ailing(name) is None:
            return
        task = self._tasks[name] = asyncio.create_task(self._heal(name), name=f"heal {name}")
        task.add_done_callback(lambda _: self._tasks.pop(name))

    def _ailing(self, name: str) -> Deployment | None:
        """A model there that has stopped answering and may be unloaded; None: there is none, or not again so soon."""
        warmer = self._warmers.get(name)
        if warmer is None or not warmer.keeps or not self._fleet.backend(name).local:
            return None
        deployment = self._fleet.health.stalled(name)
        begun = None if deployment is None else self._begun.get(deployment.key)
        return None if begun is not None and self._clock() - begun < REST else deployment

    async def _heal(self, name: str) -> None:
        """Waits until nobody is there, and has the model unloaded; an answer, or its end, makes that needless."""
        alone = 0
        while (deployment := self._ailing(name)) is not None:
            alone = alone + 1 if self._fleet.leases.is_left_alone(deployment) else 0
            if alone > LOOKS:
                await self._unload(deployment, self._warmers[name])
                return
            await asyncio.sleep(self._pause)
            await self._see(name)

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
