"""Which backends there are: configured, recognised or discovered, each with what calls it and what probes it.

Rule: nothing is enlisted before its kind is known, and nothing twice.
"""

import asyncio
import gc
import logging
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import NamedTuple

import aiohttp

from zoe_grpcd.adapters import litellm_setup, resuming, resuming_vllm
from zoe_grpcd.adapters.dialects import DIALECTS
from zoe_grpcd.adapters.discovery import ComparedProbe, discover, recognise
from zoe_grpcd.adapters.inquiry import together
from zoe_grpcd.adapters.listed import ListedProbe
from zoe_grpcd.adapters.litellm_full import FullDispatcher
from zoe_grpcd.adapters.litellm_params import gives_logprobs
from zoe_grpcd.adapters.litellm_transform import TransformDispatcher, open_session
from zoe_grpcd.adapters.llamacpppython import LlamaCppPythonDispatcher
from zoe_grpcd.adapters.passive import NamedProbe, PassiveProbe
from zoe_grpcd.adapters.resuming import ResumingDispatcher
from zoe_grpcd.adapters.resuming_vllm import VLLMDispatcher
from zoe_grpcd.adapters.triton import TritonProvider
from zoe_grpcd.core.backend import Backend, Phase
from zoe_grpcd.core.observation import Observation
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.kinds import KINDS, is_direct, warmer_of, with_kind
from zoe_grpcd.monitor import Monitor
from zoe_grpcd.ports import Dispatcher, Probe, Warmer
from zoe_grpcd.pricelist import bare
from zoe_grpcd.settings import Settings

log = logging.getLogger(__name__)


class Found(NamedTuple):
    """What a look at a server that is not enlisted yet has shown; `seen` None: it was recognised, but not probed."""

    kind: str
    seen: Observation | None


