"""Server processes for a measurement: pinned to one core, watched through /proc, ended by their pid.

Everything that is measured runs on the server core; the load, the upstream and whatever else helps run on the load core.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
START_LIMIT_S = 120.0


class BenchmarkError(Exception):
    """Says in one sentence what kept a measurement from being made."""


@dataclass(frozen=True)
class Cores:
    """The two cores of a run, by the kernel's number."""

    server: int
    load: int


def take_cores() -> Cores:
    """Picks the first two cores that this process may use and moves it to the second one, beside the other load.

    Raises:
        BenchmarkError: there is only one core.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchmarkError("this needs two cores: one for the server under test, one for the load")
    os.sched_setaffinity(0, {cores[1]})
    return Cores(server=cores[0], load=cores[1])


@dataclass(frozen=True)
class Server:
    """A running server process."""

    pid: int

    def cpu_seconds(self) -> float:
        """Returns the user and system time of all its threads so far, in steps of 10 ms."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def open_files(self) -> int:
        """Returns how many file descriptors it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def resident_mb(self) -> float:
        """Returns its resident memory in millions of bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextlib.contextmanager
def running(
    command: Sequence[str], core: int, log: Path, env: dict[str, str] | None = None
) -> Iterator[Server]:
    """Runs a command on one core until the block ends; its output goes to `log`."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment(env or {}),
            start_new_session=True,
        )
    try:
        yield Server(process.pid)
    finally:
        end(process)


def environment(extra: dict[str, str]) -> dict[str, str]:
    """Returns this process's environment plus `extra`, with byte code allowed: no server here starts without it."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | extra


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process politely, and after 10 s for good."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def program(name: str) -> Path:
    """Returns a command of the environment that this runs in."""
    return Path(sys.executable).with_name(name)


def free_port() -> int:
    """Returns a loopback port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_for_port(port: int, server: Server, log: Path) -> None:
    """Waits until something listens on the port.

    Raises:
        BenchmarkError: the server ended, or START_LIMIT_S passed; with the end of its log.
    """
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit and alive(server.pid):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise BenchmarkError(f"no server on port {port}; its log ends with:\n{log.read_text()[-2000:]}")


def alive(pid: int) -> bool:
    """Tells whether the process still runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
