"""What `zoe-grpcd demo` says when something takes too long."""

from pathlib import Path

import pytest

from zoe_client import Client, ZoeError
from zoe_grpcd.cli import demo


def test_a_daemon_that_is_too_slow_to_start_is_no_stack_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "START_LIMIT", 0.1)
    nobody = f"unix:{tmp_path}/nobody.sock"
    with Client(nobody, admin_target=nobody) as client, pytest.raises(ZoeError):
        demo._show(client)
