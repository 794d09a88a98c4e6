"""Where callers come in: the servers for callers and for administrators, what they listen at, and what stands before them.

The one rule: what is closed here is left to the next daemon, so that nobody finds it shut.
"""

import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import grpc

from zoe_grpcd.rpc.admin_door import AdminDoor
from zoe_grpcd.rpc.callers import Callers
from zoe_grpcd.rpc.certificates import Certificates
from zoe_grpcd.rpc.doors import UNIX, Doors
from zoe_grpcd.rpc.front import Fronts
from zoe_grpcd.rpc.handover import Handover
from zoe_grpcd.rpc.server import Locks, listen, make_server

Handlers = Iterable[grpc.GenericRpcHandler]


@dataclass(frozen=True, slots=True)
class Places:
    """What to listen at, and what one connection may do. `administration` empty: nowhere."""

    data: Sequence[str]
    administration: str
    max_streams: int  # of one connection
    max_receive_bytes: int  # of one message


class Entrance:
    """Of one daemon. `inherited`: sockets that the service manager holds. `certificates` None: no TLS."""

    def __init__(
        self,
        places: Places,
        inherited: Iterable[socket.socket],
        certificates: Certificates | None,
        callers: Callers,
    ) -> None:
        self._places = places
        self._locks = Locks()
        self._doors = Doors(inherited)
        self._fronts = Fronts(certificates, callers)
        self._administration_fronts = Fronts(certificates, callers)
        self._handover = Handover(self._doors, self._fronts)
        self.addresses: list[str] = []  # of callers, with the real ports

    @property
    def is_inherited(self) -> bool:
        """Somebody may wait already."""
        return bool(self._doors)

    @property
    def trusts_administrators(self) -> bool:
        """Who may open the file of their socket needs no key."""
        return (self._places.administration or UNIX).startswith(UNIX)

    @property
    def inner(self) -> str:
        """Where this process reaches its own server, without TLS."""
        behind = self._fronts.inner(self.addresses[0])
        return next((address for address in self.addresses if address.startswith(UNIX)), behind)

    @property
    def ports(self) -> set[int]:
        """The TCP ports of callers."""
        return {int(a.rpartition(":")[2]) for a in self.addresses if not a.startswith(UNIX)}

    def all_addresses(self) -> list[str]:
        """Those of callers and of administrators."""
        administration = self._places.administration
        return [*self.addresses, *([administration] if administration else [])]

    def make(self, data: Handlers, administration: Handlers, door: AdminDoor | None) -> None:
        """Makes the servers; `door`: stands before every method for administrators."""
        streams, size = self._places.max_streams, self._places.max_receive_bytes
        self._data = make_server(
            data, max_streams=streams, max_receive_bytes=size, beside_inherited=self.is_inherited
        )
        self._administration = make_server(
            administration, max_streams=streams, max_receive_bytes=size, door=door
        )

    def listen(self) -> None:
        """Takes all addresses; nobody is let in yet. Raises CannotListen."""
        for address in self._places.data:
            self.addresses.append(self._handover.listen(self._data, address, self._locks))
        self._doors.all_claimed()
        if address := self._places.administration:
            if self._administration_fronts.wants(address):
                self._administration_fronts.listen(self._administration.add_insecure_port, address)
            else:
                listen(self._administration, address, self._locks)

    async def open(self) -> None:
        """Lets callers in."""
        await self._data.start()
        self._handover.open()

    async def open_administration(self) -> None:
        """Lets administrators in."""
        await self._administration.start()
        self._administration_fronts.open()

    async def leave(self, idle: Callable[[], bool], told: Callable[[], None]) -> None:
        """Sends new callers to the next daemon, as `Handover.leave` does."""
        await self._handover.leave(idle, told)

    async def stop(self, grace: float) -> None:
        """Ends what still runs after so many seconds; administrators see it to the end."""
        await self._data.stop(grace)
        await self._administration.stop(0)

    async def close(self) -> None:
        """Leaves the addresses to the next daemon."""
        await self._handover.close()
        await self._administration_fronts.close()
        self._locks.close()
        del self._data, self._administration  # while there is the event loop that they belong to
