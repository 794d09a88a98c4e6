"""A real `zoe-grpcd serve` process for tests, and what can be seen of it from outside.

The one rule: it ends as an operator expects: exit 0 on SIGTERM, no process left, no error or trace in its log.
"""

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from waiting import LONG, eventually, wait_until

from zoe.admin.v1.admin_service_pb2 import ListBackendsRequest, ListModelsRequest
from zoe.admin.v1.backend_pb2 import Backend, LoadState, Model, ServedModel
from zoe_client import AsyncClient, Client
from zoe_grpcd.localbackends.servers import Server, _processes

START = 90.0  # seconds until READY: with much other work on the machine the imports alone take half a minute
PROBES = {"probe_interval": "250ms", "probe_timeout": "5s"}  # a busy machine may be slow to answer


def entry(name: str, server: Server, **settings: Any) -> dict[str, Any]:
    """A backend's section of the configuration, looked at often."""
    return {"name": name, "kind": server.kind, "url": server.url, **PROBES, **settings}


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose sockets have names that fit into the 107 bytes of an address."""
    with tempfile.TemporaryDirectory(prefix="zoe-") as name:
        yield Path(name)


def environment(**extra: str) -> dict[str, str]:
    """This process's own, with byte code written and nothing said about where a daemon would be or how wide a terminal."""
    ours = (
        "PYTHONDONTWRITEBYTECODE",
        "NOTIFY_SOCKET",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "XDG_STATE_HOME",
        "COLUMNS",  # readline sets both, which is in each process of pytest-xdist
        "LINES",
    )
    own = {name: value for name, value in os.environ.items() if name not in ours}
    return {**own, **extra}


