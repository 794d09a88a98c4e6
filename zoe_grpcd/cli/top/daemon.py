"""What the daemon tells, kept up to date: a stream of its backends, and a look at the rest every other second.

Rule: nothing here ends because the daemon does. Whoever asks gets what was told last, and why there is nothing newer.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import grpc
from google.protobuf.duration_pb2 import Duration

from zoe.admin.v1 import admin_service_pb2 as pb
from zoe.admin.v1 import backend_pb2
from zoe_client import AsyncClient, from_rpc_error
from zoe_grpcd.cli.top.cells import clean
from zoe_grpcd.cli.top.look import Act, Drain, Undrain, Warm
from zoe_grpcd.cli.top.reading import Seen
from zoe_grpcd.cli.warming import told

TIMEOUT = 10.0  # seconds for a look
WINDOW = 60  # seconds that totals are about
DECISIONS = 100
AGAIN = 1.0  # seconds until a daemon that is gone is looked for again


class Feed:
    """`changed` is called whenever there is something new to see."""

    def __init__(self, client: AsyncClient, interval: float, changed: Callable[[], None]) -> None:
        self._client = client
        self._interval = interval
        self._changed = changed
        self._backends: dict[str, backend_pb2.Backend] = {}
        self._without_stats = False
        self.seen = Seen()

    async def first(self) -> None:
        """The first look. Raises grpc.RpcError: there is no daemon, or it does not let us look."""
        listing = await self._client.admin.ListBackends(
            pb.ListBackendsRequest(), timeout=TIMEOUT, metadata=self._client.headers
        )
        self._put({backend.name: backend for backend in listing.backends})
        await self._look()

    async def follow(self) -> None:
        """Keeps all of it up to date until it is cancelled."""
        await asyncio.gather(self._watch(), self._look_on())

    async def act(self, action: Act) -> str:
        """Does it; returns what came of it in words."""
        try:
            match action:
                case Drain():
                    return await self._drain(action)
                case Undrain():
                    return await self._undrain(action)
                case Warm():
                    return await self._warm(action)
        except grpc.RpcError as error:
            return str(from_rpc_error(error, ""))

    async def _drain(self, action: Drain) -> str:
        request = pb.DrainBackendRequest(name=action.backend, reason=action.reason)
        done = await self._client.admin.DrainBackend(request, timeout=TIMEOUT, metadata=self._client.headers)
        return f"{done.backend.name} drains, {done.backend.load.in_flight} running; u takes it back"

    async def _undrain(self, action: Undrain) -> str:
        request = pb.UndrainBackendRequest(name=action.backend, reason="by hand, in top")
        done = await self._client.admin.UndrainBackend(
            request, timeout=TIMEOUT, metadata=self._client.headers
        )
        return f"{done.backend.name} is taken back, and gets requests from its next good probe on"

    async def _warm(self, action: Warm) -> str:
        """To the end of the load, whose progress the list shows."""
        request = pb.WarmModelRequest(model=action.model, backend=action.backend, wait=True)
        done = await self._client.admin.WarmModel(request, metadata=self._client.headers)
        return clean(told(action.model, done))

    async def _watch(self) -> None:
        """Each stream of changes in turn: it ends with a daemon, and begins anew with the next one."""
        while True:
            try:
                changes = self._client.admin.WatchBackends(
                    pb.WatchBackendsRequest(), metadata=self._client.headers
                )
                async for change in changes:
                    self._apply(change)
                self._lose("it has ended")
            except grpc.RpcError as error:
                self._lose(from_rpc_error(error, "").message)
            await asyncio.sleep(AGAIN)

    def _apply(self, change: pb.WatchBackendsResponse) -> None:
        match change.WhichOneof("event"):
            case "snapshot":
                self._put({backend.name: backend for backend in change.snapshot.backends})
            case "updated":
                self._put({**self._backends, change.updated.name: change.updated})
            case "removed":
                self._put({name: b for name, b in self._backends.items() if name != change.removed})

    def _put(self, backends: dict[str, backend_pb2.Backend]) -> None:
        self._backends = backends
        self.seen = replace(self.seen, backends=tuple(backends.values()), lost="")
        self._changed()

    def _lose(self, why: str) -> None:
        since = self.seen.lost_since if self.seen.lost else time.time()
        self.seen = replace(self.seen, lost=why, lost_since=since)
        self._changed()

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            with suppress(grpc.RpcError):  # the watch tells that the daemon is gone
                await self._look()

    async def _look(self) -> None:
        decisions = pb.ListDecisionsRequest(page_size=DECISIONS)
        listing = await self._client.admin.ListDecisions(
            decisions, timeout=TIMEOUT, metadata=self._client.headers
        )
        self.seen = replace(self.seen, decisions=tuple(listing.decisions), stats=await self._stats())
        self._changed()

    async def _stats(self) -> pb.GetStatsResponse | None:
        """None from a daemon that does not have them."""
        if self._without_stats:
            return None
        try:
            request = pb.GetStatsRequest(window=Duration(seconds=WINDOW))
            return await self._client.admin.GetStats(request, timeout=TIMEOUT, metadata=self._client.headers)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            self._without_stats = True
            return None
