"""The shipped examples in front of a real Ollama that has models of those names, asked through the daemon."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from pictures import BLUE, RED, png
from serving import PROBES, Daemon, serving

from zoe_client import Client
from zoe_grpcd import examples
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.ollama import OllamaModel, create_model, start_ollama
from zoe_grpcd.localbackends.servers import Server

DOCUMENT = "The council met on Tuesday and talked about the garden, the fence and the money for both. " * 450
NAMES = (
    "gemma:2b", "phi3:3.8b", "qwen2.5:3b", "mistral:7b", "llama3.2:3b", "qwen2.5:7b", "llama3.1:8b", "qwen2.5vl:7b"
)  # fmt: skip


@pytest.fixture(scope="module")
def ollama(
    tools: Tools, tmp_path_factory: pytest.TempPathFactory, quick_gguf: Path, projector: Path
) -> Iterator[Server]:
    with start_ollama(tools, tmp_path_factory.mktemp("examples")) as server:
        for name in NAMES:
            sees = projector if name == "qwen2.5vl:7b" else None
            create_model(server, OllamaModel(name, quick_gguf, projector=sees))
        yield server


@pytest.fixture(scope="module")
def asked(ollama: Server) -> Iterator[Callable[[str], Client]]:
    """A client of a daemon with that example, whose Ollama is where ours is."""
    clients: dict[str, Client] = {}
    with ExitStack() as running:

        def client(name: str) -> Client:
            if name not in clients:
                sections: dict[str, Any] = yaml.safe_load(examples.text(name))
                sections["backends"][0] |= {"url": ollama.url, **PROBES, "probe_timeout": "10s"}
                daemon: Daemon = running.enter_context(serving(**sections))
                clients[name] = daemon.client()
            return clients[name]

        yield client


@pytest.mark.parametrize(
    ("prompt", "options", "model", "temperature"),
    [
        ("Write a Python function that checks whether a number is prime.", {}, "mistral:7b", 0.0),
        ("Is the service up?", {"latency": "ultra_low"}, "gemma:2b", 0.0),
        (f"Summarize this document: {DOCUMENT}", {}, "qwen2.5:3b", 0.2),
        ("¿Cuál es la capital de Francia?", {}, "qwen2.5:3b", 0.2),
        ("Write a short story about a lighthouse keeper.", {}, "mistral:7b", 0.8),
        ("Classify this as spam or not: you have won a prize", {"cost_weight": 1.0}, "gemma:2b", 0.0),
        ("How long may I stay?", {"context": "Visitors may stay for three days."}, "qwen2.5:3b", 0.0),
        ("That sounds lovely! And how was your day?", {"latency": "low"}, "phi3:3.8b", 0.7),
        ("Explain machine learning", {}, "mistral:7b", 0.2),
        ("Explain machine learning", {"model": "gemma:2b"}, "gemma:2b", None),
    ],
    ids=["code", "status", "document", "spanish", "story", "label", "context", "chat", "explain", "named"],
)
def test_four_models(
    asked: Callable[[str], Client],
    prompt: str,
    options: dict[str, Any],
    model: str,
    temperature: float | None,
) -> None:
    decision = asked("four-models").route(prompt, **options)
    assert decision.chosen.model == model, decision.explanation
    said = f"temperature {temperature}"
    assert (said in decision.explanation) is (temperature is not None), decision.explanation


def test_four_models_answer(asked: Callable[[str], Client]) -> None:
    answer = asked("four-models").complete("Explain machine learning", max_output_tokens=8)
    assert answer.decision.chosen.model == "mistral:7b"
    assert answer.text.strip()


@pytest.mark.parametrize(
    ("prompt", "options", "model"),
    [
        ("Hey Zoe, how are you?", {}, "chat"),
        ("Add bread to my shopping list", {}, "tools"),
        ("What do you remember about me?", {}, "memory"),
        ("What is this?", {"images": [png()]}, "vision"),
    ],
    ids=["chat", "tools", "memory", "vision"],
)
def test_a_home_assistant(
    asked: Callable[[str], Client], prompt: str, options: dict[str, Any], model: str
) -> None:
    decision = asked("home-assistant").route(prompt, **options)
    assert decision.chosen.model == model, decision.explanation


def test_a_home_assistant_says_what_it_sees(asked: Callable[[str], Client]) -> None:
    answers = [
        asked("home-assistant").complete(
            "What is this?", images=[png(colour)], temperature=0, max_output_tokens=8
        )
        for colour in (RED, BLUE)
    ]
    assert [answer.decision.chosen.model for answer in answers] == ["vision", "vision"]
    assert "" != answers[0].text != answers[1].text != ""
    assert all(answer.usage.prompt_tokens > 24 * 24 for answer in answers)
