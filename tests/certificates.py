"""Certificates made on the spot with the `openssl` command."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, and the options of a client that shows it."""

    cert: Path
    key: Path

    def options(self) -> dict[str, Any]:
        return {"cert_file": self.cert, "key_file": self.key}


class Authority:
    """Signs certificates into its folder."""

    def __init__(self, folder: Path, name: str = "authority", days: int = 60) -> None:
        self.folder = folder
        self._days = str(days)
        folder.mkdir(parents=True, exist_ok=True)
        self.pair = self._paths(name)
        _openssl("req", "-x509", *self._request(self.pair, name))

    @property
    def file(self) -> Path:
        return self.pair.cert

    def issue(self, name: str, *alternatives: str) -> Pair:
        """A certificate for a common name and names such as DNS:localhost, for as long as its own."""
        pair = self._paths(name)
        names = ["-addext", f"subjectAltName={','.join(alternatives)}"] if alternatives else []
        signed_by = ["-CA", str(self.pair.cert), "-CAkey", str(self.pair.key)]
        plain = ["-addext", "basicConstraints=critical,CA:FALSE"]
        _openssl("req", "-x509", *signed_by, *self._request(pair, name), *plain, *names)
        return pair

    def server(self, name: str = "daemon") -> Pair:
        """A certificate for a daemon on this machine."""
        return self.issue(name, "DNS:localhost", "IP:127.0.0.1", "IP:::1")

    def _paths(self, name: str) -> Pair:
        return Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")

    def _request(self, pair: Pair, name: str) -> list[str]:
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        return [
            *key,
            "-keyout",
            str(pair.key),
            "-out",
            str(pair.cert),
            "-days",
            self._days,
            "-subj",
            f"/CN={name}",
        ]


def install(pair: Pair, files: Pair) -> None:
    """Puts a pair in the place of another one, as a renewal does."""
    for source, place in ((pair.key, files.key), (pair.cert, files.cert)):
        new = place.with_suffix(".new")
        new.write_bytes(source.read_bytes())
        new.chmod(0o600)
        new.replace(place)


def channel_credentials(authority: Authority, pair: Pair | None = None) -> grpc.ChannelCredentials:
    """What a stock client trusts, and shows."""
    shown = (pair.key.read_bytes(), pair.cert.read_bytes()) if pair else (None, None)
    return grpc.ssl_channel_credentials(authority.file.read_bytes(), *shown)


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
