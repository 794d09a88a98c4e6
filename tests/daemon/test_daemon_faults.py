"""Servers that refuse, die, hang, come back, change or load, with requests on them."""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from serving import Daemon, entry, environment, serving
from waiting import eventually, wait_until

from zoe.admin.v1.admin_service_pb2 import WatchBackendsRequest
from zoe.admin.v1.backend_pb2 import Backend
from zoe.inference.v1 import inference_service_pb2 as pb
from zoe.inference.v1.decision_pb2 import Attempt
from zoe.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from zoe.inference.v1.response_pb2 import FINISH_REASON_LENGTH
from zoe.inference.v1.routing_pb2 import SEAM_QUALITY_EXACT_TOKENS
from zoe_client import (
    Answer,
    AsyncClient,
    AsyncStream,
    BackendLost,
    BackendSwitched,
    Completed,
    DeadlineExceeded,
    Delta,
    NoHealthyBackend,
    ZoeError,
    build_spec,
    from_rpc_error,
)
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.gguf import TinyModel, make_gguf
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, llama_server, start_llama_server
from zoe_grpcd.localbackends.ollama import OllamaModel, OllamaOptions, create_model, start_ollama
from zoe_grpcd.localbackends.servers import Server, free_port

Event = TypeVar("Event")

PROMPT = "tell me of the river and the clock"
SHORT: dict[str, Any] = {"temperature": 0, "max_output_tokens": 30}
LONG: dict[str, Any] = {"temperature": 0, "max_output_tokens": 240, "timeout": 90}  # a second, Ollama four
ENDLESS: dict[str, Any] = {"temperature": 0, "max_output_tokens": 3000}  # never waited for
UNSPLICED: dict[str, Any] = {"minimum_seam": "none"}
ONLY_FIRST: dict[str, Any] = {"allowed_backends": ["first"]}  # which has lost its preference by failing


@dataclass(frozen=True)
class House:
    """`first` is preferred to `second`, both have `endless`; `rare` is seldom looked at; `changing` is not started."""

    daemon: Daemon
    first: Server
    second: Server
    rare: Server
    router: Server
    ollama: Server
    tools: Tools
    folder: Path
    port: int  # of `changing`

    def text(self, tokens: int) -> str:
        """What `endless` says on every server, greedy."""
        return _said(self.second, tokens)

    def changing(self, model: Path, **options: Any) -> Server:
        """A llama-server on the port of the backend `changing`; not started."""
        return llama_server(self.tools, self.folder, LlamaServerOptions(model, port=self.port, **options))


@cache
def _said(server: Server, tokens: int) -> str:
    messages = [{"role": "user", "content": PROMPT}]
    body = {"messages": messages, "temperature": 0, "max_tokens": tokens}
    reply = json.loads(server.request("POST", "/v1/chat/completions", body)[1])
    return str(reply["choices"][0]["message"]["content"])


@pytest.fixture(scope="module")
def _house(
    tools: Tools, tmp_path_factory: pytest.TempPathFactory, quick_gguf: Path, endless_gguf: Path
) -> Iterator[House]:
    folder, port = tmp_path_factory.mktemp("faults"), free_port()
    shelf = folder / "shelf"
    shelf.mkdir()
    (shelf / "routed.gguf").symlink_to(endless_gguf)
    with ExitStack() as running:
        options = LlamaServerOptions(endless_gguf, alias="endless", slots=2)
        first, second, rare, router = (
            running.enter_context(start_llama_server(tools, folder, what))
            for what in (options, options, replace(options, alias="rare"), LlamaServerOptions(shelf))
        )
        ollama = running.enter_context(start_ollama(tools, folder / "ollama", OllamaOptions()))
        create_model(ollama, OllamaModel("endless:1b", endless_gguf))
        changing = {"name": "changing", "kind": "llamacpp", "url": f"http://127.0.0.1:{port}"}
        pair = [{"backend": "rare", "model": "rare"}, {"backend": "second", "model": "endless"}]
        daemon = running.enter_context(
            serving(
                backends=[
                    entry("first", first, weight=2.0, idle_timeout="2s", probe_timeout="2s"),
                    entry("second", second, probe_timeout="2s"),
                    entry("rare", rare, weight=2.0, probe_interval="60s"),
                    entry("router", router),
                    entry("ollama", ollama),
                    {**changing, "probe_interval": "100ms", "probe_timeout": "5s"},
                ],
                models=[
                    {"name": "pair", "deployments": pair},
                    {"name": "big", "deployments": [{"backend": "changing"}]},
                ],
                # What one test broke is good for the next: a trip that was not for dead servers alone waits for a request.
                reliability={"error_threshold": 100},
            )
        )
        yield House(daemon, first, second, rare, router, ollama, tools, folder, port)