class Roster:
    """Which backends there are, and what speaks to each: configured, recognised, or discovered."""

    def __init__(self, settings: Settings, fleet: Fleet, monitor: Monitor, resources: AsyncExitStack) -> None:
        self._settings = settings
        self._params = dict(settings.litellm_params)
        self._fleet = fleet
        self._monitor = monitor
        self._resources = resources
        self._direct: dict[str, Dispatcher] = {}
        self._full: FullDispatcher | None = None
        self._settled: dict[str, str] = {}  # the kind of each configured backend, once it is known
        self.own_ports: set[int] = set()
        self.dispatchers: dict[str, Dispatcher] = {}
        self.warmers: dict[str, Warmer] = {}
        fleet.picture.subscribe(self._let_go)

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
        if chat := self._direct.get("vllm"):
            completion = TransformDispatcher(calls, resuming_vllm.DIALECT, resuming_vllm.TokenCompletions())
            self._direct["vllm"] = VLLMDispatcher(calls, chat, completion)
        if "triton" in self._direct:
            self._direct["triton"] = TransformDispatcher(
                calls, DIALECTS["triton"], TritonProvider(DIALECTS["triton"])
            )
        if streams := self._direct.get("llama-cpp-python"):
            self._direct["llama-cpp-python"] = LlamaCppPythonDispatcher(calls, streams)
        gc.collect()
        gc.freeze()  # LiteLLM leaves half a million objects: a full collection over them takes 200 ms
        gc.set_threshold(10_000)  # by default after 700 new objects, which one request in flight makes
        await self.search()

    async def search(self) -> bool:
        """Enlists what is new; True if somebody may still turn up, or turn into something else."""
        backends = self._settings.backends
        if not backends:
            await self._discover()
            return True
        await together(*(self._enlist_configured(backend) for backend in backends))
        return any(backend.kind == "auto" for backend in backends)

    async def _discover(self) -> None:
        """Enlists every server of this machine; another kind on a known port is another backend."""
        found = await discover(self._session, own_ports=self.own_ports)
        if self._settings.backends:
            return  # others are configured meanwhile
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
        if settled and (kind != "auto" or self._fleet.health.phase(backend.name) is not Phase.DOWN):
            return
        if kind == "auto":
            found = await recognise(self._session, backend.url, backend.api_key)
            if backend not in self._settings.backends:
                return  # others are configured meanwhile
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
        self._fleet.health.observe(backend.name, Observation(ok=False, error=why), time.monotonic())

    def _enlist(self, backend: Backend, seen: Observation | None = None) -> None:
        backend = with_kind(backend)
        self.dispatchers[backend.name] = self._dispatcher_of(backend)
        self._put_warmer(backend)
        self._monitor.watch(backend, self._probe_of(backend, self._settings), seen)
        log.info("backend %s: %s at %s", backend.name, backend.kind, backend.url)

    def _let_go(self, name: str) -> None:
        if name not in self._fleet.names():
            self.dispatchers.pop(name, None)
            self.warmers.pop(name, None)

    def _put_warmer(self, backend: Backend) -> None:
        """Who can be told to load a model is told so from now on."""
        self.warmers.pop(backend.name, None)
        if (warmer := warmer_of(self._session, backend)) is not None:
            self.warmers[backend.name] = warmer

    def _dispatcher_of(self, backend: Backend) -> Dispatcher:
        direct = self._direct.get(backend.kind) if is_direct(backend) else None
        assert self._full is not None
        return direct or self._full

    def _probe_of(self, backend: Backend, settings: Settings) -> Probe:
        kind = KINDS[backend.kind]
        named = [d.backend_model for d in settings.deployments if d.backend == backend.name]
        probe: Probe
        if kind.probe is None:
            probe = PassiveProbe(named or _own_model(settings.litellm_params.get(backend.name, {})))
        else:
            probe = kind.probe(self._session, backend, backend.api_key)
            probe = NamedProbe(probe, named or [backend.name]) if kind.named else probe
            if backend.local and any(b.name == backend.name and b.kind != "auto" for b in settings.backends):
                probe = ComparedProbe(probe, self._session, backend)
        if not backend.local:
            probe = ListedProbe(probe, backend, gives_logprobs, settings.litellm_params.get(backend.name))
        return probe

    # ------------------------------------------------------------------------------------------- other settings

    async def look_ahead(self, settings: Settings, limit: float) -> dict[str, Found]:
        """Looks at the servers that other settings have and the present ones have not, for so many seconds at most."""
        known = {_server(backend) for backend in self._settings.backends}
        new = [backend for backend in settings.backends if _server(backend) not in known]
        found: dict[str, Found] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await together(*(self._look_at(backend, settings, found) for backend in new))
        return found

    async def _look_at(self, backend: Backend, settings: Settings, found: dict[str, Found]) -> None:
        kind = backend.kind
        if kind == "auto":
            recognised = await recognise(self._session, backend.url, backend.api_key)
            if recognised is None or not recognised.backends:
                return
            kind = recognised.backends[0].kind
        if kind in KINDS:
            probe = self._probe_of(with_kind(replace(backend, kind=kind)), settings)
            found[backend.name] = Found(kind, None)
            found[backend.name] = Found(kind, await probe())

    def refit(self, settings: Settings, found: Mapping[str, Found]) -> None:
        """Puts other settings in force, at once. `found` is what `look_ahead` has seen.

        Who is no longer configured gets nothing new; the same servers go on with what is known of them.
        """
        before, self._settings = self._settings, settings
        self._params.clear()
        self._params.update(settings.litellm_params)
        self._fleet.refit(settings.facts, settings.deployments, settings.caution, time.monotonic())
        same = {_server(b) for b in before.backends} & {_server(b) for b in settings.backends}
        kept = {name for name, _, _ in same}
        if before.backends or settings.backends:
            for name in set(self._fleet.names()) - {b.name for b in settings.backends}:
                self._fleet.retire(name, time.monotonic())
        self._settled = {name: kind for name, kind in self._settled.items() if name in kept}
        for backend in settings.backends:
            if backend.name not in kept:
                self._enlist_found(backend, found.get(backend.name))
            elif kind := self._settled.get(backend.name):
                self._change(replace(backend, kind=kind))

    def _enlist_found(self, backend: Backend, found: Found | None) -> None:
        """A new one; whoever was not found yet is looked for again soon."""
        if found is None and backend.kind == "auto":
            self._note_unknown(backend, ("nothing answers there",))
            return
        kind = found.kind if found else backend.kind
        self._settled[backend.name] = kind
        if kind in KINDS:
            self._enlist(replace(backend, kind=kind), found.seen if found else None)

    def _change(self, backend: Backend) -> None:
        if backend.kind in KINDS:
            backend = with_kind(backend)
            self._monitor.change(backend, self._probe_of(backend, self._settings))
            self._put_warmer(backend)


def _probe_session() -> aiohttp.ClientSession:
    """A session apart from that of the calls, so that a stalled probe takes no connection of a request."""
    return aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar())


def _unused(name: str, names: set[str]) -> str:
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, 1000))) if n not in names)


def _own_model(params: Mapping[str, object]) -> list[str]:
    """What a backend serves by `litellm_params` alone, if `models` names nothing there."""
    return [bare(str(params["model"]))] if "model" in params else []


def _server(backend: Backend) -> tuple[str, str, str]:
    """What makes it the same server, as it is configured."""
    return backend.name, backend.kind, backend.url
