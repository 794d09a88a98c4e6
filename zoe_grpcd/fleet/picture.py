"""What is seen of the fleet: the picture that decisions look at, and who is told when it changes.

Rule: whoever changes something that is in the picture sets `current` to None; what an operator would see goes through
`changed`, which does so as well.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf

from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.turns import Owed, Scope, Turn, remembered
from zoe_grpcd.core.views import DeploymentView, Snapshot
from zoe_grpcd.fleet.host import Host
from zoe_grpcd.fleet.pictures import Gallery, backend_view_of, gallery_of, view_of


class Picture:
    """Of one fleet. `hosts` are the fleet's own; `number`: that of the next request, from which random strategies draw.

    The picture lasts as long as it is true, and its parts do: most requests change their own backend only. `revision`
    counts the changes that an operator would see.
    """

    def __init__(self, hosts: Mapping[str, Host], number: int) -> None:
        self._hosts = hosts
        self._number = number
        self._owing: Mapping[Scope, Owed] = {}
        self._is_loading = False  # some model of the last gallery
        self._stale_at = inf  # when something that is held against a backend changes by itself
        self._subscribers: list[Callable[[str], None]] = []
        self.current: Snapshot | None = None
        self.gallery: Gallery | None = None
        self.revision = 0

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Calls back with a backend's name after each change that an operator would see; returns the way out."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def changed(self, host: Host) -> None:
        """An operator would see a backend otherwise than before."""
        self.revision += 1
        host.revision = self.revision
        host.view = self.current = None
        for callback in tuple(self._subscribers):
            callback(host.backend.name)

    def begin(self, turn: Turn | None) -> None:
        """A request begins, and takes that turn."""
        self._number += 1
        if turn is not None:
            self._owing = remembered(self._owing, turn)
        self.current = None

    def snapshot(self, now: float) -> Snapshot:
        """All of it; the same object as long as nothing changed."""
        if now >= self._stale_at:
            self.current = None
            for host in self._hosts.values():
                if host.trouble is not None:
                    host.forget_views()
        if self.current is not None and not self._is_loading:
            return self._with_time(self.current, now)
        gallery = self._gallery_at(now)
        self.current = Snapshot(
            backends={name: backend_view_of(host, now) for name, host in self._hosts.items()},
            by_model=gallery.by_model,
            auto=gallery.auto,
            number=self._number,
            owing=self._owing,
        )
        self._stale_at = inf
        if troubles := [host.trouble for host in self._hosts.values() if host.trouble is not None]:
            self._stale_at = min(trouble.changes_at(now) for trouble in troubles)
            self.current.at = now
        return self.current

    def view(self, deployment: Deployment, now: float) -> DeploymentView | None:
        """One deployment at this moment; None if it is no longer there."""
        views = self.snapshot(now).by_model.get(deployment.model, ())
        return next((view for view in views if view.deployment == deployment), None)

    def _gallery_at(self, now: float) -> Gallery:
        """All deployments; the same object as long as none of them changed."""
        self._is_loading = False
        for host in self._hosts.values():
            for served in host.served.values():
                loads = served.loading_since is not None  # what is left of it changes with time
                if loads or served.view is None:
                    served.view = view_of(served, host, now)
                    self.gallery = None
                    self._is_loading = self._is_loading or loads
        if self.gallery is None:
            pairs = [pair for host in self._hosts.values() for pair in host.served.items()]
            self.gallery = gallery_of((model, served.view) for model, served in pairs if served.view)
        return self.gallery

    def _with_time(self, snapshot: Snapshot, now: float) -> Snapshot:
        """The same picture, with what is left of the requests in flight by now, and of what is held against backends."""
        if snapshot.at and snapshot.at != now:
            snapshot = self.current = replace(snapshot, at=now)
        busy = [host for host in self._hosts.values() if host.leases and host.view_at != now]
        if busy:
            fresh = {host.backend.name: backend_view_of(host, now) for host in busy}
            self.current = replace(snapshot, backends={**snapshot.backends, **fresh})
            return self.current
        return snapshot
