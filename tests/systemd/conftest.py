"""The daemon as an installed user service, under a real user manager."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from usermanager import UserManager, hidden_by_private_tmp, missing
from userservice import Service

from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.servers import Server, free_port

KEY = "sesame-4711"


@pytest.fixture(scope="session")
def manager() -> Iterator[UserManager]:
    if why := missing():
        if os.environ.get("CI") == "true":
            raise RuntimeError(f"a user manager of systemd {why}")
        pytest.skip(f"a user manager of systemd {why}")
    with UserManager() as running:
        yield running


@pytest.fixture(scope="session")
def llama(tools: Tools, tmp_path_factory: pytest.TempPathFactory, endless_gguf: Path) -> Iterator[Server]:
    options = LlamaServerOptions(endless_gguf, alias="endless", slots=4, api_key=KEY)
    with start_llama_server(tools, tmp_path_factory.mktemp("systemd"), options) as server:
        yield server


@pytest.fixture(scope="session")
def configuration(llama: Server) -> dict[str, Any]:
    """Without the addresses. The backend's key is a credential."""
    backend = {"name": "llama", "kind": "llamacpp", "url": llama.url, "api_key": "${file:llama}"}
    return {"backends": [{**backend, "probe_interval": "250ms"}]}


@pytest.fixture(scope="session")
def service(manager: UserManager, configuration: dict[str, Any]) -> Service:
    """Installed by the command, with another port, and looked after more closely; not started."""
    port = free_port()
    manager.run("zoe-grpcd", "systemd", "install")
    sockets = [f"127.0.0.1:{port}", "unix:$XDG_RUNTIME_DIR/zoe-grpcd/grpcd.sock"]
    config = {**configuration, "server": {"listen": sockets, "drain_timeout": "60s"}}
    manager.write(".config/zoe-grpcd/config.yaml", json.dumps(config))
    manager.write(".config/zoe-grpcd/credentials/llama", KEY + "\n")
    manager.write(
        ".config/systemd/user/zoe-grpcd.socket.d/port.conf",
        f"[Socket]\nListenStream=\nListenStream=[::ffff:127.0.0.1]:{port}\nListenStream=%t/zoe-grpcd/grpcd.sock\n",
    )
    hidden = "".join(f"BindReadOnlyPaths={path}\n" for path in hidden_by_private_tmp())
    manager.write(
        ".config/systemd/user/zoe-grpcd.service.d/tests.conf", f"[Service]\nWatchdogSec=6\n{hidden}"
    )
    manager.systemctl("daemon-reload")
    return Service(manager, port)
