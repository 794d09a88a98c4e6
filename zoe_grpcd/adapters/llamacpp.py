"""What a llama-server (llama.cpp) tells of itself, with one model or as a router of many.

The one rule: nothing here wakes, loads, evicts or keeps awake a model. /health, /props and /v1/models never do.
/slots reloads a sleeping model and counts as use, so it is asked only of a server that is awake, and ever more
rarely of one that may want to fall asleep. A router loads what a question names unless `autoload=false` goes along.
"""

import asyncio
import itertools
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import PurePosixPath

import aiohttp

from zoe_grpcd.adapters.inquiry import (
    Inquiry,
    Reply,
    Unusable,
    billions,
    count,
    observed,
    record,
    records,
    text,
    texts,
    together,
)
from zoe_grpcd.adapters.slots import Restraint, busy_in, reading_in
from zoe_grpcd.adapters.warmer import LoadRequest
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.generation import Call, Json
from zoe_grpcd.core.observation import LoadState, ModelStatus, Observation

# What every llama-server does with any model that generates text.
_ALWAYS = frozenset({"chat", "completion", "json_schema", "grammar", "logprobs"})
# What shows only once a router has loaded the model: it would never be loaded for it if it were denied before.
_DOUBTED = frozenset({"tools"})
_THINKING = ("<think>", "</think>", "enable_thinking", "reasoning_content", "<|channel|>")
_EMBEDDING_FLAGS = {"--embedding", "--embeddings", "--reranking", "--rerank"}
_STATES = {"loaded": LoadState.LOADED, "loading": LoadState.LOADING, "sleeping": LoadState.SLEEPING}
_SLOTS_PATIENCE = (
    0.5  # s; builds before 2026 answer /slots only between two batches, and a long prompt is one
)


def loading(call: Call, _keep_alive: float | None) -> LoadRequest:
    """The tokens of nothing: a router loads the model for it, one that sleeps wakes up, and no slot is taken (b10434)."""
    return LoadRequest("/tokenize", {"model": call.backend_model, "content": ""}, {"autoload": "true"})


class LlamaCppProbe:
    """Looks at one llama-server. Router or single model is found out each time, since servers get swapped."""

    def __init__(self, session: aiohttp.ClientSession, backend: Backend, api_key: str = "") -> None:
        self._server = Inquiry(session, backend.url, api_key, backend.connect_timeout)
        self._restraints: dict[str, Restraint] = {}  # by the router's name of the model; "" is the only model
        self._known: dict[str, ModelStatus] = {}  # what a router's models told of themselves while loaded

    async def __call__(self) -> Observation:
        """Never raises for what the server does."""
        seen = await observed(self._look)
        if not seen.ok or seen.loading:  # whatever comes up next may be another server
            self._restraints.clear()
            self._known.clear()
        return seen

    async def _look(self) -> Observation:
        replies = await together(*(self._server.ask(path) for path in ("/health", "/props", "/v1/models")))
        if any(map(_loading, replies)):
            return Observation(ok=True, loading=True, detail="loading its model")
        health, props, models = replies
        health.success()
        about, listed = props.record(), models.listing("data", "id")
        if about.get("role") == "router" or any("status" in model for model in listed):
            return await self._look_at_router(listed)
        return await self._look_at_single(about, listed)

    # ------------------------------------------------------------------------------------------------- one model

    async def _look_at_single(self, about: Json, listed: Sequence[Json]) -> Observation:
        if not listed:
            raise Unusable("/v1/models: no model")
        asleep = about.get("is_sleeping") is True
        slots = await self._slots("", asleep=asleep)
        model = _with_listing(_with_props(ModelStatus(text(listed[0]["id"])), about), listed[0])
        model = replace(model, fingerprint=_fingerprint(about, listed[0]))
        state = LoadState.SLEEPING if asleep else LoadState.LOADED
        return Observation(
            ok=True,
            sleeping=asleep,
            models=(replace(model, state=state, alias=_alias(model.name), sole=True),),
            slots=count(about.get("total_slots")) or None,
            busy=busy_in(slots),
            reading=reading_in(slots),
        )

    async def _slots(self, model: str, *, asleep: bool, sleepless: bool = False) -> Sequence[Json] | None:
        """What each slot does; None when that is not told, not told soon, or must not be asked now."""
        if asleep:
            self._restraints.pop(model, None)
            return None
        restraint = self._restraints.setdefault(model, Restraint(sleepless))
        if not restraint.allows(time.monotonic()):
            return None
        try:
            async with asyncio.timeout(_SLOTS_PATIENCE):
                slots = records((await self._ask_model("/slots", model)).json())
        except (Unusable, TimeoutError):  # --no-slots answers 501
            return None
        restraint.saw(slots, time.monotonic())
        return slots

    async def _ask_model(self, path: str, model: str) -> Reply:
        query = {"model": model, "autoload": "false"} if model else None
        return await self._server.ask(path, query=query)

    # --------------------------------------------------------------------------------------------------- a router

    async def _look_at_router(self, listed: Sequence[Json]) -> Observation:
        looks = await together(*(self._look_at_child(model) for model in listed))
        loaded = [look for look in looks if look.model.state == LoadState.LOADED]
        return Observation(
            ok=True,
            models=tuple(look.model for look in looks),
            slots=_sum(look.slots for look in loaded),
            busy=_sum(look.busy for look in loaded),
            reading=tuple(trace for look in loaded for trace in look.reading or ()),
            detail="; ".join(["router", *(look.complaint for look in looks if look.complaint)]),
        )

    async def _look_at_child(self, listed: Json) -> "_Child":
        name, status = listed["id"], record(listed.get("status"))
        state = _state(status)
        model = _with_listing(self._known.get(name, ModelStatus(name)), listed)
        if state == LoadState.LOADED and (about := await self._child_props(name)) is not None:
            model = replace(_with_props(model, about), fingerprint=_fingerprint(about, listed))
            self._known[name] = model
            asleep = about.get("is_sleeping") is True  # early routers list a sleeping model as loaded
            sleepless = "--sleep-idle-seconds" not in texts(status.get("args"))
            slots = await self._slots(name, asleep=asleep, sleepless=sleepless)
            state = LoadState.SLEEPING if asleep else state
            total = count(about.get("total_slots"))
            return _Child(replace(model, state=state), total, busy_in(slots), reading_in(slots))
        self._restraints.pop(name, None)
        if name not in self._known and "embedding" not in model.capabilities:
            model = replace(model, capabilities=model.capabilities | _DOUBTED)
        failed = f"{name} ended with exit code {status.get('exit_code')}" if state == LoadState.FAILED else ""
        return _Child(replace(model, state=state), complaint=failed)

    async def _child_props(self, name: str) -> Json | None:
        try:
            return (await self._ask_model("/props", name)).record()
        except Unusable:  # unloaded since it was listed
            return None


