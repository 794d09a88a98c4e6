"""What the client makes of its TLS options."""

from pathlib import Path

import pytest
from certificates import Authority

from zoe_client import Client
from zoe_client.settings import Connection, ConnectionOptions


def encrypted(target: str, **options: object) -> bool:
    connection = Connection.of(target, ConnectionOptions(**options))  # type: ignore[typeddict-item]
    return connection.credentials_for(target) is not None


def test_a_host_is_spoken_to_over_tls_if_an_option_says_so(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    assert not encrypted("host:1")
    assert encrypted("host:1", tls=True)
    assert encrypted("host:1", ca_file=authority.file)
    assert encrypted("host:1", **authority.pair.options())


def test_the_environment_says_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOE_GRPCD_CA_FILE", str(Authority(tmp_path).file))
    assert encrypted("host:1")


def test_unix_sockets_stay_plain() -> None:
    assert not encrypted("unix:/run/zoe.sock", tls=True)


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    pair = Authority(tmp_path).pair
    with pytest.raises(ValueError, match=r"^key_file: needed with cert_file$"):
        Client("host:1", cert_file=pair.cert)
    with pytest.raises(ValueError, match=r"^cert_file: needed with key_file$"):
        Client("host:1", key_file=pair.key)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^ca_file: .*none\.pem can't be read: No such file or directory$"):
        Client("host:1", ca_file=tmp_path / "none.pem")