@pytest.fixture
def house(_house: House) -> Iterator[House]:
    """Everybody well at the start of each test, and nobody busy."""
    for name in ("first", "second", "router", "ollama"):
        server: Server = getattr(_house, name)
        if not server.is_running:
            server.restart()
        server.thaw()
        asyncio.run(_house.daemon.becomes(name, "READY"))
    yield _house
    wait_until(lambda: _house.daemon.in_flight() == 0)


def tried(answer: Answer | Completed | ZoeError) -> list[tuple[str, str]]:
    attempts = answer.response.attempts if isinstance(answer, Answer) else answer.attempts
    return [(a.backend.backend, Attempt.Outcome.Name(a.outcome).removeprefix("OUTCOME_")) for a in attempts]


async def deltas(stream: AsyncStream, number: int, found: list[Delta] | None = None) -> list[Delta]:
    """Pieces of text until there are so many, in `found` if that is given."""
    found = [] if found is None else found
    async for event in stream:
        if isinstance(event, Delta):
            found.append(event)
            if len(found) == number:
                break
    return found


def decoded(server: Server) -> int:
    """Tokens that a llama-server's slots have made of their present answers."""
    slots = json.loads(server.request("GET", "/slots")[1])
    busy = [slot for slot in slots if slot["is_processing"]]
    return sum(part["n_decoded"] for slot in busy for part in slot.get("next_token", ()))


# ------------------------------------------------------------------------------------- before the first token


async def test_a_backend_that_refuses_is_followed_by_the_next(house: House) -> None:
    house.rare.crash()
    async with house.daemon.aclient() as client:
        answer = await client.complete(PROMPT, model="pair", **SHORT)
    assert tried(answer) == [("rare", "FAILED"), ("second", "OK")]
    assert answer.response.attempts[0].error_reason == "BACKEND_FAILED"
    assert answer.decision.chosen.backend == "second"
    assert answer.text == house.text(30)
    assert house.daemon.state("rare") == "DOWN"


@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_a_backend_killed_before_the_first_token_is_followed_by_the_next(
    house: House, streamed: bool
) -> None:
    house.first.freeze()  # so that no token of it can come
    async with house.daemon.aclient() as client:
        call = client.stream(PROMPT, model="endless", **SHORT)
        asking = asyncio.create_task(
            call.final() if streamed else client.complete(PROMPT, model="endless", **SHORT)
        )
        await eventually(lambda: house.daemon.backends()["first"].load.in_flight == 1)
        house.first.crash()
        answer = await asking
    assert [backend for backend, _ in tried(answer)] == ["first", "second"]
    assert answer.text == house.text(30)