@dataclass(frozen=True, slots=True)
class _Child:
    """One model of a router; what its slots do is known for a loaded one only."""

    model: ModelStatus
    slots: int | None = None
    busy: int | None = None
    reading: tuple[tuple[int, int], ...] | None = None
    complaint: str = ""


def _loading(reply: Reply) -> bool:
    return reply.status == 503 and b"Loading model" in reply.body


def _sum(numbers: Iterable[int | None]) -> int | None:
    told = list(numbers)
    return sum(n for n in told if n is not None) if told and None not in told else None


def _state(status: Json) -> LoadState:
    if status.get("failed") is True:
        return LoadState.FAILED
    return _STATES.get(text(status.get("value")), LoadState.UNLOADED)


def _alias(name: str) -> str | None:
    """A file's name without its folder and ending; None for a name that somebody chose."""
    if not name.lower().endswith(".gguf"):
        return None
    return re.sub(r"-\d{5}-of-\d{5}$", "", PurePosixPath(name.replace("\\", "/")).stem) or None


def _with_listing(model: ModelStatus, listed: Json) -> ModelStatus:
    """What /v1/models tells; a router adds the arguments that it starts the model with."""
    meta, args = record(listed.get("meta")), texts(record(listed.get("status")).get("args"))
    capabilities = model.capabilities | _ALWAYS | _modalities(record(listed.get("architecture")))
    return replace(
        model,
        context_tokens=model.context_tokens or count(meta.get("n_ctx")) or _context_argument(args),
        capabilities=frozenset({"embedding"}) if _EMBEDDING_FLAGS & set(args) else capabilities,
        parameters=billions(meta.get("n_params")) or model.parameters,
        size_bytes=count(meta.get("size"), below=1 << 63) or model.size_bytes,
    )


def _with_props(model: ModelStatus, about: Json) -> ModelStatus:
    """What /props tells of the model that the server has loaded, asleep or not."""
    context = count(record(about.get("default_generation_settings")).get("n_ctx"))
    template = text(about.get("chat_template"))
    told = {name for name in ("vision", "audio") if record(about.get("modalities")).get(name) is True}
    if _takes_tools(about.get("chat_template_caps"), template):
        told.add("tools")
    if any(sign in template for sign in _THINKING):
        told.add("reasoning")
    embeds = "embedding" in model.capabilities
    return replace(
        model,
        context_tokens=context or model.context_tokens,
        capabilities=model.capabilities if embeds else model.capabilities | _ALWAYS | told,
    )


def _fingerprint(about: Json, listed: Json) -> str:
    """What tells a model file from another one, and its template; empty if the server tells too little of it."""
    meta, path = record(listed.get("meta")), text(about.get("model_path"))
    told = [meta.get(name) for name in ("size", "n_params", "n_vocab", "n_embd")]
    if not path or None in told:
        return ""
    template = sha256(text(about.get("chat_template")).encode()).hexdigest()
    return " ".join(map(str, [PurePosixPath(path).name, about.get("model_ftype"), *told, template]))


def _takes_tools(caps: object, template: str) -> bool:
    if isinstance(caps, dict):
        return caps.get("supports_tools") is True
    return "tools" in template  # builds before 2026 do not analyse their template


def _modalities(architecture: Json) -> set[str]:
    inputs = texts(architecture.get("input_modalities"))
    return {name for kind, name in (("image", "vision"), ("audio", "audio")) if kind in inputs}


def _context_argument(args: Sequence[str]) -> int | None:
    """The window of one slot: --ctx-size is shared out to --parallel slots unless they are told to use one cache."""
    given = dict(itertools.pairwise(args))
    size = _integer(given.get("--ctx-size") or given.get("-c"))
    slots = _integer(given.get("--parallel") or given.get("-np")) or 1
    shared = "--kv-unified" in given or "-kvu" in given
    return (size if shared else size // slots) or None


def _integer(argument: str | None) -> int:
    return (
        int(argument)
        if argument and argument.isascii() and argument.isdecimal() and len(argument) < 10
        else 0
    )
