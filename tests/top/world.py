"""What the screens show: a daemon with two backends that answer, one whose model has a hostile name, and one that is down.

The one rule: whoever changes it puts it back.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving import Daemon, config_of, entry, environment, short_folder
from top.pseudoterminal import PseudoTerminal
from waiting import wait_until

from zoe_client import ZoeError
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server

TOP = [sys.executable, "-m", "zoe_grpcd", "top"]
HOSTILE = "<img src=x onerror=\"document.title='lost'\"></td><script>document.title='lost'</script>"


@dataclass
class World:
    """The daemon, and who looks at it."""

    daemon: Daemon

    @contextmanager
    def top(self, *options: str, argv: list[str] | None = None, **screen: Any) -> Iterator[PseudoTerminal]:
        """`top` in a terminal."""
        argv = [*(argv or TOP), "--admin-target", self.daemon.admin_target, "--interval", "200ms", *options]
        with PseudoTerminal(argv, environment(LC_ALL="C.UTF-8"), **screen) as terminal:
            yield terminal

    @property
    def page(self) -> str:
        """The address of the status page."""
        log = wait_until(lambda: "status page on " in self.daemon.log and self.daemon.log)
        return str(log).rpartition("status page on ")[2].partition(",")[0]

    def restart(self) -> None:
        """Starts the daemon, which was stopped; what is seen of it is as before."""
        (self.daemon.folder / "notify").unlink()
        self.daemon.start().wait_for("READY=1")
        self.ask()

    def ask(self) -> None:
        """What there are decisions of."""
        client = self.daemon.client()
        client.complete("Tell me a short story.", allowed_backends=["jetson"], max_output_tokens=5)
        client.complete("Hello", model=HOSTILE, max_output_tokens=5)
        with suppress(ZoeError):
            client.complete("Hello", model="nobody")


@contextmanager
def world(tools: Any, model: Path) -> Iterator[World]:
    """It, for as long as this lasts."""
    with (
        short_folder() as folder,
        start_llama_server(tools, folder, LlamaServerOptions(model, alias="quick", slots=2)) as server,
        start_llama_server(tools, folder, LlamaServerOptions(model, alias=HOSTILE)) as hostile,
    ):
        down = {"name": "attic", "kind": "llamacpp", "url": "http://127.0.0.1:9"}
        port = {"metrics_listen": "127.0.0.1:0"}
        config = config_of(
            folder,
            server=port,
            backends=[entry("jetson", server), entry("laptop", hostile), down],
        )
        with Daemon(folder, config, environment()) as daemon:
            it = World(daemon)
            it.ask()
            yield it