@pytest.mark.parametrize("command", ["complete", "stream"])
def test_a_command_tells_who_failed_before_another_one_answered(house: House, command: str) -> None:
    argv = [command, PROMPT, "--model", "endless", "--max-tokens", "30", "--temperature", "0"]
    house.first.freeze()
    with subprocess.Popen(
        [sys.executable, "-m", "zoe_grpcd", *argv, "--target", house.daemon.target],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as asking:
        wait_until(lambda: house.daemon.backends()["first"].load.in_flight == 1)
        house.first.crash()
        answer, told = asking.communicate(timeout=60)
    assert answer.rstrip("\n") == house.text(30)
    failed, answered = told.splitlines()[-2:]
    assert re.fullmatch(r"  endless @ first: (failed|timeout)(, timeout)?, \d+\.\d\d s", failed)
    assert re.fullmatch(r"  endless @ second: ok, 30 tokens, \d+\.\d\d s", answered)


async def test_a_request_leaves_a_backend_that_hangs_as_soon_as_the_probes_know(house: House) -> None:
    house.first.freeze()
    begin = time.monotonic()
    async with house.daemon.aclient() as client:
        asking = asyncio.create_task(client.complete(PROMPT, model="endless", **SHORT))
        looks = await asyncio.to_thread(looks_until_down, house, "second", "first")
        answer = await asking
    assert time.monotonic() - begin < 20
    assert [backend for backend, _ in tried(answer)] == ["first", "second"]
    assert house.daemon.state("first") == "DOWN"
    assert looks > 2  # one every 250 ms, whoever hangs for 2 s


def looks_until_down(house: House, name: str, other: str) -> int:
    """How often a backend was looked at until the other one, which hangs, was found to be down."""
    looks: set[int] = set()

    def is_down() -> bool:
        backends = house.daemon.backends()
        looks.add(backends[name].last_probe.time.ToNanoseconds())
        return backends[other].state == Backend.STATE_DOWN

    wait_until(is_down)
    return len(looks) - 1  # the first one was before


async def test_with_progress_a_stream_tells_that_it_moves_on(house: House) -> None:
    house.first.freeze()
    async with house.daemon.aclient() as client:
        events = [e async for e in client.stream(PROMPT, model="endless", progress=True, **SHORT)]
    switched = [event for event in events if isinstance(event, BackendSwitched)]
    assert [(s.previous.backend, s.current.backend) for s in switched] == [("first", "second")]
    assert "".join(e.text for e in events if isinstance(e, Delta)) == house.text(30)


# --------------------------------------------------------------------------------------- after the first token


def text_of(events: Iterable[object]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def the(kind: type[Event], events: Iterable[object]) -> Event:
    """The only one of its kind."""
    [found] = [event for event in events if isinstance(event, kind)]
    return found


@pytest.mark.parametrize("how", ["crash", "freeze"])
async def test_a_stream_whose_backend_dies_or_hangs_goes_on_elsewhere(house: House, how: str) -> None:
    async with house.daemon.aclient() as client, client.stream(PROMPT, model="endless", **LONG) as stream:
        events: list[Any] = [*await deltas(stream, 5)]
        getattr(house.first, how)()
        events += [event async for event in stream]
    switched, end = the(BackendSwitched, events), the(Completed, events)
    before = events[: events.index(switched)]
    assert (switched.previous.backend, switched.current.backend) == ("first", "second")
    assert switched.seam == SEAM_QUALITY_EXACT_TOKENS
    assert switched.tokens_kept == sum(e.token_count for e in before if isinstance(e, Delta)) >= 5
    assert text_of(events) == house.text(240)
    assert tried(end) == [("first", "LOST"), ("second", "OK")]
    assert (end.usage.completion_tokens, end.finish_reason) == (240, FINISH_REASON_LENGTH)


async def test_all_the_streams_of_a_backend_that_dies_go_on(house: House) -> None:
    async def words(client: AsyncClient) -> tuple[str, str]:
        asked = {**LONG, "max_output_tokens": 80}
        events = [event async for event in client.stream(PROMPT, model="endless", **asked)]
        return text_of(events), tried(the(Completed, events))[-1][1]

    async with house.daemon.aclient() as client:
        asking = [asyncio.create_task(words(client)) for _ in range(6)]  # more than both have slots
        await eventually(lambda: decoded(house.first) > 5)
        house.first.crash()
        answers = await asyncio.gather(*asking)
    assert set(answers) == {(house.text(80), "OK")}


@pytest.mark.parametrize("how", ["crash", "freeze"])
async def test_a_stream_that_may_not_be_spliced_says_how_much_was_sent(house: House, how: str) -> None:
    asked = {**ENDLESS, **UNSPLICED}
    async with house.daemon.aclient() as client, client.stream(PROMPT, model="endless", **asked) as stream:
        got = await deltas(stream, 5)
        getattr(house.first, how)()
        with pytest.raises(BackendLost) as lost:
            await deltas(stream, 10_000, got)
    assert lost.value.code is grpc.StatusCode.ABORTED
    assert lost.value.tokens_sent == sum(delta.token_count for delta in got) >= 5
    assert tried(lost.value) == [("first", "LOST")]


async def test_a_stream_that_nobody_can_go_on_with_says_how_much_was_sent(house: House) -> None:
    asked = {**ENDLESS, **ONLY_FIRST}
    async with house.daemon.aclient() as client, client.stream(PROMPT, model="endless", **asked) as stream:
        got = await deltas(stream, 5)
        house.first.crash()
        with pytest.raises(BackendLost) as lost:
            await deltas(stream, 10_000, got)
    assert lost.value.tokens_sent == sum(delta.token_count for delta in got) >= 5
    assert {attempt.backend.backend for attempt in lost.value.attempts} == {"first"}


async def test_a_silent_stream_is_given_up_when_its_backend_is_found_dead(house: House) -> None:
    asked = {**ENDLESS, **UNSPLICED, "allowed_backends": ["second"]}  # whose idle timeout is 30 s
    async with house.daemon.aclient() as client, client.stream(PROMPT, model="endless", **asked) as stream:
        await deltas(stream, 5)
        begin = time.monotonic()
        house.second.freeze()
        with pytest.raises(BackendLost, match="down"):
            await deltas(stream, 10_000)
    assert time.monotonic() - begin < 20


async def test_nobody_sees_a_backend_die_in_the_middle_of_a_whole_answer(house: House) -> None:
    async with house.daemon.aclient() as client:
        asking = asyncio.create_task(client.complete(PROMPT, model="endless", **LONG))
        await eventually(lambda: decoded(house.first) > 5)
        house.first.crash()
        answer = await asking
    assert [backend for backend, _ in tried(answer)] == ["first", "second"]
    assert answer.response.attempts[0].output_tokens > 0
    assert answer.text == house.text(240)


RUNNERS = pytest.mark.parametrize(("name", "model"), [("ollama", "endless:1b"), ("router", "routed")])


@RUNNERS
async def test_a_stream_whose_runner_dies_goes_on_with_the_next(house: House, name: str, model: str) -> None:
    server: Server = getattr(house, name)
    async with house.daemon.aclient() as client, client.stream(PROMPT, model=model, **LONG) as stream:
        events: list[Any] = [*await deltas(stream, 5)]
        server.crash_runners()
        events += [event async for event in stream]
    assert the(BackendSwitched, events).current.backend == name
    assert text_of(events) == house.text(240)
    assert tried(the(Completed, events))[0] == (name, "LOST")


@RUNNERS
async def test_a_stream_whose_runner_dies_has_failed_where_no_seam_will_do(
    house: House, name: str, model: str
) -> None:
    server: Server = getattr(house, name)
    asked = {**ENDLESS, **UNSPLICED}
    async with house.daemon.aclient() as client, client.stream(PROMPT, model=model, **asked) as stream:
        got = await deltas(stream, 5)
        server.crash_runners()
        with pytest.raises(BackendLost) as lost:
            await deltas(stream, 10_000, got)
    assert lost.value.tokens_sent == sum(delta.token_count for delta in got) >= 5


@RUNNERS
async def test_a_whole_answer_survives_the_end_of_a_runner(house: House, name: str, model: str) -> None:
    server: Server = getattr(house, name)
    async with house.daemon.aclient() as client:
        await client.complete(PROMPT, model=model, max_output_tokens=1)
        asking = asyncio.create_task(client.complete(PROMPT, model=model, **LONG))
        await eventually(lambda: house.daemon.backends()[name].load.in_flight == 1)
        server.crash_runners()
        answer = await asking
    assert answer.text == house.text(240)
    assert tried(answer)[-1] == (name, "OK")


async def test_a_stream_from_an_ollama_that_is_killed_has_failed(house: House) -> None:
    async with (
        house.daemon.aclient() as client,
        client.stream(PROMPT, model="endless:1b", **ENDLESS) as stream,
    ):
        await deltas(stream, 5)
        house.ollama.crash()
        with pytest.raises(BackendLost):
            await deltas(stream, 10_000)
    await house.daemon.becomes("ollama", "DOWN")


async def test_eight_callers_of_a_cold_model_are_all_answered(house: House) -> None:
    house.ollama.request("POST", "/api/generate", {"model": "endless:1b", "keep_alive": 0})
    await eventually(lambda: house.daemon.load_state("ollama", "endless:1b") == "UNLOADED")
    async with house.daemon.aclient() as client:
        asked: list[Any] = [
            client.complete(PROMPT, model="endless:1b", max_output_tokens=3, temperature=0) for _ in range(8)
        ]
        answers = await asyncio.gather(*asked)
    assert {answer.text for answer in answers} == {house.text(3)}


# ----------------------------------------------------------------------------------------- gone, back, changed


async def test_who_watches_sees_a_backend_go_and_come_back(house: House) -> None:
    async with (
        AsyncClient(house.daemon.target, admin_target=house.daemon.admin_target) as client,
        grpc.aio.insecure_channel(house.daemon.target) as channel,
    ):
        service = health_pb2.HealthCheckRequest(service="model/rare")
        health = health_pb2_grpc.HealthStub(channel).Watch(service, timeout=60)
        changes = client.admin.WatchBackends(WatchBackendsRequest(), timeout=60)
        house.rare.restart()
        house.rare.crash()
        with pytest.raises(ZoeError):
            await client.complete(PROMPT, model="rare")
        assert await seen(changes, "rare", Backend.STATE_DOWN)
        assert await told(health, health_pb2.HealthCheckResponse.NOT_SERVING)


async def seen(changes: Any, name: str, state: int) -> bool:
    """Reads what WatchBackends tells until a backend is in a state."""
    async for change in changes:
        for backend in (*change.snapshot.backends, change.updated):
            if (backend.name, backend.state) == (name, state):
                return True
    return False


async def told(statuses: Any, status: int) -> bool:
    """Reads what a health watch tells until it is that."""
    async for reply in statuses:
        if reply.status == status:
            return True
    return False


async def test_a_backend_that_comes_back_is_found_and_used(house: House) -> None:
    house.first.crash()
    await house.daemon.becomes("first", "DOWN")
    async with house.daemon.aclient() as client:
        meanwhile = await client.complete(PROMPT, model="endless", max_output_tokens=1)
        house.first.restart()
        await house.daemon.becomes("first", "READY")
        again = await client.complete(PROMPT, model="endless", max_output_tokens=1, **ONLY_FIRST)
    assert (tried(meanwhile), tried(again)) == ([("second", "OK")], [("first", "OK")])


async def test_one_that_is_back_answers_though_no_probe_has_found_it_yet(house: House) -> None:
    """It is looked at once a minute, and nobody else has its model."""
    async with house.daemon.aclient() as client:
        house.rare.restart()
        await client.complete(PROMPT, model="rare", max_output_tokens=1)
        house.rare.crash()
        with pytest.raises(ZoeError):
            await client.complete(PROMPT, model="rare", max_output_tokens=1)
        await house.daemon.becomes("rare", "DOWN")
        house.rare.restart()
        again = await client.complete(PROMPT, model="rare", max_output_tokens=1)
    assert tried(again) == [("rare", "OK")]


async def test_a_hung_backend_that_goes_on_is_used_again(house: House) -> None:
    house.first.freeze()
    await house.daemon.becomes("first", "DOWN")
    house.first.thaw()
    await house.daemon.becomes("first", "READY")
    async with house.daemon.aclient() as client:
        again = await client.complete(PROMPT, model="endless", max_output_tokens=1, **ONLY_FIRST)
    assert tried(again) == [("first", "OK")]


async def test_the_models_follow_what_is_put_on_a_port(
    house: House, quick_gguf: Path, slow_gguf: Path
) -> None:
    def found(model: str) -> bool:
        return {m.model for m in house.daemon.backends()["changing"].models} - {"big"} == {model}

    shelf = house.folder / "other shelf"
    shelf.mkdir()
    (shelf / "shelved.gguf").symlink_to(quick_gguf)
    async with house.daemon.aclient() as client:
        for path, alias, model in (
            (quick_gguf, "one", "one"),
            (slow_gguf, "two", "two"),
            (shelf, None, "shelved"),
        ):
            with house.changing(path, alias=alias) as server:
                server.start().wait_ready()
                await eventually(partial(found, model))
                assert tried(await client.complete(PROMPT, model=model)) == [("changing", "OK")]
        await house.daemon.becomes("changing", "DOWN")
        with pytest.raises(NoHealthyBackend):
            await client.complete(PROMPT, model="shelved")


async def test_when_all_are_dead_the_caller_knows_at_once_when_to_come_back(house: House) -> None:
    await house.daemon.becomes("changing", "DOWN")
    spec = build_spec(PROMPT, {"model": "big"})
    requests = {"Route": pb.RouteRequest(spec=spec), "Complete": pb.CompleteRequest(spec=spec)}
    with grpc.insecure_channel(house.daemon.target) as channel:
        stub = InferenceServiceStub(channel)
        stub.Route(pb.RouteRequest(spec=build_spec(PROMPT, {"model": "endless"})), timeout=30)  # connects
        for method, request in requests.items():
            begin = time.monotonic()
            with pytest.raises(grpc.RpcError) as refused:
                getattr(stub, method)(request, timeout=60)
            assert time.monotonic() - begin < 10  # not at its deadline
            error = from_rpc_error(refused.value, "")
            assert isinstance(error, NoHealthyBackend)
            assert error.code is grpc.StatusCode.UNAVAILABLE
            assert error.retry_after is not None
            assert error.retry_after > 0


async def test_a_server_that_still_loads_is_waited_for(house: House) -> None:
    model = make_gguf(house.folder / "big.gguf", TinyModel(name="big", reply_tokens=5, experts=64, ffn=4096))
    with house.changing(model, alias="big", args=["--no-mmap"]) as server:
        server.start()
        wait_until(lambda: is_loading(server))
        async with house.daemon.aclient() as client:
            await house.daemon.becomes("changing", "LOADING")
            with pytest.raises(DeadlineExceeded):
                await client.complete(PROMPT, model="big", timeout=0.1)
            answer = await client.complete(PROMPT, model="big", temperature=0)
    assert len(answer.text.split()) == 5
    assert tried(answer)[-1] == ("changing", "OK")
    model.unlink()


def is_loading(server: Server) -> bool:
    try:
        return server.request("GET", "/health")[0] == 503
    except OSError:
        return False
