"""Certificates in files, and the TLS context that is made of them.

Rule: what cannot be used is said with the option that it is the fault of, and nothing of a file's content is.
"""

import os
import re
import ssl
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# What RFC 9113 leaves of TLS 1.2; TLS 1.3 has suites of its own.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
# Tags of DER (ITU-T X.690): a date of two digits for the year, and the version, which may be left out.
_UTC_TIME, _VERSION = 0x17, 0xA0


class Unusable(Exception):
    """A file that cannot be used; `option` is the one of server.tls that names it."""

    def __init__(self, option: str, why: str) -> None:
        super().__init__(why)
        self.option = option


@dataclass(frozen=True, slots=True)
class Files:
    """Where the daemon's certificate chain, its key and the certificates of the clients' authorities are (all PEM).

    `client_ca_file` None: clients need no certificate.
    """

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None

    def signature(self) -> tuple[tuple[int, int, int] | None, ...]:
        """Changes when a file does."""
        return tuple(map(_signature, (self.cert_file, self.key_file, self.client_ca_file)))


def context_of(files: Files) -> ssl.SSLContext:
    """A context for a server of HTTP/2 that speaks TLS 1.2 and 1.3. Raises Unusable."""
    check_certificate(files.cert_file)
    check_key(files.key_file, files.cert_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(files.cert_file, files.key_file, password=_no_password)
    if files.client_ca_file is not None:
        check_authorities(files.client_ca_file)
        context.load_verify_locations(files.client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def ends_of(files: Files) -> dict[str, datetime]:
    """When the first certificate of each file ends to be valid, by the option that names the file; UTC.

    Raises OSError, or ValueError or IndexError if it is not understood.
    """
    paths = {"cert_file": files.cert_file, "client_ca_file": files.client_ca_file}
    return {option: min(_ends(path)) for option, path in paths.items() if path is not None}


def _ends(path: Path) -> Iterator[datetime]:
    for pem in _PEM.findall(path.read_text(errors="replace")):
        yield _end_of(ssl.PEM_cert_to_DER_cert(pem))


def _end_of(der: bytes) -> datetime:
    """RFC 5280: Certificate { tbs { [version], serial, algorithm, issuer, validity { from, to }, ... }, ... }."""
    (_, certificate), *_ = _fields(der)
    (_, tbs), *_ = _fields(certificate)
    fields = [field for field in _fields(tbs) if field[0] != _VERSION]
    _, (tag, text), *_ = _fields(fields[3][1])
    form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(text.decode("ascii"), form).replace(tzinfo=UTC)


def _fields(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The values that stand one behind the other in DER, with their tags."""
    while der:
        tag, length, start = der[0], der[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(der[2:start])
        yield tag, der[start : start + length]
        der = der[start + length :]


def check_certificate(path: Path) -> None:
    """Raises Unusable if this is no certificate chain."""
    _readable("cert_file", path)
    _holds_certificates("cert_file", path)


def check_authorities(path: Path) -> None:
    """Raises Unusable if there are no certificates."""
    _readable("client_ca_file", path)
    _holds_certificates("client_ca_file", path)


def check_key(path: Path, cert_file: Path) -> None:
    """Raises Unusable if this is no private key, not that of the certificate, or for everybody to read."""
    _readable("key_file", path)
    _kept_private(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert_file, path, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise Unusable("key_file", "must be the key of the certificate in cert_file") from None
        raise Unusable("key_file", "must be a private key in PEM, without a password") from None


def name_in(certificate: Mapping[str, Any]) -> str:
    """Whose certificate it is: its first DNS name, URI or e-mail address, else its common name; empty without any.

    `certificate` is what ssl.SSLObject.getpeercert returns.
    """
    for kind, name in certificate.get("subjectAltName", ()):
        if kind in ("DNS", "URI", "email"):
            return str(name)
    subject = (pair for part in certificate.get("subject", ()) for pair in part)
    return next((str(value) for key, value in subject if key == "commonName"), "")


def _signature(path: Path | None) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path) if path is not None else None  # noqa: PTH116 - at each handshake
    except OSError:
        return None
    return found and (found.st_mtime_ns, found.st_ino, found.st_size)


def _readable(option: str, path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise Unusable(option, f"must be a file that can be read: {error.strerror}") from None


def _kept_private(path: Path) -> None:
    """For its owner alone; one of root's may be for a group, as distributions have it."""
    found = path.stat()
    others = (
        stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP | (0 if found.st_uid == 0 != os.getuid() else stat.S_IRGRP)
    )
    if found.st_mode & others:
        raise Unusable("key_file", "must be for its owner alone to read: chmod 600")


def _holds_certificates(option: str, path: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
    except ssl.SSLError:
        raise Unusable(option, "must be certificates in PEM") from None


def _no_password() -> str:
    return ""  # else OpenSSL would ask on the terminal