class Daemon:
    """One daemon process. As a context manager it is ready inside, and ended properly at the end."""

    def __init__(self, folder: Path, config: Mapping[str, Any] | None, env: Mapping[str, str]) -> None:
        self.folder = folder
        self.env = {
            "XDG_STATE_HOME": str(folder / "state"),  # nobody has learned anything before
            **env,
            "NOTIFY_SOCKET": str(folder / "notify"),
        }
        self.argv = [sys.executable, "-m", "zoe_grpcd", "serve"]
        if config is not None:
            (folder / "config.yaml").write_text(json.dumps(config))
            self.argv += ["--config", str(folder / "config.yaml")]
        self.target = f"unix:{folder}/grpcd.sock"
        self.admin_target = f"unix:{folder}/admin.sock"
        self._open = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start().wait_for("READY=1")
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self.kill()

    # ---------------------------------------------------------------------------------------------------- the process

    def start(self) -> Self:
        """Starts it and does not wait."""
        notes = self._open.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        notes.bind(self.env["NOTIFY_SOCKET"])
        self._told = queue.SimpleQueue[str]()
        # heard at once, as by a service manager: the kernel keeps ten
        hearing = threading.Thread(target=self._hear, args=(notes, self._told), daemon=True)
        hearing.start()
        self._open.callback(hearing.join)
        self._open.callback(notes.shutdown, socket.SHUT_RD)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.argv,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def wait_for(self, word: str, within: float = START) -> str:
        """Returns the first notice to the service manager that has the word."""
        told: list[str] = []

        def heard() -> bool:
            with contextlib.suppress(queue.Empty):
                told.append(self._told.get_nowait())
            assert told or self.process.poll() is None, f"it ended: {self.log}"
            return bool(told) and word in told[-1]

        wait_until(heard, within)
        return told[-1]

    @staticmethod
    def _hear(notes: socket.socket, told: "queue.SimpleQueue[str]") -> None:
        while note := notes.recv(4096):
            told.put(note.decode())

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def ended(self, within: float = LONG) -> int:
        """Waits for its end; returns the exit status."""
        return self.process.wait(within)

    def stop(self) -> None:
        """Ends it with SIGTERM, unless it has ended, and looks at what it leaves."""
        if self.process.poll() is None:
            self.signal()
        assert self.ended() == 0, self.log
        assert [p.pid for p in _processes() if p.group == self.process.pid] == []
        complaints = self.complaints()
        assert not complaints, "\n".join(complaints)

    def kill(self) -> None:
        """Ends what is left of it, and lets go of what was opened for it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._open.close()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process; it was started."""
        assert self._process is not None
        return self._process

    @property
    def log(self) -> str:
        """All that it has printed."""
        return (self.folder / "log").read_text()

    def complaints(self) -> list[str]:
        """The lines of its log that nobody should ever see."""
        bad = ('"error"', '"critical"', "Traceback", "Exception", "never awaited", "Unclosed")
        return [line for line in self.log.splitlines() if any(sign in line for sign in bad)]

    @property
    def address(self) -> str:
        """Its TCP address, from its log."""
        line = next(line for line in self.log.splitlines() if "ready on 127.0.0.1:" in line)
        return line.partition("ready on ")[2].partition(",")[0]

    # ------------------------------------------------------------------------------------------------------- clients

    def client(self, **options: Any) -> Client:
        """A client for threads that lives as long as the daemon."""
        options = {"timeout": 30.0, "max_retries": 0, **options}
        return self._open.enter_context(Client(self.target, admin_target=self.admin_target, **options))

    def aclient(self, **options: Any) -> AsyncClient:
        """A client for asyncio; use it as a context manager."""
        options = {"timeout": 30.0, "max_retries": 0, **options}
        return AsyncClient(self.target, admin_target=self.admin_target, **options)

    # ----------------------------------------------------------------------------------------- what an operator sees

    def backends(self) -> dict[str, Backend]:
        """All backends by name."""
        with Client(self.target, admin_target=self.admin_target) as client:
            listing = client.admin.ListBackends(ListBackendsRequest(), timeout=LONG)
        return {backend.name: backend for backend in listing.backends}

    def models(self) -> dict[str, Model]:
        """All models by name."""
        with Client(self.target, admin_target=self.admin_target) as client:
            listing = client.admin.ListModels(ListModelsRequest(), timeout=LONG)
        return {model.model: model for model in listing.models}

    def state(self, name: str) -> str:
        """A backend's state, as READY."""
        return Backend.State.Name(self.backends()[name].state).removeprefix("STATE_")

    async def becomes(self, name: str, state: str, within: float = LONG) -> None:
        """Returns when a backend is in that state."""
        await eventually(lambda: self.state(name) == state, within)

    def served(self, name: str, model: str) -> ServedModel | None:
        """A model on a backend."""
        return next((m for m in self.backends()[name].models if m.model == model), None)

    def load_state(self, name: str, model: str) -> str:
        """A model's state on a backend, as LOADED; empty if it is not there."""
        served = self.served(name, model)
        return LoadState.Name(served.load_state).removeprefix("LOAD_STATE_") if served else ""

    def in_flight(self) -> int:
        """Requests that the daemon counts, on all backends."""
        return sum(backend.load.in_flight for backend in self.backends().values())

    def connections(self) -> int:
        """Sockets that it has open."""
        folder = Path(f"/proc/{self.process.pid}/fd")
        links = []
        for link in folder.iterdir():
            with contextlib.suppress(OSError):
                links.append(str(link.readlink()))
        return sum(link.startswith("socket:") for link in links)


def config_of(folder: Path, **sections: Any) -> dict[str, Any]:
    """A configuration that listens on a free port and on sockets in `folder`; `server` is merged."""
    server = {
        "listen": ["127.0.0.1:0", f"unix:{folder}/grpcd.sock"],
        "admin_listen": f"unix:{folder}/admin.sock",
        "metrics_listen": "off",  # several daemons run at the same time
        "drain_timeout": "60s",  # which an idle daemon does not need: `stop` waits for less
        **sections.pop("server", {}),
    }
    return {"server": server, **sections}


@contextmanager
def serving(env: Mapping[str, str] | None = None, **sections: Any) -> Iterator[Daemon]:
    """A daemon with these sections of configuration, ready; `env` is added to its environment."""
    env = environment(**(env or {}))
    with short_folder() as folder, Daemon(folder, config_of(folder, **sections), env) as daemon:
        yield daemon
