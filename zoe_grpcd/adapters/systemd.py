"""What systemd is told and what it gives: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3), by hand, since the
libraries for it want headers or are unmaintained.

Rule: nothing here fails where no service manager is.
"""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

_FIRST_FD = 3
# How often what changes is told (seconds).
INTERVAL = 1.0
# How long a drain may go on after each time that it is told to be going on (seconds).
MORE_TIME = 15.0


def notify(*lines: str, env: Mapping[str, str] = os.environ) -> bool:
    """Sends lines such as READY=1 to $NOTIFY_SOCKET; False where nobody listens. Never raises, never blocks."""
    address = env.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
        to.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        try:
            to.sendto("\n".join(lines).encode(), address.replace("@", "\0", 1))
        except OSError:
            return False
    return True


def inherited_sockets(env: Mapping[str, str] = os.environ) -> list[socket.socket]:
    """The listening sockets that systemd passes to this process, which own them from now on."""
    if env.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(env.get("LISTEN_FDS", "0"))
    for fd in range(_FIRST_FD, _FIRST_FD + count):
        os.set_inheritable(fd, False)  # noqa: FBT003 - the module's own signature
    return [socket.socket(fileno=fd) for fd in range(_FIRST_FD, _FIRST_FD + count)]


def watchdog_interval(env: Mapping[str, str] = os.environ) -> float | None:
    """Within how many seconds systemd wants a sign of life; None: it does not."""
    if env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()) or "WATCHDOG_USEC" not in env:
        return None
    return int(env["WATCHDOG_USEC"]) / 1e6


@contextmanager
def reloading() -> Iterator[None]:
    """RELOADING, and READY at the end, however it ends. MONOTONIC_USEC is what systemd 253 wants besides."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
    try:
        yield
    finally:
        notify("READY=1")


@dataclass(slots=True)
class Reporter:
    """Keeps systemd informed. `status` is a sentence; `alive` a check of the daemon's health, which may take a while."""

    status: Callable[[], str]
    alive: Callable[[], Awaitable[bool]]
    _told: str = ""

    async def serving(self) -> None:
        """READY, then the status as it changes, and signs of life as long as the daemon is alive."""
        notify("READY=1", self._line())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell_changes())
            if interval := watchdog_interval():
                tasks.create_task(self._feed(interval / 3))

    async def draining(self) -> None:
        """STOPPING, then the status as it changes, with more time as long as this goes on."""
        notify("STOPPING=1", self._line())
        while True:
            notify(f"EXTEND_TIMEOUT_USEC={MORE_TIME * 1e6:.0f}", self._line())
            await asyncio.sleep(INTERVAL)

    async def _tell_changes(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            if self.status() != self._told:
                notify(self._line())

    async def _feed(self, interval: float) -> None:
        while True:
            if await self.alive():
                notify("WATCHDOG=1")
            await asyncio.sleep(interval)

    def _line(self) -> str:
        self._told = self.status()
        return f"STATUS={self._told}"
