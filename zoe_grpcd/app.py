"""Composition root and life cycle: build, listen, READY, drain, stop. The only place that builds adapters."""

import asyncio
import logging
import random
import time
from collections.abc import Coroutine
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from zoe_grpcd import calllog
from zoe_grpcd.access import Access
from zoe_grpcd.adapters.systemd import Reporter, inherited_sockets, reloading
from zoe_grpcd.admission import WaitingRoom
from zoe_grpcd.config import Config, Loaded, Source
from zoe_grpcd.config.address import is_local
from zoe_grpcd.core.calls import Calls
from zoe_grpcd.extras import certificates_of, embeddings_of, recorder_of, tracer_of
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.healing import Healing
from zoe_grpcd.keeper import Keeper
from zoe_grpcd.logs import set_level
from zoe_grpcd.monitor import Monitor
from zoe_grpcd.recording.prompts import Prompts
from zoe_grpcd.reloading import Reloading
from zoe_grpcd.roster import Roster
from zoe_grpcd.router import Router
from zoe_grpcd.rpc import admin, health, inference, reflection
from zoe_grpcd.rpc.admin_door import AdminDoor
from zoe_grpcd.rpc.admin_encode import USABLE
from zoe_grpcd.rpc.configuration import Configured
from zoe_grpcd.rpc.connections import connected
from zoe_grpcd.rpc.counted import counted
from zoe_grpcd.rpc.entrance import Entrance, Places
from zoe_grpcd.rpc.guard import Gate
from zoe_grpcd.rpc.notice import Watchers
from zoe_grpcd.rpc.selfcheck import SelfCheck
from zoe_grpcd.rpc.stats import Figures
from zoe_grpcd.rpc.warming import Warmups
from zoe_grpcd.run import Around
from zoe_grpcd.settings import Settings, settings_of
from zoe_grpcd.signals import signals
from zoe_grpcd.statuspage import StatusPage
from zoe_grpcd.stores import prompts_file, store_of
from zoe_grpcd.telemetry import Telemetry, open_port
from zoe_grpcd.vacancies import Vacancies
from zoe_grpcd.vitals import watch_loop
from zoe_grpcd.warming import Warming

if TYPE_CHECKING:
    from zoe_grpcd.adapters.embeddings import Embeddings  # an extra

log = logging.getLogger(__name__)

# READY waits no longer than this for the first look at all backends (seconds).
FIRST_ROUND = 3.0
# Time for the last answers to leave, once nothing runs (seconds).
LAST_WORDS = 1.0
# How often servers are looked for that are not there yet (seconds).
SEARCH_INTERVAL = 5.0


