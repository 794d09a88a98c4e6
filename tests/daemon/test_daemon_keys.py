"""A daemon that asks for keys, in front of a real llama-server: calls, commands, health, administration, and restarts."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from serving import Daemon, entry, environment, short_folder
from waiting import wait_until

from zoe.admin.v1.admin_service_pb2 import (
    GetConfigRequest,
    GetStatsRequest,
    ListBackendsRequest,
    ListDecisionsRequest,
    WatchBackendsRequest,
)
from zoe.inference.v1.inference_service_pb2 import CompleteRequest
from zoe_client import Client, ZoeError, from_rpc_error
from zoe_grpcd.access import digest_of
from zoe_grpcd.core.budget import day_of
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.servers import Server, free_port

PROMPT = "tell me of the river and the clock"
SPENDERS = ("spender", "other-spender")  # the other one, for when a day begins in the middle of a test
KEYS = {name: f"zoe-s3cret-{name}" for name in ("app", "guest", "operator", *SPENDERS)}
# A token of a prompt or an answer costs a tenth of a cent.
PRICE = {"input_per_mtok_usd": 1000.0, "output_per_mtok_usd": 1000.0}


@dataclass(frozen=True)
class House:
    """The daemon, its server, and where it administers."""

    daemon: Daemon
    llama: Server

    def client(self, name: str = "", **options: Any) -> Client:
        """A client with the key of that name."""
        return self.daemon.client(api_key=KEYS.get(name, name or None), **options)


def settings(folder: Path, llama: Server) -> dict[str, Any]:
    """A key in the configuration by its SHA-256, one by a credential, two in a file of keys."""
    (folder / "guest.key").write_text(KEYS["guest"] + "\n")
    filed = [
        {"name": "operator", "key": KEYS["operator"], "admin": True, "priority": "critical"},
        *(
            {"name": name, "key": KEYS[name], "models": ["dear"], "daily_budget_usd": 0.1}
            for name in SPENDERS
        ),
    ]
    (folder / "keys.yaml").write_text(json.dumps(filed))
    (folder / "keys.yaml").chmod(0o600)
    keys = [
        {"name": "app", "key_sha256": digest_of(KEYS["app"]).hex()},
        {"name": "guest", "key": "${file:guest.key}", "models": ["tiny*"], "rpm": 2},
    ]
    return {
        "server": {
            "listen": ["127.0.0.1:0", f"unix:{folder}/grpcd.sock"],
            "admin_listen": f"127.0.0.1:{free_port()}",
            "metrics_listen": "off",
        },
        "auth": {"keys": keys, "keys_file": "keys.yaml"},
        "backends": [entry("llama", llama)],
        "models": [
            {"name": name, "deployments": [{"backend": "llama", "model": "quick"}], **more}
            for name, more in (("tiny", {}), ("dear", {"cost": PRICE}))
        ],
        "state": {"url": f"sqlite://{folder}/state.db"},
    }


class Asking(Daemon):
    """One that asks for keys, also for that of an admin, by a port."""

    def __init__(self, folder: Path, config: dict[str, Any], env: dict[str, str]) -> None:
        super().__init__(folder, config, env)
        self.admin_target = config["server"]["admin_listen"]


@pytest.fixture(name="house", scope="module")
def _house(tools: Tools, tmp_path_factory: pytest.TempPathFactory, quick_gguf: Path) -> Iterator[House]:
    with ExitStack() as running:
        options = LlamaServerOptions(quick_gguf, alias="quick", slots=2)
        llama = running.enter_context(start_llama_server(tools, tmp_path_factory.mktemp("keys"), options))
        folder = running.enter_context(short_folder())
        daemon = Asking(folder, settings(folder, llama), environment())
        yield House(running.enter_context(daemon), llama)


def reason_of(client: Client, **options: Any) -> tuple[str, str]:
    """Code and reason with which a call is refused."""
    with pytest.raises(ZoeError) as caught:
        client.complete(PROMPT, max_output_tokens=5, **options)
    assert "s3cret" not in str(caught.value)
    return caught.value.code.name, caught.value.reason


def test_a_call_needs_a_key_on_the_socket_too(house: House) -> None:
    assert reason_of(house.client()) == ("UNAUTHENTICATED", "CREDENTIALS_MISSING")
    assert reason_of(house.client("zoe-s3cret-wrong")) == ("UNAUTHENTICATED", "CREDENTIALS_INVALID")
    assert house.client("app").complete(PROMPT, max_output_tokens=5).text.strip()


def test_a_key_of_a_credential_may_use_its_models_as_often_as_it_is_allowed(house: House) -> None:
    guest = house.client("guest")
    with pytest.raises(ZoeError) as denied:
        guest.route(PROMPT, model="dear")
    assert denied.value.reason == "PERMISSION_DENIED"
    for _ in range(2):
        assert guest.complete(PROMPT, max_output_tokens=5, priority="high").model == "tiny"
    assert reason_of(guest) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
    with pytest.raises(ZoeError) as limited:
        guest.route(PROMPT)
    assert limited.value.retry_after is not None
    assert 0 < limited.value.retry_after <= 60
    assert house.client("app").complete(PROMPT, max_output_tokens=5).text.strip()


def test_health_of_the_daemon_is_told_to_everybody_and_that_of_models_to_those_with_a_key(
    house: House,
) -> None:
    with grpc.insecure_channel(house.daemon.target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        serving = health_pb2.HealthCheckResponse.SERVING
        for service in ("", "zoe.inference.v1.InferenceService", "zoe.admin.v1.AdminService"):
            assert stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=30).status == serving
        tiny = health_pb2.HealthCheckRequest(service="model/tiny")
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(tiny, timeout=30)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        key = (("authorization", f"Bearer {KEYS['app']}"),)
        assert stub.Check(tiny, timeout=30, metadata=key).status == serving


def test_reflection_shows_the_protos_and_nothing_of_the_daemon(house: House) -> None:
    with grpc.insecure_channel(house.daemon.target) as channel:
        services = ProtoReflectionDescriptorDatabase(channel).get_services()
    assert [name for name in services if name.startswith("zoe.")] == ["zoe.inference.v1.InferenceService"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("", "CREDENTIALS_MISSING"), ("zoe-wrong", "CREDENTIALS_INVALID"), ("app", "PERMISSION_DENIED")],
)
def test_only_an_admin_administers_by_a_port(house: House, name: str, reason: str) -> None:
    client = house.client(name)
    with pytest.raises(grpc.RpcError) as caught:
        client.admin.ListBackends(ListBackendsRequest(), timeout=30, metadata=client.headers)
    assert from_rpc_error(caught.value, "").reason == reason
    with pytest.raises(grpc.RpcError) as caught:
        next(client.admin.WatchBackends(WatchBackendsRequest(), timeout=30, metadata=client.headers))
    assert from_rpc_error(caught.value, "").reason == reason


def command(house: House, *argv: str, key: str = "") -> subprocess.CompletedProcess[str]:
    """A command as a user types it; `key` is in a file."""
    file = house.daemon.folder / "key"
    file.write_text(key + "\n")
    targets = {
        "complete": ["--target", house.daemon.target],
        "backends": ["--admin-target", house.daemon.admin_target],
        "config": ["--admin-target", house.daemon.admin_target],
        "reload": ["--admin-target", house.daemon.admin_target],
        "stats": ["--admin-target", house.daemon.admin_target],
    }
    given = [*targets[argv[0]], *(["--api-key-file", str(file)] if key else [])]
    return subprocess.run(
        [sys.executable, "-m", "zoe_grpcd", *argv, *given],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_commands_take_the_key_from_a_file(house: House) -> None:
    refused = command(house, "complete", PROMPT, "--max-tokens", "5")
    assert (refused.returncode, "a key is needed" in refused.stderr) == (1, True)
    assert command(house, "complete", PROMPT, "--max-tokens", "5", key=KEYS["app"]).returncode == 0
    for words, shown in {
        ("backends",): "llama",
        ("stats",): "zoe-grpcd",
        ("config", "show"): "name: app",
        ("reload", "--validate-only"): "",
    }.items():
        done = command(house, *words, key=KEYS["operator"])
        assert (done.returncode, shown in done.stdout) == (0, True), (words, done)


def spend_all(client: Client) -> tuple[float, ZoeError]:
    """Calls until the budget refuses one; returns the US dollars that were spent, and the refusal."""
    spent = 0.0
    while True:
        try:
            spent += client.complete(PROMPT, max_output_tokens=5).usage.cost_micro_usd / 1e6
        except ZoeError as error:
            return spent, error


def within_a_day(check: Callable[[House, str], None], house: House) -> None:
    """Checks once more, with the other key, where a day (UTC) began meanwhile, as budgets did."""
    today = day_of(time.time())
    first, other = SPENDERS
    try:
        check(house, first)
    except AssertionError:
        if day_of(time.time()) == today:
            raise
        check(house, other)


def test_a_budget_is_spent_and_outlives_a_daemon_that_is_killed(house: House) -> None:
    within_a_day(spend_kill_and_spend, house)


def spend_kill_and_spend(house: House, key: str) -> None:
    daemon = house.daemon
    warned = daemon.log.count(f"key {key} has spent")

    def kept() -> dict[str, float]:
        query = "SELECT text FROM state WHERE kind = 'budget' AND key = ?"
        with closing(sqlite3.connect(f"file:{daemon.folder}/state.db?mode=ro", uri=True)) as file:
            row = file.execute(query, (key,)).fetchone()
        return json.loads(row[0]) if row else {}

    spent, refusal = spend_all(house.client(key))
    assert 0.05 < spent <= 0.1
    assert refusal.reason == "BUDGET_EXCEEDED"
    assert refusal.retry_after is not None
    assert 0 < refusal.retry_after <= 86400
    wait_until(lambda: kept().get("spent_usd") == pytest.approx(spent))
    assert daemon.log.count(f"key {key} has spent") == warned + 1
    daemon.signal(signal.SIGKILL)
    daemon.ended()
    (daemon.folder / "notify").unlink()
    daemon.start().wait_for("READY=1")
    again, refusal = spend_all(house.client(key))
    assert (again, refusal.reason) == (0.0, "BUDGET_EXCEEDED")


def test_a_key_comes_and_goes_with_a_reload_and_what_the_others_have_used_stays(house: House) -> None:
    within_a_day(add_a_key_and_take_it_away, house)


def add_a_key_and_take_it_away(house: House, key: str) -> None:
    file, daemon = house.daemon.folder / "keys.yaml", house.daemon
    spend_all(house.client(key))
    before = file.read_text()
    late, added = {"name": "late", "key": "zoe-s3cret-late"}, daemon.log.count("auth.keys_file[late]: added")
    assert reason_of(house.client(late["key"]))[1] == "CREDENTIALS_INVALID"
    file.write_text(json.dumps([*json.loads(before), late]))
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: daemon.log.count("auth.keys_file[late]: added") > added)
    assert house.client(late["key"]).complete(PROMPT, max_output_tokens=5).text.strip()
    assert reason_of(house.client(key))[1] == "BUDGET_EXCEEDED"
    file.write_text(before)
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: daemon.log.count("auth.keys_file[late]: removed") > added)
    assert reason_of(house.client(late["key"]))[1] == "CREDENTIALS_INVALID"


def test_no_key_is_in_the_log_the_decisions_the_state_or_what_admins_are_shown(house: House) -> None:
    operator = house.client("operator")
    assert operator.complete(PROMPT, max_output_tokens=5).text.strip()
    with pytest.raises(grpc.RpcError):
        operator.inference.Complete(CompleteRequest(), timeout=30, metadata=operator.headers)
    how: dict[str, Any] = {"timeout": 30, "metadata": operator.headers}
    listing = operator.admin.ListDecisions(ListDecisionsRequest(), **how)
    assert "operator" in {decision.key_name for decision in listing.decisions}
    config = operator.admin.GetConfig(GetConfigRequest(), **how)
    assert "name: app" in config.effective_yaml
    stats = operator.admin.GetStats(GetStatsRequest(), **how)
    assert "operator" in str(stats)
    shown = [house.daemon.log, str(listing), str(config), str(stats)]
    kept = [file.read_bytes().decode(errors="replace") for file in house.daemon.folder.glob("state.db*")]
    for name, key in KEYS.items():
        for secret in (key, digest_of(key).hex(), str(digest_of(key))):
            assert [text for text in (*shown, *kept) if secret in text] == [], name


# -------------------------------------------------------------------------------------------------- who may not start


def test_what_others_could_reach_without_a_key_is_not_listened_on(tmp_path: Path) -> None:
    server = {"listen": ["0.0.0.0:0"], "admin_listen": "127.0.0.1:0"}
    (tmp_path / "config.yaml").write_text(json.dumps({"server": server}))
    ended = subprocess.run(
        [sys.executable, "-m", "zoe_grpcd", "serve", "--config", str(tmp_path / "config.yaml")],
        env=environment(XDG_RUNTIME_DIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 78
    assert "server.listen[0]: must be a loopback address" in ended.stderr
    assert "without auth.keys, anyone who reaches it could use your models" in ended.stderr
    assert "server.admin_listen: must be a unix socket" in ended.stderr
