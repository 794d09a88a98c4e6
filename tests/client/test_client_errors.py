"""Which error a failed call becomes, and what it tells."""

import pickle
from typing import Any

import grpc
import pytest
from client.recording import Daemon, Refusal, retry_info
from google.rpc import error_details_pb2 as rpc

import zoe_client
from zoe.inference.v1.error_pb2 import ErrorReason
from zoe_client.errors import ZoeError
from zoe_client.status import BY_CODE, BY_REASON

REASONS = [name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()[1:]]


async def failure(asker: Any, daemon: Daemon, refusal: Refusal) -> ZoeError:
    daemon.script.append(refusal)
    with pytest.raises(ZoeError) as caught:
        await asker.complete("hi", request_id="r-1")
    return caught.value


def test_every_reason_of_the_contract_has_a_class() -> None:
    assert sorted(BY_REASON) == sorted(REASONS)


def test_every_class_is_exported() -> None:
    classes = {*BY_REASON.values(), *BY_CODE.values()}
    assert {each.__name__ for each in classes} <= set(zoe_client.__all__)


@pytest.mark.parametrize("reason", REASONS)
async def test_the_reason_decides_the_class(asker: Any, daemon: Daemon, reason: str) -> None:
    error = await failure(asker, daemon, Refusal(grpc.StatusCode.DATA_LOSS, reason))
    assert type(error) is BY_REASON[reason]
    assert error.reason == reason
    assert error.code is grpc.StatusCode.DATA_LOSS


async def test_without_a_known_reason_the_code_decides(asker: Any, daemon: Daemon) -> None:
    later = Refusal(grpc.StatusCode.NOT_FOUND, "SOMETHING_NEW")
    foreign = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", domain="elsewhere")
    unknown = Refusal(grpc.StatusCode.DATA_LOSS)
    assert type(await failure(asker, daemon, later)) is zoe_client.NotFound
    assert type(await failure(asker, daemon, foreign)) is zoe_client.ResourceExhausted
    assert type(await failure(asker, daemon, unknown)) is ZoeError


async def test_an_error_keeps_all_that_the_daemon_said(asker: Any, daemon: Daemon) -> None:
    wrong = rpc.BadRequest(
        field_violations=[
            rpc.BadRequest.FieldViolation(field="spec.messages", description="is empty"),
            rpc.BadRequest.FieldViolation(field="spec.top_logprobs", description="is over 20"),
        ]
    )
    refusal = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "BAD_REQUEST", "is empty", (wrong, retry_info(1.5)))
    error = await failure(asker, daemon, refusal)
    assert isinstance(error, zoe_client.InvalidRequest)
    assert [(each.field, each.description) for each in error.violations] == [
        ("spec.messages", "is empty"),
        ("spec.top_logprobs", "is over 20"),
    ]
    assert (error.message, error.retry_after, error.request_id) == ("is empty", 1.5, "r-1")
    assert error.metadata["did_you_mean"] == "tiny"
    assert str(error) == "BAD_REQUEST: is empty; spec.top_logprobs: is over 20"
    assert isinstance(error.__cause__, grpc.RpcError)


async def test_preconditions_and_quotas_are_violations_too(asker: Any, daemon: Daemon) -> None:
    lack = rpc.PreconditionFailure(
        violations=[{"type": "CAPABILITY", "subject": "vision", "description": "nobody sees"}]
    )
    quota = rpc.QuotaFailure(violations=[{"subject": "key:ann", "description": "60 a minute"}])
    first = await failure(
        asker, daemon, Refusal(grpc.StatusCode.FAILED_PRECONDITION, "NO_CAPABLE_BACKEND", "", (lack,))
    )
    second = await failure(
        asker, daemon, Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", "", (quota,))
    )
    assert str(first) == "NO_CAPABLE_BACKEND: ; vision: nobody sees"
    assert second.violations[0].field == "key:ann"


async def test_no_advice_is_none_and_no_delay_is_zero(asker: Any, daemon: Daemon) -> None:
    silent = await failure(asker, daemon, Refusal(grpc.StatusCode.ABORTED, "BACKEND_LOST"))
    at_once = await failure(
        asker, daemon, Refusal(grpc.StatusCode.ABORTED, "BACKEND_LOST", details=(retry_info(0),))
    )
    assert silent.retry_after is None
    assert at_once.retry_after == 0


async def test_the_daemons_request_id_wins(asker: Any, daemon: Daemon) -> None:
    named = rpc.RequestInfo(request_id="r-2")
    error = await failure(asker, daemon, Refusal(grpc.StatusCode.INTERNAL, "INTERNAL", details=(named,)))
    assert error.request_id == "r-2"


async def test_an_error_can_be_sent_to_another_process(asker: Any, daemon: Daemon) -> None:
    error = await failure(asker, daemon, Refusal(grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"))
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.metadata) == (type(error), str(error), error.metadata)
