"""A real Triton behind a real daemon: what it tells, what it refuses, and a model whose process dies in an answer."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from serving import Daemon, entry, serving
from waiting import eventually, wait_until

from zoe_client import BackendRejected, BackendSwitched, Client, Delta, InvalidRequest, NoCapableBackend
from zoe_grpcd.adapters.discovery import discover
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.gguf import TinyModel, make_gguf
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.servers import Server

PROMPT = "tell me of the river and the clock"


@dataclass(frozen=True)
class House:
    """`triton` has the models `text`, `other` and `mortal`; what `mortal` leaves unfinished, a llama-server goes on with."""

    daemon: Daemon
    triton: Server
    client: Client


@pytest.fixture(scope="module")
def _house(
    tools: Tools, triton_server: Callable[..., Server], models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    with ExitStack() as running:
        triton = triton_server(models=("text", "other", "mortal"))
        model = make_gguf(models / "forever.gguf", TinyModel(name="forever"))
        other = running.enter_context(
            start_llama_server(tools, folder, LlamaServerOptions(model, alias="forever"))
        )
        first = {"backend": "triton", "model": "mortal", "weight": 100_000.0}
        deployments = [first, {"backend": "llama", "model": "forever"}]
        daemon = running.enter_context(
            serving(
                backends=[
                    entry("triton", triton, kind="auto", idle_timeout="1s"),
                    entry("llama", other),
                ],
                models=[{"name": "saved", "strategy": "weighted", "deployments": deployments}],
            )
        )
        yield House(daemon, triton, daemon.client())


@pytest.fixture
def house(_house: House) -> House:
    """Nothing runs."""
    wait_until(lambda: _house.daemon.in_flight() == 0)
    return _house


# --------------------------------------------------------------------------------------------------- what it tells


async def test_it_is_recognised_with_the_models_of_its_repository(house: House) -> None:
    async with aiohttp.ClientSession() as session:
        found = await discover(session, [house.triton.port], environ={})
    assert [backend.kind for backend in found.backends] == ["triton"]
    backend = house.daemon.backends()["triton"]
    assert backend.kind == "triton"
    assert {model.backend_model for model in backend.models} == {"text", "other", "mortal"}
    assert house.daemon.load_state("triton", "text") == "LOADED"


def test_its_statistics_tell_what_it_had_to_do(house: House) -> None:
    house.client.complete(PROMPT, model="text", max_output_tokens=3)
    wait_until(lambda: "requests at a time" in house.daemon.backends()["triton"].state_detail)
    assert house.daemon.backends()["triton"].state_detail.startswith("Triton 2.51.0; ")


# ----------------------------------------------------------------------------------------------------- what it can do


async def test_an_answer_comes_word_by_word_and_is_the_same_as_a_whole(house: House) -> None:
    async with house.daemon.aclient() as client:
        asked = client.stream(PROMPT, model="text", max_output_tokens=20)
        pieces = [event.text async for event in asked if isinstance(event, Delta)]
    assert len(pieces) > 5
    answer = house.client.complete(PROMPT, model="text", max_output_tokens=20)
    assert answer.text == "".join(pieces)
    assert len(answer.text.split()) == 20
    assert answer.finish_reason == "length"
    assert answer.usage.estimated
    assert answer.usage.completion_tokens == 20


def test_each_model_is_asked_for_by_its_name(house: House) -> None:
    for model in ("text", "other"):
        answer = house.client.complete(PROMPT, model=model, max_output_tokens=2)
        assert answer.decision.chosen.model == model


def test_a_system_prompt_goes_before_the_text(house: House) -> None:
    plain = house.client.complete(f"be brief {PROMPT}", model="text", max_output_tokens=9)
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": PROMPT}]
    assert house.client.complete(messages, model="text", max_output_tokens=9).text == plain.text


def test_options_of_the_model_go_along(house: House) -> None:
    with pytest.raises(BackendRejected, match="made to fail"):
        house.client.complete(PROMPT, model="text", backend_options={"fail": 0})


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"temperature": 0.5}, "spec.sampling.temperature"),
        ({"stop": ["x"]}, "spec.stop"),
        ({"response_format": {"type": "json_object"}}, "spec.response_format"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(house: House, asked: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        house.client.complete(PROMPT, model="text", **asked)
    assert any(violation.field.startswith(field) for violation in caught.value.violations)


def test_tools_are_nothing_for_it(house: House) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    with pytest.raises(NoCapableBackend, match="it needs tools"):
        house.client.complete(PROMPT, model="text", tools=[tool])


def test_a_conversation_whose_roles_would_be_lost_is_refused(house: House) -> None:
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "so"},
    ]
    with pytest.raises(InvalidRequest) as caught:
        house.client.complete(turns, model="text")
    assert [violation.field for violation in caught.value.violations] == ["spec.messages.role"]


# ------------------------------------------------------------------------------------------------ what goes wrong


async def heard(house: House, **own: Any) -> list[Any]:
    async with house.daemon.aclient() as client:
        asked = client.stream(PROMPT, model="saved", max_output_tokens=60, backend_options=own)
        return [event async for event in asked]


async def test_an_error_in_the_middle_of_an_answer_is_no_end_of_it(house: House) -> None:
    assert_gone_on_with(await heard(house, fail=9))


async def test_a_model_whose_process_dies_is_found_by_its_silence_and_gets_no_more_requests(
    house: House,
) -> None:
    assert_gone_on_with(await heard(house, die=9))
    assert house.triton.request("GET", "/v2/models/mortal/ready")[0] == 200, "it would be no news"
    for _ in range(4):
        answer = house.client.complete(PROMPT, model="saved", max_output_tokens=3)
        assert answer.decision.chosen.backend == "llama"
    answer = house.client.complete(PROMPT, model="text", max_output_tokens=3)
    assert answer.decision.chosen.backend == "triton"
    assert house.daemon.state("triton") != "DOWN"


async def test_a_server_that_is_killed_is_down_and_found_again(house: House) -> None:
    house.triton.crash()
    await eventually(lambda: house.daemon.state("triton") == "DOWN", 20)
    house.triton.restart()
    await eventually(lambda: house.daemon.state("triton") == "READY", 20)
    assert house.client.complete(PROMPT, model="text", max_output_tokens=3).usage.completion_tokens == 3


def assert_gone_on_with(events: list[Any]) -> None:
    (switched,) = [event for event in events if isinstance(event, BackendSwitched)]
    assert (switched.previous.backend, switched.current.backend) == ("triton", "llama")
    assert switched.tokens_kept >= 9
    text = "".join(event.text for event in events if isinstance(event, Delta))
    assert len(text.split()) == 60
    assert events[-1].usage.completion_tokens == 60
