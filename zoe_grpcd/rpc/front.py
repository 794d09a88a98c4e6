"""In front of gRPC: what comes over a connection that gRPC should not or cannot take is passed on to it through a socket
of our own.

TLS     gRPC can do that itself, but then nobody can ask the callers of a connection to leave it (see connections), and
        each restart would fail some of their calls. It costs 0.1 ms of a core for a call, and next to nothing for a token.
unix    sockets of the service manager. gRPC cannot be given one, and in its place at the path a socket of our own would
        die with us: a client that is refused once fails its calls until it is connected again, which is at the end of
        the next start. Those who come to one that nobody closes wait in the kernel.

The socket is in a folder for the daemon's user alone. The one rule: nothing is passed on before the handshake is over.
"""

import asyncio
import logging
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress

from zoe_grpcd.rpc.callers import Caller, Callers
from zoe_grpcd.rpc.certificates import Certificates
from zoe_grpcd.rpc.connections import Where
from zoe_grpcd.rpc.doors import UNIX, Bind, CannotListen
from zoe_grpcd.rpc.side import Side
from zoe_grpcd.tls import name_in

log = logging.getLogger(__name__)

# Seconds for a handshake, and for a goodbye.
HANDSHAKE, GOODBYE = 10.0, 5.0
MOST = 4096  # connections of one front, as of gRPC
# Pause after a connection could not be taken, for want of files say (seconds).
_BREATH = 1.0
# Failed handshakes are told of no more often than this (seconds).
_QUIET = 1.0


class Front:
    """One listening socket."""

    def __init__(self, sock: socket.socket, certificates: Certificates | None, callers: Callers) -> None:
        self.sock = sock
        self._certificates = certificates
        self._callers = callers
        self._folder = tempfile.TemporaryDirectory(prefix="zoe-grpcd-")
        self.inner = f"{UNIX}{self._folder.name}/s"
        self._is_open = False
        self._quiet_until = 0.0
        self._serving: set[asyncio.Task[None]] = set()
        self.greeting = 0  # connections that gRPC does not have yet

    def where(self) -> Where:
        """Which connections of gRPC are those of this front."""
        return Where(path=self.inner.removeprefix(UNIX))

    def open(self) -> None:
        """Takes connections."""
        self.sock.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        self._is_open = True
        self._resume()

    def shut(self) -> None:
        """Takes no more of them: they wait in the kernel, for the next daemon if the socket is the service manager's."""
        if self._is_open:
            self._is_open = False
            asyncio.get_running_loop().remove_reader(self.sock)

    async def close(self) -> None:
        """Ends all connections."""
        self.shut()
        await asyncio.sleep(0)  # those that have not begun could not end what they were given
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        self.sock.close()
        self._folder.cleanup()

    def _resume(self) -> None:
        if self._is_open:
            asyncio.get_running_loop().add_reader(self.sock, self._take)

    def _take(self) -> None:
        """Takes whoever is there. Between the kernel's word and ours there is no moment in which one could get lost."""
        try:
            caller, _ = self.sock.accept()
            caller.setblocking(False)  # noqa: FBT003
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            log.warning("a connection could not be taken: %s", error.strerror)
            asyncio.get_running_loop().remove_reader(self.sock)
            asyncio.get_running_loop().call_later(_BREATH, self._resume)
            return
        if len(self._serving) >= MOST:
            caller.close()
            return
        task = asyncio.create_task(self._serve(caller))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        self.greeting += 1

    async def _serve(self, caller: socket.socket) -> None:
        """One connection, to its end."""
        address, outside, inside = _address_of(caller), Side(), Side()
        try:
            try:
                await self._greet(caller, outside)
                await self._join(outside, inside, address)
            finally:
                self.greeting -= 1
            await asyncio.gather(outside.over, inside.over)
        except OSError as error:
            self._complain(address, _why(error))
        finally:
            inside.abort()
            if not outside.abort():
                caller.close()

    async def _greet(self, caller: socket.socket, outside: "Side") -> None:
        if self._certificates is None:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: outside, caller)
            return
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: outside,
            caller,
            ssl=self._certificates.context,
            ssl_handshake_timeout=HANDSHAKE,
            ssl_shutdown_timeout=GOODBYE,
        )
        if outside.told("ssl_object").selected_alpn_protocol() != "h2":
            raise ConnectionRefusedError("it does not offer HTTP/2")

    def _complain(self, address: str, why: str) -> None:
        """Not of everybody who scans for open ports."""
        if (now := time.monotonic()) >= self._quiet_until:
            self._quiet_until = now + _QUIET
            what = "connection" if self._certificates is None else "TLS"
            log.info("no %s with %s: %s", what, address, why)

    async def _join(self, outside: "Side", inside: "Side", address: str) -> None:
        """Connects to gRPC; with TLS from a name that the kernel makes up, by which gRPC knows the connection."""
        loop, sock = asyncio.get_running_loop(), socket.socket(socket.AF_UNIX)
        try:
            sock.setblocking(False)  # noqa: FBT003
            if self._certificates is not None:
                sock.bind("")
            await loop.sock_connect(sock, self.inner.removeprefix(UNIX))
        except BaseException:
            sock.close()
            raise
        if self._certificates is not None:
            peer = f"unix-abstract:{sock.getsockname()[1:].decode()}"
            shown = outside.told("ssl_object").getpeercert() or {}
            self._callers.arrive(peer, Caller(name_in(shown), address))
            outside.over.add_done_callback(lambda _: self._callers.leave(peer))
        await loop.create_unix_connection(lambda: inside, sock=sock)
        inside.join(outside)
        outside.join(inside)


