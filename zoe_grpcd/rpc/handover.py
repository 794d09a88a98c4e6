"""One daemon after another on the same sockets: nobody is refused, no call is lost, no stream is cut.

the next one   opens the doors, passes on whoever was waiting, and asks those to come directly from their next call on
this one       shuts the doors, asks everybody to leave, and serves what still comes until they have
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from zoe_grpcd.rpc.connections import LOOK, Farewell, Where
from zoe_grpcd.rpc.doors import UNIX, Door, Doors
from zoe_grpcd.rpc.front import Fronts
from zoe_grpcd.rpc.relay import Relay
from zoe_grpcd.rpc.server import Locks, Server, listen

# Who does not leave though nothing runs is not waited for any longer (seconds).
PATIENCE = 1.0
# Who was waiting has begun to call by then (seconds).
SETTLED = 1.0
# Everybody who can be asked to leave has been by then (seconds).
TELLING = 2.0


class Handover:
    """The doors and the fronts over the daemon's life."""

    def __init__(self, doors: Doors, fronts: Fronts) -> None:
        self._doors = doors
        self._fronts = fronts
        self._relay = Relay()
        self._redirecting: asyncio.Task[None] | None = None

    def listen(self, server: Server, address: str, locks: Locks) -> str:
        """Listens, with a front or a door where one is needed; returns the address with the real port.

        Raises CannotListen.
        """
        if not self._fronts.wants(address, inherited=self._doors.know(address)):
            return listen(server, address, locks, self._doors.claim(address))
        if address.startswith(UNIX):
            locks.take(Path(address.removeprefix(UNIX)))
        return self._fronts.listen(server.add_insecure_port, address, self._doors.give(address))

    def open(self) -> None:
        """The server has started: it takes new connections, and those that were waiting."""
        self._doors.open()
        for door in self._doors:
            door.sock.setblocking(False)  # noqa: FBT003 - the socket module's own signature
            # somebody may be on the way to the inherited socket still
            asyncio.get_running_loop().add_reader(door.sock, self._take, door)
            self._take(door)
        self._fronts.open()

    async def leave(self, idle: Callable[[], bool], told: Callable[[], None]) -> None:
        """Shuts the doors, and returns when all have left, or only those who would not though nothing runs.

        At once if no socket was inherited: nobody could wait for the next daemon.

        Args:
            idle: whether no call runs.
            told: called when all know that they should leave.
        """
        if not self._doors:
            return
        self._shut()
        farewell = Farewell(self._places(), self._relay.inodes)
        await farewell.tell(TELLING)
        told()
        quiet = 0.0
        while (farewell.look() or self._greeting()) and quiet < PATIENCE:
            quiet = quiet + LOOK if idle() else 0.0
            await asyncio.sleep(LOOK)

    async def close(self) -> None:
        """Leaves the sockets to the next daemon."""
        self._shut()
        if self._redirecting is not None:
            self._redirecting.cancel()
            with suppress(asyncio.CancelledError):
                await self._redirecting
        await self._relay.close()
        await self._fronts.close()
        for door in self._doors:
            door.sock.close()

    def _shut(self) -> None:
        for door in self._doors:
            asyncio.get_running_loop().remove_reader(door.sock)
        self._doors.shut()
        self._fronts.shut()

    def _places(self) -> list[Where]:
        return [one.where() for one in (*self._doors, *self._fronts)]

    def _greeting(self) -> bool:
        """Somebody is about to be there."""
        return any(front.greeting for front in self._fronts)

    def _take(self, door: Door) -> None:
        self._relay.take(door)
        if self._redirecting is None or self._redirecting.done():
            self._redirecting = asyncio.create_task(self._redirect())

    async def _redirect(self) -> None:
        """Asks those who are passed on to come directly."""
        farewell = Farewell(self._places(), self._relay.inodes, self._relay.names, after=SETTLED)
        await asyncio.sleep(0)  # the relay begins
        while len(farewell.look() & farewell.told) < len(self._relay.names):  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(LOOK)
