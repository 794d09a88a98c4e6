"""The certificates that are in use, and new ones as soon as they are in their files.

The one rule: what cannot be used changes nothing, and is told once. What is going to end is told once a day.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from contextlib import suppress

from zoe_grpcd.tls import Files, Unusable, context_of, ends_of

log = logging.getLogger(__name__)

DAY = 86400.0
# A certificate that ends in less is told of (seconds): three weeks, as those who renew by themselves do it at thirty days.
NOTICE = 21 * DAY


class Certificates:
    """Raises Unusable if there is nothing to begin with. `clock` gives unix seconds."""

    def __init__(self, files: Files, clock: Callable[[], float] = time.time) -> None:
        self._files = files
        self._clock = clock
        self._looked_at = files.signature()
        self._context = context_of(files)
        self._ends: dict[str, float] = {}
        self._note_ends()

    @property
    def context(self) -> ssl.SSLContext:
        """For the next handshake. Costs a look at each file's time."""
        if (now := self._files.signature()) != self._looked_at:
            self._looked_at = now
            self._read_anew()
        return self._context

    def left(self) -> dict[str, float]:
        """Seconds until a certificate of a file ends, by the option that names it; below 0: it has ended."""
        now = self._clock()
        return {option: end - now for option, end in self._ends.items()}

    def ending(self) -> list[str]:
        """Those of them that end soon, in words."""
        soon = ((option, left) for option, left in self.left().items() if left < NOTICE)
        return [f"server.tls.{option} {_words(left)}" for option, left in soon]

    async def watch(self) -> None:
        """Tells of them once a day; goes on for ever."""
        while True:
            await asyncio.sleep(DAY)
            self.look()

    def look(self) -> None:
        """Takes new ones that are there, and tells of those that end soon."""
        if self._files.signature() == self._looked_at:
            self._warn()
        _ = self.context

    def _read_anew(self) -> None:
        try:
            self._context = context_of(self._files)
        except (Unusable, OSError) as error:
            option = f".{error.option}" if isinstance(error, Unusable) else ""
            log.warning("server.tls%s %s; the certificate that was read before stays in use", option, error)
        else:
            log.info("server.tls: new certificates are in use")
            self._note_ends()

    def _note_ends(self) -> None:
        with suppress(OSError, ValueError, IndexError):  # OpenSSL took what we cannot read
            self._ends = {option: end.timestamp() for option, end in ends_of(self._files).items()}
        self._warn()

    def _warn(self) -> None:
        for sentence in self.ending():
            log.warning("%s; put a new one in its place", sentence)


def _words(left: float) -> str:
    if left <= 0:
        return "has ended"
    return f"ends in {left / DAY:.0f} days" if left >= 2 * DAY else f"ends in {left / 3600:.0f} hours"
