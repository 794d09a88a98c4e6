"""grpc.health.v1.Health: Check, List, and a Watch that ends when the daemon shuts down.

    ""                                     the daemon: NOT_SERVING while it drains
    "zoe.inference.v1.InferenceService"    SERVING while at least one backend is usable
    "zoe.admin.v1.AdminService"            the daemon
    "model/<id>"                           SERVING while a usable backend serves the model

Without a key nobody is told of models where keys are asked for; of the services everybody is, as those who probe a
daemon or choose among replicas have none to show.

The servicer that ships with grpcio knows no List, and its Watch streams hold up a graceful stop to the end of its grace.
"""

import grpc
from grpc_health.v1 import health_pb2 as pb

from zoe_grpcd.access import Access
from zoe_grpcd.core.errors import NotFound, Unauthenticated
from zoe_grpcd.core.views import BackendView, Snapshot
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.rpc import admin, inference
from zoe_grpcd.rpc.admin_encode import USABLE
from zoe_grpcd.rpc.guard import AUTHORIZATION, Context, metadata_of, streaming, unary
from zoe_grpcd.rpc.notice import Watchers
from zoe_grpcd.run import Around

SERVICE = "grpc.health.v1.Health"
Status = int
SERVING: Status = pb.HealthCheckResponse.SERVING
NOT_SERVING: Status = pb.HealthCheckResponse.NOT_SERVING
UNKNOWN: Status = pb.HealthCheckResponse.SERVICE_UNKNOWN
MODEL = "model/"


class HealthServicer:
    """Reads the fleet; keeps no status of its own. `access`: the keys that are asked for; None: none are."""

    def __init__(
        self, fleet: Fleet, watchers: Watchers, around: Around, access: Access | None = None
    ) -> None:
        self._access = access
        self._fleet = fleet
        self._watchers = watchers
        self._clock = around.clock

    def handlers(self) -> grpc.GenericRpcHandler:
        """All methods as one generic handler."""
        methods = {
            "Check": unary(self.check, pb.HealthCheckRequest, pb.HealthCheckResponse),
            "List": unary(self.list, pb.HealthListRequest, pb.HealthListResponse),
            "Watch": streaming(self.watch, pb.HealthCheckRequest, pb.HealthCheckResponse),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def check(self, request: pb.HealthCheckRequest, context: Context) -> pb.HealthCheckResponse:
        """The status of one service; NOT_FOUND for an unknown one."""
        status = self._status(self._asked(request, context))
        if status == UNKNOWN:
            raise NotFound(f"no service is named {request.service!r}", metadata={"service": request.service})
        return pb.HealthCheckResponse(status=status)

    async def list(self, request: pb.HealthListRequest, context: Context) -> pb.HealthListResponse:
        """The status of every service."""
        names = ["", inference.SERVICE, admin.SERVICE]
        if self._is_known(context):
            names += [MODEL + model for model in sorted(self._snapshot().by_model)]
        return pb.HealthListResponse(
            statuses={name: pb.HealthCheckResponse(status=self._status(name)) for name in names}
        )

    async def watch(self, request: pb.HealthCheckRequest, context: Context) -> None:
        """The status now and at each change of it; NOT_SERVING and the end when the daemon shuts down."""
        last: Status | None = None
        service = self._asked(request, context)
        with self._watchers.watch() as notice:
            while True:
                closing = notice.closing  # before the status, which may change during a write
                status = self._status(service)
                if status != last:
                    await context.write(pb.HealthCheckResponse(status=status))
                    last = status
                if closing:
                    return
                await notice.take()

    def _asked(self, request: pb.HealthCheckRequest, context: Context) -> str:
        """The service that is asked for; of a model that the caller may not hear of, one that nobody knows."""
        service: str = request.service
        return service if not service.startswith(MODEL) or self._is_known(context) else MODEL

    def _is_known(self, context: Context) -> bool:
        """Whether no key is asked for, or the caller has one."""
        if not self._access:
            return True
        try:
            self._access.identify(metadata_of(context, AUTHORIZATION))
        except Unauthenticated:
            return False
        return True

    def _snapshot(self) -> Snapshot:
        return self._fleet.picture.snapshot(self._clock())

    def _status(self, service: str) -> Status:
        snapshot = self._snapshot()
        if service.startswith(MODEL):
            return self._model_status(service.removeprefix(MODEL), snapshot)
        if service not in ("", inference.SERVICE, admin.SERVICE):
            return UNKNOWN
        if self._watchers.closing:
            return NOT_SERVING
        if service != inference.SERVICE:
            return SERVING
        return SERVING if any(_is_usable(view) for view in snapshot.backends.values()) else NOT_SERVING

    def _model_status(self, model: str, snapshot: Snapshot) -> Status:
        views = snapshot.by_model.get(model)
        if views is None:
            return UNKNOWN
        usable = any(
            view.served and not view.barred and _is_usable(snapshot.backends[view.deployment.backend])
            for view in views
        )
        return SERVING if usable and not self._watchers.closing else NOT_SERVING


def _is_usable(view: BackendView) -> bool:
    """It serves requests, or waits for the one that tries whether it does again."""
    return view.phase in USABLE or view.trial
