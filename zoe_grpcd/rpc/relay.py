"""Callers that were waiting at an inherited socket: their connections can't be given to gRPC, so they are passed on.

The one rule: it is for few and for short. They are asked to leave as soon as they are served, and then come directly.
"""

import asyncio
import os
import socket
from typing import Any

from zoe_grpcd.rpc.doors import Door


class Relay:
    """Connections that are passed on, both ways, until either end closes.

    `inodes` are the sockets of the callers, and `names` the addresses that gRPC sees in their place.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self.inodes: set[int] = set()
        self.names: set[Any] = set()

    def take(self, door: Door) -> None:
        """Takes whoever waits at the door, which is open."""
        while True:
            try:
                caller, _ = door.sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            task = asyncio.create_task(self._pass_on(caller, door.sock))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ends all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pass_on(self, caller: socket.socket, listener: socket.socket) -> None:
        inode = os.fstat(caller.fileno()).st_ino
        with caller, socket.socket(listener.family, socket.SOCK_STREAM) as server:
            for sock in (caller, server):
                sock.setblocking(False)  # noqa: FBT003 - the socket module's own signature
            server.bind((listener.getsockname()[0], 0))  # a name to be known by
            name = server.getsockname()
            self.inodes.add(inode)
            self.names.add(name)
            try:
                await asyncio.get_running_loop().sock_connect(server, listener.getsockname())
                await _both_ways(caller, server)
            except OSError:
                pass  # the caller has left, or the server has
            finally:
                self.inodes.discard(inode)
                self.names.discard(name)


async def _both_ways(one: socket.socket, other: socket.socket) -> None:
    ways = [asyncio.create_task(_pump(a, b)) for a, b in ((one, other), (other, one))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _pump(source: socket.socket, sink: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, 64 * 1024):
        await loop.sock_sendall(sink, data)