class Fronts:
    """All fronts of one server: with certificates those of TCP addresses, and those of inherited unix sockets."""

    def __init__(self, certificates: Certificates | None, callers: Callers) -> None:
        self._certificates = certificates
        self._callers = callers
        self._fronts: dict[str, Front] = {}

    def wants(self, address: str, *, inherited: bool = False) -> bool:
        """Whether this address is to have one."""
        return inherited if address.startswith(UNIX) else self._certificates is not None

    def listen(self, bind: Bind, address: str, inherited: socket.socket | None = None) -> str:
        """Listens, on the inherited socket if there is one; returns the address with the real port. Raises CannotListen."""
        try:
            sock = inherited or _listening(address)
        except OSError as error:
            raise CannotListen(f"{address} cannot be listened on: {error.strerror or error}") from None
        plain = address.startswith(UNIX)
        front = Front(sock, None if plain else self._certificates, self._callers)
        try:
            bind(front.inner)
        except RuntimeError:
            raise CannotListen(f"{front.inner}, which {address} needs, cannot be listened on") from None
        real = address if plain else f"{address.rpartition(':')[0]}:{sock.getsockname()[1]}"
        self._fronts[real] = front
        return real

    def inner(self, address: str) -> str:
        """Where gRPC itself listens for an address."""
        front = self._fronts.get(address)
        return front.inner if front else address

    def __iter__(self) -> Iterator[Front]:
        return iter(self._fronts.values())

    def open(self) -> None:
        """Connections are taken: gRPC serves."""
        for front in self:
            front.open()

    def shut(self) -> None:
        """From now on callers wait."""
        for front in self:
            front.shut()

    async def close(self) -> None:
        """Ends all connections."""
        for front in self:
            await front.close()


def _listening(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, where = found[0]
    both = family == socket.AF_INET6 and where[0] == "::"
    return socket.create_server(where[:2], family=family, backlog=MOST, dualstack_ipv6=both)


def _address_of(sock: socket.socket) -> str:
    """As gRPC writes it."""
    if sock.family == socket.AF_UNIX:
        return UNIX
    with suppress(OSError):
        host, port, *_ = sock.getpeername()
        return (
            f"ipv6:[{host}]:{port}"
            if ":" in host and "." not in host
            else f"ipv4:{host.rpartition(':')[2]}:{port}"
        )
    return "nobody"


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return str(error) or "it took too long"
