"""The journal's native protocol: records with fields of their own (systemd.io/JOURNAL_NATIVE_PROTOCOL), by hand, since the
library for it wants headers.

Rule: a record that the journal does not take is not lost: it goes to whoever comes next.
"""

import errno
import fcntl
import json
import logging
import os
import socket
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "zoe-grpcd"
# The journal's, as of syslog(3).
PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class JournalHandler(logging.Handler):
    """Sends each record to the journal, and what it does not take to `otherwise`."""

    def __init__(self, otherwise: logging.Handler, path: str = SOCKET) -> None:
        super().__init__()
        self._otherwise = otherwise
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)  # noqa: FBT003 - the socket module's own signature

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        try:
            self._send(encoded(_fields_of(self, record)))
        except OSError:
            self._otherwise.handle(record)
        except Exception:  # noqa: BLE001 - as every handler does: a line of the log ends no call
            self.handleError(record)

    def close(self) -> None:
        """See logging.Handler."""
        self._socket.close()
        super().close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendto(data, self._path)
        except OSError as error:
            if not _is_too_long(error):
                raise
            self._send_file(data)

    def _send_file(self, data: bytes) -> None:
        """What is too long for a datagram goes in a sealed file in memory."""
        file = os.memfd_create("journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.write(file, data)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", file))]
            self._socket.sendmsg([b""], rights, 0, self._path)
        finally:
            os.close(file)


def encoded(fields: Iterable[tuple[str, str]]) -> bytes:
    """A record as the journal reads it: NAME=value, or with a length where the value has lines."""
    parts = []
    for name, text in fields:
        value = text.encode(errors="replace")
        if b"\n" in value:
            parts.append(name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n")
        else:
            parts.append(name.encode() + b"=" + value + b"\n")
    return b"".join(parts)


def is_there(path: str = SOCKET) -> bool:
    """Whether there is a journal."""
    return Path(path).is_socket()


def _is_too_long(error: OSError) -> bool:
    return error.errno in (errno.EMSGSIZE, errno.ENOBUFS)


def _fields_of(handler: logging.Handler, record: logging.LogRecord) -> Iterable[tuple[str, str]]:
    yield "MESSAGE", handler.format(record)
    yield "PRIORITY", str(PRIORITIES.get(record.levelno, 6))
    yield "SYSLOG_IDENTIFIER", IDENTIFIER
    yield "LOGGER", record.name
    if record.exc_info:
        yield from (("CODE_FILE", record.pathname), ("CODE_LINE", str(record.lineno)))
    given: Mapping[str, object] = getattr(record, "fields", {})
    for name, value in given.items():
        if value not in (None, "", ()):
            yield f"ZOE_{name.upper()}", value if isinstance(value, str) else json.dumps(value)
