"""Where log lines go and what they look like: text on a terminal, priorities under the journal, JSON elsewhere.

Prompts and keys never reach a log, at no level.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping

# sd-daemon(3): a line's priority in front of it
PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class JournalFormatter(logging.Formatter):
    """One line a record with the journal's priority prefix, on each line of a trace too."""

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
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up(level: str, style: str, env: Mapping[str, str] = os.environ) -> None:
    """Configures the root logger, once, before any channel is made. `style`: auto, json or journal."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(style, env))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # what others have to say matters when it is a warning
    logging.getLogger("zoe_grpcd").setLevel(level.upper())


def set_level(level: str) -> None:
    """Another level, from now on."""
    logging.getLogger("zoe_grpcd").setLevel(level.upper())


def _formatter(style: str, env: Mapping[str, str]) -> logging.Formatter:
    if style == "journal" or (style == "auto" and _under_journal(env)):
        return JournalFormatter("%(message)s")
    if style == "json" or not sys.stderr.isatty():
        return JsonFormatter()
    return logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")


def _under_journal(env: Mapping[str, str]) -> bool:
    """Standard error is the journal's own stream."""
    device, _, inode = env.get("JOURNAL_STREAM", "").partition(":")
    status = os.fstat(sys.stderr.fileno()) if device else None
    return status is not None and (str(status.st_dev), str(status.st_ino)) == (device, inode)
