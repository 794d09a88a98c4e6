"""Two real vLLMs behind a real daemon: what they tell, what they can do, and answers that one of them leaves unfinished."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest
from serving import Daemon, entry, serving
from waiting import eventually, wait_until

from zoe.admin.v1.admin_service_pb2 import WarmModelRequest
from zoe.inference.v1.routing_pb2 import SEAM_QUALITY_EXACT_TOKENS
from zoe_client import AsyncClient, BackendRejected, BackendSwitched, Client, ContextTooLong, Delta
from zoe_grpcd.adapters.discovery import discover
from zoe_grpcd.localbackends.servers import Server, _processes

PROMPT = "tell me of the river and the clock"
LONG = 700  # tokens, for some seconds
VERDICT = {
    "type": "object",
    "properties": {"good": {"type": "boolean"}, "colour": {"enum": ["red", "blue"]}},
    "required": ["good", "colour"],
    "additionalProperties": False,
}
SILENCE = 3.0  # seconds
Priority = Literal["batch", "low", "critical"]
OPEN = {"READY", "BUSY", "DEGRADED"}


@dataclass(frozen=True)
class House:
    """`first` is asked for `tiny` as long as it is well, then `second`."""

    daemon: Daemon
    first: Server
    second: Server
    client: Client


@pytest.fixture(scope="module")
def _house(pair: tuple[Server, Server]) -> Iterator[House]:
    first, second = pair
    fast = {"idle_timeout": f"{SILENCE:g}s", "first_token_timeout": "90s", "connect_timeout": "10s"}
    deployments = [{"backend": "first", "weight": 100_000.0}, {"backend": "second"}]
    with serving(
        backends=[entry("first", first, kind="auto", **fast), entry("second", second, **fast)],
        models=[{"name": "tiny", "strategy": "weighted", "deployments": deployments}],
        reliability={"cooldown": "100ms"},
    ) as daemon:
        yield House(daemon, first, second, daemon.client(timeout=120.0))


@pytest.fixture
def house(_house: House) -> House:
    """Nothing runs, and both take requests. What went wrong in the test before is held against them for a minute."""
    wait_until(lambda: _house.daemon.in_flight() == 0)
    wait_until(lambda: {_house.daemon.state(name) for name in ("first", "second")} <= OPEN, 30)
    return _house


def engine(server: Server) -> int:
    """The process that computes, as its title has it."""
    group = [process.pid for process in _processes() if process.group == server.pid]
    (found,) = [pid for pid in group if b"EngineCore" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return found


def worked(pid: int) -> int:
    """What a process has computed so far, in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def lag_behind(server: Server) -> None:
    """Several times, its front is stopped until its engine has gone ahead: it says in one piece what it has missed. Now and
    then an engine does nothing without its front; that is no longer waited for than the daemon takes for silence.
    """
    computes = engine(server)
    for _ in range(3):
        os.kill(server.pid, signal.SIGSTOP)
        ahead = worked(computes) + 2
        try:
            with suppress(AssertionError):
                wait_until(partial(lambda enough: worked(computes) >= enough, ahead), SILENCE / 6)
        finally:
            os.kill(server.pid, signal.SIGCONT)


async def heard(client: AsyncClient, act: Callable[[], None] = lambda: None) -> list[Any]:
    """The events of a long answer; something is done after its first piece."""
    events: list[Any] = []
    async for event in client.stream(PROMPT, model="tiny", max_output_tokens=LONG, temperature=0):
        events.append(event)
        if isinstance(event, Delta) and sum(isinstance(e, Delta) for e in events) == 1:
            act()
    return events


