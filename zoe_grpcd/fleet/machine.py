"""The machine that backends share: a server beside another one takes its share of the same processor.

The rule: backends whose addresses name the same host are neighbours; what is computed far away has none.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.speed import Speed

LOOPBACK = "localhost"


class Machine:
    """What is at work on one machine, over all of its backends, and how fast any of them has shown it to be.

    `total`: seconds times requests, since the beginning. `usual`: how fast others are.
    """

    __slots__ = ("_at", "at_work", "speed", "total")

    def __init__(self, usual: Speed | None = None) -> None:
        self.speed = Speed(usual)
        self._at = 0.0
        self.at_work = 0
        self.total = 0.0

    def pass_time(self, now: float) -> None:
        """Counts the time until now."""
        passed = now - self._at
        if passed > 0:
            self.total += self.at_work * passed
            self._at = now


def machine_of(backend: Backend) -> str:
    """The name of its machine: the host of its address, all loopback names as one. Empty: it shares none."""
    if not backend.local or not backend.url:
        return ""
    if backend.url.startswith(("unix:", "http+unix:")):
        return LOOPBACK
    host = (urlsplit(backend.url).hostname or "").rstrip(".")
    return LOOPBACK if _is_loopback(host) else host


def _is_loopback(host: str) -> bool:
    if host == LOOPBACK or host.endswith(f".{LOOPBACK}"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return False
