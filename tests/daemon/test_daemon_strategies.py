"""How the daemon shares requests among real servers: shares, turns, and whose word on the strategy counts."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from serving import Daemon, entry, serving
from waiting import wait_until

from zoe_client import Client, InvalidRequest
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.ollama import OllamaModel, OllamaOptions, create_model, start_ollama

PATIENT = {
    "probe_timeout": "5s"
}  # a backend that is late on a busy machine counts as half, and this test counts
PROMPT = "tell me of the river and the clock"
SHARED = {
    "name": "shared",
    "strategy": "weighted",
    "deployments": [
        {"backend": "left", "model": "twin", "weight": 70},
        {"backend": "right", "model": "twin", "weight": 30},
    ],
}


@dataclass(frozen=True)
class House:
    """Two equal llama-servers that share `shared` 70 : 30, and two Ollamas that both have `shelved:1b`."""

    daemon: Daemon
    client: Client

    def answered(self, model: str, **options: Any) -> str:
        """The backend that answered a request; checks that Route had said so."""
        said = self.client.route(PROMPT, model=model, **options).chosen.backend
        answer = self.client.complete(PROMPT, model=model, max_output_tokens=5, **options)
        assert answer.decision.chosen.backend == said
        return said


@pytest.fixture(scope="module")
def house(tools: Tools, tmp_path_factory: pytest.TempPathFactory, quick_gguf: Path) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("strategies")
    with ExitStack() as running:
        options = LlamaServerOptions(quick_gguf, alias="twin", slots=4)
        backends = [
            entry(name, running.enter_context(start_llama_server(tools, folder, options)), **PATIENT)
            for name in ("left", "right")
        ]
        for name in ("shelf", "stack"):
            ollama = running.enter_context(start_ollama(tools, folder / name, OllamaOptions(parallel=2)))
            create_model(ollama, OllamaModel("shelved:1b", quick_gguf))
            backends.append(entry(name, ollama, **PATIENT))
        daemon = running.enter_context(
            serving(backends=backends, models=[SHARED], routing={"strategy": "round_robin"})
        )
        yield House(daemon, daemon.client())


def test_a_models_weights_are_its_shares(house: House) -> None:
    served = [house.answered("shared") for _ in range(20)]
    assert Counter(served[:10]) == Counter(served[10:]) == {"left": 7, "right": 3}


async def test_a_burst_is_shared_alike(house: House) -> None:
    async with house.daemon.aclient() as client:
        asked: list[Any] = [client.complete(PROMPT, model="shared", max_output_tokens=20) for _ in range(20)]
        answers = await asyncio.gather(*asked)
    assert Counter(answer.decision.chosen.backend for answer in answers) == {"left": 14, "right": 6}
    assert {answer.decision.strategy for answer in answers} == {"weighted"}


def test_the_others_go_round(house: House) -> None:
    served = [house.answered("twin") for _ in range(8)]
    assert served in (["left", "right"] * 4, ["right", "left"] * 4)


def test_a_request_has_its_own_word(house: House) -> None:
    served = Counter(house.answered("shared", strategy="round_robin") for _ in range(10))
    assert served == {"left": 5, "right": 5}
    cheapest = house.client.complete(PROMPT, model="shared", strategy="lowest_cost", max_output_tokens=5)
    assert cheapest.decision.strategy == "lowest_cost"
    assert "best of 2 by lowest_cost" in cheapest.decision.explanation


@pytest.mark.parametrize(
    ("strategy", "terms"),
    [
        ("usage_based", {"latency": 0.4, "success_rate": 0.4, "cost": 0.2}),
        ("round_robin", {"turn": 1.0}),
        ("weighted", {"turn": 1.0, "share": 0.0}),
        ("least_loaded", {"load": 1.0, "latency": 1e-6}),
        ("fastest_response", {"response": 1.0, "latency": 1e-6}),
        ("most_capacity", {"capacity": 1.0, "latency": 1e-6}),
        ("lowest_cost", {"cost": 1.0, "latency": 1e-6}),
        ("simple_shuffle", {"draw": 1.0}),
    ],
)
def test_each_strategy_serves_and_explains_itself(
    house: House, strategy: str, terms: dict[str, float]
) -> None:
    decision = house.client.route(PROMPT, model="shared", strategy=strategy, explain=True)
    assert {candidate.backend.backend for candidate in decision.candidates} == {"left", "right"}
    for candidate in decision.candidates:
        assert {term.name: term.weight for term in candidate.terms} == pytest.approx(terms)
        assert all(0 <= term.value <= 1 for term in candidate.terms)
    answer = house.client.complete(PROMPT, model="shared", strategy=strategy, max_output_tokens=5)
    assert (answer.decision.strategy, bool(answer.text)) == (strategy, True)


def test_luck_serves_both(house: House) -> None:
    """40 requests all to one side: less than one in a billion for 70 : 30."""
    served = Counter(house.answered("shared", strategy="simple_shuffle") for _ in range(40))
    assert set(served) == {"left", "right"}


def test_an_unknown_strategy_is_told_with_all_that_is_wrong(house: House) -> None:
    with pytest.raises(InvalidRequest) as refused:
        house.client.route(PROMPT, model="shared", strategy="luck", temperature=9.0)
    found = {violation.field: violation.description for violation in refused.value.violations}
    assert set(found) == {"spec.sampling.temperature", "spec.routing.strategy"}
    assert "round_robin" in found["spec.routing.strategy"]


def looked_at(daemon: Daemon, name: str, times: int) -> None:
    """Returns when the daemon has looked at a backend so many times more."""
    seen = {daemon.backends()[name].last_probe.time.ToNanoseconds()}

    def enough() -> bool:
        seen.add(daemon.backends()[name].last_probe.time.ToNanoseconds())
        return len(seen) > times

    wait_until(enough)


def test_turns_load_no_model_while_another_backend_has_it_but_shares_do(house: House) -> None:
    house.client.complete(PROMPT, model="shelved:1b", allowed_backends=["stack"], max_output_tokens=5)
    looked_at(house.daemon, "stack", 3)  # Ollama tells only later that it was used, as if by somebody else
    assert house.daemon.load_state("stack", "shelved:1b") == "LOADED"
    assert [house.answered("shelved:1b") for _ in range(4)] == ["stack"] * 4
    assert house.daemon.load_state("shelf", "shelved:1b") == "UNLOADED"
    assert {house.answered("shelved:1b", strategy="weighted") for _ in range(2)} == {"shelf", "stack"}
    looked_at(house.daemon, "shelf", 3)
    assert house.daemon.load_state("shelf", "shelved:1b") == "LOADED"
    assert {house.answered("shelved:1b") for _ in range(2)} == {"shelf", "stack"}
