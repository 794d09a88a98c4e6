"""The shipped example configurations decide as they promise, whatever is in memory."""

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import Clock, an_ask

from zoe_grpcd import examples
from zoe_grpcd.adapters.embeddings import Embeddings
from zoe_grpcd.admission import WaitingRoom
from zoe_grpcd.config import load
from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.intents import SHIPPED
from zoe_grpcd.core.observation import LoadState, ModelStatus, Observation
from zoe_grpcd.core.resolve import reads_intent, shape_of
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.kinds import with_kind
from zoe_grpcd.router import Router
from zoe_grpcd.run import Around
from zoe_grpcd.settings import settings_of

DOCUMENT = "The council met on Tuesday and talked about the garden, the fence and the money for both. " * 450
FOUR = ("gemma:2b", "phi3:3.8b", "qwen2.5:3b", "mistral:7b")
# As Ollama tells of them: billions, bytes, capabilities. The window is that of a model that nobody gave one.
TOLD: dict[str, tuple[float, int, set[str]]] = {
    "gemma:2b": (2.51, 1_680_000_000, {"chat"}),
    "phi3:3.8b": (3.82, 2_180_000_000, {"chat"}),
    "qwen2.5:3b": (3.09, 1_930_000_000, {"chat", "tools"}),
    "mistral:7b": (7.25, 4_110_000_000, {"chat", "tools"}),
    "llama3.2:3b": (3.21, 2_020_000_000, {"chat", "tools"}),
    "qwen2.5:7b": (7.62, 4_680_000_000, {"chat", "tools"}),
    "llama3.1:8b": (8.03, 4_920_000_000, {"chat", "tools"}),
    "qwen2.5vl:7b": (8.29, 5_970_000_000, {"chat", "vision"}),
}


def status(name: str, *, loaded: bool) -> ModelStatus:
    billions, size, can = TOLD[name]
    state = LoadState.LOADED if loaded else LoadState.UNLOADED
    return ModelStatus(name, state, 4096, frozenset({*can, "json_schema"}), billions, size)


def a_router(name: str, folder: Path, models: Iterable[str], loaded: Iterable[str]) -> Router:
    """The example over one Ollama that has these models, and those of them in memory."""
    file = folder / "config.yaml"
    file.write_text(examples.text(name), encoding="utf-8")
    settings = settings_of(load(file, {"XDG_RUNTIME_DIR": "/run/user/1"}).config)
    fleet = Fleet(settings.facts, settings.deployments)
    (backend,) = map(with_kind, settings.backends)
    fleet.add(backend, 0.0)
    told = tuple(status(model, loaded=model in loaded) for model in models)
    fleet.health.observe(backend.name, Observation(ok=True, models=told), 0.0)
    return Router(fleet, settings.rules, {}, WaitingRoom(8, 1.0), Around(Clock(), lambda _: None))


@pytest.fixture(scope="module", params=["keywords", "embeddings"])
def understanding(request: pytest.FixtureRequest) -> Iterator[Embeddings | None]:
    """The classifier that reads the intents; None: keywords."""
    if request.param == "keywords":
        yield None
        return
    opened = Embeddings(SHIPPED)
    asyncio.run(opened.open())
    yield opened
    opened.close()


async def understood(ask: Ask, understanding: Embeddings | None) -> Ask:
    """The request with its verdict, as it comes to the router."""
    if understanding is not None and reads_intent(ask):
        ask.verdict = await understanding(ask.text, shape_of(ask))
    return ask


@pytest.mark.parametrize("name", examples.NAMES)
def test_an_example_loads_without_a_warning(name: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(examples.text(name), encoding="utf-8")
    assert load(file, {"XDG_RUNTIME_DIR": "/run/user/1"}).warnings == ()


WARM = [(), FOUR, *((model,) for model in FOUR)]


@pytest.mark.parametrize("loaded", WARM, ids=lambda names: "+".join(names) or "none")
@pytest.mark.parametrize(
    ("request_", "model", "temperature"),
    [
        ({"text": "Write a Python function that checks whether a number is prime."}, "mistral:7b", 0.0),
        ({"text": "Is the service up?", "latency_level": "ULTRA_LOW"}, "gemma:2b", 0.0),
        ({"text": f"Summarize this document: {DOCUMENT}"}, "qwen2.5:3b", 0.2),
        ({"text": "¿Cuál es la capital de Francia?"}, "qwen2.5:3b", 0.2),
        ({"text": "Write a short story about a lighthouse keeper."}, "mistral:7b", 0.8),
        ({"text": "Classify this as spam or not: you have won a prize", "cost_weight": 1.0}, "gemma:2b", 0.0),
        ({"text": "How long may I stay?", "has_context": True}, "qwen2.5:3b", 0.0),
        ({"text": "That sounds lovely! And how was your day?", "latency_level": "LOW"}, "phi3:3.8b", 0.7),
        ({"text": "Explain machine learning"}, "mistral:7b", 0.2),
        ({"text": "Explain machine learning", "model": "gemma:2b"}, "gemma:2b", None),
    ],
    ids=["code", "status", "document", "spanish", "story", "label", "context", "chat", "explain", "named"],
)
async def test_four_models(
    *,
    request_: dict[str, Any],
    model: str,
    temperature: float | None,
    loaded: tuple[str, ...],
    tmp_path: Path,
    understanding: Embeddings | None,
) -> None:
    ask = await understood(an_ask(**request_), understanding)
    decision = a_router("four-models", tmp_path, FOUR, loaded).route(ask)
    assert decision.chosen.deployment.model == model, decision.explanation
    assert decision.defaults.get("temperature") == temperature


def test_the_document_is_of_ten_thousand_tokens() -> None:
    assert len(DOCUMENT) / 3.6 > 10_000


@pytest.mark.parametrize("loaded", [(), tuple(TOLD), ("llama3.2:3b",), ("qwen2.5vl:7b",)], ids=len)
@pytest.mark.parametrize(
    ("request_", "model"),
    [
        ({"text": "Hey Zoe, how are you?"}, "chat"),
        ({"text": "Add bread to my shopping list"}, "tools"),
        ({"text": "What do you remember about me?"}, "memory"),
        ({"text": "What is this?", "images": 1, "needs": frozenset({"vision"})}, "vision"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_home_assistant(
    request_: dict[str, Any],
    model: str,
    loaded: tuple[str, ...],
    tmp_path: Path,
    understanding: Embeddings | None,
) -> None:
    ask = await understood(an_ask(**request_), understanding)
    decision = a_router("home-assistant", tmp_path, TOLD, loaded).route(ask)
    assert decision.chosen.deployment.model == model, decision.explanation
