"""A real llama-cpp-python behind a real daemon: what it can do, what it is never asked, and answers that are cut."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from serving import Daemon, entry, serving
from waiting import eventually, wait_until

from zoe.inference.v1.response_pb2 import FINISH_REASON_LENGTH
from zoe.inference.v1.routing_pb2 import SEAM_QUALITY_TEXT_PREFILL
from zoe_client import AsyncClient, BackendRejected, BackendSwitched, Client, Completed, ContextTooLong, Delta
from zoe_grpcd.adapters.discovery import discover
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.gguf import TinyModel, make_gguf
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.servers import Server

PROMPT = "tell me of the river and the clock"
LONG = 400  # tokens, for about a second
VERDICT = {
    "type": "object",
    "properties": {"good": {"type": "boolean"}, "colour": {"enum": ["red", "blue"]}},
    "required": ["good", "colour"],
}
LOOK = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": VERDICT}}


@dataclass(frozen=True)
class House:
    """`python` and `mortal` are llama-cpp-pythons; `other`, a llama-server, can go on in their place."""

    daemon: Daemon
    python: Server
    mortal: Server
    client: Client

    def asked_of_python(self) -> list[str]:
        """The requests that it has had, as its log has them."""
        lines = self.python.log.read_text(errors="replace").splitlines()
        return [line.split('"')[1].removesuffix(" HTTP/1.1") for line in lines if "HTTP/1.1" in line]


@pytest.fixture(scope="module")
def _house(
    tools: Tools,
    python_server: Callable[..., Server],
    models: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    with ExitStack() as running:
        model = make_gguf(models / "forever.gguf", TinyModel(name="forever"))
        python, mortal = python_server(model), python_server(model)
        options = LlamaServerOptions(model, alias="forever", context_per_slot=8192)
        other = running.enter_context(start_llama_server(tools, folder, options))
        daemon = running.enter_context(
            serving(
                backends=[
                    entry("python", python, kind="auto"),
                    entry("mortal", mortal),
                    entry("other", other),
                ],
                models=[
                    {"name": "tiny", "deployments": [{"backend": "python"}]},
                    _saved("saved", "python"),
                    _saved("mortal", "mortal"),
                ],
                reliability={"cooldown": "100ms"},
            )
        )
        yield House(daemon, python, mortal, daemon.client())


def _saved(name: str, first: str) -> dict[str, Any]:
    """A model whose other deployment goes on with what the first one has begun."""
    deployments = [{"backend": first, "weight": 100_000.0}, {"backend": "other", "model": "forever"}]
    capabilities = ["chat", "tools", "json_schema"]
    return {
        "name": name,
        "strategy": "weighted",
        "capabilities": capabilities,
        "deployments": deployments,
    }


@pytest.fixture
def house(_house: House) -> House:
    """Nothing runs and nobody is blamed for what a test before did."""
    wait_until(lambda: _house.daemon.in_flight() == 0)
    wait_until(lambda: _house.daemon.state("python") == "READY", 20)
    return _house


def seconds_of_cpu(server: Server) -> float:
    """What it has used so far."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def foreign(server: Server, path: str, body: dict[str, Any] | None = None) -> None:
    """Somebody else's request, in a thread of its own: its answer is of no interest."""
    method = "GET" if body is None else "POST"
    threading.Thread(target=lambda: server.request(method, path, body), daemon=True).start()


async def heard(client: AsyncClient, model: str, act: Callable[[], None]) -> list[Any]:
    """The events of a long answer; something is done after its fifth piece."""
    events: list[Any] = []
    async for event in client.stream(PROMPT, model=model, max_output_tokens=LONG, temperature=0):
        events.append(event)
        if isinstance(event, Delta) and sum(isinstance(e, Delta) for e in events) == 5:
            act()
    return events


# ------------------------------------------------------------------------------------------------ recognised, probed


async def test_it_is_recognised_while_it_answers_and_the_answer_is_whole(house: House) -> None:
    async with aiohttp.ClientSession() as session, house.daemon.aclient() as client:
        tokens = 0
        async for event in client.stream(PROMPT, model="tiny", max_output_tokens=LONG):
            if isinstance(event, Delta):
                tokens += event.token_count
                if tokens % 50 == 1:
                    found = await discover(session, [house.python.port], environ={})
                    assert [b.kind for b in found.backends] == ["llama-cpp-python"]
        assert isinstance(event, Completed)
        assert (event.finish_reason, tokens) == (FINISH_REASON_LENGTH, LONG)
    assert [attempt.backend.backend for attempt in event.attempts] == ["python"]


def test_it_is_asked_for_nothing_but_its_description_and_answers(house: House) -> None:
    house.client.complete(PROMPT, model="tiny", max_output_tokens=3)
    before = len(house.asked_of_python())
    wait_until(lambda: len(house.asked_of_python()) > before + 2)
    looks = {"GET /openapi.json", "GET /health", "GET /props", "GET /api/version", "GET /v2", "GET /version"}
    asked = {asked for asked in house.asked_of_python() if not asked.startswith("POST")}
    assert asked <= looks, asked
    assert set(house.asked_of_python()[before:]) == {"GET /openapi.json"}


