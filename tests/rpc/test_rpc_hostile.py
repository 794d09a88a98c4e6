"""What the fuzzer has found: each is an error that names the field."""

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from rpc.stage import Stage

from zoe.admin.v1.admin_service_pb2 import GetStatsRequest, ListDecisionsRequest


@pytest.mark.parametrize("seconds", [(1 << 63) - 1, -(1 << 63), 315_576_000_000])
async def test_a_window_beyond_all_measure(stage: Stage, seconds: int) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="INVALID_ARGUMENT"):
        await stage.admin.GetStats(GetStatsRequest(window=Duration(seconds=seconds)))


@pytest.mark.parametrize(
    "moment", [Timestamp(seconds=315_576_000_000), Timestamp(nanos=-1), Timestamp(nanos=1 << 30)]
)
async def test_a_time_that_no_calendar_has(stage: Stage, moment: Timestamp) -> None:
    for request in (ListDecisionsRequest(start_time=moment), ListDecisionsRequest(end_time=moment)):
        with pytest.raises(grpc.aio.AioRpcError, match="INVALID_ARGUMENT"):
            await stage.admin.ListDecisions(request)


async def test_a_page_that_no_number_is_long_enough_for(stage: Stage) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="INVALID_ARGUMENT"):
        await stage.admin.ListDecisions(ListDecisionsRequest(page_token="1" * 10_000))
