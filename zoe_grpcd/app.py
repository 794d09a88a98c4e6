"""Composition root and life cycle: build, listen, READY, drain, stop. The only place that builds adapters."""

import asyncio
import gc
import logging
import random
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp

from zoe_grpcd.adapters import litellm_setup, resuming
from zoe_grpcd.adapters.dialects import DIALECTS
from zoe_grpcd.adapters.discovery import discover, recognise
from zoe_grpcd.adapters.inquiry import together
from zoe_grpcd.adapters.listed import ListedProbe
from zoe_grpcd.adapters.litellm_full import FullDispatcher
from zoe_grpcd.adapters.litellm_transform import TransformDispatcher, open_session
from zoe_grpcd.adapters.passive import PassiveProbe
from zoe_grpcd.adapters.resuming import ResumingDispatcher
from zoe_grpcd.adapters.systemd import Reporter, inherited_sockets
from zoe_grpcd.admission import WaitingRoom
from zoe_grpcd.config import Config
from zoe_grpcd.core.domain import Backend, Observation, Phase
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.kinds import KINDS, with_kind
from zoe_grpcd.monitor import Monitor
from zoe_grpcd.ports import Dispatcher, Probe
from zoe_grpcd.recording.recorder import Recorder
from zoe_grpcd.router import Around, Router
from zoe_grpcd.rpc import admin, health, inference, reflection
from zoe_grpcd.rpc.admin_encode import USABLE
from zoe_grpcd.rpc.doors import UNIX, Doors
from zoe_grpcd.rpc.guard import Gate
from zoe_grpcd.rpc.handover import Handover
from zoe_grpcd.rpc.notice import Watchers
from zoe_grpcd.rpc.selfcheck import SelfCheck
from zoe_grpcd.rpc.server import Locks, Server, listen, make_server
from zoe_grpcd.settings import Settings, settings_of

if TYPE_CHECKING:
    from zoe_grpcd.adapters.embeddings import Embeddings  # an extra

log = logging.getLogger(__name__)

# READY waits no longer than this for the first look at all backends (seconds).
FIRST_ROUND = 3.0
# Time for the last answers to leave, once nothing runs (seconds).
LAST_WORDS = 1.0
# How often servers are looked for that are not there yet (seconds).
SEARCH_INTERVAL = 5.0


