"""The certificates that are in use, and new ones as soon as they are in their files.

The one rule: what cannot be used changes nothing, and is told once.
"""

import logging
import ssl

from zoe_grpcd.tls import Files, Unusable, context_of

log = logging.getLogger(__name__)


class Certificates:
    """Raises Unusable if there is nothing to begin with."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._looked_at = files.signature()
        self._context = context_of(files)

    @property
    def context(self) -> ssl.SSLContext:
        """For the next handshake. Costs a look at each file's time."""
        if (now := self._files.signature()) != self._looked_at:
            self._looked_at = now
            self._read_anew()
        return self._context

    def _read_anew(self) -> None:
        try:
            self._context = context_of(self._files)
        except (Unusable, OSError) as error:
            option = f".{error.option}" if isinstance(error, Unusable) else ""
            log.warning("server.tls%s %s; the certificate that was read before stays in use", option, error)
        else:
            log.info("server.tls: new certificates are in use")
