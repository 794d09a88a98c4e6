"""The daemon under test: started as a service manager would, with a config of its own and byte code present."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import yaml

from .processes import BenchmarkError, Server, alive, free_port, program, running

READY_LIMIT_S = 60.0


@contextlib.contextmanager
def daemon(folder: Path, core: int, backends: dict[str, str]) -> Iterator[tuple[Server, int]]:
    """Runs the daemon until the block ends, from its READY on; gives its process and its port."""
    port = free_port()
    with started(folder, core, configuration(port, backends)) as (server, _):
        yield server, port


def seconds_to_ready(folder: Path, core: int, backends: dict[str, str], starts: int) -> float:
    """Returns the median time from the start of the process to its READY; a first start that is not counted writes byte code."""
    times = []
    for _ in range(starts + 1):
        with started(folder, core, configuration(free_port(), backends)) as (_, seconds):
            times.append(seconds)
    return median(times[1:])


def configuration(port: int, backends: dict[str, str]) -> dict[str, object]:
    """Returns a config with one llama-server for each name and URL, no listener but one, and as quiet a log as the proxy's."""
    return {
        "server": {"listen": [f"127.0.0.1:{port}"], "admin_listen": "off", "metrics_listen": "off"},
        "log": {"level": "warning"},
        "backends": [{"name": name, "kind": "llamacpp", "url": url} for name, url in backends.items()],
    }


@contextlib.contextmanager
def started(folder: Path, core: int, config: dict[str, object]) -> Iterator[tuple[Server, float]]:
    """Runs the daemon with a config until the block ends; gives its process and the seconds that it took to be ready."""
    path, log, notify = folder / "zoe-grpcd.yaml", folder / "zoe-grpcd.log", folder / "notify"
    (folder / "state.db").unlink(missing_ok=True)  # nobody has learned anything before
    path.write_text(yaml.safe_dump({"state": {"url": f"sqlite://{folder}/state.db"}, **config}))
    notify.unlink(missing_ok=True)
    command = [str(program("zoe-grpcd")), "serve", "--config", str(path)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(notify))
        start = time.perf_counter()
        with running(command, core, log, {"NOTIFY_SOCKET": str(notify)}) as server:
            wait_for_ready(channel, server, log)
            yield server, time.perf_counter() - start


def wait_for_ready(channel: socket.socket, server: Server, log: Path) -> None:
    """Waits until the daemon says READY=1.

    Raises:
        BenchmarkError: it ended, or READY_LIMIT_S passed; with the end of its log.
    """
    channel.settimeout(0.5)
    limit = time.monotonic() + READY_LIMIT_S
    while time.monotonic() < limit and alive(server.pid):
        with contextlib.suppress(TimeoutError):
            if b"READY=1" in channel.recv(4096).split(b"\n"):
                return
    raise BenchmarkError(f"the daemon is not ready; its log ends with:\n{log.read_text()[-2000:]}")
