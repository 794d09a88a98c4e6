"""What the daemon shows of itself: its metrics, and the port that they and the pages are on.

Rule: whoever shows figures reads what is counted once; nothing is counted for the sake of one reader.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zoe_grpcd import __version__
from zoe_grpcd.adapters.httpport import CannotServe, Handler, HttpPort, pages
from zoe_grpcd.adapters.prometheus import Exposition, Readings
from zoe_grpcd.admission import WaitingRoom
from zoe_grpcd.core.calls import Calls
from zoe_grpcd.core.views import BackendReport
from zoe_grpcd.decisions import DecisionLog
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.rpc.admin_encode import USABLE
from zoe_grpcd.rpc.doors import CannotListen
from zoe_grpcd.rpc.guard import Gate

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Reads everything, changes nothing."""

    fleet: Fleet
    waiting: WaitingRoom
    gate: Gate
    calls: Calls
    certificates: Callable[[], Mapping[str, float]] = dict  # seconds until they end, by their options

    @property
    def log(self) -> DecisionLog:
        """The last requests, and what was counted of all of them."""
        return self.gate.log

    def readings(self) -> Readings:
        """All figures at this moment, since the start."""
        running = Counter(entry.backend for entry in self.log.running)
        return Readings(
            __version__,
            self.calls.copy(),
            self.log.statistics.since_start(),
            self.reports(),
            {name: running[name] for name in self.fleet.names()},
            self.waiting.depths(),
            self.certificates(),
        )

    def reports(self) -> list[BackendReport]:
        """Every backend as it is now."""
        now = time.monotonic()
        return [self.fleet.report(name, now) for name in self.fleet.names()]

    def health(self) -> tuple[bool, str]:
        """Whether new requests are served, and that in words."""
        usable = sum(self.fleet.health.phase(name) in USABLE for name in self.fleet.names())
        if self.gate.draining:
            return False, "draining"
        return usable > 0, f"{usable} of {len(self.fleet.names())} backends ready"

    def port(self, further: Mapping[str, Handler] | None = None) -> HttpPort:
        """The port for metrics and pages; `further`: more pages, by their path."""
        return HttpPort(pages(Exposition(self.readings).text, self.health) | dict(further or {}))


async def open_port(port: HttpPort, address: str | None, *, asked_for: bool) -> None:
    """Listens. If that is not possible: raises CannotListen if it was asked for, else warns and goes on without."""
    if address is None:
        return
    try:
        await port.open(address)
    except CannotServe as error:
        if asked_for:
            raise CannotListen(f"server.metrics_listen: {error}") from None
        log.warning("no metrics and no status page: %s; set server.metrics_listen", error)
        return
    log.info("status page on http://%s/, metrics on /metrics", port.address)
