"""The shipped examples in front of a real Ollama that has models of those names, asked through the daemon."""

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
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
def ollama(tools: Tools, tmp_path_factory: pytest.TempPathFactory, quick_gguf: Path) -> Iterator[Server]:
    with start_ollama(tools, tmp_path_factory.mktemp("examples")) as server:
        for name in NAMES:
            create_model(server, OllamaModel(name, quick_gguf))
        yield server


@pytest.fixture(scope="module")
def asked(ollama: Server) -> Iterator[Callable[[str], Client]]:
    """A client of a daemon with that example, whose Ollama is where ours is."""
    clients: dict[str, Client] = {}
    with ExitStack() as running:

        def client(name: str) -> Client:
            if name not in clients:
                sections: dict[str, Any] = yaml.safe_load(examples.text(name))
                sections["backends"][0] |= {"url": ollama.url, **PROBES}
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


def a_picture() -> bytes:
    """A PNG of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("prompt", "options", "model"),
    [
        ("Hey Zoe, how are you?", {}, "chat"),
        ("Add bread to my shopping list", {}, "tools"),
        ("What do you remember about me?", {}, "memory"),
        ("What is this?", {"images": [a_picture()]}, "vision"),
    ],
    ids=["chat", "tools", "memory", "vision"],
)
def test_a_home_assistant(
    asked: Callable[[str], Client], prompt: str, options: dict[str, Any], model: str
) -> None:
    decision = asked("home-assistant").route(prompt, **options)
    assert decision.chosen.model == model, decision.explanation
