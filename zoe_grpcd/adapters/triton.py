"""What a Triton Inference Server tells of itself: its repository of models, and its statistics.

The one rule: nothing here loads a model. That a model's process has died shows in none of this (2.51.0): all stays ready,
and only requests find out.
"""

import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from zoe_grpcd.adapters.dialects.triton import chunk
from zoe_grpcd.adapters.inquiry import (
    Inquiry,
    Reply,
    Unusable,
    count,
    observed,
    record,
    records,
    text,
    together,
)
from zoe_grpcd.adapters.litellm_provider import Provider
from zoe_grpcd.adapters.warmer import LoadRequest
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.generation import Call, Json
from zoe_grpcd.core.observation import LoadState, ModelStatus, Observation

_CAPABILITIES: Final = frozenset({"chat", "completion"})
_STATES: Final = {"READY": LoadState.LOADED, "LOADING": LoadState.LOADING, "UNAVAILABLE": LoadState.FAILED}
_LONGEST: Final = 1 << 63  # of a count of nanoseconds


def loading(call: Call, _keep_alive: float | None) -> LoadRequest:
    """Its repository's own; a server that was not started with `--model-control-mode=explicit` refuses it in words."""
    return LoadRequest(f"/v2/repository/models/{quote(call.backend_model, safe='')}/load", {})


class TritonProvider(Provider):
    """LiteLLM's requests; its reading of an answer swallows what goes wrong in it."""

    def parser(self, call: Call) -> Callable[[Json], Any]:
        """See `Provider.parser`."""
        return chunk


class TritonProbe:
    """Looks at one Triton."""

    def __init__(self, session: aiohttp.ClientSession, backend: Backend, api_key: str = "") -> None:
        self._server = Inquiry(session, backend.url, api_key, backend.connect_timeout)
        self._before: tuple[float, int, int] | None = None  # when, and the totals of `_totals`

    async def __call__(self) -> Observation:
        """Never raises for what the server does."""
        seen = await observed(self._look)
        if not seen.ok:  # whatever comes up next counts from nought
            self._before = None
        return seen

    async def _look(self) -> Observation:
        about, ready, index, statistics = await together(
            self._server.ask("/v2"),
            self._server.ask("/v2/health/ready"),
            self._server.ask("/v2/repository/index", body={}, only_asks=True),
            self._server.ask("/v2/models/stats"),
        )
        if about.record().get("name") != "triton" and "extensions" not in about.record():
            raise Unusable("it is no Triton")
        models = tuple(_status(model) for model in _listed(index))
        if ready.status != 200 and not any(model.state is LoadState.LOADED for model in models):
            raise Unusable("it is not ready, and none of its models is")
        version = text(about.record().get("version"))[:40]
        detail = "; ".join([f"Triton {version}".rstrip(), *self._load(statistics), *_complaints(index)])
        return Observation(ok=True, models=models, detail=detail)

    def _load(self, statistics: Reply) -> list[str]:
        """How many requests it had at a time since the last look, and how long they waited inside it, on average.

        By Little's law, from those that have ended; of a model that streams, Triton counts no more than their start.
        """
        if statistics.status != 200:
            return []
        now, (ended, spent, queued) = time.monotonic(), _totals(statistics)
        before, self._before = self._before, (now, spent, queued)
        if before is None or now <= before[0] or not ended:
            return []
        span = (now - before[0]) * 1e9
        at_once, waiting = (spent - before[1]) / span, (queued - before[2]) / span
        return [f"{max(0.0, at_once):.1f} requests at a time, {max(0.0, waiting):.1f} of them in its queue"]


def _listed(index: Reply) -> list[Json]:
    """The entries of the repository, those without a name left out; raises `Unusable`."""
    entries = index.json()
    if not isinstance(entries, list):
        raise Unusable("/v2/repository/index: no list of models")
    return [entry for entry in records(entries) if text(entry.get("name"))]


def _status(entry: Json) -> ModelStatus:
    """In explicit mode one that is not loaded has a name and nothing else."""
    state = _STATES.get(text(entry.get("state")), LoadState.UNLOADED)
    return ModelStatus(text(entry["name"]), state, capabilities=_CAPABILITIES)


def _complaints(index: Reply) -> list[str]:
    """What keeps a model from being ready."""
    told = [(entry["name"], text(entry.get("reason"))) for entry in _listed(index)]
    return [
        f"{name}: {' '.join(reason.split())[:120]}" for name, reason in told if reason not in ("", "unloaded")
    ]


def _totals(statistics: Reply) -> tuple[int, int, int]:
    """Over all models since its start: requests that ended well, nanoseconds in the server, and in its queue."""
    ended = spent = queued = 0
    for model in records(statistics.record().get("model_stats")):
        told = record(model.get("inference_stats"))
        success, queue = record(told.get("success")), record(told.get("queue"))
        ended += count(success.get("count"), below=_LONGEST) or 0
        spent += count(success.get("ns"), below=_LONGEST) or 0
        queued += count(queue.get("ns"), below=_LONGEST) or 0
    return ended, spent, queued
