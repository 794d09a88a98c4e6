"""What an Ollama tells of itself.

The one rule: nothing here loads a model or keeps one loaded; /api/version, /api/tags, /api/ps and /api/show never do.
"""

import asyncio
import re
import time
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime

import aiohttp

from zoe_grpcd.adapters.dialects.ollama import Ollama
from zoe_grpcd.adapters.inquiry import (
    Inquiry,
    Reply,
    Unusable,
    count,
    observed,
    record,
    text,
    texts,
    together,
)
from zoe_grpcd.adapters.warmer import LoadRequest
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.generation import Call, Json
from zoe_grpcd.core.observation import LoadState, ModelStatus, Observation

DEFAULT_CONTEXT_TOKENS = 4096  # where neither the server nor the Modelfile says anything
_CAPABILITIES = {"completion": "chat", "thinking": "reasoning"}  # the others are named as here
_UNITS = {"": 1e-9, "K": 1e-6, "M": 1e-3, "B": 1.0, "T": 1e3}  # in billions
_NEVER = 10 * 365 * 86400.0  # s; keep_alive -1 is told as the year 2319
_SHOWS_AT_ONCE = 4  # /api/show reads the model's whole header from disk


def loading(call: Call, keep_alive: float | None) -> LoadRequest:
    """A chat without messages, with the options of a real one: another `num_ctx`, say, would be another load.

    With a `keep_alive` of 0 it unloads the model, and does so without a load.
    """
    _, own = Ollama().spell(call)
    stay: Json = {}
    if keep_alive is not None:
        rounded = max(keep_alive, 0.001) if keep_alive else 0.0
        stay["keep_alive"] = -1 if keep_alive < 0 else f"{rounded:.3f}s"
    return LoadRequest(
        "/api/chat", {"model": call.backend_model, "messages": [], "stream": False, **own, **stay}
    )


@dataclass(frozen=True, slots=True)
class _Facts:
    """What /api/show tells; it stays as it is for as long as the digest does."""

    capabilities: frozenset[str] = frozenset({"chat", "json_schema"})
    context_tokens: int = DEFAULT_CONTEXT_TOKENS
    largest_context: int | None = None  # what the model was made for: no request gets more


class OllamaProbe:
    """Looks at one Ollama."""

    def __init__(self, session: aiohttp.ClientSession, backend: Backend, api_key: str = "") -> None:
        self._server = Inquiry(session, backend.url, api_key, backend.connect_timeout)
        self._facts: dict[tuple[str, str], _Facts] = {}  # by name and digest
        self._shows = asyncio.Semaphore(_SHOWS_AT_ONCE)

    async def __call__(self) -> Observation:
        """Never raises for what the server does."""
        return await observed(self._look)

    async def _look(self) -> Observation:
        replies = await together(
            *(self._server.ask(path) for path in ("/api/version", "/api/tags", "/api/ps"))
        )
        for reply in replies:
            _welcome(reply)
        version, tags, running = replies
        installed = tags.listing("models", "name")
        here = [model for model in installed if not model.get("remote_host")]
        facts = await together(*(self._show(model) for model in here))
        self._facts = {key: known for key, known in self._facts.items() if key in map(_key, here)}
        loaded = _by_names(running.listing("models", "name"))
        now = _server_time(running)
        return Observation(
            ok=True,
            models=tuple(
                _status(model, known, loaded.get(model["name"]) or loaded.get(_key(model)[1]), now)
                for model, known in zip(here, facts, strict=True)
            ),
            detail=_detail(text(version.record().get("version")), len(installed) - len(here)),
        )

    async def _show(self, model: Json) -> _Facts:
        key = _key(model)
        if key not in self._facts:
            async with self._shows:
                try:
                    asked: Json = {"model": key[0]}
                    shown = (await self._server.ask("/api/show", body=asked, only_asks=True)).record()
                except Unusable:  # removed since it was listed, or damaged: asked again next time
                    return _Facts()
            self._facts[key] = _facts(shown)
        return self._facts[key]


def _welcome(reply: Reply) -> None:
    """Ollama on a loopback address answers 403 with an empty body to a host name that is not its own."""
    if reply.status == 403 and not reply.body:
        raise Unusable("403: it refuses the url's host name; use its address, or widen its OLLAMA_HOST")
    reply.success()


def _key(model: Json) -> tuple[str, str]:
    return text(model["name"]), text(model.get("digest"))


def _by_names(running: list[Json]) -> dict[str, Json]:
    """What is in memory, by name and by digest: of a copied model only the name is told that it was loaded by, and by the
    others it is served as it is (0.9.3).
    """
    return {name: model for model in running for name in _key(model) if name}


def _detail(version: str, elsewhere: int) -> str:
    left_out = f"; left out: {elsewhere} that run elsewhere" if elsewhere else ""
    return f"Ollama {version[:40]}{left_out}"


# ------------------------------------------------------------------------------------------------------- one model


def _facts(shown: Json) -> _Facts:
    sizes = (
        value for key, value in record(shown.get("model_info")).items() if key.endswith(".context_length")
    )
    largest = next((size for size in map(count, sizes) if size), None)
    wanted = re.search(r"(?m)^num_ctx\s+(\d{1,9})\s*$", text(shown.get("parameters")))
    return _Facts(_capabilities(shown), (wanted and int(wanted[1])) or DEFAULT_CONTEXT_TOKENS, largest)


def _capabilities(shown: Json) -> frozenset[str]:
    told = texts(shown.get("capabilities"))
    if not told:  # versions before 0.6.4
        told = ["completion", "tools"] if ".Tools" in text(shown.get("template")) else ["completion"]
    return frozenset(_CAPABILITIES.get(name, name) for name in told) | {"json_schema"}


def _status(model: Json, facts: _Facts, running: Json | None, now: float) -> ModelStatus:
    details = record(model.get("details"))
    on_disk = ModelStatus(
        name=text(model["name"]),
        state=LoadState.UNLOADED,
        context_tokens=min(facts.context_tokens, facts.largest_context or facts.context_tokens),
        capabilities=facts.capabilities,
        parameters=_billions(text(details.get("parameter_size"))),
        size_bytes=count(model.get("size"), below=1 << 63) or 0,
        digest=text(model.get("digest")),
    )
    expires = _timestamp(text(running.get("expires_at"))) if running else None
    if running is None or (expires is not None and expires <= now):
        return on_disk
    return replace(
        on_disk,
        state=LoadState.LOADED,
        context_tokens=count(running.get("context_length")) or on_disk.context_tokens,
        size_bytes=count(running.get("size"), below=1 << 63) or on_disk.size_bytes,
        vram_bytes=count(running.get("size_vram"), below=1 << 63) or 0,
        expire_at=expires if expires is not None and expires < now + _NEVER else None,
    )


def _billions(size: str) -> float | None:
    """A size like 3.2B or 137M."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([KMBT]?)", size)
    return float(match[1]) * _UNITS[match[2]] or None if match else None


def _timestamp(moment: str) -> float | None:
    """Unix seconds of an RFC 3339 time with a zone; None for what is none, and for Go's zero time."""
    try:
        at = datetime.fromisoformat(moment)
        return at.timestamp() if at.tzinfo is not None and at.year > 1 else None
    except (ValueError, OverflowError):
        return None


def _server_time(reply: Reply) -> float:
    """The server's own clock: what it says of its models' expiry is told by that one."""
    try:
        return parsedate_to_datetime(reply.headers["Date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return time.time()
