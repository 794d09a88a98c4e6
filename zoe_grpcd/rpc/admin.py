"""zoe.admin.v1.AdminService: what the fleet looks like, and what an operator does to it."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf.message import Message

from zoe.admin.v1 import admin_service_pb2 as pb
from zoe.admin.v1 import backend_pb2
from zoe_grpcd.core.backend import Phase
from zoe_grpcd.core.errors import NotFound, Unimplemented
from zoe_grpcd.core.phases import Signal
from zoe_grpcd.core.views import BackendReport
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.rpc import admin_encode
from zoe_grpcd.rpc.fields import Violations
from zoe_grpcd.rpc.guard import Context, Handler, streaming, unary
from zoe_grpcd.rpc.notice import Notice, Watchers
from zoe_grpcd.run import Around

log = logging.getLogger(__name__)

SERVICE = "zoe.admin.v1.AdminService"
LATER = (
    "PrepareModel",
    "ReleaseLease",
    "ListLeases",
)
"""Methods of the contract whose time has not come."""
LONGEST_REASON = 512  # characters


class AdminServicer:
    """`aliases`: name -> the models that it stands for; `further`: methods that others answer, by name."""

    bookmark_interval = 60.0  # seconds; tells an idle watcher that its stream lives

    def __init__(
        self,
        fleet: Fleet,
        watchers: Watchers,
        around: Around,
        aliases: Mapping[str, tuple[str, ...]],
        further: Mapping[str, Handler],
    ) -> None:
        self._fleet = fleet
        self._watchers = watchers
        self._clock, self._nudge = around.clock, around.nudge
        self._further = further
        self.name(aliases)

    def handlers(self) -> grpc.GenericRpcHandler:
        """All methods as one generic handler."""
        methods = {
            "ListBackends": unary(self.list_backends, pb.ListBackendsRequest, pb.ListBackendsResponse),
            "GetBackend": unary(self.get_backend, pb.GetBackendRequest, pb.GetBackendResponse),
            "WatchBackends": streaming(
                self.watch_backends, pb.WatchBackendsRequest, pb.WatchBackendsResponse
            ),
            "ListModels": unary(self.list_models, pb.ListModelsRequest, pb.ListModelsResponse),
            "DrainBackend": unary(self.drain_backend, pb.DrainBackendRequest, pb.DrainBackendResponse),
            "UndrainBackend": unary(
                self.undrain_backend, pb.UndrainBackendRequest, pb.UndrainBackendResponse
            ),
        }
        methods |= {name: unary(_later(name), *_messages(name)) for name in LATER}
        methods |= {name: unary(handler, *_messages(name)) for name, handler in self._further.items()}
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def name(self, aliases: Mapping[str, tuple[str, ...]]) -> None:
        """Other aliases."""
        self._aliases: dict[str, list[str]] = {}
        for alias, members in aliases.items():
            for model in members:
                self._aliases.setdefault(model, []).append(alias)

    async def list_backends(
        self, request: pb.ListBackendsRequest, context: Context
    ) -> pb.ListBackendsResponse:
        """All backends, or those in the given states and with the given labels."""
        backends = [
            backend
            for backend in self._backends()
            if (not request.states or backend.state in request.states)
            and all(backend.labels.get(key) == value for key, value in request.labels.items())
        ]
        return pb.ListBackendsResponse(backends=backends, revision=self._fleet.picture.revision)

    async def get_backend(self, request: pb.GetBackendRequest, context: Context) -> pb.GetBackendResponse:
        """One backend."""
        return pb.GetBackendResponse(backend=self._backend(known(self._fleet, request.name)))

    async def drain_backend(
        self, request: pb.DrainBackendRequest, context: Context
    ) -> pb.DrainBackendResponse:
        """Sends a backend no new requests; the running ones go on."""
        name, why = known(self._fleet, request.name), _reason_of(request)
        self._fleet.health.signal(name, Signal.DRAIN, why, self._clock())
        log.info("backend %s drains, %d running: %s", name, self._fleet.leases.in_flight(name), why)
        return pb.DrainBackendResponse(backend=self._backend(name))

    async def undrain_backend(
        self, request: pb.UndrainBackendRequest, context: Context
    ) -> pb.UndrainBackendResponse:
        """Takes a backend back: it gets requests from its next probe on, which is made at once."""
        name, why = known(self._fleet, request.name), _reason_of(request)
        if self._fleet.health.phase(name) is Phase.DRAINING:
            self._fleet.health.signal(name, Signal.UNDRAIN, "not probed since it was drained", self._clock())
            log.info("backend %s is taken back: %s", name, why)
            self._nudge(name)
        return pb.UndrainBackendResponse(backend=self._backend(name))

    async def list_models(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        """All models by their public names, or those of one backend, or with all of the given capabilities."""
        reports = [r for r in self._reports() if request.backend in ("", r.backend.name)]
        wanted = set(request.capabilities)
        models = admin_encode.models(reports, self._aliases)
        return pb.ListModelsResponse(models=[m for m in models if wanted <= set(m.capabilities)])

    async def watch_backends(self, request: pb.WatchBackendsRequest, context: Context) -> None:
        """A snapshot, or a bookmark if the caller is up to date; then each change; ends with the daemon."""
        with self._watchers.watch() as notice:
            if request.since_revision and request.since_revision == self._fleet.picture.revision:
                await self._tell(context, bookmark=pb.BackendsBookmark())
            else:
                await self._tell(context, snapshot=pb.BackendsSnapshot(backends=self._backends()))
            await self._tell_changes(context, notice)

    async def _tell_changes(self, context: Context, notice: Notice) -> None:
        while not notice.closing:
            try:
                async with asyncio.timeout(self.bookmark_interval):
                    changed = await notice.take()
            except TimeoutError:
                await self._tell(context, bookmark=pb.BackendsBookmark())
                continue
            for name in sorted(changed):
                if name in self._fleet.names():
                    await self._tell(context, updated=self._backend(name))
                else:
                    await self._tell(context, removed=name)

    async def _tell(self, context: Context, **event: Any) -> None:
        await context.write(pb.WatchBackendsResponse(revision=self._fleet.picture.revision, **event))

    def _reports(self) -> list[BackendReport]:
        now = self._clock()
        return [self._fleet.report(name, now) for name in self._fleet.names()]

    def _backends(self) -> list[backend_pb2.Backend]:
        return [admin_encode.backend(report, self._wall) for report in self._reports()]

    def _backend(self, name: str) -> backend_pb2.Backend:
        return admin_encode.backend(self._fleet.report(name, self._clock()), self._wall)

    def _wall(self, at: float) -> float:
        return time.time() - (self._clock() - at)


def known(fleet: Fleet, name: str) -> str:
    """The name of a backend that there is; raises NotFound."""
    if name not in fleet.names():
        names = ", ".join(fleet.names()) or "none"
        raise NotFound(f"no backend is named {name!r}; known: {names}", metadata={"backend": name})
    return name


def _reason_of(request: pb.DrainBackendRequest | pb.UndrainBackendRequest) -> str:
    """Why, as it is shown in tables and in the log; raises InvalidRequest."""
    notes = Violations()
    if len(request.reason) > LONGEST_REASON or not request.reason.isprintable():
        notes.add("reason", f"must be at most {LONGEST_REASON} printable characters, in one line")
    notes.refuse()
    return request.reason


def _later(name: str) -> Handler:
    async def later(_request: Message, _context: Context) -> None:
        raise Unimplemented(f"{name} is not implemented in this version")

    return later


def _messages(name: str) -> tuple[type[Message], type[Message]]:
    return getattr(pb, f"{name}Request"), getattr(pb, f"{name}Response")
