"""One daemon after another under load from stock gRPC clients: what the callers see of it."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from certificates import Authority, channel_credentials
from userload import load_on
from userservice import UNIT, Service
from waiting import wait_until

from zoe_client import Client


@pytest.mark.parametrize("target", ["tcp", "unix"])
def test_a_restart_under_load_fails_no_call(service: Service, target: str) -> None:
    before = service.running()
    with load_on(getattr(service, target)) as load:
        load.goes_on()
        service.manager.systemctl("restart", UNIT)
        load.goes_on()
    after = service.manager.becomes(UNIT, SubState="running")
    assert after["MainPID"] != before["MainPID"]
    assert load.failed() == []


def test_a_restart_under_load_over_tls_fails_no_call(service: Service) -> None:
    folder = service.manager.home / ".config/zoe-grpcd"
    authority, config = Authority(folder / "tls"), folder / "config.yaml"
    authority.server("daemon")
    service.manager.own(folder)
    before = config.read_text()
    plain = json.loads(before)
    tls = {"cert_file": "tls/daemon.pem", "key_file": "tls/daemon.key"}
    config.write_text(json.dumps({**plain, "server": {**plain["server"], "tls": tls}}))
    try:
        service.running()
        service.manager.systemctl("restart", UNIT)
        with load_on(service.tcp, channel_credentials(authority)) as load:
            load.goes_on()
            service.manager.systemctl("restart", UNIT)
            load.goes_on()
    finally:
        config.write_text(before)
        service.manager.systemctl("restart", UNIT)
    assert load.failed() == []


def test_a_crash_fails_only_calls_inside_the_dead_process(service: Service) -> None:
    before = service.running()
    pid = int(before["MainPID"])
    with load_on(service.tcp) as load:
        load.goes_on()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{pid}").exists())
        dead = time.monotonic()
        load.goes_on()
    assert [call for call in load.failed() if call.began > dead] == []
    assert len(load.failed()) <= len(load.calls)
    after = service.manager.becomes(UNIT, SubState="running")
    assert int(after["NRestarts"]) == int(before["NRestarts"]) + 1


@pytest.mark.parametrize("target", ["tcp", "unix"])
def test_a_client_of_ours_does_not_notice_a_crash_before_its_answer_has_begun(
    service: Service, target: str
) -> None:
    before = service.running()
    with Client(getattr(service, target)) as client:
        assert client.complete("hello", model="endless", max_output_tokens=1).text
        os.kill(int(before["MainPID"]), signal.SIGKILL)
        assert client.complete("hello", model="endless", max_output_tokens=1, timeout=180).text
    assert service.pid() != int(before["MainPID"])
