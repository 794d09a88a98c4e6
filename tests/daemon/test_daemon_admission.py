"""Who waits at a real llama-server with one slot: in which order it is served, who leaves, and who need not try."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import grpc
import pytest
from serving import Daemon, entry, serving
from waiting import eventually

from zoe.inference.v1 import response_pb2
from zoe_client import AsyncClient, Completed, Progress, RouteDecision, ZoeError
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.gguf import TinyModel, make_gguf
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.servers import Server

PROMPT = "tell me of the river and the clock"
Priority = Literal["batch", "low", "normal", "high", "critical"]
PRIORITIES: tuple[Priority, ...] = ("batch", "low", "normal", "critical", "high")
QUEUED = response_pb2.Progress.STATE_QUEUED
# Tokens of its answers: a quarter of a minute, which nobody waits for, and a second or two.
LENGTH, SHORT = 3000, 400


@dataclass(frozen=True)
class House:
    daemon: Daemon
    llama: Server

    def load(self) -> tuple[int, int]:
        """Requests in flight, and queued."""
        load = self.daemon.backends()["llama"].load
        return load.in_flight, load.queued

    def has(self, in_flight: int, queued: int) -> bool:
        return self.load() == (in_flight, queued)

    def inside(self) -> int:
        """Requests that llama-server works on or that wait inside it."""
        metrics = self.llama.request("GET", "/metrics")[1]
        values = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
        names = ("llamacpp:requests_processing", "llamacpp:requests_deferred")
        return round(sum(float(values[name]) for name in names))


@pytest.fixture(scope="module")
def house(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("admission")
    long = make_gguf(folder / "long.gguf", TinyModel(name="long", reply_tokens=LENGTH, layers=4, ffn=4096))
    with ExitStack() as running:
        options = LlamaServerOptions(long, alias="long", args=["--metrics"])
        llama = running.enter_context(start_llama_server(tools, folder, options))
        yield House(running.enter_context(serving(backends=[entry("llama", llama)])), llama)


async def holding(house: House, client: AsyncClient) -> "asyncio.Task[Any]":
    """A request that has the slot."""
    task = asyncio.create_task(client.complete(PROMPT, model="long", max_output_tokens=LENGTH))
    await eventually(lambda: house.load() == (1, 0))
    return task


async def test_a_deadline_out_of_reach_is_refused_at_once(house: House) -> None:
    """The first test: what is measured of the others' answers, of other lengths, would be less certain."""
    async with house.daemon.aclient() as client:
        asked: dict[str, Any] = {"model": "long", "max_output_tokens": SHORT}
        for _ in range(2):  # what it has measured decides, nothing else
            await client.complete(PROMPT, timeout=90, **asked)
        expected = await client.route(PROMPT, **asked)
        # not one answer in twenty takes so little time, even as far as a busy machine can tell
        short = expected.estimate.total.ToTimedelta().total_seconds() / 16
        sent = task(house)

        async def refused() -> ZoeError | None:
            """None: nobody came to look at it before its time was over, either."""
            with pytest.raises(ZoeError) as caught:
                await client.complete(PROMPT, timeout=short, **asked)
            return caught.value if caught.value.reason == "DEADLINE_UNREACHABLE" else None

        error = await eventually(refused)
        assert error is not None
        with pytest.raises(ZoeError) as routed:
            await client.route(PROMPT, timeout=short, **asked)
        assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.retry_after is not None
        assert error.retry_after > short
        assert routed.value.reason in ("DEADLINE_UNREACHABLE", "DEADLINE_EXCEEDED")
        assert task(house) == sent
        await client.complete(PROMPT, model="long", timeout=60, max_output_tokens=5)


def task(house: House) -> int:
    """The number of the last answer that llama-server has begun."""
    return int(json.loads(house.llama.request("GET", "/slots")[1])[0]["id_task"])


async def test_the_more_urgent_goes_first_and_nobody_waits_inside_the_server(house: House) -> None:
    order: list[str] = []

    async def ask(client: AsyncClient, priority: Priority) -> None:
        await client.complete(PROMPT, model="long", max_output_tokens=5, priority=priority)
        order.append(priority)

    async with house.daemon.aclient() as client:
        first, tasks = await holding(house, client), []
        for count, priority in enumerate(PRIORITIES, 1):
            tasks.append(asyncio.create_task(ask(client, priority)))
            await eventually(partial(house.has, 1, count))
        assert house.inside() == 1
        first.cancel()
        await asyncio.gather(*tasks)
    assert order == ["critical", "high", "normal", "low", "batch"]
    await eventually(lambda: house.load() == (0, 0))


async def test_who_leaves_the_queue_was_never_sent(house: House) -> None:
    async with house.daemon.aclient() as client:
        first = await holding(house, client)
        second = asyncio.create_task(client.complete(PROMPT, model="long"))
        await eventually(lambda: house.load() == (1, 1))
        second.cancel()
        await eventually(lambda: house.load() == (1, 0))
        assert house.inside() == 1
        first.cancel()
        await eventually(lambda: house.load() == (0, 0))


async def test_progress_says_how_many_are_ahead(house: House) -> None:
    async with house.daemon.aclient() as client:
        first = await holding(house, client)
        # on the wire a deadline is rounded to 100 ms: of two that are equal the later one may seem the earlier
        second = asyncio.create_task(client.complete(PROMPT, model="long", max_output_tokens=5, timeout=30))
        await eventually(lambda: house.load() == (1, 1))
        events: list[Any] = []
        async with client.stream(
            PROMPT, model="long", max_output_tokens=5, progress=True, timeout=60
        ) as stream:
            async for event in stream:
                events.append(event)
                if isinstance(event, Progress) and event.queue_position:
                    first.cancel()
        await second
    told = [event for event in events if isinstance(event, Progress)]
    assert isinstance(events[0], RouteDecision)
    assert (told[0].state, told[0].queue_position) == (QUEUED, 1)
    assert told[0].expected_wait.ToTimedelta().total_seconds() > 0
    assert [event.queue_position for event in told] == sorted((e.queue_position for e in told), reverse=True)
    assert isinstance(events[-1], Completed)
    assert events[-1].timings.queue.ToTimedelta().total_seconds() > 0
