"""A daemon's life on an address, without what it serves: it begins, holds answers back, drains, and leaves nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import grpc

from zoe_grpcd.rpc.handover import Handover
from zoe_grpcd.rpc.server import Locks


class Life:
    """Whoever is one sets `server` and `handover`. Its method answers after `held` is set, and counts in `running`."""

    server: grpc.aio.Server
    handover: Handover

    def __init__(self) -> None:
        self.held = asyncio.Event()
        self.held.set()
        self.running = 0
        self.locks = Locks()
        self._over = False

    async def begin(self) -> None:
        await self.server.start()
        self.handover.open()

    async def end(self) -> None:
        """As the daemon's drain; once."""
        if self._over:
            return
        await self.handover.leave(lambda: not self.running, lambda: None)
        await self.server.stop(1)
        await self.close()

    async def close(self) -> None:
        """Nothing is left of it, whatever it has come to."""
        self.held.set()
        await self.server.stop(None)
        if not self._over:
            self._over = True
            await self.handover.close()
            self.locks.close()


Some = TypeVar("Some", bound=Life)


@asynccontextmanager
async def lived(life: Some) -> AsyncIterator[Some]:
    try:
        await life.begin()
        yield life
        await life.end()
    finally:
        await life.close()
