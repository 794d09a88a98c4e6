"""Another configuration for a daemon that works, and what a daemon knows that follows another one."""

import json
import sqlite3
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from signal import SIGHUP
from subprocess import CompletedProcess, run
from typing import Any

import pytest
from serving import Daemon, config_of, entry, environment, short_folder
from waiting import eventually, wait_until

from zoe.admin.v1 import admin_service_pb2 as pb
from zoe.admin.v1.backend_pb2 import Backend
from zoe_client import Completed, Delta
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.servers import Server

PROMPT = "tell me of the river and the clock"
ON_SPARE = {"name": "on-spare", "deployments": [{"backend": "spare", "model": "endless"}]}


@dataclass
class House:
    """A daemon in front of one llama-server that it knows by two names, and its file."""

    daemon: Daemon
    llama: Server
    usual: dict[str, Any]

    def write(self, **sections: Any) -> None:
        """A configuration, whole."""
        (self.daemon.folder / "config.yaml").write_text(json.dumps({**self.usual, **sections}))

    def command(self, *argv: str) -> CompletedProcess[str]:
        argv = (sys.executable, "-m", "zoe_grpcd", *argv, "--admin-target", self.daemon.admin_target)
        done = run(argv, env=environment(), capture_output=True, text=True, timeout=60, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def reload(self) -> pb.ReloadConfigResponse:
        return self.daemon.client().admin.ReloadConfig(pb.ReloadConfigRequest(), timeout=30)

    def in_force(self) -> pb.GetConfigResponse:
        return self.daemon.client().admin.GetConfig(pb.GetConfigRequest(), timeout=30)


@pytest.fixture(scope="module")
def house(tools: Tools, tmp_path_factory: pytest.TempPathFactory, endless_gguf: Path) -> Iterator[House]:
    with ExitStack() as running:
        options = LlamaServerOptions(endless_gguf, alias="endless", slots=4)
        llama = running.enter_context(start_llama_server(tools, tmp_path_factory.mktemp("reload"), options))
        folder = running.enter_context(short_folder())
        usual = config_of(folder, backends=[entry("desk", llama), entry("spare", llama)], models=[ON_SPARE])
        daemon = running.enter_context(Daemon(folder, usual, environment()))
        yield House(daemon, llama, usual)


@pytest.fixture(autouse=True)
def as_usual(house: House) -> Iterator[None]:
    yield
    house.write()
    house.reload()
    wait_until(lambda: house.daemon.state("spare") == "READY")


def test_what_runs_on_a_backend_that_is_removed_comes_to_its_end(house: House) -> None:
    client = house.daemon.client()
    with client.stream(PROMPT, model="on-spare", max_output_tokens=300) as stream:
        events = iter(stream)
        assert any(isinstance(event, Delta) for event in events)
        house.write(
            backends=[entry("desk", house.llama)], models=[], routing={"aliases": {"fast": "endless"}}
        )
        done = house.command("reload")
        assert (done.returncode, done.stderr) == (0, "")
        assert "backends[spare]: removed" in done.stdout.splitlines()
        assert "routing.aliases.fast: set to [endless]" in done.stdout.splitlines()
        spare = house.daemon.backends()["spare"]
        assert "no longer configured" in spare.state_detail
        assert client.complete(PROMPT, model="fast", max_output_tokens=1).text
        *_, last = events
    assert isinstance(last, Completed)
    assert last.usage.completion_tokens == 300
    wait_until(lambda: list(house.daemon.backends()) == ["desk"])


def test_what_was_learned_of_what_stays_is_kept(house: House) -> None:
    client = house.daemon.client()
    for _ in range(3):
        client.complete(PROMPT, model="endless", max_output_tokens=30, allowed_backends=["desk"])
    before = house.daemon.backends()["desk"].load.ttft_p50
    assert before.nanos
    house.write(backends=[entry("desk", house.llama, weight=0.5), entry("spare", house.llama)])
    assert "backends[desk].weight: 1.0 -> 0.5" in house.reload().changes
    after = house.daemon.backends()["desk"]
    assert after.load.ttft_p50 == before
    assert after.state == Backend.STATE_READY


def test_a_new_backend_is_there(house: House) -> None:
    house.write(backends=[*house.usual["backends"], entry("third", house.llama)])
    assert "backends[third]: added" in house.reload().changes
    wait_until(lambda: house.daemon.state("third") == "READY")


def test_a_default_model_that_nobody_serves_is_told(house: House) -> None:
    house.write(routing={"default_model": "endles", "aliases": {"known": ["endless"]}})
    house.reload()
    assert "nobody serves routing.default_model (endles)" in house.daemon.log
    house.write(routing={"default_model": "known", "aliases": {"known": ["endless"]}})
    house.reload()
    assert "somebody serves routing.default_model" in house.daemon.log


def test_a_wrong_one_changes_nothing_and_is_status_78(house: House) -> None:
    before = house.in_force().generation
    house.write(servers={}, log={"level": "loud"})
    for argv in (["reload"], ["reload", "--validate-only", "--json"]):
        done = house.command(*argv)
        assert (done.returncode, done.stdout) == (78, "")
        assert "servers" in done.stderr
        assert "log.level" in done.stderr
    house.daemon.signal(SIGHUP)
    wait_until(lambda: house.daemon.log.count("the one in force stays") >= 2)
    assert house.in_force().generation == before
    assert house.daemon.client().complete(PROMPT, model="endless", max_output_tokens=1).text


def test_to_validate_tells_and_changes_nothing(house: House) -> None:
    before = house.in_force().generation
    house.write(admission={"max_queue": 7})
    told = json.loads(house.command("reload", "--validate-only", "--json").stdout)
    assert told["changes"] == ["admission.max_queue: 256 -> 7"]
    assert house.in_force().generation == before


def test_the_configuration_in_force_is_shown_without_secrets(house: House) -> None:
    backends = [entry("desk", house.llama, api_key="s3cret"), entry("spare", house.llama)]
    house.write(backends=backends, admission={"max_queue": 7})
    house.daemon.signal(SIGHUP)
    wait_until(lambda: "max_queue: 7" in house.in_force().effective_yaml)
    shown = house.command("config", "show").stdout
    assert "s3cret" not in shown + house.daemon.log
    assert f"{house.daemon.folder}/config.yaml" in shown


def test_no_call_fails_while_configurations_change(house: House) -> None:
    client = house.daemon.client(timeout=100)

    def ask(number: int) -> str:
        model = ("endless", "auto")[number % 2]
        return client.complete(PROMPT, model=model, max_output_tokens=4).text

    with ThreadPoolExecutor(8) as callers:
        answers = [callers.submit(ask, number) for number in range(24)]
        for number in range(10):
            house.write(
                backends=[entry("desk", house.llama, weight=1 + number % 3), entry("spare", house.llama)],
                models=[ON_SPARE] if number % 2 else [],
                routing={"aliases": {f"alias{number}": "endless"}},
            )
            assert house.reload().changes
        assert all(answer.result(100) for answer in answers)


# ----------------------------------------------------------------------------------------------------------- restarts


async def test_a_daemon_that_was_killed_is_followed_by_one_that_knows_what_it_knew(house: House) -> None:
    config = {**house.usual, "backends": [entry("desk", house.llama)], "models": []}
    with short_folder() as folder:
        config["server"] = config_of(folder)["server"]
        first = Daemon(folder, config, environment())
        first.start().wait_for("READY=1")
        try:
            client = first.client()
            for _ in range(4):
                client.complete(PROMPT, model="endless", max_output_tokens=30)
            taught = first.backends()["desk"].load.ttft_p50
            await eventually(lambda: _kept(folder) == 4)  # decisions, after what was learned by then
        finally:
            first.kill()
            (folder / "notify").unlink()
        with Daemon(folder, config, environment()) as second:
            await second.becomes("desk", "READY")
            assert second.backends()["desk"].load.ttft_p50 == taught
            asked = pb.ListDecisionsRequest()
            await eventually(lambda: len(second.client().admin.ListDecisions(asked).decisions) >= 4)
        state = folder / "state/zoe-grpcd/state.db"
        state.write_bytes(b"no database" * 1000)
        (folder / "notify").unlink()
        with Daemon(folder, config, environment()) as third:
            await third.becomes("desk", "READY")
            assert third.client().complete(PROMPT, model="endless", max_output_tokens=1).text
            assert "state.db is damaged, and put aside" in third.log


def _kept(folder: Path) -> int:
    """How many decisions are in the file."""
    db = sqlite3.connect(folder / "state/zoe-grpcd/state.db", timeout=30)
    try:
        (count,) = db.execute("SELECT count(*) FROM state WHERE kind = 'decision'").fetchone()
        return int(count)
    finally:
        db.close()
