"""A real server that fails while it answers its probes: the daemon sends it less, then nothing, then a trial, then more.

The one rule: the server with the fault is preferred by far, so that nothing but its failures keeps requests away.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from faultproxy import Fault, FaultProxy, How
from grpc_health.v1 import health_pb2, health_pb2_grpc
from serving import Daemon, entry, serving
from waiting import eventually

from zoe.admin.v1.admin_service_pb2 import WatchBackendsRequest
from zoe.inference.v1.decision_pb2 import Attempt, Reason
from zoe_client import Answer, AsyncClient, ZoeError
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.servers import Server

PROMPT = "tell me of the river and the clock"
ERROR = Fault(How.ERROR, status=500)
Serve = Callable[..., AbstractContextManager[Daemon]]


@dataclass(frozen=True)
class House:
    """`sick` is behind the proxy; `serve(cooldown="1s")` is a daemon in front of it and of `well`.

    Both have `twin`, and `sick` alone has `alone`.
    """

    sick: Server
    proxy: FaultProxy
    serve: Serve


@pytest.fixture(scope="module")
def _house(tools: Tools, tmp_path_factory: pytest.TempPathFactory, quick_gguf: Path) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("breakers")
    with ExitStack() as running:
        options = LlamaServerOptions(quick_gguf, alias="twin", slots=4)
        sick, well = (running.enter_context(start_llama_server(tools, folder, options)) for _ in range(2))
        proxy = running.enter_context(FaultProxy(sick.port))

        def serve(**reliability: Any) -> AbstractContextManager[Daemon]:
            patient = {
                "probe_timeout": "5s"
            }  # on a busy machine a silent probe is none of what is tested here
            return serving(
                backends=[
                    entry("sick", sick, url=proxy.url, weight=50.0, **patient),
                    entry("well", well, **patient),
                ],
                models=[
                    {"name": "twin", "deployments": [{"backend": "sick"}, {"backend": "well"}]},
                    {"name": "alone", "deployments": [{"backend": "sick", "model": "twin"}]},
                ],
                reliability={"retry_delay": "10ms", **reliability},
            )

        yield House(sick, proxy, serve)


@pytest.fixture
def house(_house: House) -> Iterator[House]:
    """All well at the start of each test."""
    _house.proxy.heal()
    if not _house.sick.is_running:
        _house.sick.restart()
    yield _house
    _house.proxy.heal()


async def asked(client: AsyncClient, model: str = "twin", **options: Any) -> Answer:
    return await client.complete(PROMPT, model=model, max_output_tokens=4, temperature=0, **options)


def tried(answers: list[Answer]) -> Counter[tuple[str, str]]:
    """How often each backend was tried, by outcome."""
    return Counter(
        (a.backend.backend, Attempt.Outcome.Name(a.outcome).removeprefix("OUTCOME_"))
        for answer in answers
        for a in answer.response.attempts
    )


async def trip(client: AsyncClient, daemon: Daemon) -> None:
    """Has it fail until it cools down."""
    for _ in range(3):
        assert tried([await asked(client)]) == {("sick", "FAILED"): 1, ("well", "OK"): 1}
    assert daemon.state("sick") == "COOLING_DOWN"


async def reasons(client: AsyncClient, model: str = "twin") -> dict[str, list[str]]:
    """Why each backend may not serve."""
    decision = await client.route(PROMPT, model=model, explain=True)
    return {
        c.backend.backend: [Reason.Name(reason).removeprefix("REASON_") for reason in c.reasons]
        for c in decision.candidates
    }


async def health(daemon: Daemon, model: str) -> int:
    async with grpc.aio.insecure_channel(daemon.target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        reply = await stub.Check(health_pb2.HealthCheckRequest(service=f"model/{model}"), timeout=30)
        return int(reply.status)


async def test_a_server_that_fails_fast_attracts_no_traffic(house: House) -> None:
    house.proxy.strike(ERROR)
    at_once, rounds = 5, 12
    with house.serve() as daemon:
        async with daemon.aclient() as client:
            answers = []
            for _ in range(rounds):
                answers += await asyncio.gather(*(asked(client) for _ in range(at_once)))
            counts = tried(answers)
            assert counts["well", "OK"] == at_once * rounds
            assert 3 <= counts["sick", "FAILED"] < 3 + at_once
            decision = await client.route(PROMPT, model="twin", explain=True)
            assert await reasons(client) == {"well": [], "sick": ["CIRCUIT_OPEN"]}
        assert "twin @ sick would win if it had cooled down, which takes another" in decision.explanation
        assert daemon.state("sick") == "COOLING_DOWN"
        assert "3 errors in 60 s; next trial in" in _detail(daemon)


async def test_after_the_cooldown_a_trial_brings_it_back_and_whoever_watches_sees_that(house: House) -> None:
    house.proxy.strike(ERROR)
    with house.serve(cooldown="1s") as daemon:
        async with daemon.aclient() as client:
            stream = client.admin.WatchBackends(WatchBackendsRequest(), timeout=60)
            seen: list[str] = []
            watching = asyncio.create_task(_states(stream, "sick", seen))
            await trip(client, daemon)
            tries = await _tries_until(client, lambda: "the trial failed" in _detail(daemon))
            assert tries["sick", "FAILED"] == 1
            house.proxy.heal()
            tries = await _tries_until(client, lambda: seen[-1] == "READY")
            assert tries["sick", "FAILED"] == 0
            assert tries["sick", "OK"] >= 1
            assert "errors" not in _detail(daemon)
            watching.cancel()
    changes = [state for state, before in zip(seen, [None, *seen], strict=False) if state != before]
    assert [state for state in changes if state != "DEGRADED"] == ["READY", "COOLING_DOWN", "READY"]
    assert changes[-2] == "DEGRADED"  # while it starts slowly


async def _tries_until(client: AsyncClient, done: Callable[[], bool]) -> Counter[tuple[str, str]]:
    """Asks again and again; returns how often each backend was tried until then."""
    answers: list[Answer] = []

    async def is_done() -> bool:
        answers.append(await asked(client))
        return done()

    await eventually(is_done)
    return tried(answers)


async def _states(stream: AsyncIterable[Any], name: str, seen: list[str]) -> None:
    async for event in stream:
        backends = event.snapshot.backends if event.HasField("snapshot") else [event.updated]
        seen += [b.State.Name(b.state).removeprefix("STATE_") for b in backends if b.name == name]


def _detail(daemon: Daemon) -> str:
    return daemon.backends()["sick"].state_detail


async def test_when_nobody_else_may_serve_it_is_tried_all_the_same(house: House) -> None:
    house.proxy.strike(ERROR)
    with house.serve() as daemon:
        async with daemon.aclient() as client:
            await trip(client, daemon)
            assert await health(daemon, "alone") == health_pb2.HealthCheckResponse.NOT_SERVING
            assert await health(daemon, "twin") == health_pb2.HealthCheckResponse.SERVING
            with pytest.raises(ZoeError) as failed:
                await asked(client, "alone")
            assert failed.value.reason == "BACKEND_FAILED"
            house.proxy.heal()
            answer = await asked(client, "alone")
        assert "nobody else may serve" in answer.decision.explanation
        assert daemon.state("sick") == "DEGRADED"  # and back, slowly
        assert await health(daemon, "alone") == health_pb2.HealthCheckResponse.SERVING


async def test_who_limits_our_rate_is_left_alone_for_as_long_as_it_says(house: House) -> None:
    house.proxy.strike(Fault(How.ERROR, status=429, retry_after="120"))
    with house.serve() as daemon:
        async with daemon.aclient() as client:
            assert tried([await asked(client)]) == {("sick", "FAILED"): 1, ("well", "OK"): 1}
            house.proxy.heal()
            assert tried([await asked(client) for _ in range(5)]) == {("well", "OK"): 5}
            assert await reasons(client) == {"well": [], "sick": ["RATE_LIMITED"]}
            with pytest.raises(ZoeError) as refused:
                await asked(client, allowed_backends=["sick"])
            assert (refused.value.code, refused.value.reason) == (
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "RATE_LIMITED",
            )
            assert refused.value.retry_after is not None
            assert 30 < refused.value.retry_after <= 120
            assert tried([await asked(client, "alone")]) == {("sick", "OK"): 1}  # another deployment of it
        assert daemon.state("sick") == "READY"
        assert "twin: it limits our rate; next request in" in _detail(daemon)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_second_server_is_asked_while_the_first_is_silent(house: House, streamed: bool) -> None:
    house.proxy.strike(Fault(How.BLACKHOLE))
    with house.serve() as daemon:
        async with daemon.aclient() as client:
            if streamed:
                answer = await client.stream(
                    PROMPT, model="twin", max_output_tokens=4, hedge_after=0.05
                ).final()
            else:
                answer = await asked(client, hedge_after=0.05)
            assert tried([answer]) == {("sick", "CANCELLED"): 1, ("well", "OK"): 1}
            assert answer.decision.chosen.backend == "well"
            await eventually(lambda: house.proxy.open == 0)
        assert all(backend.load.in_flight == 0 for backend in daemon.backends().values())
        assert daemon.state("sick") == "READY"


async def test_a_server_that_was_killed_and_is_back_need_not_cool_down(house: House) -> None:
    with house.serve() as daemon:
        async with daemon.aclient() as client:
            for _ in range(3):
                house.sick.crash()
                assert ("well", "OK") in tried([await asked(client)])
                # who is back before a probe has missed it is not known to have been away
                await eventually(lambda: not daemon.backends()["sick"].last_probe.ok)
                house.sick.restart()

                async def is_used() -> bool:
                    return tried([await asked(client)]) == {("sick", "OK"): 1}

                await eventually(is_used)
