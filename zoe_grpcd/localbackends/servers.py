"""One server process and its helpers: started, waited for, hung, crashed, stopped.

The one rule: a server leads a process group of its own, so that whatever it starts is found and ended with it.
"""

import contextlib
import http.client
import json
import os
import random
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from .guard import Guard

POLL = 0.02  # seconds between two looks at something that another process does
READY_PATH = {
    "llamacpp": "/health",
    "llama-cpp-python": "/openapi.json",
    "ollama": "/api/version",
    "triton": "/v2/health/ready",
    "vllm": "/health",
}


@dataclass(frozen=True, slots=True)
class Command:
    """How a server is started. `kind` is the word that the daemon's configuration has for it."""

    kind: Literal["llamacpp", "llama-cpp-python", "ollama", "triton", "vllm"]
    argv: tuple[str, ...]
    port: int
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)


class Server:
    """A real server on 127.0.0.1. As a context manager it is stopped at the end."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None

    def __repr__(self) -> str:
        return f"<{self.kind} {self.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def kind(self) -> str:
        """The word that the daemon's configuration has for it."""
        return self.command.kind

    @property
    def port(self) -> int:
        """The port, the same after a restart."""
        return self.command.port

    @property
    def url(self) -> str:
        """The root of its HTTP interface, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.command.log

    @property
    def pid(self) -> int:
        """The server itself, and the number of its process group.

        Raises:
            RuntimeError: it was not started.
        """
        if self._process is None:
            raise RuntimeError(f"{self!r} was not started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the server process lives; a frozen one does."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Starts the process and does not wait for it.

        Raises:
            OSError: another server has the port and would answer in its place.
        """
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", self.port))
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                self.command.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=_environment(self.command.env),
                start_new_session=True,
            )
        self._guard = Guard(self.pid)
        return self

    def wait_ready(self, within: float = 60.0) -> Self:
        """Waits until it answers 200 (llama-server: until its model is loaded).

        Raises:
            RuntimeError: it ended, with its exit code, its command and the end of its log.
            TimeoutError: it was not ready in that many seconds, and has been stopped.
        """
        deadline = time.monotonic() + within
        while not self._answers():
            if self._process is not None and (code := self._process.poll()) is not None:
                self.stop()
                raise RuntimeError(f"{self!r} ended with {code}: {self._told()}")
            if time.monotonic() > deadline:
                self.stop()
                raise TimeoutError(f"{self!r} is not ready after {within:g} s; see {self.log}")
            time.sleep(POLL)
        return self

    def stop(self, within: float = 10.0) -> None:
        """Ends it and all that it started: SIGTERM and a wait, then SIGKILL for what is left. Twice is once."""
        if self._process is None:
            return
        if self.is_running:
            self.thaw()
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(within)
        self._signal_group(signal.SIGKILL)
        self._process.wait()
        _wait_for_group_to_end(self.pid)
        if self._guard:
            self._guard.dismiss()
        self._process = self._guard = None

    def restart(self) -> Self:
        """Stops what is left of it and starts it again on the same port; ready on return."""
        self.stop()
        return self.start().wait_ready()

    def crash(self) -> None:
        """Kills the server process alone (SIGKILL). Ollama's runners live on as orphans until `stop`."""
        os.kill(self.pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def crash_runners(self) -> None:
        """Kills the processes that run its models: Ollama's runners, a llama-server router's children."""
        for pid in self.runners():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def runners(self) -> list[int]:
        """The children of the server process, as /proc has them."""
        return [process.pid for process in _processes() if process.parent == self.pid]

    def freeze(self) -> None:
        """Stops all of it from running (SIGSTOP): its port accepts, and nothing is answered until `thaw`."""
        self._signal_group(signal.SIGSTOP)
        _wait_for_group_to_stop(self.pid)

    def thaw(self) -> None:
        """Lets it go on after `freeze`."""
        self._signal_group(signal.SIGCONT)

    def request(self, method: str, path: str, body: Any = None, *, within: float = 60.0) -> tuple[int, str]:
        """Returns the status and text of one plain HTTP request, its body sent as JSON.

        Raises:
            OSError, http.client.HTTPException: it did not answer.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=within)
        with contextlib.closing(connection):
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            return reply.status, reply.read().decode(errors="replace")

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request("GET", READY_PATH[self.kind], within=2.0)[0] == 200
        return False

    def _told(self) -> str:
        """How it was started and what it said last: llama-server b10434 may end before its log is written."""
        return f"{shlex.join(self.command.argv)}\n{self.log.read_text(errors='replace')[-2000:]}"

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def free_port() -> int:
    """Returns a port below those that outgoing connections are given, so that none of them takes it meanwhile."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as attempt, contextlib.suppress(OSError):
            attempt.bind(("127.0.0.1", port))
            return port


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    group: int


def _processes() -> Iterator[_Process]:
    """What runs now, without the zombies; nothing where there is no /proc."""
    for pid, (state, parent, group, *_) in _listed(Path("/proc")):
        if state != "Z":
            yield _Process(pid, int(parent), int(group))


def _listed(folder: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and figures, from the state on, of whatever a folder of /proc has; what ends meanwhile is left out."""
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdecimal():
                    text = (entry / "stat").read_text(errors="replace")
                    yield int(entry.name), text.rpartition(")")[2].split()


def _wait_for_group_to_end(group: int, within: float = 5.0) -> None:
    """SIGKILL takes a moment; a helper that is not our child can't be waited for otherwise."""
    deadline = time.monotonic() + within
    while any(process.group == group for process in _processes()) and time.monotonic() < deadline:
        time.sleep(POLL)


def _wait_for_group_to_stop(group: int, within: float = 5.0) -> None:
    """On a busy machine a thread may answer for a moment after SIGSTOP."""
    deadline = time.monotonic() + within
    while set(_thread_states(group)) - {"T"} and time.monotonic() < deadline:
        time.sleep(POLL)


def _thread_states(group: int) -> Iterator[str]:
    """One letter for each thread of a process group, as /proc has it; T: stopped."""
    for process in _processes():
        if process.group == group:
            for _, (state, *_) in _listed(Path(f"/proc/{process.pid}/task")):
                yield state


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's own, without settings that were meant for somebody's real Ollama or llama-server."""
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("OLLAMA_", "LLAMA_ARG_"))
    }
    return {**own, **extra}