def test_an_operator_sees_its_version_and_the_models_that_were_named(house: House) -> None:
    backend = house.daemon.backends()["python"]
    assert backend.kind == "llama-cpp-python"
    assert backend.state_detail == "llama-cpp-python 0.3.35"
    assert backend.load.max_in_flight == 1
    assert {model.backend_model for model in backend.models} == {"tiny", "saved"}


# ----------------------------------------------------------------------------------------------------- what it can do


def test_usage_is_counted_by_us_and_said_to_be_estimated(house: House) -> None:
    answer = house.client.complete(PROMPT, model="tiny", max_output_tokens=20)
    assert answer.usage.estimated
    assert answer.usage.completion_tokens == 20
    assert answer.usage.prompt_tokens > 0


def test_json_comes_as_its_schema_says(house: House) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": VERDICT}}
    answer = house.client.complete(PROMPT, model="tiny", response_format=schema, temperature=0)
    found = json.loads(answer.text)
    assert found.keys() == {"good", "colour"}
    assert found["colour"] in ("red", "blue")
    assert answer.finish_reason == "stop"


def test_a_tool_is_called_by_its_name(house: House) -> None:
    for choice in ({"type": "function", "function": {"name": "look"}}, "required"):
        answer = house.client.complete(PROMPT, model="saved", tools=[LOOK], tool_choice=choice, temperature=0)
        (made,) = answer.tool_calls
        assert made.name == "look"
        assert json.loads(made.arguments_json).keys() == {"good", "colour"}
        assert answer.finish_reason == "tool_calls"
        assert answer.decision.chosen.backend == "python"


def test_log_probabilities_come_with_each_token(house: House) -> None:
    answer = house.client.complete(PROMPT, model="tiny", max_output_tokens=4, top_logprobs=2)
    assert [len(token.top_logprobs) for token in answer.response.logprobs] == [2, 2, 2, 2]


def test_a_conversation_with_tools_and_parts_is_understood(house: House) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "the"}, {"type": "text", "text": " river"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "blue"},
    ]
    answer = house.client.complete(messages, model="tiny", max_output_tokens=3)
    assert answer.usage.completion_tokens == 3


# ------------------------------------------------------------------------------------------------ what goes wrong


def test_a_prompt_that_is_too_long_is_the_callers_mistake_and_not_the_servers(house: House) -> None:
    for _ in range(4):
        with pytest.raises((ContextTooLong, BackendRejected)) as caught:
            house.client.complete("river " * 4000, model="tiny", max_output_tokens=5)
        assert "maximum context length is 2048 tokens" in str(caught.value)
    assert house.daemon.state("python") == "READY"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/models", None),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}),
    ],
    ids=["a list of models", "another request"],
)
async def test_an_answer_that_somebody_else_cuts_is_continued_elsewhere(
    house: House, path: str, body: dict[str, Any] | None
) -> None:
    async with house.daemon.aclient() as client:
        events = await heard(client, "saved", lambda: foreign(house.python, path, body))
    (switched,) = [event for event in events if isinstance(event, BackendSwitched)]
    assert (switched.previous.backend, switched.current.backend) == ("python", "other")
    assert switched.seam == SEAM_QUALITY_TEXT_PREFILL
    assert switched.tokens_kept >= 5
    done = events[-1]
    assert done.finish_reason == FINISH_REASON_LENGTH
    assert done.usage.completion_tokens == LONG
    text = "".join(event.text for event in events if isinstance(event, Delta))
    assert len(text.split()) == LONG


def test_requests_come_one_after_the_other_and_none_cuts_another(house: House) -> None:
    answers: list[Any] = []

    def ask() -> None:
        answers.append(house.client.complete(PROMPT, model="tiny", max_output_tokens=150))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [answer.usage.completion_tokens for answer in answers] == [150] * 4
    assert all(len(answer.response.attempts) == 1 for answer in answers)


async def test_a_caller_who_leaves_frees_it_at_once(house: House) -> None:
    async with house.daemon.aclient() as client:
        async with client.stream(PROMPT, model="tiny", max_output_tokens=1500) as stream:
            async for event in stream:
                if isinstance(event, Delta):
                    break
        answer = await client.complete(PROMPT, model="tiny", max_output_tokens=3)
    assert answer.usage.completion_tokens == 3
    used = seconds_of_cpu(house.python)
    await eventually(lambda: seconds_of_cpu(house.python) - used < 1.0)


async def test_a_server_that_is_killed_is_gone_on_from_and_found_again(house: House) -> None:
    async with house.daemon.aclient() as client:
        events = await heard(client, "mortal", house.mortal.crash)
        assert events[-1].usage.completion_tokens == LONG
        assert any(isinstance(event, BackendSwitched) for event in events)
        await house.daemon.becomes("mortal", "DOWN", 20)
        house.mortal.restart()
        await house.daemon.becomes("mortal", "READY", 20)
        answer = await client.complete(PROMPT, model="mortal", max_output_tokens=3)
        assert answer.decision.chosen.backend == "mortal"
