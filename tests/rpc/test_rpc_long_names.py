"""Names that are far too long: refused by their field, and kept by nobody, however many of them come."""

import pytest
from rpc.stage import Stage, asked, failed, said

from zoe.inference.v1 import inference_service_pb2 as pb
from zoe.inference.v1.routing_pb2 import Target
from zoe_grpcd.rpc.parse import REQUEST_ID_RULE

HUGE = "x" * 300_000


async def test_a_request_id_is_kept_no_longer_than_one_may_be(stage: Stage) -> None:
    spec = asked(said())
    for call in (
        stage.inference.Complete(pb.CompleteRequest(spec=spec, request_id=HUGE)),
        stage.inference.StreamComplete(pb.StreamCompleteRequest(spec=spec, request_id=HUGE)),
    ):
        refused = (await failed(call)).violations()
        assert refused == [("request_id", REQUEST_ID_RULE)]
    assert [len(entry.request_id) for entry in stage.gate.log.newest_first()] == [129, 129]


@pytest.mark.parametrize(
    ("target", "field"),
    [
        (Target(model="m" * 513), "spec.target.model"),
        (Target(model="tiny", fallback_models=["other", HUGE]), "spec.target.fallback_models"),
    ],
)
async def test_a_model_is_named_in_so_many_characters(stage: Stage, target: Target, field: str) -> None:
    failure = await failed(stage.inference.Route(pb.RouteRequest(spec=asked(said(), target=target))))
    assert failure.violations() == [(field, "must be at most 512 characters long")]


async def test_a_long_name_of_nobody_is_unknown(stage: Stage) -> None:
    spec = asked(said(), target=Target(model="m" * 512))
    failure = await failed(stage.inference.Route(pb.RouteRequest(spec=spec)))
    assert failure.info.reason == "MODEL_NOT_FOUND"