class Roster:
    """Which backends there are, and what speaks to each: configured, recognised, or discovered."""

    def __init__(self, settings: Settings, fleet: Fleet, monitor: Monitor, resources: AsyncExitStack) -> None:
        self._backends = settings.backends
        self._deployments = settings.deployments
        self._params = settings.litellm_params
        self._fleet = fleet
        self._monitor = monitor
        self._resources = resources
        self._direct: dict[str, Dispatcher] = {}
        self._full: FullDispatcher | None = None
        self._settled: dict[str, str] = {}  # the kind of each configured backend, once it is known
        self.own_ports: set[int] = set()
        self.dispatchers: dict[str, Dispatcher] = {}

    async def open(self) -> None:
        """Loads LiteLLM beside the event loop, and enlists every backend that is known by now."""
        calls = await self._resources.enter_async_context(open_session())
        self._session = await self._resources.enter_async_context(_probe_session())
        self._resources.push_async_callback(self._monitor.close)  # before the session that its probes use
        broken = await asyncio.to_thread(litellm_setup.load, DIALECTS)
        for kind, why in broken.items():
            log.warning("kind %s goes through LiteLLM's own calls, since %s", kind, why)
        self._full = FullDispatcher(self._params)
        self._resources.push_async_callback(self._full.close)
        self._direct = {
            kind: TransformDispatcher(calls, dialect)
            for kind, dialect in DIALECTS.items()
            if kind not in broken
        }
        if chat := self._direct.get("llamacpp"):
            completion = TransformDispatcher(calls, resuming.DIALECT, resuming.Completions())
            self._direct["llamacpp"] = ResumingDispatcher(calls, chat, completion)
        gc.collect()
        gc.freeze()  # LiteLLM leaves half a million objects: a full collection over them takes 200 ms
        await self.search()

    async def search(self) -> bool:
        """Enlists what is new; True if somebody may still turn up, or turn into something else."""
        if not self._backends:
            await self._discover()
            return True
        await together(*(self._enlist_configured(backend) for backend in self._backends))
        return any(backend.kind == "auto" for backend in self._backends)

    async def _discover(self) -> None:
        """Enlists every server of this machine; another kind on a known port is another backend."""
        found = await discover(self._session, own_ports=self.own_ports)
        names = set(self._fleet.names())
        known = [self._fleet.backend(name) for name in names]
        taken = {(backend.url, backend.kind) for backend in known}
        for backend in found.backends:
            if (backend.url, backend.kind) not in taken:
                self._enlist(replace(backend, name=_unused(backend.name, names)))
        for note in found.notes:
            log.debug("%s", note)

    async def _enlist_configured(self, backend: Backend) -> None:
        """Enlists it once its kind is known, and anew when that has changed."""
        kind, settled = backend.kind, self._settled.get(backend.name)
        if settled and (kind != "auto" or self._fleet.phase(backend.name) is not Phase.DOWN):
            return
        if kind == "auto":
            found = await recognise(self._session, backend.url, backend.api_key)
            if found is None or not found.backends:
                self._note_unknown(backend, found.notes if found else ("nothing answers there",))
                return
            kind = found.backends[0].kind
        if kind == settled:
            return
        self._settled[backend.name] = kind
        if kind in KINDS:
            self._enlist(replace(backend, kind=kind))
        else:
            log.warning("backend %s: kind %s is not supported yet; it gets no requests", backend.name, kind)

    def _note_unknown(self, backend: Backend, notes: tuple[str, ...]) -> None:
        """Shows a backend whose kind is not known yet, with the reason, and logs that once."""
        if backend.name in self._settled:
            return  # its probe tells what is wrong
        why = ", ".join(notes)
        if backend.name not in self._fleet.names():
            self._fleet.add(backend, time.monotonic())
            log.warning("backend %s: its kind is not known yet: %s", backend.name, why)
        self._fleet.observe(backend.name, Observation(ok=False, error=why), time.monotonic())

    def _enlist(self, backend: Backend) -> None:
        backend = with_kind(backend)
        kind = KINDS[backend.kind]
        dispatcher = self._direct.get(backend.kind) if kind.direct else None
        assert self._full is not None
        self.dispatchers[backend.name] = dispatcher or self._full
        probe: Probe
        if kind.probe is None:
            probe = PassiveProbe(d.backend_model for d in self._deployments if d.backend == backend.name)
        else:
            probe = kind.probe(self._session, backend, backend.api_key)
        if not backend.local:
            probe = ListedProbe(probe, backend, self._params.get(backend.name))
        self._monitor.watch(backend, probe)
        log.info("backend %s: %s at %s", backend.name, backend.kind, backend.url)


def _probe_session() -> aiohttp.ClientSession:
    """A session apart from that of the calls, so that a stalled probe takes no connection of a request."""
    return aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar())


def _unused(name: str, names: set[str]) -> str:
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, 1000))) if n not in names)


