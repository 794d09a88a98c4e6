"""Calls with keys: who is let in, what each may do, and that nothing tells a key."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import QuotaFailure, RetryInfo
from rpc.stage import (
    HELLO,
    Failure,
    Setting,
    Stage,
    asked,
    failed,
    failure_of,
    said,
    staged,
    streamed,
    tiny,
    whole,
)
from waiting import eventually

from zoe.inference.v1 import inference_service_pb2 as pb
from zoe.inference.v1 import routing_pb2
from zoe_grpcd.access import Access, Credential, digest_of
from zoe_grpcd.access.caller import Clocks
from zoe_grpcd.adapters.store_memory import MemoryStore
from zoe_grpcd.core.answer import Delta
from zoe_grpcd.core.backend import Backend, ModelFacts, Price
from zoe_grpcd.core.grants import permission
from zoe_grpcd.core.licence import Grant, Locality

# Time stands still: a minute does not pass in a slow test, nor does a day.
NOON = 86_400.0 * 20_000 + 43_200
CLOCKS = Clocks(lambda: 1000.0, lambda: NOON)
KEY, OTHER = "zoe-s3cret-app", "zoe-s3cret-other"
SETTING = Setting(
    (
        Backend("one", "llamacpp", "http://one.invalid"),
        Backend("cloud", "openai", "http://cloud.invalid", local=False),
    ),
    facts={"dear": ModelFacts(price=Price(1000.0, 1000.0))},
)
BAD = b"\xff\xff"


@pytest.fixture(name="stage")
async def _stage() -> AsyncIterator[Stage]:
    async with staged(SETTING) as stage:
        stage.observe("cloud", tiny("dear"))
        yield stage


def grant(stage: Stage, *globs: str, **what: Any) -> Access:
    """The stage asks for keys; one may do this, another one anything."""
    globs = globs or ("*",)
    access = Access(MemoryStore(), clocks=CLOCKS)
    grants = Grant("app", globs, permission(globs, {}), **what), Grant("other", priority="critical")
    access.change(map(Credential, map(digest_of, (KEY, OTHER)), grants))
    stage.gate.access = access
    return access


def bearer(key: str = KEY) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),)


def calls(stage: Stage, **metadata: Any) -> list[Any]:
    """Every way to ask."""
    route = pb.RouteRequest(spec=asked())
    return [
        stage.inference.Route(route, **metadata),
        stage.inference.Complete(whole(), **metadata),
        stage.inference.StreamComplete(streamed(), **metadata),
        stage.inference.RateResponse(pb.RateResponseRequest(), **metadata),
    ]


# --------------------------------------------------------------------------------------------------------- who may call


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "CREDENTIALS_MISSING"),
        ((("authorization", ""),), "CREDENTIALS_MISSING"),
        (bearer("zoe-s3cret-wrong"), "CREDENTIALS_INVALID"),
        ((("authorization", KEY),), "CREDENTIALS_INVALID"),
        ((("authorization", f"Basic {KEY}"),), "CREDENTIALS_INVALID"),
        ((("x-api-key", KEY),), "CREDENTIALS_MISSING"),
    ],
)
async def test_without_a_good_key_no_method_answers(
    stage: Stage, metadata: tuple[tuple[str, str], ...], reason: str
) -> None:
    grant(stage)
    for call in calls(stage, metadata=metadata):
        failure = await failed(call)
        assert (failure.code, failure.info.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)
        assert "s3cret" not in str(failure)
    assert [puppet.calls for puppet in stage.puppets.values()] == [[], []]
    assert stage.gate.log.newest_first() == []


async def test_who_has_no_key_is_not_told_what_is_wrong_with_its_request(stage: Stage) -> None:
    grant(stage)
    raw: Any = stage.channel.unary_unary("/zoe.inference.v1.InferenceService/Complete")
    assert (await failed(raw(BAD))).info.reason == "CREDENTIALS_MISSING"
    assert (await failed(raw(BAD, metadata=bearer()))).info.reason == "BAD_REQUEST"


async def test_with_a_good_key_all_is_as_without_keys_and_the_log_knows_whose_it_was(stage: Stage) -> None:
    grant(stage)
    reply = await stage.inference.Complete(whole(), metadata=bearer())
    assert reply.message.parts[0].text == "Hello there"
    (entry,) = stage.gate.log.newest_first()
    assert (entry.key_name, entry.code) == ("app", "OK")
    assert entry.visit is None


# ------------------------------------------------------------------------------------------------------- what it may do


async def test_a_model_that_the_key_may_not_use_is_denied_to_a_route_too(stage: Stage) -> None:
    grant(stage, "tin*")
    spec = asked(target=routing_pb2.Target(model="dear"))
    for call in (
        stage.inference.Route(pb.RouteRequest(spec=spec), metadata=bearer()),
        stage.inference.Complete(pb.CompleteRequest(spec=spec), metadata=bearer()),
        stage.inference.StreamComplete(pb.StreamCompleteRequest(spec=spec), metadata=bearer()),
    ):
        failure = await failed(call)
        assert (failure.code, failure.info.reason) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "PERMISSION_DENIED",
        )
        assert dict(failure.info.metadata) == {"key": "app", "model": "dear"}
    await stage.inference.Complete(pb.CompleteRequest(spec=spec), metadata=bearer(OTHER))


async def test_a_key_that_stays_at_home_does_so_whatever_is_asked_for(stage: Stage) -> None:
    grant(stage, locality=Locality.LOCAL_ONLY)
    routing = routing_pb2.RoutingPreferences(locality=routing_pb2.LOCALITY_ANY)
    target = routing_pb2.Target(model="dear", fallback_models=["tiny"])
    reply = await stage.inference.Complete(whole(routing=routing, target=target), metadata=bearer())
    assert reply.decision.chosen.backend == "one"
    assert "locality local_only, as key 'app' demands" in reply.decision.explanation


# ----------------------------------------------------------------------------------------------------------- the limits


def limited(failure: Failure, limit: str) -> float:
    """That a failure is of this limit of the key; returns the advice."""
    assert (failure.code, failure.info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
    assert dict(failure.info.metadata) == {"key": "app", "limit": limit}
    (violation,) = failure.details[QuotaFailure].violations
    assert violation.subject == "key:app"
    seconds: float = failure.details[RetryInfo].retry_delay.ToTimedelta().total_seconds()
    return seconds


async def test_requests_over_the_limit_are_told_when_to_come_back_and_other_keys_go_on(stage: Stage) -> None:
    grant(stage, rpm=2)
    for _ in range(2):
        await stage.inference.Complete(whole(), metadata=bearer())
    for call in calls(stage, metadata=bearer())[:3]:
        assert limited(await failed(call), "rpm") == 60
    await stage.inference.Complete(whole(), metadata=bearer(OTHER))
    assert [entry.error_reason for entry in stage.gate.log.newest_first()] == [
        "",
        *["RATE_LIMITED"] * 3,
        "",
        "",
    ]


async def test_calls_at_the_same_time_are_counted_until_they_end_however_that_is(stage: Stage) -> None:
    grant(stage, max_concurrent=1)
    stage.puppet.script = [[Delta("Hello", tokens=1)], asyncio.Event()]
    running = stage.inference.StreamComplete(streamed(), metadata=bearer())
    await running.read()
    limited(await failed(stage.inference.Complete(whole(), metadata=bearer())), "max_concurrent")
    running.cancel()
    await eventually(lambda: stage.gate.running == 0)
    stage.puppet.script = [ValueError("a bug")]
    assert (await failed(stage.inference.Complete(whole(), metadata=bearer()))).info.reason == "INTERNAL"
    stage.puppet.script = HELLO
    await stage.inference.Complete(whole(), metadata=bearer())


async def test_tokens_over_the_limit_wait_for_the_minute_to_pass(stage: Stage) -> None:
    grant(stage, tpm=1000)
    await stage.inference.Complete(whole(max_output_tokens=990), metadata=bearer())
    request = whole(said("x" * 3600), max_output_tokens=10)
    assert limited(await failed(stage.inference.Complete(request, metadata=bearer())), "tpm") == 60
    await stage.inference.Complete(whole(max_output_tokens=900), metadata=bearer())


async def test_a_budget_is_spent_by_what_costs_and_the_rest_goes_on(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    grant(stage, daily_budget_usd=0.1)
    spec = asked(target=routing_pb2.Target(model="dear"), max_output_tokens=10)
    request = pb.CompleteRequest(spec=spec)
    with caplog.at_level(logging.WARNING):
        costs = 0
        for _ in range(7):  # of 0.01 USD each, and of 0.02 at most
            reply = await stage.inference.Complete(request, metadata=bearer())
            costs += reply.usage.cost_micro_usd
        assert costs == 70_000
        assert "key app has spent" not in caplog.text
        await stage.inference.Complete(request, metadata=bearer())
    assert caplog.text.count("key app has spent 0.08 of its 0.10 USD of today (UTC)") == 1
    await stage.inference.Complete(request, metadata=bearer())  # 0.01 are left then
    for call in (
        stage.inference.Complete(request, metadata=bearer()),
        stage.inference.Route(pb.RouteRequest(spec=spec), metadata=bearer()),
    ):
        failure = await failed(call)
        assert (failure.code, failure.info.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "BUDGET_EXCEEDED",
        )
        assert failure.details[QuotaFailure].violations[0].subject == "key:app"
        assert failure.details[RetryInfo].retry_delay.ToTimedelta().total_seconds() == 43_200
    free = await stage.inference.Complete(whole(), metadata=bearer())
    assert free.model == "tiny"


async def outcomes(stage: Stage, request: pb.CompleteRequest, count: int) -> Counter[str]:
    """What becomes of so many calls at once."""
    asking = (stage.inference.Complete(request, metadata=bearer()) for _ in range(count))
    done = await asyncio.gather(*asking, return_exceptions=True)
    return Counter(
        failure_of(each).info.reason if isinstance(each, grpc.aio.AioRpcError) else "OK" for each in done
    )


async def test_of_many_calls_at_once_no_more_are_let_in_than_the_minute_allows(stage: Stage) -> None:
    grant(stage, rpm=10)
    assert await outcomes(stage, whole(), 40) == {"OK": 10, "RATE_LIMITED": 30}


async def test_many_calls_at_once_spend_no_more_than_the_budget(stage: Stage) -> None:
    grant(stage, daily_budget_usd=0.1)
    spec = asked(target=routing_pb2.Target(model="dear"), max_output_tokens=10)
    found = await outcomes(stage, pb.CompleteRequest(spec=spec), 40)
    assert found == {"OK": found["OK"], "BUDGET_EXCEEDED": 40 - found["OK"]}
    assert 5 <= found["OK"] <= 10  # of 0.01 USD each, and held with less than 0.02


async def test_of_several_keys_the_first_counts_and_what_is_no_text_is_none(stage: Stage) -> None:
    grant(stage)
    route = pb.RouteRequest(spec=asked())
    await stage.inference.Route(route, metadata=(*bearer(), *bearer("zoe-s3cret-wrong")))
    for metadata in (
        (*bearer("zoe-s3cret-wrong"), *bearer()),
        (("authorization", "Bearer " + "x" * 7000),),
        (("authorization-bin", f"Bearer {KEY}".encode()),),
    ):
        failure = await failed(stage.inference.Route(route, metadata=metadata))
        assert failure.code is grpc.StatusCode.UNAUTHENTICATED


async def test_no_key_is_in_any_log_error_or_decision(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    grant(stage, "tiny", rpm=3)
    with caplog.at_level(logging.DEBUG):
        told = [str(await failed(call)) for call in calls(stage, metadata=bearer("zoe-s3cret-wrong"))]
        spec = asked(target=routing_pb2.Target(model="dear"))
        told.append(
            str(await failed(stage.inference.Complete(pb.CompleteRequest(spec=spec), metadata=bearer())))
        )
        stage.puppet.script = [ValueError("a bug")]
        told.append(str(await failed(stage.inference.Complete(whole(), metadata=bearer()))))
        stage.puppet.script = HELLO
        told.append(str(await stage.inference.Complete(whole(), metadata=bearer())))
        told.append(str(await failed(stage.inference.Complete(whole(), metadata=bearer()))))
    told += [caplog.text, str([vars_of(entry) for entry in stage.gate.log.newest_first()])]
    assert "RATE_LIMITED" in told[-3]
    for secret in ("s3cret", digest_of(KEY).hex(), str(digest_of(KEY))):
        assert [text for text in told if secret in text] == []


def vars_of(entry: Any) -> dict[str, Any]:
    return {name: getattr(entry, name, None) for name in type(entry).__slots__}
