"""The background loops: probes -> fleet, one task a backend, so that one that hangs delays nothing.

A backend is looked at every `probe_interval`, at once when somebody has a doubt about it, and often while it loads.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

from zoe_grpcd.core.backend import Backend, Phase
from zoe_grpcd.core.observation import Observation
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.ports import Probe

log = logging.getLogger(__name__)

# While a backend loads, and right after a doubt, the next look follows after this (seconds).
EAGER_INTERVAL = 0.25
# Doubts that come faster than this wait for the next look (seconds): a dead backend under load is probed no faster.
MIN_INTERVAL = 0.1


@dataclass(slots=True, eq=False)
class Watch:
    """One backend under observation."""

    backend: Backend
    probe: Probe
    doubt: asyncio.Event
    first: asyncio.Event
    task: asyncio.Task[None] | None = None
    looking: asyncio.Task[None] | None = None

    def end(self) -> None:
        """Ends its probes."""
        for task in (self.task, self.looking):
            if task is not None:
                task.cancel()


class Monitor:
    """Owns the probe tasks. Tells the fleet what they saw."""

    def __init__(self, fleet: Fleet, clock: Callable[[], float]) -> None:
        self._fleet = fleet
        self._clock = clock
        self._watches: dict[str, Watch] = {}
        self._phases: dict[str, Phase] = {}  # as they were logged
        fleet.picture.subscribe(self._tell)

    def watch(self, backend: Backend, probe: Probe, seen: Observation | None = None) -> None:
        """Adds a backend to the fleet and looks at it from now on, in place of one of the same name.

        `seen`: what a probe has seen of it before.
        """
        now = self._clock()
        self._fleet.add(backend, now)
        if seen is not None:
            self._fleet.health.observe(backend.name, seen, now)
        self._begin(backend, probe)

    def change(self, backend: Backend, probe: Probe) -> None:
        """Other settings for a backend that is watched; it is the same server."""
        self._fleet.change(backend, self._clock())
        self._begin(backend, probe)

    def _begin(self, backend: Backend, probe: Probe) -> None:
        if former := self._watches.get(backend.name):
            former.end()
        watch = self._watches[backend.name] = Watch(backend, probe, asyncio.Event(), asyncio.Event())
        watch.task = asyncio.create_task(self._loop(watch), name=f"probe {backend.name}")

    def nudge(self, name: str) -> None:
        """Somebody has a doubt: look at once."""
        if watch := self._watches.get(name):
            watch.doubt.set()

    async def look(self, names: Collection[str], limit: float) -> None:
        """Looks at these backends at once; returns when that is done, or after `limit` seconds while it goes on."""
        looks = [self._begin_look(watch) for name in names if (watch := self._watches.get(name))]
        if looks:
            await asyncio.wait(looks, timeout=limit)

    async def first_round(self, limit: float) -> None:
        """Returns when every backend was looked at once, or after `limit` seconds."""
        waits = [asyncio.create_task(watch.first.wait()) for watch in self._watches.values()]
        if waits:
            _, late = await asyncio.wait(waits, timeout=limit)
            for task in late:
                task.cancel()

    async def close(self) -> None:
        """Ends all probes."""
        for watch in self._watches.values():
            watch.end()
        tasks = [t for watch in self._watches.values() for t in (watch.task, watch.looking) if t]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _loop(self, watch: Watch) -> None:
        while True:
            watch.doubt.clear()
            await self._begin_look(watch)
            watch.first.set()
            await asyncio.sleep(MIN_INTERVAL)
            try:
                async with asyncio.timeout(self._pause(watch)):
                    await watch.doubt.wait()
            except TimeoutError:
                pass

    def _pause(self, watch: Watch) -> float:
        """A load is followed closely, and so is a first silence, which is a suspicion only. The end of a cooldown, and all
        else that passes by itself, is seen in time.
        """
        name, usual = watch.backend.name, watch.backend.probe_interval
        loading = self._fleet.health.phase(name) is Phase.LOADING or self._fleet.health.is_loading(name)
        if loading or self._fleet.health.is_doubted(name):
            return min(EAGER_INTERVAL, usual)
        return min(usual, self._fleet.health.changes_in(name, self._clock()))

    def _begin_look(self, watch: Watch) -> asyncio.Task[None]:
        """One look at a time: whoever wants one while it goes on, shares it."""
        if watch.looking is None or watch.looking.done():
            watch.looking = asyncio.create_task(self._look(watch), name=f"look at {watch.backend.name}")
        return watch.looking

    async def _look(self, watch: Watch) -> None:
        name = watch.backend.name
        try:
            await self._ask(watch)
        except Exception:  # a bug in a probe must not end the watch over its backend
            log.exception("the probe of %s failed", name)

    def _tell(self, name: str) -> None:
        """Logs a change of phase, whoever has found it; ends the watch over a backend that is gone."""
        if name not in self._fleet.names():
            if watch := self._watches.pop(name, None):
                watch.end()
            self._phases.pop(name, None)
            log.info("backend %s: gone, as it is no longer configured", name)
            return
        before, after = self._phases.get(name, Phase.UNKNOWN), self._fleet.health.phase(name)
        if after is not before:
            self._phases[name] = after
            detail = self._fleet.report(name, self._clock()).detail
            log.info("backend %s: %s -> %s %s", name, before.lower(), after.lower(), detail)

    async def _ask(self, watch: Watch) -> None:
        name, limit = watch.backend.name, watch.backend.probe_timeout
        try:
            async with asyncio.timeout(limit):
                observation = await watch.probe()
        except TimeoutError:
            self._fleet.health.observe_silence(name, limit, self._clock())
        else:
            self._fleet.health.observe(name, observation, self._clock())