class Daemon:
    """One daemon. `run` is its whole life."""

    def __init__(self, config: Config) -> None:
        self._config = config
        settings = settings_of(config)
        self._fleet = Fleet(settings.facts, settings.deployments, random.getrandbits(63), settings.caution)
        self._monitor = Monitor(self._fleet, time.monotonic)
        self._recorder = _recorder_of(config, settings)
        self._around = Around(
            time.monotonic, self._monitor.nudge, record=self._recorder, look=self._monitor.look
        )
        self._waiting = WaitingRoom(
            config.admission.max_queue,
            config.admission.max_queue_time,
            config.admission.ageing,
            self._fleet.has_room,
        )
        self._fleet.subscribe(lambda _name: self._waiting.stir())
        self._watchers = Watchers(self._fleet.subscribe)
        self._gate = Gate(config.server.max_request_time)
        self._resources = AsyncExitStack()
        self._roster = Roster(settings, self._fleet, self._monitor, self._resources)
        self._router = Router(
            self._fleet, settings.rules, self._roster.dispatchers, self._waiting, self._around
        )
        self._embeddings = _embeddings_of(config, settings)
        self._locks = Locks()
        self._doors = Doors(inherited_sockets())
        self._handover = Handover(self._doors)
        self._stop = asyncio.Event()
        self._draining = False
        self._aliases = settings.rules.policy.aliases
        self.addresses: list[str] = []

    async def run(self) -> None:
        """Serves until the first SIGTERM or SIGINT, then drains; the second ends it at once.

        Raises CannotListen before it serves, if an address is taken.
        """
        data, admin_server = self._servers()
        async with self._resources:
            if self._recorder is not None:
                self._recorder.start()
                self._resources.push_async_callback(asyncio.to_thread, self._recorder.close)
            self._listen(data, admin_server)
            if self._doors:
                await self._open_early(data)
            await asyncio.gather(self._roster.open(), self._open_embeddings())
            self._resources.push_async_callback(self._router.close)
            await self._monitor.first_round(FIRST_ROUND)
            if not self._doors:
                await data.start()
            await admin_server.start()
            self._gate.ready.set()
            with _signals(self.stop):
                async with SelfCheck(
                    next((a for a in self.addresses if a.startswith(UNIX)), self.addresses[0])
                ) as alive:
                    reporter = Reporter(self._status, alive)
                    log.info("ready on %s: %s", ", ".join(self.addresses), self._status())
                    await self._until_stopped(self._search(), reporter.serving())
                await self._drain(data, admin_server, reporter)

    async def _open_early(self, data: Server) -> None:
        """Greets whoever waits at inherited sockets, who would give up after 20 s; calls wait until all is there."""
        self._gate.ready.clear()
        await data.start()
        self._resources.push_async_callback(self._handover.close)
        self._handover.open()

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

    def _servers(self) -> tuple[Server, Server]:
        server = self._config.server
        healthy = health.HealthServicer(self._fleet, self._watchers, self._around).handlers()
        data_services = inference.InferenceServicer(
            self._router, self._gate, self._config.images.allow_http, understanding=self._embeddings
        ).handlers()
        admin_services = admin.AdminServicer(
            self._fleet, self._watchers, self._around, self._aliases, self._gate.log
        ).handlers()
        limits: Any = {
            "max_streams": server.max_concurrent_streams,
            "max_receive_bytes": server.max_receive_bytes,
        }
        data = make_server(
            (data_services, healthy, *reflection.handlers((inference.SERVICE, health.SERVICE))),
            beside_inherited=bool(self._doors),
            **limits,
        )
        administration = make_server(
            (admin_services, healthy, *reflection.handlers((admin.SERVICE, health.SERVICE))), **limits
        )
        return data, administration

    def _listen(self, data: Server, administration: Server) -> None:
        self._resources.callback(self._locks.close)
        for address in self._config.server.listen:
            self.addresses.append(listen(data, address, self._locks, self._doors.claim(address)))
        self._doors.all_claimed()
        if self._config.server.admin_listen:
            listen(administration, self._config.server.admin_listen, self._locks)
        ports = (a.rpartition(":")[2] for a in self.addresses if not a.startswith(UNIX))
        self._roster.own_ports |= {int(port) for port in ports}

    async def _open_embeddings(self) -> None:
        if self._embeddings is not None:
            self._resources.callback(self._embeddings.close)
            await self._embeddings.open()

    async def _search(self) -> None:
        """Looks on for servers that are not there yet."""
        while True:
            await asyncio.sleep(SEARCH_INTERVAL)
            if not await self._roster.search():
                return

    async def _drain(self, data: Server, administration: Server, reporter: Reporter) -> None:
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
        await data.stop(LAST_WORDS)
        await administration.stop(0)
        log.info("stopped")

    async def _run_dry(self) -> None:
        """Returns when no call runs any more."""
        await self._handover.leave(lambda: not self._gate.running, self._watchers.close)
        self._watchers.close()
        self._waiting.close()
        await self._gate.drain()

    def _running(self) -> int:
        return sum(self._fleet.in_flight(name) for name in self._fleet.names())

    def _status(self) -> str:
        snapshot = self._fleet.snapshot(time.monotonic())
        usable = sum(view.phase in USABLE for view in snapshot.backends.values())
        if self._draining:
            return f"draining, {self._running()} running"
        return f"{usable} of {len(snapshot.backends)} backends ready, {self._running()} running"


def _recorder_of(config: Config, settings: Settings) -> Recorder | None:
    if config.log.decisions is None:
        return None
    return Recorder(config.log.decisions, config.log.decisions_max_bytes, settings.deployments)


def _embeddings_of(config: Config, settings: Settings) -> "Embeddings | None":
    if config.routing.classifier != "embeddings":
        return None
    from zoe_grpcd.adapters.embeddings import Embeddings

    return Embeddings(settings.intents)


@contextmanager
def _signals(handler: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT call `handler` while this lasts."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def serve(config: Config) -> None:
    """Runs a daemon to its end, on uvloop if that is installed."""

    async def main() -> None:
        await Daemon(config).run()

    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        uvloop.run(main())
