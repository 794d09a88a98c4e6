"""TLS as an operator sets it up and as callers meet it: the daemon, the client, the commands and openssl."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from certificates import Authority, Pair, install
from daemon.test_daemon_commands import typed
from serving import Daemon, entry, environment, serving, short_folder
from waiting import wait_until

from zoe.admin.v1.admin_service_pb2 import ListDecisionsRequest
from zoe_client import Client, Unavailable
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server

DAY = 86400
PROMPT = "tell me of the river and the clock"


@dataclass(frozen=True)
class House:
    """A daemon that wants certificates of its callers, and one of theirs."""

    daemon: Daemon
    authority: Authority
    files: Pair
    shown: Pair

    @property
    def options(self) -> dict[str, Any]:
        return {"ca_file": self.authority.file, **self.shown.options(), "timeout": 30.0}

    def openssl(self, *arguments: str) -> str:
        done = subprocess.run(
            ["openssl", "s_client", "-connect", self.daemon.address, "-alpn", "h2", *arguments],
            input="Q\n",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def house(tools: Tools, tmp_path_factory: pytest.TempPathFactory, endless_gguf: Path) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder, days=9)
    files = authority.server()
    tls = {"cert_file": str(files.cert), "key_file": str(files.key), "client_ca_file": str(authority.file)}
    with ExitStack() as running:
        options = LlamaServerOptions(endless_gguf, alias="endless", slots=2)
        llama = running.enter_context(start_llama_server(tools, folder, options))
        daemon = running.enter_context(
            serving(backends=[entry("llama", llama)], server={"tls": tls, "metrics_listen": "127.0.0.1:0"})
        )
        yield House(daemon, authority, files, authority.issue("kitchen"))


def test_the_client_is_answered_by_its_options(house: House) -> None:
    with Client(house.daemon.address, **house.options) as client:
        assert client.complete(PROMPT, max_output_tokens=3).text
        with client.stream(PROMPT, max_output_tokens=3) as stream:
            assert stream.final().usage.completion_tokens == 3


def test_the_name_in_the_certificate_is_the_caller(house: House) -> None:
    with Client(house.daemon.address, admin_target=house.daemon.admin_target, **house.options) as client:
        client.route(PROMPT)
        listed = client.admin.ListDecisions(ListDecisionsRequest(key_name="kitchen"), timeout=30)
    assert {record.method for record in listed.decisions} >= {"Route"}


def test_the_commands_take_the_files_too(house: House) -> None:
    files = ("--ca-file", str(house.authority.file), "--cert-file", str(house.shown.cert))
    command = ("stream", PROMPT, "--max-tokens", "3", "--target", house.daemon.address)
    done = typed(*command, *files, "--key-file", str(house.shown.key), env=environment())
    assert (done.returncode, bool(done.stdout.strip())) == (0, True), done.stderr


def test_a_client_without_a_certificate_is_turned_away(house: House) -> None:
    with Client(house.daemon.address, ca_file=house.authority.file, timeout=30, max_retries=0) as client:
        with pytest.raises(Unavailable):
            client.complete(PROMPT)
        with pytest.raises(Unavailable):  # its first answer is no accident of a handshake
            client.complete(PROMPT)


def test_that_certificates_end_soon_is_said_wherever_an_operator_looks(house: House) -> None:
    daemon = house.daemon
    for option in ("cert_file", "client_ca_file"):
        assert daemon.log.count(f"server.tls.{option} ends in 9 days; put a new one in its place") == 1
    assert "ready, 0 running; server.tls.cert_file ends in 9 days; server.tls.client_ca_file" in daemon.log
    page = re.search(r"http://127\.0\.0\.1:[0-9]+/", daemon.log)
    assert page is not None
    with urlopen(f"{page[0]}metrics", timeout=30) as answer:
        left = dict(
            re.findall(r'zoe_certificate_expires_in_seconds{file="(\w+)"} (\S+)', answer.read().decode())
        )
    assert all(8.9 * DAY < float(left[file]) < 9 * DAY for file in ("cert_file", "client_ca_file"))
    checked = typed("check", "--config", str(daemon.folder / "config.yaml"), env=environment())
    assert re.search("certificate +cert_file ends on 20[0-9-]+, in 9 days", checked.stdout)


def test_the_unix_socket_stays_plain(house: House) -> None:
    with Client(house.daemon.target, **house.options) as client:
        assert client.complete(PROMPT, max_output_tokens=1).text
    assert "llama" in house.daemon.backends()


def test_openssl_finds_modern_tls_alone(house: House) -> None:
    trusted = ("-CAfile", str(house.authority.file), "-verify_return_error")
    shown = ("-cert", str(house.shown.cert), "-key", str(house.shown.key))
    told = house.openssl(*trusted, *shown)
    assert "TLSv1.3" in told
    assert "ALPN protocol: h2" in told
    assert "Verify return code: 0 (ok)" in told
    assert "TLSv1.2" in house.openssl(*trusted, *shown, "-tls1_2")
    old = house.openssl(*trusted, *shown, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert "Cipher is (NONE)" in old


def test_certificates_are_renewed_without_a_restart(house: House) -> None:
    before = house.openssl()
    install(house.authority.server("renewed"), house.files)
    assert "CN = daemon" in before
    assert "CN = renewed" in house.openssl()
    house.files.cert.write_text("x")
    assert "CN = renewed" in house.openssl()
    wait_until(lambda: "server.tls.cert_file must be certificates in PEM" in house.daemon.log)


@pytest.mark.parametrize("command", ["check", "serve"])
def test_what_is_wrong_with_the_files_is_said_at_the_start(
    tmp_path: Path, house: House, command: str
) -> None:
    other = Authority(tmp_path).pair
    tls = {"cert_file": str(house.shown.cert), "key_file": str(other.key), "client_ca_file": "none.pem"}
    with short_folder() as folder:
        config = folder / "config.yaml"
        config.write_text(json.dumps({"server": {"tls": tls}}, indent=1))
        done = typed(command, "--config", str(config), env=environment())
    assert done.returncode == 78
    told = done.stderr.splitlines()
    assert len(told) == 2
    assert "server.tls.key_file: must be the key of the certificate in cert_file" in told[0]
    assert "server.tls.client_ca_file: must be a file that can be read" in told[1]
