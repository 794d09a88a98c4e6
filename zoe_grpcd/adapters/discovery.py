"""Finds the model servers of this machine when nothing is configured.

The one rule: loopback only, and only questions that disturb none of the servers that may be listening there. So
/v1/models comes last: llama-cpp-python cuts a running answer short to give it.
"""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import aiohttp

from zoe_grpcd.adapters.inquiry import LLAMA_CPP_PYTHON, Inquiry, Reply, Unusable, record, text, together
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.observation import Observation
from zoe_grpcd.ports import Probe

log = logging.getLogger(__name__)

OLLAMA_PORT = 11434
PORTS = (
    OLLAMA_PORT,
    8080,  # llama-server's default, LocalAI's and mlx_lm.server's
    8081,  # the second and third llama-server of a machine
    8082,
    8012,  # llama-server as editor plugins start it
    8033,  # llama-server as its own guides start it
    8000,  # vLLM's default
    8001,  # the second vLLM
    1234,  # LM Studio
    1337,  # Jan
    5000,  # TabbyAPI, text-generation-webui
    5001,  # KoboldCpp
    30000,  # SGLang
)
PATIENCE = 0.9  # s for a port: a vLLM on a machine that has other work takes more than half a second
_LOOPBACK = {"", "localhost", "127.0.0.1", "0.0.0.0", "::", "::1"}  # noqa: S104  # what Ollama may listen on


