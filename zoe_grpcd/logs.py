"""Where log lines go and what they look like: text on a terminal, fields in the journal, JSON elsewhere.

Prompts and keys never reach a log, at no level. A record may carry `fields`: a mapping, for whoever can show it.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping

from zoe_grpcd.adapters.journal import PRIORITIES, SOCKET, JournalHandler, is_there

_encode = json.JSONEncoder(ensure_ascii=False).encode  # made once: that takes as long as a line


class PrefixFormatter(logging.Formatter):
    """One line a record with its priority in front as in sd-daemon(3), on each line of a trace too."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        prefix = f"<{PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return _encode(line)


def set_up(level: str, style: str, env: Mapping[str, str] = os.environ, journal: str = SOCKET) -> None:
    """Configures the root logger, once, before any channel is made.

    Args:
        level: debug, info, warning or error.
        style: auto, json or journal. auto: journal where standard error is the journal's, text on a terminal, else json.
        env: where systemd tells what standard error is.
        journal: its socket. If there is none, lines go to standard error with their priority in front.
    """
    root = logging.getLogger()
    root.handlers[:] = [_handler(style, env, journal)]
    root.setLevel(logging.WARNING)  # what others have to say matters when it is a warning
    set_level(level)


def set_level(level: str) -> None:
    """Another level, from now on."""
    logging.getLogger("zoe_grpcd").setLevel(level.upper())


def _handler(style: str, env: Mapping[str, str], journal: str) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    if style == "journal" or (style == "auto" and _under_journal(env)):
        handler.setFormatter(PrefixFormatter("%(message)s"))
        return JournalHandler(handler, journal) if is_there(journal) else handler
    if style == "json" or not sys.stderr.isatty():
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    return handler


def _under_journal(env: Mapping[str, str]) -> bool:
    """Standard error is the journal's own stream."""
    device, _, inode = env.get("JOURNAL_STREAM", "").partition(":")
    status = os.fstat(sys.stderr.fileno()) if device else None
    return status is not None and (str(status.st_dev), str(status.st_ino)) == (device, inode)
