"""The service from its start to its end, as systemd sees it."""

import json
import os
import signal
from pathlib import Path

import pytest
from userservice import UNIT, Service
from waiting import wait_until

from zoe_client import Client, Completed, Delta

PROMPT = "tell me of the river and the clock"


def test_it_starts_and_says_how_it_is(service: Service) -> None:
    shown = service.running()
    assert (shown["ActiveState"], shown["SubState"]) == ("active", "running")
    service.manager.becomes(UNIT, StatusText="1 of 1 backends ready, 0 running")


def test_systemd_finds_nothing_wrong_with_the_units(service: Service) -> None:
    told = service.manager.run("sh", "-c", f"systemd-analyze --user verify {UNIT} zoe-grpcd.socket 2>&1")
    assert [line for line in told.splitlines() if "zoe-grpcd" in line] == []


@pytest.mark.parametrize("target", ["tcp", "unix"])
def test_it_answers_on_the_sockets_that_systemd_holds(service: Service, target: str) -> None:
    service.running()
    with service.client(getattr(service, target)) as client:
        assert client.complete(PROMPT, model="endless", max_output_tokens=1).text


def test_the_status_follows_what_runs(service: Service) -> None:
    service.running()
    with service.client() as client, client.stream(PROMPT, model="endless", max_output_tokens=3000) as stream:
        assert any(isinstance(event, Delta) for event in stream)
        service.manager.becomes(UNIT, StatusText="1 of 1 backends ready, 1 running")
    service.manager.becomes(UNIT, StatusText="1 of 1 backends ready, 0 running")


def test_the_journal_has_its_lines_with_their_priority(service: Service) -> None:
    service.running()
    pid = service.pid()

    def ready() -> list[str]:
        lines = service.manager.journal("--output=json", f"_PID={pid}").splitlines()
        told = [json.loads(line) for line in lines]
        return [line["PRIORITY"] for line in told if line["MESSAGE"].startswith("ready on ")]

    assert wait_until(ready) == ["6"]


def test_a_call_is_one_record_of_the_journal_with_fields_of_its_own(service: Service) -> None:
    service.running()
    with service.client() as client:
        answer = client.complete(PROMPT, model="endless", max_output_tokens=1)

    def told() -> list[dict[str, str]]:
        wanted = f"ZOE_DECISION_ID={answer.decision.decision_id}"
        lines = service.manager.journal("--output=json", f"_PID={service.pid()}", wanted).splitlines()
        return [json.loads(line) for line in lines]

    (record,) = wait_until(told)
    assert record["MESSAGE"].startswith("[ROUTER] model: endless -> endless @ ")
    assert (record["ZOE_CODE"], record["ZOE_MODEL"]) == ("OK", "endless")
    assert json.loads(record["ZOE_ATTEMPTS"])[0]["outcome"] == "OK"
    assert PROMPT not in service.manager.journal()


def test_no_key_is_in_the_journal_or_the_environment(service: Service) -> None:
    service.running()
    environment = Path(f"/proc/{service.pid()}/environ").read_bytes()
    assert b"sesame" not in environment
    assert "sesame" not in service.manager.journal()


def test_it_is_exposed_to_little(service: Service) -> None:
    told = service.manager.run("systemd-analyze", "--user", "security", "--no-pager", UNIT)
    exposure = float(told.rpartition("Overall exposure level for")[2].split(":")[1].split()[0])
    assert exposure <= 2.0


ATTEMPTS = """
import ctypes, json, os, pathlib, signal, socket

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *args):
    if getattr(libc, name)(*args) < 0:
        raise OSError(ctypes.get_errno(), name)


home, runtime = pathlib.Path(os.environ["HOME"]), pathlib.Path(os.environ["RUNTIME_DIRECTORY"])
attempts = {
    "write into its runtime folder": lambda: (runtime / "mark").write_text("x"),
    "write into its state folder": lambda: (home / ".local/state/zoe-grpcd/mark").write_text("x"),
    "read its configuration": lambda: (home / ".config/zoe-grpcd/config.yaml").read_text(),
    "connect": lambda: socket.socket().close(),
    "write into the home": lambda: (home / "mark").write_text("x"),
    "write its own configuration": lambda: (home / ".config/zoe-grpcd/config.yaml").open("a").close(),
    "write a unit": lambda: (home / ".config/systemd/user/evil.service").write_text("x"),
    "see the files in /tmp": lambda: SEEN.read_text(),
    "open a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "open a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "make a user namespace": lambda: call("unshare", 0x10000000),
    "mount": lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, None),
    "trace": lambda: call("ptrace", 16, os.getppid(), 0, 0),
    "become real-time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "make a set-user-id file": lambda: os.chmod(runtime / "mark", 0o4755),
    "open a disk": lambda: open("/dev/vda", "rb"),
    "change its personality": lambda: call("personality", 0x0004000),
}
outcome = {}
for name, attempt in attempts.items():
    try:
        attempt()
        outcome[name] = "done"
    except OSError as error:
        outcome[name] = "refused"
(runtime / "outcome").write_text(json.dumps(outcome))
"""
ALLOWED = {
    "write into its runtime folder",
    "write into its state folder",
    "read its configuration",
    "connect",
}


