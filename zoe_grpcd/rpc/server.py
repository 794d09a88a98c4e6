"""The gRPC servers and where they listen.

Methods are generic handlers only: grpcio 1.85 waits on one future for each registered method at every call, which
costs a tenth of a call's time, and generated registration code registers them all.
"""

import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import grpc

from zoe_grpcd.rpc.doors import UNIX, CannotListen, Door

Server = grpc.aio.Server

# Seconds after which gRPC cancels a call that nobody has taken up, and tells its caller nothing else. It takes up one for
# each turn of the event loop, so that on a machine without time for us its usual 30 s are soon over; a caller who has
# waited enough leaves by itself.
TAKEN_UP_WITHIN = 86_400


class Locks:
    """Keeps a second daemon from taking over this one's unix sockets, which gRPC would let it do in silence."""

    def __init__(self) -> None:
        self._files: list[IO[str]] = []

    def take(self, path: Path) -> None:
        """Locks a socket's path for the life of the process; raises CannotListen if another daemon has it."""
        file = (path.parent / f".{path.name}.lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise CannotListen(f"unix:{path} is in use by another zoe-grpcd") from None
        self._files.append(file)

    def close(self) -> None:
        """Lets another daemon have them."""
        for file in self._files:
            file.close()


def make_server(
    handlers: Iterable[grpc.GenericRpcHandler],
    *,
    max_streams: int,
    max_receive_bytes: int,
    beside_inherited: bool = False,
    door: grpc.aio.ServerInterceptor | None = None,
) -> Server:
    """A server that does not listen yet. `max_streams` is for each connection.

    `beside_inherited`: it will listen on ports that this process has inherited sockets for. `door`: stands before every
    method.
    """
    with _threads_that_yield():
        server = grpc.aio.server(
            interceptors=() if door is None else (door,),
            options=(
                # else a second daemon would take half of the connections, in silence
                ("grpc.so_reuseport", int(beside_inherited)),
                ("grpc.max_concurrent_streams", max_streams),
                ("grpc.max_receive_message_length", max_receive_bytes),
                ("grpc.max_allowed_incoming_connections", 4096),
                # calls that nobody has taken up yet: beyond these, gRPC cancels some of everybody's by chance, of which two
                # hostile connections with the usual 1,000 could make use
                ("grpc.server.max_pending_requests", 20_000),
                ("grpc.server.max_pending_requests_hard_limit", 40_000),
                ("grpc.server_max_unrequested_time_in_server", TAKEN_UP_WITHIN),
                ("grpc.max_metadata_size", 16 * 1024),
                ("grpc.absolute_max_metadata_size", 32 * 1024),
                ("grpc.server_handshake_timeout_ms", 10_000),
                # clients that ping every 30 s would be sent away by the default of 5 minutes
                ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 20_000),
            ),
        )
    server.add_generic_rpc_handlers(tuple(handlers))
    return server


@contextmanager
def _threads_that_yield() -> Iterator[None]:
    """Keeps the threads that are made meanwhile from taking the core away from the event loop, where it has that right.

    gRPC's poller wakes up for each step of each call, 6 times a request, and its event engine for whatever comes from a
    caller. As batch threads they wait until the loop has nothing to do, and bring it all that has come since: a token that
    arrives alone takes 15 % less CPU, a request 10 to 14 %, and neither takes longer, not even beside a process that uses
    the whole core. (With the loop as a batch thread they would.) A thread has the policy of the one that makes it.
    """
    if not hasattr(os, "SCHED_BATCH"):
        yield
        return
    policy = os.sched_getscheduler(0)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setscheduler(0, policy, os.sched_param(0))


def listen(server: Server, address: str, locks: Locks, door: Door | None = None) -> str:
    """Adds a port; returns the address with the real port number. Raises CannotListen.

    With a door, the inherited socket stays the one that callers come to until the door is opened.
    """
    try:
        if door is not None:
            door.listen(server.add_insecure_port)
            return address
        if address.startswith(UNIX):
            return _listen_unix(server, Path(address.removeprefix(UNIX)), locks)
        port = server.add_insecure_port(address)
    except OSError as error:
        raise CannotListen(f"{address} cannot be listened on: {error}") from None
    except RuntimeError:
        raise CannotListen(
            f"{address} cannot be listened on: it is in use, or not an address of this machine"
        ) from None
    return f"{address.rpartition(':')[0]}:{port}"


def _listen_unix(server: Server, path: Path, locks: Locks) -> str:
    """The socket is its owner's alone: 0600 in a folder of 0700."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        locks.take(path)
        if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
            raise CannotListen(f"unix:{path} cannot be listened on: a file is in the way")
        before = os.umask(0o177)
        try:
            server.add_insecure_port(f"{UNIX}{path}")
        finally:
            os.umask(before)
        with suppress(FileNotFoundError):
            path.chmod(0o600)
    except (RuntimeError, OSError) as error:
        raise CannotListen(f"unix:{path} cannot be listened on: {error}") from None
    return f"{UNIX}{path}"
