"""gRPC's own connections, and how callers are asked to leave them before the server stops.

When grpcio's server is stopped, calls that arrive until their client has read of it are cancelled (8 of 12 busy clients
lost one, grpcio 1.85.1). The protocol has a way without that race: a GOAWAY frame (RFC 9113, 6.8) with the highest
stream number. The client begins nothing new on the connection, opens another one, and closes this one after its last
call; what it sent before it read the frame is served. gRPC offers no such thing, so the frame is put between two frames
of its own: onto connections where all that it has sent was received, and on which it has begun to speak.
"""

import asyncio
import fcntl
import os
import socket
import struct
import termios
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

UNIX = "unix:"
# length 8, type GOAWAY, stream 0; last stream 2^31-1, NO_ERROR
GOAWAY = bytes((0, 0, 8, 7, 0, 0, 0, 0, 0)) + struct.pack(">II", 0x7FFFFFFF, 0)
LOOK = 0.02  # how often connections are looked at (seconds)
# A client that hears GOAWAY with the very first frame takes the connection for one that failed (seconds).
GREETED = 0.25
_DATA_SEGMENTS_OUT = 156  # the offset of tcpi_data_segs_out in struct tcp_info


@dataclass(frozen=True, slots=True)
class Where:
    """Connections that were accepted on a TCP port, or at a path."""

    port: int = 0
    path: str = ""

    def has(self, sock: socket.socket) -> bool:
        """Whether this is one of them."""
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return False
        name = sock.getsockname()
        if sock.family == socket.AF_UNIX:
            return bool(self.path) and name == self.path  # a pair of sockets has no name
        return bool(self.port) and name[1] == self.port


@dataclass(slots=True)
class Farewell:
    """Asks callers to leave.

    Args:
        places: where they came in.
        but: inodes of sockets that only look like gRPC's.
        callers: the addresses of those who are asked; None: everybody.
        after: how long a connection is left alone from the first look at it (seconds).
        told: the inodes of those who were.
    """

    places: Collection[Where]
    but: Collection[int] = ()
    callers: Collection[Any] | None = None
    after: float = GREETED
    _seen: dict[int, float] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)

    async def tell(self, limit: float) -> None:
        """Returns when everybody has been told, or after `limit` seconds."""
        deadline = time.monotonic() + limit
        while self.look() - self.told and time.monotonic() < deadline:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(LOOK)

    def look(self) -> set[int]:
        """Tells those that can be told now; returns the inodes of all that are still there."""
        present = set()
        for inode, sock in self.connections():
            with sock:
                present.add(inode)
                if inode not in self.told and self._between_frames(inode, sock):
                    with suppress(OSError):
                        sock.send(GOAWAY, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                    self.told.add(inode)
        return present

    def connections(self) -> Iterator[tuple[int, socket.socket]]:
        """Inode and a duplicate of each, to be closed by whoever takes it."""
        for entry in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if not str(entry.readlink()).startswith("socket:"):
                    continue
                sock = socket.socket(fileno=os.dup(int(entry.name)))
                if (inode := os.fstat(sock.fileno()).st_ino) in self.but or not self._is_ours(sock):
                    sock.close()
                else:
                    yield inode, sock

    def _is_ours(self, sock: socket.socket) -> bool:
        if sock.family not in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
            return False
        try:
            if self.callers is not None and sock.getpeername() not in self.callers:
                return False
            return sock.type == socket.SOCK_STREAM and any(place.has(sock) for place in self.places)
        except OSError:
            return False

    def _between_frames(self, inode: int, sock: socket.socket) -> bool:
        """All that gRPC wrote is with the client, and it has written something."""
        since = self._seen.setdefault(inode, time.monotonic())
        if _waiting_to_leave(sock) or time.monotonic() - since < self.after:
            return False
        if sock.family == socket.AF_UNIX:
            return True  # which does not say whether anything was sent
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _DATA_SEGMENTS_OUT + 4)
        return bool(struct.unpack_from("I", info, _DATA_SEGMENTS_OUT)[0])


def connected(addresses: Iterable[str]) -> int:
    """How many clients have a connection to these addresses of ours, unix:/path or host:port."""
    count = 0
    for _, sock in Farewell([_where(address) for address in addresses]).connections():
        sock.close()
        count += 1
    return count


def _where(address: str) -> Where:
    if address.startswith(UNIX):
        return Where(path=address.removeprefix(UNIX))
    return Where(port=int(address.rpartition(":")[2]))


def _waiting_to_leave(sock: socket.socket) -> int:
    """Bytes that the other side has not received yet."""
    return int(struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0])