def text_of(events: list[Any]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def long_answer(
    session: aiohttp.ClientSession, server: Server
) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    """Somebody else's, which is begun once this is entered."""
    body = {"model": "tiny", "prompt": "the", "max_tokens": 1900, "temperature": 1, "stream": True}
    return session.post(f"{server.url}/v1/completions", json=body)


@asynccontextmanager
async def busy(server: Server, requests: int) -> AsyncIterator[None]:
    """Somebody else asks it for long answers, until this is left."""

    async def listen() -> None:
        async with long_answer(session, server) as reply:
            await reply.read()

    async with aiohttp.ClientSession() as session:
        asking = [asyncio.create_task(listen()) for _ in range(requests)]
        yield
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)


def told(server: Server, name: str) -> float:
    """One figure of its metrics."""
    lines = server.request("GET", "/metrics")[1].splitlines()
    (line,) = [line for line in lines if line.startswith(f"vllm:{name}{{")]
    return float(line.rpartition(" ")[2])


def is_waited_for(server: Server, requests: int) -> bool:
    """So many wait until the others are done."""
    return told(server, "num_requests_waiting") == requests


# ----------------------------------------------------------------------------------------------------- what is seen


async def test_it_is_recognised_and_its_models_and_their_windows_are_known(house: House) -> None:
    async with aiohttp.ClientSession() as session:
        found = await discover(session, [house.first.port], environ={})
    assert [backend.kind for backend in found.backends] == ["vllm"]
    backend = house.daemon.backends()["first"]
    assert backend.kind == "vllm"
    assert backend.state_detail.startswith("vLLM 0.32.0")
    (model,) = backend.models
    assert (model.backend_model, model.context_tokens) == ("tiny", 2048)
    assert {"chat", "json_schema", "grammar", "logprobs"} <= set(model.capabilities)


async def test_what_others_ask_of_it_and_its_memory_are_seen(house: House) -> None:
    def load() -> Any:
        return house.daemon.backends()["second"].load

    async with busy(house.second, 6):  # it works on four at the same time, once all have come
        await eventually(lambda: load().foreign_in_flight >= 4 and load().queued > 0, 30)
        assert 0.0 < load().kv_cache_usage < 1.0
    await eventually(lambda: load().foreign_in_flight == 0, 30)


# ----------------------------------------------------------------------------------------------------- what it can do


def test_usage_is_its_own_with_what_it_had_in_its_cache(house: House) -> None:
    words = "the river and the clock " * 20
    for cached in (False, True):
        answer = house.client.complete(words, model="tiny", max_output_tokens=7)
        assert not answer.usage.estimated
        assert answer.usage.completion_tokens == 7
        assert bool(answer.usage.cached_prompt_tokens) is cached
    wait_until(lambda: "from its cache" in house.daemon.backends()["first"].state_detail)


def test_json_comes_as_its_schema_says_and_text_as_its_grammar(house: House) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": VERDICT}}
    answer = house.client.complete(PROMPT, model="tiny", response_format=schema, temperature=0)
    assert json.loads(answer.text).keys() == {"good", "colour"}
    grammar = {"type": "grammar", "grammar": 'root ::= "yes" | "no"'}
    assert house.client.complete(PROMPT, model="tiny", response_format=grammar).text in ("yes", "no")


def test_log_probabilities_come_with_each_token(house: House) -> None:
    answer = house.client.complete(PROMPT, model="tiny", max_output_tokens=4, top_logprobs=2)
    assert [len(token.top_logprobs) for token in answer.response.logprobs] == [2, 2, 2, 2]


def test_any_priority_is_taken(house: House) -> None:
    for priority in ("batch", "critical"):
        answer = house.client.complete(PROMPT, model="tiny", max_output_tokens=3, priority=priority)
        assert answer.usage.completion_tokens == 3


