"""The only mutable state of the daemon: backends, their models, warmth, what is in flight, what was learned.

Every method is synchronous, so that on one event loop each change is whole. Nothing awaits between
`picture.snapshot` and `leases.take`. Times are seconds of one monotonic clock, and always an argument.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from zoe_grpcd.core.backend import Backend, Deployment, ModelFacts, Phase
from zoe_grpcd.core.breaker import Caution
from zoe_grpcd.core.phases import Signal
from zoe_grpcd.core.views import BackendReport
from zoe_grpcd.fleet.catalogue import Catalogue
from zoe_grpcd.fleet.health import Health
from zoe_grpcd.fleet.host import Host
from zoe_grpcd.fleet.lease import Lease
from zoe_grpcd.fleet.leases import Leases
from zoe_grpcd.fleet.machine import Machine, machine_of
from zoe_grpcd.fleet.memory import Memory
from zoe_grpcd.fleet.picture import Picture
from zoe_grpcd.fleet.pictures import report_of

__all__ = ["Fleet", "Lease"]


class Fleet:
    """All backends: here they come, change and go. The rest is done by its parts, each of which has its file.

    - `catalogue`: the models on the backends
    - `health`: how the backends do
    - `leases`: what is in flight there
    - `picture`: what decisions look at, and who is told of changes
    - `memory`: what was learned, as values that outlive it

    `facts` and `deployments` are what the operator states about models. `first_number`: the number of the first request,
    from which random strategies draw. `caution`: what is held against those that fail.
    """

    def __init__(
        self,
        facts: Mapping[str, ModelFacts] | None = None,
        deployments: Sequence[Deployment] = (),
        first_number: int = 0,
        caution: Caution | None = None,
    ) -> None:
        hosts = self._hosts = dict[str, Host]()
        self._machines: dict[str, Machine] = {}
        self.memory = Memory(hosts)
        self.picture = Picture(hosts, first_number)
        self.catalogue = Catalogue(hosts, self.memory, self.picture)
        self.catalogue.facts, self.catalogue.deployments = dict(facts or {}), tuple(deployments)
        self.health = Health(hosts, self.catalogue, self.picture, self.memory)
        self.health.caution = caution or Caution()
        self.leases = Leases(hosts, self.health, self.picture, self.memory)
        self.leases.one_less = self._let_go
        # requests of ours that wait for a place on a backend
        self.waits: Callable[[str], int] = lambda _name: 0

    def names(self) -> list[str]:
        """The backends' names, sorted."""
        return sorted(self._hosts)

    def backend(self, name: str) -> Backend:
        """One backend as it was set up."""
        return self._hosts[name].backend

    def report(self, name: str, now: float) -> BackendReport:
        """What an operator sees of one backend; KeyError if there is none of that name."""
        return replace(report_of(self._hosts[name], now), queued=self.waits(name))

    def add(self, backend: Backend, now: float) -> None:
        """Takes in a backend; its models are unknown until the first probe, but for the configured ones."""
        shared = machine_of(backend)
        machine = Machine(self.memory.usual)
        if shared:
            machine = self._machines.setdefault(shared, machine)
        if former := self._hosts.get(backend.name):
            former.leave(now)
            self.memory.keep(former, now)
        host = Host(backend, self.catalogue.configured(backend.name), now, machine)
        self._hosts[backend.name] = host
        host.doubted = self.health.caution.degraded_weight
        self.memory.tell_host(host)
        self.catalogue.serve(host)
        self.picture.changed(host)

    def refit(
        self,
        facts: Mapping[str, ModelFacts],
        deployments: Sequence[Deployment],
        caution: Caution,
        now: float,
    ) -> None:
        """Takes other facts, deployments and rules. What was learned stays, and so does what runs; what is held against
        a backend ends by the rules by which it began.
        """
        self.catalogue.facts, self.catalogue.deployments = dict(facts), tuple(deployments)
        self.health.caution = caution
        for host in self._hosts.values():
            self._refit(host, now)

    def change(self, backend: Backend, now: float) -> None:
        """Takes other settings for a backend that is there; it is the same server."""
        host = self._hosts[backend.name]
        host.backend = backend
        self._refit(host, now)
        if host.retired:
            host.retired = False
            self.health.move(host, "not probed since it was taken back", now, Signal.UNDRAIN)

    def retire(self, name: str, now: float) -> None:
        """Sends a backend nothing new, for good: it is gone when its last request has ended."""
        host = self._hosts[name]
        host.retired = True
        self.health.move(host, "no longer configured", now, Signal.DRAIN)
        self._let_go(host, now)

    def _refit(self, host: Host, now: float) -> None:
        host.doubted = self.health.caution.degraded_weight
        if not self.catalogue.is_as_stated(host):
            self.catalogue.serve_anew(host, now)
        host.forget_views()
        self.picture.changed(host)

    def _let_go(self, host: Host, now: float) -> None:
        """Says so of a drained backend that has ended its last request; one that is retired is gone then."""
        if host.phase is not Phase.DRAINING or host.leases:
            return
        if host.retired:
            host.leave(now)
            self.memory.keep(host, now)
            del self._hosts[host.backend.name]
            self.catalogue.forget()
        self.picture.changed(host)
