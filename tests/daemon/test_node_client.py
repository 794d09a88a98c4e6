"""The Node client, its tests and its examples, in front of a daemon with real llama-servers.

The one rule: where there is no Node with npm all of it is skipped, except on CI, where that is a failure.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from certificates import Authority
from serving import Daemon, entry, serving

from zoe_grpcd.access import digest_of
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server

PACKAGE = Path(__file__).parents[2] / "clients" / "node"
KEY = "zoe-s3cret-node"
SHOWN = (("CERT", "pem"), ("KEY", "key"))


@pytest.fixture(scope="module", autouse=True)
def package() -> None:
    """The built package."""
    if shutil.which("node") and (PACKAGE / "dist" / "index.js").exists():
        return
    missing = "the Node client is not built: install nodejs (18 or newer) and npm, then `make install`"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@dataclass(frozen=True)
class House:
    """A daemon that asks for a key, and on its port for a certificate."""

    daemon: Daemon
    certificates: Path

    def node(self, *arguments: object, typed: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """Runs a program of the package; `more` is added to its environment."""
        env = {
            "PATH": os.environ["PATH"],
            "ZOE_TEST_SOCKET": self.daemon.target,
            "ZOE_TEST_ADMIN": self.daemon.admin_target,
            "ZOE_TEST_ADDRESS": self.daemon.address,
            "ZOE_TEST_KEY": KEY,
            "ZOE_TEST_CERTIFICATES": str(self.certificates),
            "ZOE_GRPCD_TARGET": self.daemon.target,
            "ZOE_GRPCD_API_KEY": KEY,
            **more,
        }
        return subprocess.run(
            ["node", *map(str, arguments)],
            cwd=PACKAGE,
            env=env,
            input=typed,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )


@pytest.fixture(scope="module")
def house(
    tools: Tools, tmp_path_factory: pytest.TempPathFactory, endless_gguf: Path, tool_gguf: Path
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("node")
    authority = Authority(folder)
    authority.issue("app")
    files = authority.server()
    tls = {"cert_file": str(files.cert), "key_file": str(files.key), "client_ca_file": str(authority.file)}
    with ExitStack() as running:
        servers = {
            name: running.enter_context(start_llama_server(tools, folder, options))
            for name, options in (
                ("endless", LlamaServerOptions(endless_gguf, alias="endless", slots=2)),
                ("tool", LlamaServerOptions(tool_gguf, alias="tool", slots=2, args=["--jinja"])),
            )
        }
        daemon = running.enter_context(
            serving(
                backends=[entry(name, server) for name, server in servers.items()],
                routing={"default_model": "tool"},
                server={"tls": tls},
                auth={"keys": [{"name": "app", "key_sha256": digest_of(KEY).hex()}]},
            )
        )
        yield House(daemon, folder)


def test_its_own_tests_pass_on_a_real_daemon(house: House) -> None:
    done = house.node("--test", "--test-reporter=tap", "test/standin.test.js", "test/daemon.test.js")
    told = dict(re.findall(r"^# (pass|fail|skipped|cancelled) (\d+)$", done.stdout, re.MULTILINE))
    assert done.returncode == 0, done.stdout
    assert int(told.pop("pass")) >= 20
    assert set(told.values()) == {"0"}, told


def test_the_example_of_a_chat_tells_what_is_wrong_and_goes_on(house: House) -> None:
    done = house.node("examples/chat.js", "endles", typed="Hello!\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("> [MODEL_NOT_FOUND: ")
    assert done.stdout.endswith("did you mean 'endless'?]\n> ")


def test_the_example_of_tools_gives_the_model_what_it_asked_for(house: House) -> None:
    done = house.node("examples/tools.js", "What time is it in Paris?")
    assert done.returncode == 1
    assert done.stderr.count("-> that did not work: Invalid time zone specified: Paris\n") == 3
    assert done.stderr.endswith("the model only calls functions\n")


def test_the_example_of_a_deadline_answers_within_it(house: House) -> None:
    done = house.node("examples/deadline.js", "20")
    assert (done.returncode, done.stderr, bool(done.stdout.strip())) == (0, "", True)


def test_the_example_of_replicas_tells_who_answered(house: House) -> None:
    shown = {f"ZOE_GRPCD_{name}_FILE": str(house.certificates / f"app.{end}") for name, end in SHOWN}
    trusted = {"ZOE_GRPCD_CA_FILE": str(house.certificates / "authority.pem")}
    address = house.daemon.address
    done = house.node("examples/replicas.js", address, address, **shown, **trusted)
    answered = re.findall(r"^(\d): (\w+) on (\w+)$", done.stdout, re.MULTILINE)
    assert [(int(number), model == backend) for number, model, backend in answered] == [
        (number, True) for number in range(6)
    ], done.stdout