async def test_who_is_more_urgent_is_worked_on_first(house: House) -> None:
    done: list[str] = []

    async def ask(client: AsyncClient, priority: Priority) -> None:
        await client.complete(
            PROMPT, model="tiny", max_output_tokens=40, priority=priority, allowed_backends=["second"]
        )
        done.append(priority)

    async with AsyncExitStack() as others, house.daemon.aclient(timeout=120.0) as client:
        session = await others.enter_async_context(aiohttp.ClientSession())
        last = [await others.enter_async_context(long_answer(session, house.second)) for _ in range(4)][-1]
        async with asyncio.TaskGroup() as asking:
            asked: tuple[Priority, ...] = ("batch", "low", "critical")
            for waiting, priority in enumerate(asked, start=1):
                asking.create_task(ask(client, priority))
                await eventually(partial(is_waited_for, house.second, waiting), 20)
            last.close()  # the place of one is free
    assert done == ["critical", "low", "batch"]


def test_what_it_refuses_is_the_callers_mistake(house: House) -> None:
    with pytest.raises(ContextTooLong):
        house.client.complete("river " * 4000, model="tiny")
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    with pytest.raises(BackendRejected, match="tool-call-parser"):
        house.client.complete(PROMPT, model="tiny", tools=[tool])


async def test_a_caller_who_leaves_frees_it_at_once(house: House) -> None:
    before = told(house.first, "generation_tokens_total")
    async with (
        house.daemon.aclient() as client,
        client.stream(PROMPT, model="tiny", max_output_tokens=1900) as stream,
    ):
        async for event in stream:
            if isinstance(event, Delta):
                break
        assert told(house.first, "num_requests_running") == 1
    await eventually(lambda: told(house.first, "num_requests_running") == 0)
    assert told(house.first, "generation_tokens_total") - before < 1900


# ------------------------------------------------------------------------------------------------ what goes wrong


async def test_one_that_sleeps_gets_no_requests_until_it_is_woken(house: House) -> None:
    assert house.first.request("POST", "/sleep?level=1")[0] == 200
    await house.daemon.becomes("first", "DOWN")
    assert "sleeps" in house.daemon.backends()["first"].state_detail
    answer = house.client.complete(PROMPT, model="tiny", max_output_tokens=3)
    assert answer.decision.chosen.backend == "second"
    assert house.first.request("POST", "/wake_up")[0] == 200
    await house.daemon.becomes("first", "READY")


def test_one_that_sleeps_when_the_daemon_starts_is_woken_by_its_operator(house: House) -> None:
    assert house.first.request("POST", "/sleep?level=1")[0] == 200
    with serving(backends=[entry("sleepy", house.first)]) as daemon:
        assert daemon.state("sleepy") == "DOWN"
        request = WarmModelRequest(model="tiny", backend="sleepy", wait=True)
        assert not daemon.client().admin.WarmModel(request, timeout=120).already_loaded
        assert daemon.state("sleepy") == "READY"


async def test_an_engine_that_stands_still_is_found_by_its_silence_and_gone_on_from_exactly(
    house: House,
) -> None:
    stopped = engine(house.first)

    def stop() -> None:
        lag_behind(house.first)
        os.kill(stopped, signal.SIGSTOP)

    async with house.daemon.aclient(timeout=120.0) as client:
        whole = text_of(await heard(client))
        try:
            events = await heard(client, stop)
        finally:
            os.kill(stopped, signal.SIGCONT)
    assert_gone_on_with(events, whole)


async def test_an_engine_that_dies_says_so_before_its_done_and_is_gone_on_from_exactly(house: House) -> None:
    async with house.daemon.aclient(timeout=120.0) as client:
        whole = text_of(await heard(client))
        dying = engine(house.first)
        events = await heard(client, lambda: os.kill(dying, signal.SIGKILL))
    assert_gone_on_with(events, whole)
    await house.daemon.becomes("first", "DOWN", 20)


def assert_gone_on_with(events: list[Any], whole: str) -> None:
    (switched,) = [event for event in events if isinstance(event, BackendSwitched)]
    assert (switched.previous.backend, switched.current.backend) == ("first", "second")
    assert switched.seam == SEAM_QUALITY_EXACT_TOKENS
    assert events[-1].usage.completion_tokens == LONG
    assert text_of(events) == whole
