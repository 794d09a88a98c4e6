"""Where the client looks for the daemon."""

import os
from pathlib import Path

import pytest

from zoe_client import admin_target, inference_target
from zoe_client.target import is_local


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    path = tmp_path / "zoe-grpcd" / "grpcd.sock"
    path.parent.mkdir()
    path.touch()
    return path


def test_the_argument_comes_first(monkeypatch: pytest.MonkeyPatch, socket: Path) -> None:
    monkeypatch.setenv("ZOE_GRPCD_TARGET", "other:1")
    assert inference_target("dns:///router:50051") == "dns:///router:50051"


def test_then_the_environment(monkeypatch: pytest.MonkeyPatch, socket: Path) -> None:
    monkeypatch.setenv("ZOE_GRPCD_TARGET", "other:1")
    assert inference_target() == "other:1"


def test_then_the_unix_socket(socket: Path) -> None:
    assert inference_target() == f"unix:{socket}"


def test_then_loopback() -> None:
    assert inference_target() == "127.0.0.1:50051"


def test_admin_has_its_own_socket(tmp_path: Path) -> None:
    assert admin_target() == f"unix:{tmp_path}/zoe-grpcd/admin.sock"
    assert admin_target("unix:/a.sock") == "unix:/a.sock"


def test_without_a_runtime_directory_the_sockets_are_where_the_daemon_then_puts_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    user = Path(f"/run/user/{os.getuid()}")
    folder = user if user.is_dir() else tmp_path / ".cache"
    assert admin_target() == f"unix:{folder}/zoe-grpcd/admin.sock"


@pytest.mark.parametrize(
    "target", ["unix:/a.sock", "unix-abstract:a", "127.0.0.1:1", "localhost:1", "[::1]:1"]
)
def test_one_server_on_this_machine_is_local(target: str) -> None:
    assert is_local(target)


@pytest.mark.parametrize(
    "target", ["router:50051", "dns:///router:50051", "10.0.0.1:50051", "ipv4:127.0.0.1:1,127.0.0.1:2"]
)
def test_anything_else_may_be_many(target: str) -> None:
    assert not is_local(target)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("http://127.0.0.1:50051/", r"without its http://: 127\.0\.0\.1:50051$"),
        ("HTTPS://box:50051", r"without its HTTPS://: box:50051, with TLS asked for apart"),
    ],
)
def test_the_address_of_a_page_is_none(monkeypatch: pytest.MonkeyPatch, page: str, words: str) -> None:
    for look in (inference_target, admin_target):
        with pytest.raises(ValueError, match=words):
            look(page)
    monkeypatch.setenv("ZOE_GRPCD_TARGET", page)
    with pytest.raises(ValueError, match=words):
        inference_target()