class Daemon:
    """One daemon. `run` is its whole life."""

    def __init__(self, source: Source, loaded: Loaded) -> None:
        config = self._config = loaded.config
        settings = settings_of(config)
        self._reloading = Reloading(source, loaded, self._apply, self._told)
        self._fleet = Fleet(settings.facts, settings.deployments, random.getrandbits(63), settings.caution)
        self._monitor = Monitor(self._fleet, time.monotonic)
        self._recorder = recorder_of(config, settings)
        self._prompts = Prompts()
        self._around = Around(
            time.monotonic, self._monitor.nudge, record=self._recorder, look=self._monitor.look
        )
        self._waiting = WaitingRoom(
            config.admission.max_queue,
            config.admission.max_queue_time,
            config.admission.ageing,
            self._fleet.leases.has_room,
        )
        self._fleet.picture.subscribe(lambda _name: self._waiting.stir())
        self._watchers = Watchers(self._fleet.picture.subscribe)
        self._gate = Gate(config.server.max_request_time)
        self._calls = Calls()
        self._gate.log.listeners.append(calllog.tell)
        self._tracer = tracer_of(config, self._gate)
        self._resources = AsyncExitStack()
        self._roster = Roster(settings, self._fleet, self._monitor, self._resources)
        self._router = self._router_of(settings)
        self._warming = Warming(self._fleet, settings.rules, self._roster.warmers, self._around)
        self._healing = Healing(self._fleet, self._roster.dispatchers, self._roster.warmers, self._around)
        self._vacancies = Vacancies(self._fleet, settings.rules.policy, settings.intents)
        self._settings = settings
        self._embeddings = embeddings_of(config, settings)
        self._store = store_of(config.state.url.get_secret_value() if config.state.url else "")
        self._resources.push_async_callback(self._store.close)
        self._keeper = Keeper(self._fleet, self._gate.log, self._store)
        self._keeper.restore()
        self._access = self._gate.access = Access(self._store, local=all(map(is_local, config.server.listen)))
        self._access.change(settings.credentials)
        self._certificates = certificates_of(config)
        server = config.server
        places = Places(
            server.listen,
            server.admin_listen or "",
            server.max_concurrent_streams,
            server.max_receive_bytes,
        )
        self._entrance = Entrance(places, inherited_sockets(), self._certificates, self._gate.callers)
        self._stop = asyncio.Event()
        self._reloads: set[asyncio.Task[None]] = set()
        self._draining = False

    async def run(self) -> None:
        """Serves until the first SIGTERM or SIGINT, then drains; the second ends it at once.

        One that comes before anybody was let in ends it without a drain. Raises CannotListen before it serves, if an
        address is taken.
        """
        self._make_services()
        task = asyncio.current_task()
        assert task is not None
        hear = self.stop if self._entrance.is_inherited else partial(self._give_up, task)
        async with self._resources:
            with signals(hear):
                try:
                    await self._start()
                except asyncio.CancelledError:
                    if not self._stop.is_set():
                        raise
                    task.uncancel()
                    log.info("stopped before it was ready")
                    return
                await self._serve()

    async def _start(self) -> None:
        """All that has to be there before callers."""
        self._keeper.open()
        self._resources.push_async_callback(self._keeper.close)
        if self._tracer is not None:
            self._resources.push_async_callback(self._tracer.close)
        if self._recorder is not None:
            self._recorder.start()
            self._resources.push_async_callback(asyncio.to_thread, self._recorder.close)
        self._write_prompts()
        self._resources.push_async_callback(asyncio.to_thread, self._prompts.close)
        self._resources.push_async_callback(self._entrance.close)
        self._entrance.listen()
        self._roster.own_ports |= self._entrance.ports
        await self._open_port()
        if self._entrance.is_inherited:  # who waits there is greeted, and would give up after 20 s
            self._gate.ready.clear()
            await self._entrance.open()
        await asyncio.gather(self._roster.open(), self._open_embeddings(self._embeddings))
        self._resources.push_async_callback(self._close_requests)
        await self._monitor.first_round(FIRST_ROUND)
        self._vacancies.begin()

    async def _serve(self) -> None:
        """Lets callers in, and is there for them until the end of the drain."""
        with signals(self.stop, self._reload):
            if not self._entrance.is_inherited:
                await self._entrance.open()
            await self._entrance.open_administration()
            self._gate.ready.set()
            async with SelfCheck(self._entrance.inner) as alive:
                reporter = Reporter(self._status, alive)
                log.info("ready on %s: %s", ", ".join(self._entrance.addresses), self._status())
                await self._until_stopped(
                    self._search(),
                    reporter.serving(),
                    watch_loop(self._lagged),
                    self._reloading.watch(),
                    *([self._certificates.watch()] if self._certificates else []),
                )
            await self._drain(reporter)

    async def _until_stopped(self, *meanwhile: Coroutine[Any, Any, None]) -> None:
        tasks = [asyncio.create_task(doing) for doing in meanwhile]
        await self._stop.wait()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def stop(self) -> None:
        """Begins the drain, as a SIGTERM does."""
        self._stop.set()

    def _give_up(self, starting: asyncio.Task[None]) -> None:
        """The end, while nobody has been let in yet."""
        self._stop.set()
        starting.cancel()

    def _make_services(self) -> None:
        watchers, trusting = self._watchers, self._entrance.trusts_administrators
        healthy = health.HealthServicer(self._fleet, watchers, self._around, self._access).handlers()
        trusted = healthy
        if trusting:
            trusted = health.HealthServicer(self._fleet, watchers, self._around).handlers()
        self._inference = inference.InferenceServicer(
            self._router,
            self._gate,
            self._config.images.allow_http,
            understanding=self._embeddings,
            overhear=self._prompts.overhear,
        )
        figures = Figures(self._gate.log, self._calls, lambda: connected(self._entrance.all_addresses()))
        warmups = Warmups(self._warming, self._fleet)
        further = {**figures.handlers(), **Configured(self._reloading).handlers(), **warmups.handlers()}
        aliases = self._settings.rules.policy.aliases
        self._admin = admin.AdminServicer(self._fleet, watchers, self._around, aliases, further)
        shown = reflection.handlers((inference.SERVICE, health.SERVICE))
        shown_there = reflection.handlers((admin.SERVICE, health.SERVICE))
        self._entrance.make(
            (self._gate.together, *counted(self._calls, self._inference.handlers(), healthy, *shown)),
            counted(self._calls, self._admin.handlers(), trusted, *shown_there),
            None if trusting else AdminDoor(self._access),
        )

    async def _open_port(self) -> None:
        server, left = self._config.server, self._certificates.left if self._certificates else dict
        shown = Telemetry(self._fleet, self._waiting, self._gate, self._calls, left)
        port = shown.port(StatusPage(shown.reports, shown.log).pages())
        self._resources.push_async_callback(port.close)
        await open_port(port, server.metrics_listen, asked_for="metrics_listen" in server.model_fields_set)

    async def _open_embeddings(self, embeddings: "Embeddings | None") -> "Embeddings | None":
        if embeddings is not None:
            await embeddings.open(self._embeddings)
        return embeddings

    async def _close_requests(self) -> None:
        """Ends what goes on beside them."""
        for task in self._reloads:
            task.cancel()
        await asyncio.gather(self._router.close(), self._warming.close(), self._healing.close())
        if self._embeddings is not None:
            self._embeddings.close()

    # --------------------------------------------------------------------------------------- another configuration

    def _router_of(self, settings: Settings) -> Router:
        return Router(self._fleet, settings.rules, self._roster.dispatchers, self._waiting, self._around)

    def _write_prompts(self) -> None:
        given = self._config.log
        self._prompts.change(prompts_file(given.prompts), given.prompts_max_bytes)

    def _told(self) -> AbstractContextManager[None]:
        """Tells the service manager of a reload."""
        return nullcontext() if self._draining else reloading()

    def _reload(self) -> None:
        """As a SIGHUP wants it."""
        self._reloads.add(task := asyncio.create_task(self._reloading.quietly(), name="reload"))
        task.add_done_callback(self._reloads.discard)

    async def _apply(self, config: Config, settings: Settings) -> None:
        """Puts another configuration in force, between two requests: those that run go on with what they began with."""
        found = await self._roster.look_ahead(settings, FIRST_ROUND)
        embeddings, former = self._embeddings, self._settings
        if (config.routing.classifier, settings.intents) != (self._config.routing.classifier, former.intents):
            embeddings = await self._open_embeddings(embeddings_of(config, settings))
        self._config, self._settings = config, settings  # nothing awaits from here on
        admission = config.admission
        self._waiting.limit(admission.max_queue, admission.max_queue_time, admission.ageing)
        self._gate.max_request_time = config.server.max_request_time
        self._roster.refit(settings, found)
        router = self._router_of(settings)
        router.inherit(self._router)
        if embeddings is not self._embeddings and self._embeddings is not None:
            self._embeddings.retire()
        self._router, self._embeddings = router, embeddings
        self._warming.rules = settings.rules
        self._vacancies.change(settings.rules.policy, settings.intents)
        self._inference.router, self._inference.understanding = router, embeddings
        self._inference.allow_http_images = config.images.allow_http
        self._admin.name(settings.rules.policy.aliases)
        self._access.change(settings.credentials)
        self._write_prompts()
        set_level(config.log.level)

    async def _search(self) -> None:
        """Looks on for servers that are not there yet."""
        while True:
            await asyncio.sleep(SEARCH_INTERVAL)
            await self._roster.search()

    def _lagged(self, seconds: float) -> None:
        self._gate.log.statistics.lagged(seconds, self._gate.log.now())

    async def _drain(self, reporter: Reporter) -> None:
        """New callers go to the next daemon or are told to come back; running calls may finish; admin goes last."""
        grace = self._config.server.drain_timeout
        self._draining = True
        log.info("draining: %d requests are running, they have %g s", self._running(), grace)
        self._stop.clear()
        ended = asyncio.create_task(self._run_dry())
        hurry = asyncio.create_task(self._stop.wait())
        reporting = asyncio.create_task(reporter.draining())
        done, _ = await asyncio.wait((ended, hurry), timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        for task in (ended, hurry, reporting):
            task.cancel()
        if ended not in done:
            await self._gate.cut_short(LAST_WORDS)
        await self._entrance.stop(LAST_WORDS)
        log.info("stopped")

    async def _run_dry(self) -> None:
        """Returns when no call runs any more."""
        await self._entrance.leave(lambda: not self._gate.running, self._watchers.close)
        self._watchers.close()
        self._waiting.close()
        await self._gate.drain()

    def _running(self) -> int:
        return sum(self._fleet.leases.in_flight(name) for name in self._fleet.names())

    def _status(self) -> str:
        snapshot = self._fleet.picture.snapshot(time.monotonic())
        usable = sum(view.phase in USABLE for view in snapshot.backends.values())
        if self._draining:
            return f"draining, {self._running()} running"
        ready = f"{usable} of {len(snapshot.backends)} backends ready, {self._running()} running"
        ending = self._certificates.ending() if self._certificates else ()
        return "; ".join([ready, *self._vacancies.in_words(), *ending])