def test_the_sandbox_holds(service: Service, tmp_path: Path) -> None:
    """Somebody who runs code in the daemon's place: the same unit with another program in it."""
    manager = service.manager
    seen = Path("/tmp") / f"zoe-{os.getpid()}-seen"
    seen.write_text("x")
    program = ATTEMPTS.replace("SEEN", f"pathlib.Path({str(seen)!r})")
    manager.write("attempts.py", program)
    unit = (manager.home / ".config/systemd/user" / UNIT).read_text()
    start = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    python = Path(start.removeprefix("ExecStart=").split()[0]).with_name("python")
    other = unit.replace(start, f"ExecStart={python} %h/attempts.py").replace("Type=notify", "Type=oneshot")
    other = other.replace("RuntimeDirectory=zoe-grpcd", "RuntimeDirectory=attempts")
    manager.write(".config/systemd/user/attempts.service", other.replace("WatchdogSec=15", ""))
    drop_ins = manager.home / ".config/systemd/user" / f"{UNIT}.d"
    for file in drop_ins.iterdir():
        text = file.read_text().replace("WatchdogSec=6", "")
        manager.write(f".config/systemd/user/attempts.service.d/{file.name}", text)
    try:
        manager.systemctl("daemon-reload")
        manager.systemctl("start", "attempts.service")
        outcome = json.loads((manager.runtime / "attempts/outcome").read_text())
    finally:
        seen.unlink()
    assert {name for name, how in outcome.items() if how == "done"} == ALLOWED


def test_a_daemon_that_hangs_is_replaced(service: Service) -> None:
    before = service.running()
    os.kill(int(before["MainPID"]), signal.SIGSTOP)
    restarts = int(before["NRestarts"]) + 1
    after = service.manager.becomes(UNIT, NRestarts=str(restarts), SubState="running")
    assert after["MainPID"] != before["MainPID"]
    wait_until(lambda: "Watchdog timeout" in service.manager.journal())
    with service.client() as client:
        assert client.complete(PROMPT, model="endless", max_output_tokens=1).text


def test_a_stop_lets_streams_end(service: Service) -> None:
    service.running()
    with service.client() as client, client.stream(PROMPT, model="endless", max_output_tokens=300) as stream:
        events = iter(stream)
        assert any(isinstance(event, Delta) for event in events)
        service.manager.systemctl("stop", "--no-block", "zoe-grpcd.socket", UNIT)
        service.manager.becomes(UNIT, ActiveState="deactivating", StatusText="draining, 1 running")
        *_, last = events
    assert isinstance(last, Completed)
    assert last.usage.completion_tokens == 300
    ended = service.manager.becomes(UNIT, ActiveState="inactive")
    assert (ended["Result"], ended["ExecMainStatus"]) == ("success", "0")


def test_a_bad_configuration_is_said_once(service: Service) -> None:
    manager = service.manager
    manager.systemctl("stop", "zoe-grpcd.socket", UNIT)
    file = manager.home / ".config/zoe-grpcd/config.yaml"
    good = file.read_text()
    manager.write(".config/zoe-grpcd/config.yaml", "servers: {}\n")
    try:
        manager.systemctl("start", UNIT, check=False)
        ended = manager.becomes(UNIT, ActiveState="failed")
    finally:
        manager.write(".config/zoe-grpcd/config.yaml", good)
    assert (ended["ExecMainStatus"], ended["NRestarts"]) == ("78", "0")
    wait_until(lambda: "servers" in manager.journal())


def test_a_reload_waits_for_its_outcome(service: Service) -> None:
    manager, pid = service.manager, int(service.running()["MainPID"])
    path = ".config/zoe-grpcd/config.yaml"
    good = (manager.home / path).read_text()
    other = {**json.loads(good), "routing": {"aliases": {"assistant": "endless"}}}
    try:
        manager.write(path, json.dumps(other))
        manager.systemctl("reload", UNIT)
        manager.write(path, "servers: {}\n")
        manager.systemctl("reload", UNIT, check=False)
        shown = manager.becomes(UNIT, ActiveState="active", SubState="running")
    finally:
        manager.write(path, good)
    assert (shown["ReloadResult"], int(shown["MainPID"])) == ("exit-code", pid)
    with service.client() as client:
        assert client.complete(PROMPT, model="assistant", max_output_tokens=1).text
    wait_until(lambda: "servers: is not known here" in manager.journal())
    manager.systemctl("reload", UNIT)


def test_a_caller_starts_it(service: Service) -> None:
    manager = service.manager
    manager.systemctl("stop", "zoe-grpcd.socket", UNIT)
    manager.systemctl("reset-failed", check=False)
    manager.systemctl("start", "zoe-grpcd.socket")
    assert service.show()["ActiveState"] == "inactive"
    with Client(service.unix, timeout=60) as client:
        assert client.complete(PROMPT, model="endless", max_output_tokens=1).text
    assert service.show()["ActiveState"] == "active"


def test_sockets_that_the_configuration_does_not_have_are_said(service: Service) -> None:
    manager = service.manager
    manager.systemctl("stop", "zoe-grpcd.socket", UNIT)
    listen = "[Socket]\nListenStream=%t/zoe-grpcd/other.sock\n"
    drop_in = manager.write(".config/systemd/user/zoe-grpcd.socket.d/port.more.conf", listen)
    try:
        manager.systemctl("daemon-reload")
        manager.systemctl("start", "zoe-grpcd.socket")
        manager.systemctl("start", UNIT, check=False)
        wait_until(lambda: "other.sock: inherited from the service manager" in manager.journal())
    finally:
        drop_in.unlink()
        manager.systemctl("stop", "zoe-grpcd.socket", UNIT)
        manager.systemctl("daemon-reload")
