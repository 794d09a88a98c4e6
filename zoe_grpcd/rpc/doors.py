"""Listening sockets that the service manager holds, so that nobody is refused while one daemon follows another.

gRPC cannot be given a socket. On TCP it listens on one of its own beside the inherited one, and a door says which of the
two gets a new connection: ours while it is open, the inherited one, where callers wait for the next daemon, while it is
shut. Both are in one SO_REUSEPORT group: the inherited one is its member 0, as it was there first, gRPC's is 1, and a
classic BPF program of one instruction says the number. When a daemon dies, its member is gone, and the kernel falls back
to the one that is left. gRPC's socket has a number above those of its connections: the kernel closes the files of a dead
process from the last one down, so that nobody whose connection breaks comes back to a socket that is about to close.

A path leads to one socket alone, so that one of systemd's has to stay where it is: it gets a front (see front).

The one rule: a door is shut before gRPC is told to stop.
"""

import ctypes
import os
import resource
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv6Address, ip_address

from zoe_grpcd.rpc.connections import Where

UNIX = "unix:"
Bind = Callable[[str], int]
"""Makes gRPC listen on an address; returns the port."""

_ATTACH_REUSEPORT_CBPF = 51
_RETURN_CONSTANT = 0x06
_WAITING, _OURS = 0, 1
_MOST_FILES = 8192  # connections are limited to 4096


class CannotListen(Exception):
    """An address is taken or may not be used; the text says which and why."""


class Door:
    """An inherited TCP socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.address = _tcp_name(*sock.getsockname()[:2])

    def listen(self, bind: Bind) -> None:
        """Makes gRPC listen beside it; still shut. Raises CannotListen or OSError."""
        if (
            self.sock.family != socket.AF_INET6
        ):  # as gRPC's: another family is another group, which comes first
            raise CannotListen(
                f"{self.address} is inherited as an IPv4 socket, which gRPC cannot share: "
                "write it as [::ffff:ADDRESS]:PORT in the .socket unit"
            )
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with _last_numbers():
            bind(self.address)
        self._send_to(_WAITING)

    def open(self) -> None:
        """New connections come to gRPC."""
        self._send_to(_OURS)

    def shut(self) -> None:
        """New connections wait for the next daemon."""
        self._send_to(_WAITING)

    def where(self) -> Where:
        """Which connections are gRPC's."""
        return Where(port=int(self.sock.getsockname()[1]))

    def _send_to(self, member: int) -> None:
        instruction = ctypes.create_string_buffer(struct.pack("=HBBI", _RETURN_CONSTANT, 0, 0, member))
        program = struct.pack("@HP", 1, ctypes.addressof(instruction))
        self.sock.setsockopt(socket.SOL_SOCKET, _ATTACH_REUSEPORT_CBPF, program)


class Doors:
    """All inherited sockets, by the address of the configuration that each is for."""

    def __init__(self, sockets: Iterable[socket.socket] = ()) -> None:
        self._unclaimed = {_name_of(sock): sock for sock in sockets}
        self._claimed: list[Door] = []
        self._given = 0

    def __iter__(self) -> Iterator[Door]:
        return iter(self._claimed)

    def __bool__(self) -> bool:
        return bool(self._claimed or self._unclaimed or self._given)

    def claim(self, address: str) -> Door | None:
        """The door for an address of the configuration."""
        sock = self._unclaimed.pop(_inherited_name(address), None)
        if sock is None:
            return None
        self._claimed.append(door := Door(sock))
        return door

    def give(self, address: str) -> socket.socket | None:
        """The socket for an address of the configuration, to one who takes connections from it himself."""
        sock = self._unclaimed.pop(_inherited_name(address), None)
        self._given += sock is not None
        return sock

    def know(self, address: str) -> bool:
        """Whether there is one for an address of the configuration that nobody has claimed."""
        return _inherited_name(address) in self._unclaimed

    def all_claimed(self) -> None:
        """Raises CannotListen if there is one that callers would wait at for ever."""
        if self._unclaimed:
            names = ", ".join(self._unclaimed)
            raise CannotListen(
                f"{names}: inherited from the service manager, and not in server.listen; "
                "make the .socket unit and the configuration agree"
            )

    def open(self) -> None:
        """Opens all: gRPC serves."""
        for door in self._claimed:
            door.open()

    def shut(self) -> None:
        """Shuts all: from now on callers wait."""
        for door in self._claimed:
            door.shut()


@contextmanager
def _last_numbers() -> Iterator[None]:
    """What is opened meanwhile gets a number above those of the connections to come."""
    last = min(_MOST_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
    with ExitStack() as fillers:
        first = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        fillers.callback(os.close, first)
        number = first
        while number < last:
            number = os.dup(first)
            fillers.callback(os.close, number)
        yield


def _name_of(sock: socket.socket) -> str:
    name = sock.getsockname()
    return f"{UNIX}{name}" if sock.family == socket.AF_UNIX else _tcp_name(*name[:2])


def _inherited_name(address: str) -> str:
    """An address of the configuration as `_name_of` has it."""
    host, _, port = address.rpartition(":")
    plain = not address.startswith(UNIX) and port.isdigit() and _is_ip(host.strip("[]"))
    return _tcp_name(host.strip("[]"), int(port)) if plain else address


def _tcp_name(host: str, port: int) -> str:
    """`127.0.0.1:50051` and `[::1]:50051`, also for an IPv4 address in the clothes of an IPv6 one."""
    ip = ip_address(host)
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is None:
        return f"[{ip}]:{port}"
    return f"{ip.ipv4_mapped if isinstance(ip, IPv6Address) else ip}:{port}"


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
