"""Both clients against one recording daemon, so that one test speaks for both."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from client.recording import Daemon

from zoe.inference.v1.inference_service_pb2_grpc import add_InferenceServiceServicer_to_server
from zoe_client import Answer, AsyncClient, Client, Event, RouteDecision

Connect = Callable[..., Any]


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ZOE_GRPCD_TARGET", raising=False)
    monkeypatch.delenv("ZOE_GRPCD_API_KEY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
async def daemon() -> AsyncIterator[Daemon]:
    servicer = Daemon()
    server = grpc.aio.server()
    add_InferenceServiceServicer_to_server(servicer, server)
    servicer.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield servicer
    await server.stop(None)


class ThreadAsker:
    """The synchronous client, each call in a thread of its own."""

    def __init__(self, target: str | None, **options: Any) -> None:
        self.client = Client(target, **options)

    async def complete(self, *args: Any, **options: Any) -> Answer:
        return await asyncio.to_thread(self.client.complete, *args, **options)

    async def route(self, *args: Any, **options: Any) -> RouteDecision:
        return await asyncio.to_thread(self.client.route, *args, **options)

    async def events(self, *args: Any, **options: Any) -> list[Event]:
        return await asyncio.to_thread(lambda: list(self.client.stream(*args, **options)))

    async def texts(self, *args: Any, **options: Any) -> list[str]:
        return await asyncio.to_thread(lambda: list(self.client.stream(*args, **options).text_stream()))

    async def final(self, *args: Any, **options: Any) -> Answer:
        return await asyncio.to_thread(lambda: self.client.stream(*args, **options).final())

    async def first_event(self, *args: Any, **options: Any) -> Event:
        def read_one() -> Event:
            self.left = self.client.stream(*args, **options)  # kept, so that only leaving it can end the call
            with self.left as stream:
                return next(stream)

        return await asyncio.to_thread(read_one)

    async def close(self) -> None:
        self.client.close()


class AsyncAsker:
    """The asynchronous client."""

    def __init__(self, target: str | None, **options: Any) -> None:
        self.client = AsyncClient(target, **options)
        self.complete = self.client.complete
        self.route = self.client.route
        self.close = self.client.close

    async def events(self, *args: Any, **options: Any) -> list[Event]:
        return [event async for event in self.client.stream(*args, **options)]

    async def texts(self, *args: Any, **options: Any) -> list[str]:
        return [text async for text in self.client.stream(*args, **options).text_stream()]

    async def final(self, *args: Any, **options: Any) -> Answer:
        return await self.client.stream(*args, **options).final()

    async def first_event(self, *args: Any, **options: Any) -> Event:
        self.left = self.client.stream(*args, **options)
        async with self.left as stream:
            return await anext(stream)


@pytest.fixture(params=[ThreadAsker, AsyncAsker], ids=["sync", "async"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Makes clients of one kind; they are closed in the end."""
    askers: list[Any] = []

    def make(target: str | None = None, **options: Any) -> Any:
        askers.append(request.param(target, **options))
        return askers[-1]

    yield make
    for asker in askers:
        await asker.close()


@pytest.fixture
def asker(connect: Connect, daemon: Daemon) -> Any:
    return connect(daemon.target)
