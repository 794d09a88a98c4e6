"""What a vLLM tells of itself: its models, and its load as metrics.

The one rule: nothing here wakes it. One that sleeps answers all of these questions, and leaves a request without any
answer (0.32.0): so it counts as down until somebody wakes it.
"""

from typing import Final
from urllib.parse import urlsplit

import aiohttp

from zoe_grpcd.adapters.inquiry import Inquiry, Reply, count, observed, text, together
from zoe_grpcd.adapters.warmer import LoadRequest
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.generation import Call, Json
from zoe_grpcd.core.observation import ModelStatus, Observation

PATHS: Final = ("/health", "/v1/models", "/metrics", "/version")
_AWAKE: Final = ("vllm:engine_sleep_state", 'sleep_state="awake"')
# What every vLLM does with any model that generates text.
_ALWAYS: Final = frozenset({"chat", "completion", "json_schema", "grammar", "logprobs"})

ASLEEP: Final = "it sleeps, and answers nothing until it is woken (zoe-grpcd warm, or POST /wake_up)"

Metrics = dict[str, float]


def loading(_call: Call, _keep_alive: float | None) -> LoadRequest:
    """Its model is in memory for as long as it runs, but when it sleeps."""
    return LoadRequest("/wake_up", {})


class VLLMProbe:
    """Looks at one vLLM; its url may end in /v1 or not."""

    def __init__(self, session: aiohttp.ClientSession, backend: Backend, api_key: str = "") -> None:
        self._server = Inquiry(session, backend.url, api_key, backend.connect_timeout)
        self._host = urlsplit(backend.url).hostname or ""

    async def __call__(self) -> Observation:
        """Never raises for what the server does. A frozen engine looks well: only its silence shows it."""
        return await observed(self._look)

    async def _look(self) -> Observation:
        health, listing, metrics, version = await together(*(self._server.ask(path) for path in PATHS))
        health.success()
        models = tuple(
            self._status(model, text(version.record().get("version")))
            for model in listing.listing("data", "id")
        )
        told = read_metrics(metrics)
        if told.get(" ".join(_AWAKE)) == 0.0:
            return Observation(ok=False, sleeping=True, error=ASLEEP, models=models)
        running, waiting = (
            _integer(told, "vllm:num_requests_running"),
            _integer(told, "vllm:num_requests_waiting"),
        )
        return Observation(
            ok=True,
            models=models,
            slots=running if running and waiting else None,  # who waits shows how many are all that it takes
            busy=running,
            deferred=waiting,
            kv_cache_usage=told.get("vllm:kv_cache_usage_perc"),
            detail=_detail(text(version.record().get("version")), told),
        )

    def _status(self, model: Json, version: str) -> ModelStatus:
        name, root = text(model["id"]), text(model.get("root"))
        # a folder's name says nothing of what is in it on another host
        place = f"{self._host} " if root.startswith("/") else ""
        adapter = text(model.get("parent"))
        return ModelStatus(
            name,
            context_tokens=count(model.get("max_model_len")) or None,
            capabilities=_ALWAYS,
            alias=root.rstrip("/").rpartition("/")[2] if name == root and root.startswith("/") else None,
            fingerprint=f"vllm {version} {place}{root}" if root and version and not adapter else "",
        )


def read_metrics(reply: Reply) -> Metrics:
    """Sums over engines and models, by name; of the sleep state the awake ones only. Empty where there are none."""
    found: Metrics = {}
    if reply.status != 200:
        return found
    for line in reply.body.decode(errors="replace").splitlines():
        name, labels, value = _parts(line)
        if name == _AWAKE[0] and _AWAKE[1] in labels:
            name = " ".join(_AWAKE)
        elif "reason=" in labels:
            continue
        if name.startswith("vllm:"):
            found[name] = found.get(name, 0.0) + value
    return found


def _parts(line: str) -> tuple[str, str, float]:
    """Name, labels and value of one sample; no name for what is none."""
    start, _, number = line.rpartition(" ")
    name, _, labels = start.partition("{")
    try:
        return ("" if line.startswith("#") else name), labels, float(number)
    except ValueError:
        return "", "", 0.0


def _integer(told: Metrics, name: str) -> int | None:
    value = told.get(name)
    return int(value) if value is not None and 0 <= value < 1 << 31 else None


def _detail(version: str, told: Metrics) -> str:
    """Its version, and how much of its prompts it had in memory already."""
    asked = told.get("vllm:prefix_cache_queries_total", 0.0)
    hits = told.get("vllm:prefix_cache_hits_total", 0.0)
    share = f"; {hits / asked:.0%} of all prompt tokens from its cache" if asked else ""
    return f"vLLM {version[:40]}".rstrip() + share
