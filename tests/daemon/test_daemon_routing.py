"""The file with rules for everything in docs/deciding.md, in front of real servers."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from serving import PROBES, Daemon, serving

from zoe.inference.v1.decision_pb2 import Reason
from zoe_client import Client, InvalidRequest, NoCapableBackend, NoHealthyBackend
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.ollama import OllamaModel, create_model, start_ollama
from zoe_grpcd.localbackends.servers import Server

PAGE = Path(__file__).parents[2] / "docs" / "deciding.md"
CODE = "Write a Python function that reverses a list"
BRIEF: dict[str, Any] = {"max_output_tokens": 5}


def sections() -> dict[str, Any]:
    """The configuration of the page that has chains."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (text,) = (block for block in blocks if "fallback_chains" in block)
    config: dict[str, Any] = yaml.safe_load(text)
    return config


@dataclass(frozen=True)
class House:
    """`pi` has coder and another model, `jetson` has llama-8b, `desk` has mistral."""

    daemon: Daemon
    client: Client
    servers: dict[str, Server]


@pytest.fixture(name="house", scope="module")
def _house(tools: Tools, tmp_path_factory: pytest.TempPathFactory, quick_gguf: Path) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("routing")
    with ExitStack() as running:
        ollama = running.enter_context(start_ollama(tools, folder / "ollama"))
        for name in ("qwen2.5-coder:3b", "tiny:1b"):
            create_model(ollama, OllamaModel(name, quick_gguf))
        servers = {"pi": ollama}
        for backend, model, window in (("jetson", "llama-8b", 4096), ("desk", "mistral", 8192)):
            options = LlamaServerOptions(quick_gguf, alias=model, context_per_slot=window)
            servers[backend] = running.enter_context(start_llama_server(tools, folder, options))
        config = sections()
        for entry in config["backends"]:
            entry |= {"url": servers[entry["name"]].url, **PROBES, "probe_timeout": "5s"}
        daemon = running.enter_context(serving(**config))
        yield House(daemon, daemon.client(), servers)


def test_every_step_of_the_hierarchy(house: House) -> None:
    """Who is chosen, and which step decided; the answer comes from there."""
    table: list[tuple[str, dict[str, Any], str, str]] = [
        ("hello", {"model": "coder"}, "coder @ pi", "EXACT_MODEL"),
        ("hello", {"model": "gpt-4o-mini"}, "coder @ pi", "ALIAS"),
        ("hello", {"model": "gpt-5"}, "mistral @ desk", "PATTERN"),
        ("hello", {"capability": "code_generation"}, "coder @ pi", "CAPABILITY"),
        ("hello", {}, "llama-8b @ jetson", "DEFAULT_MODEL"),
        ("hello", {"priority": "high"}, "mistral @ desk", "RULE"),
        (CODE, {"metadata": {"room": "study"}}, "* @ pi", "RULE"),
        ("hello", {"model": "gpt-5", "excluded_backends": ["desk"]}, "coder @ pi", "FAILOVER"),
        (
            "hello",
            {"model": "coder", "excluded_backends": ["pi"], "stream": True},
            "mistral @ desk",
            "FAILOVER",
        ),
    ]
    for prompt, options, expected, reason in table:
        if options.pop("stream", False):
            with house.client.stream(prompt, **options, **BRIEF) as stream:
                decision = stream.final().decision
        else:
            decision = house.client.complete(prompt, **options, **BRIEF).decision
        assert decision is not None
        chosen = f"{decision.chosen.model} @ {decision.chosen.backend}"
        told = Reason.Name(decision.reason).removeprefix("REASON_")
        assert (chosen if "*" not in expected else f"* @ {decision.chosen.backend}", told) == (
            expected,
            reason,
        ), options
    assert house.client.route("hello", capability="code_generation").strategy == "least_loaded"


def test_a_demand_is_kept_whatever_is_named(house: House) -> None:
    with pytest.raises(NoCapableBackend, match="rule 2 requires labels room=study"):
        house.client.complete("hello", model="mistral", metadata={"room": "study"}, **BRIEF)


def test_a_prompt_too_long_for_a_model_goes_along_its_chain(house: House) -> None:
    """Nothing is unavailable, so the first step of the chain is passed over."""
    prompt = "tell me of the river and the clock " * 600  # 4,200 words
    decision = house.client.route(prompt, model="coder", explain=True)
    assert decision.chosen.backend == "desk"


def test_all_that_does_not_exist_is_named_at_once(house: House) -> None:
    with pytest.raises(InvalidRequest) as caught:
        house.client.route("hello", intent="dance", allowed_backends=["pie"], temperature=9.0)
    assert {violation.field for violation in caught.value.violations} == {
        "spec.target.auto.intent",
        "spec.target.allowed_backends",
        "spec.sampling.temperature",
    }


def test_a_chain_is_followed_when_a_backend_dies(house: House) -> None:
    """Of two of its steps the first whose condition holds is taken; a demand still holds for all of them.

    The last test: it kills a server that the others share.
    """
    house.client.complete("hello", model="coder", **BRIEF)
    house.servers["pi"].crash()
    answer = house.client.complete("hello", model="coder", **BRIEF)
    tried = [(attempt.backend.backend, attempt.backend.model) for attempt in answer.response.attempts]
    assert tried[-1] == ("jetson", "llama-8b")
    assert set(tried[:-1]) <= {("pi", "coder")}, "unless a probe was there before"
    assert "fallback chain 'coder'" in answer.decision.explanation
    with pytest.raises(NoHealthyBackend):
        house.client.complete("hello", model="coder", metadata={"room": "study"}, **BRIEF)
    named = house.client.complete("hello", model="coder", fallback_models=["high_availability"], **BRIEF)
    assert named.decision.chosen.backend == "desk"