@dataclass(frozen=True, slots=True)
class Found:
    """The backends that can be used, and lines for a log about each of them and about what can't be."""

    backends: tuple[Backend, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Server:
    """What answers at a url; no `kind`: nothing that can be used, and the note says why."""

    url: str
    note: str
    kind: str = ""


async def discover(
    session: aiohttp.ClientSession,
    ports: Collection[int] = PORTS,
    own_ports: Collection[int] = (),
    environ: Mapping[str, str] = os.environ,
) -> Found:
    """Looks at all ports at once; `own_ports`, those of this process, are left out. Never raises for what it finds.

    Backends are named after their kind, or kind-port where a kind is found more than once.
    """
    wanted = {*ports, *_ollama_port(environ.get("OLLAMA_HOST", ""))} - set(own_ports)
    answers = await together(*(_look(session, _url(port)) for port in sorted(wanted)))
    servers = [server for server in answers if server is not None]
    kinds = Counter(server.kind for server in servers)
    backends = tuple(_backend(server, kinds[server.kind] > 1) for server in servers if server.kind)
    return Found(backends, tuple(server.note for server in servers))


async def recognise(session: aiohttp.ClientSession, url: str, api_key: str = "") -> Found | None:
    """What kind of server answers at a url, which may end in /v1; None if nothing does. No backend in it: see the note."""
    server = await _look(session, url.removesuffix("/").removesuffix("/v1"), api_key)
    if server is None:
        return None
    backends = (Backend(server.kind, server.kind, url),) if server.kind else ()
    return Found(backends, (server.note,))


# Who speaks OpenAI's interface, too, and takes no harm from it.
_OPENAI = frozenset({"openai", "llamacpp", "ollama", "vllm"})


class ComparedProbe:
    """Another probe, and whether the server is what the operator said: looked at once, and when it is back."""

    def __init__(self, probe: Probe, session: aiohttp.ClientSession, backend: Backend) -> None:
        self._probe = probe
        self._session = session
        self._backend = backend
        self._note: str | None = None  # what contradicts; empty: nothing does; None: not known yet
        self._logged = ""

    async def __call__(self) -> Observation:
        """See `Probe`."""
        seen = await self._probe()
        if self._note is None:
            self._note = await self._compared()
        noted = [self._note] if self._note else []
        if seen.ok:
            return replace(seen, detail="; ".join(filter(None, [seen.detail, *noted])))
        self._note = None
        return replace(seen, error="; ".join([seen.error, *noted]))

    async def _compared(self) -> str | None:
        stated = self._backend.kind
        found = await recognise(self._session, self._backend.url, self._backend.api_key)
        if found is None or not found.backends:
            return None
        kind = found.backends[0].kind
        if kind == stated or (stated == "openai" and kind in _OPENAI):
            return ""
        note = f"configured as kind {stated}, but {found.notes[0]} (kind {kind})"
        if note != self._logged:
            self._logged = note
            log.warning("backend %s: %s", self._backend.name, note)
        return note


def _backend(server: _Server, crowded: bool) -> Backend:
    name = f"{server.kind}-{server.url.rpartition(':')[2]}" if crowded else server.kind
    return Backend(name, server.kind, server.url)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _ollama_port(host: str) -> set[int]:
    """The port in $OLLAMA_HOST, which may be host, host:port, :port or a URL; empty unless that is this machine."""
    try:
        parts = urlsplit(host if "://" in host else f"//{host}")
        default = {"http": 80, "https": 443}.get(parts.scheme, OLLAMA_PORT)
        port = parts.port or default
    except ValueError:
        return set()
    return {port} if host and (parts.hostname or "") in _LOOPBACK else set()


async def _look(session: aiohttp.ClientSession, url: str, api_key: str = "") -> _Server | None:
    server = Inquiry(session, url, api_key, connect_timeout=PATIENCE)
    try:
        async with asyncio.timeout(PATIENCE):
            return await _recognise(server, url)
    except TimeoutError:
        return _Server(url, f"{url} answers too slowly to be recognised")
    except Unusable:  # nothing listens, or nothing that speaks HTTP
        return None


async def _recognise(server: Inquiry, url: str) -> _Server | None:
    if await _is_llama_server(server):
        return _Server(url, f"{url} is a llama-server", "llamacpp")
    if (version := await _ollama_version(server)) is not None:
        return _Server(url, f"{url} is an Ollama {version}", "ollama")
    if "extensions" in _object(await _reply(server, "/v2")):
        return _Server(url, f"{url} is a Triton", "triton")
    if await _is_llama_cpp_python(server):
        return _Server(url, f"{url} is a llama-cpp-python", "llama-cpp-python")
    return await _openai(server, url)


async def _is_llama_server(server: Inquiry) -> bool:
    health = await _reply(server, "/health")
    if health.headers.get("Server") == "llama.cpp":
        return True
    return "default_generation_settings" in _object(await _reply(server, "/props"))


async def _is_llama_cpp_python(server: Inquiry) -> bool:
    """A vLLM has a version, unlike it, and needs up to two seconds for its first schema: it is not asked for that."""
    if "version" in _object(await _reply(server, "/version")):
        return False
    return LLAMA_CPP_PYTHON in (await _reply(server, "/openapi.json")).body


async def _ollama_version(server: Inquiry) -> str | None:
    """Its version, if it says what Ollama says at `/`: KoboldCpp answers the API, but not as Ollama does."""
    version = text(_object(await _reply(server, "/api/version")).get("version"))
    if not version or (await _reply(server, "/")).body.strip() != b"Ollama is running":
        return None
    return version[:40]


async def _openai(server: Inquiry, url: str) -> _Server | None:
    try:
        models = (await server.ask("/v1/models")).listing("data", "id")
    except Unusable as exc:
        wants_key = str(exc).startswith("401")
        return _Server(url, f"{url} wants an api_key: configure it as a backend") if wants_key else None
    if any(model.get("owned_by") == "vllm" for model in models):
        return _Server(url, f"{url} is a vLLM", "vllm")
    return _Server(url, f"{url} is a server with OpenAI's interface", "openai")


async def _reply(server: Inquiry, path: str) -> Reply:
    """The answer; an empty 401 in place of one that wants a key, which is no reason to stop asking."""
    try:
        return await server.ask(path)
    except Unusable as exc:
        if str(exc).startswith("401"):
            return Reply(path, 401, {}, b"")
        raise


def _object(reply: Reply) -> dict[str, object]:
    try:
        return record(reply.json())
    except Unusable:
        return {}
