"""WarmModel: has a model loaded before anybody asks for it."""

from zoe.admin.v1 import admin_service_pb2 as pb
from zoe.admin.v1 import backend_pb2
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.rpc.admin import known
from zoe_grpcd.rpc.admin_encode import duration
from zoe_grpcd.rpc.fields import Violations
from zoe_grpcd.rpc.guard import Context, Handler
from zoe_grpcd.warming import Warming, Wish

LONGEST_STAY = 10 * 365 * 86400.0  # seconds; whoever wants more wants it for good


class Warmups:
    """Answers what is wanted in memory."""

    def __init__(self, warming: Warming, fleet: Fleet) -> None:
        self._warming = warming
        self._fleet = fleet

    def handlers(self) -> dict[str, Handler]:
        """The methods of the admin service that are answered here."""
        return {"WarmModel": self.warm_model}

    async def warm_model(self, request: pb.WarmModelRequest, context: Context) -> pb.WarmModelResponse:
        """Loads or wakes a model."""
        wish = _wish(request)
        if wish.backend:
            known(self._fleet, wish.backend)
        warmed = await self._warming.warm(wish, wait=request.wait)
        return pb.WarmModelResponse(
            backend=warmed.backend,
            load_state=backend_pb2.LoadState.Value(f"LOAD_STATE_{warmed.state}"),
            already_loaded=warmed.already,
            load_duration=None if warmed.seconds is None else duration(warmed.seconds),
        )


def _wish(request: pb.WarmModelRequest) -> Wish:
    notes, keep_alive = Violations(), None
    if not request.model:
        notes.add("model", "must name a model, an alias or a group")
    if request.HasField("keep_alive"):
        keep_alive = request.keep_alive.seconds + request.keep_alive.nanos / 1e9
        if abs(request.keep_alive.nanos) >= 1_000_000_000:
            notes.add("keep_alive", "must be a duration; less than 0 keeps it for good")
        elif keep_alive == 0:
            notes.add("keep_alive", "must not be 0, which would unload it; less than 0 keeps it for good")
        elif keep_alive > LONGEST_STAY:
            notes.add("keep_alive", "must be at most 10 years; less than 0 keeps it for good")
    notes.refuse()
    return Wish(request.model, request.backend, keep_alive)
