"""What surrounds every handler: bugs, limits of time, draining, and clients that leave or stand still."""

import asyncio
import time
from collections import Counter, deque
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from rpc.stage import HELLO, Setting, Stage, failed, staged, streamed, whole
from waiting import eventually

from zoe.inference.v1 import inference_service_pb2 as pb
from zoe_grpcd.core.answer import Delta
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.errors import Exhausted

FIXED = "internal error; the daemon's log has the details"
FLOOD = [[Delta("x" * 100_000, tokens=1)] for _ in range(200)]
BUSY = Setting((Backend("one", "llamacpp", "http://one.invalid", max_in_flight=1),))


async def idle(stage: Stage) -> None:
    """Nothing is in flight, and every answer was closed in the task that had begun it, in whatever order."""
    await eventually(lambda: not stage.fleet.leases.in_flight("one"))
    assert Counter(stage.puppet.closed_in) == Counter(stage.puppet.opened_in)
    assert None not in stage.puppet.opened_in


# ------------------------------------------------------------------------------------------------------------- bugs


@pytest.mark.parametrize("method", ["Complete", "StreamComplete"])
async def test_a_bug_is_logged_with_its_trace_and_tells_the_client_nothing(
    stage: Stage, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    stage.puppet.script = [ValueError("secret path /etc")]
    request = whole() if method == "Complete" else streamed()

    failure = await failed(getattr(stage.inference, method)(request, metadata=(("x-request-id", "r-1"),)))

    assert (failure.code, failure.info.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert failure.text == FIXED
    assert failure.info.metadata["request_id"] == "r-1"
    assert "secret" not in str(failure)
    assert "secret path /etc" in caplog.text
    assert "r-1" in caplog.text
    await idle(stage)


class Raising:
    """A router with a bug."""

    def mistakes(self, _: Any) -> tuple[()]:
        return ()

    def __init__(self, bug: Exception) -> None:
        self.bug = bug

    def route(self, *_: Any, **__: Any) -> Any:
        raise self.bug


async def test_a_stray_timeout_is_a_bug_not_a_deadline(caplog: pytest.LogCaptureFixture) -> None:
    async with staged(Setting(change_router=lambda _: Raising(TimeoutError("odd")))) as stage:
        failure = await failed(stage.inference.Route(pb.RouteRequest(spec=whole().spec)))

    assert (failure.code, failure.text) == (grpc.StatusCode.INTERNAL, FIXED)
    assert "TimeoutError: odd" in caplog.text


async def test_an_error_that_cannot_be_told_is_a_bug_that_tells_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = Exhausted("x", cause="QUEUE_FULL")
    error.metadata = {"secret": 5}  # type: ignore[dict-item]

    async with staged(Setting(change_router=lambda _: Raising(error))) as stage:
        failure = await failed(stage.inference.Route(pb.RouteRequest(spec=whole().spec)))

    assert (failure.code, failure.text) == (grpc.StatusCode.INTERNAL, FIXED)
    assert "secret" not in str(failure.details)
    assert "AttributeError" in caplog.text


@pytest.mark.parametrize("method", ["Route", "Complete", "StreamComplete"])
@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x02\xff\xff"])
async def test_bytes_that_are_no_request_are_the_clients_mistake(
    stage: Stage, caplog: pytest.LogCaptureFixture, method: str, data: bytes
) -> None:
    path = f"/zoe.inference.v1.InferenceService/{method}"
    kind = stage.channel.unary_stream if method == "StreamComplete" else stage.channel.unary_unary
    call: Any = kind(path)

    failure = await failed(call(data))

    rule = f"must be a zoe.inference.v1.{method}Request, with strings of valid UTF-8"
    assert (failure.code, failure.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_REQUEST")
    assert failure.text == f"the request {rule}"
    assert failure.violations() == [("", rule)]
    assert caplog.records == []


# ------------------------------------------------------------------------------------------------------------- time


async def test_a_call_without_a_deadline_gets_the_daemons() -> None:
    async with staged(Setting(max_request_time=0.05)) as stage:
        stage.puppet.script = [asyncio.Event()]
        failure = await failed(stage.inference.Complete(whole()))

        assert (failure.code, failure.info.reason) == (
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "DEADLINE_EXCEEDED",
        )
        assert failure.text == "the request took longer than 0.05 s, and set no deadline of its own"
        await idle(stage)


async def test_a_deadline_of_the_callers_own_outranks_the_daemons() -> None:
    async with staged(Setting(max_request_time=0.0)) as stage:
        answer = await stage.inference.Complete(whole(), timeout=30)

        assert answer.message.parts[0].text == "Hello there"


@pytest.mark.parametrize("method", ["Complete", "StreamComplete"])
async def test_a_deadline_that_passes_frees_the_backend(stage: Stage, method: str) -> None:
    stage.puppet.script = [asyncio.Event()]
    request = whole() if method == "Complete" else streamed()
    call = getattr(stage.inference, method)(request, timeout=0.1)

    assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await idle(stage)


# --------------------------------------------------------------------------------------------------------- draining


async def test_new_calls_are_sent_away_while_the_daemon_drains(stage: Stage) -> None:
    stage.gate.draining = True

    for call in (
        stage.inference.Route(pb.RouteRequest(spec=whole().spec)),
        stage.inference.Complete(whole()),
        stage.inference.StreamComplete(streamed()),
    ):
        failure = await failed(call)

        assert (failure.code, failure.info.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        assert failure.details[RetryInfo].retry_delay.seconds == 1
        assert failure.trailers["grpc-retry-pushback-ms"] == "1000"


async def test_running_calls_may_finish_while_the_daemon_drains(stage: Stage) -> None:
    go_on = asyncio.Event()
    stage.puppet.script = [go_on, *HELLO]
    running = asyncio.ensure_future(stage.inference.Complete(whole()))
    await eventually(lambda: stage.puppet.calls)

    stage.gate.draining = True
    stopping = asyncio.create_task(stage.server.stop(5))
    go_on.set()

    assert (await running).message.parts[0].text == "Hello there"
    await stopping


@pytest.mark.parametrize("script", [[], [[Delta("x", tokens=1)]]])
async def test_what_runs_when_the_time_of_a_drain_is_over_is_aborted_by_us(
    stage: Stage, script: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    stage.puppet.script = [*script, asyncio.Event()]
    calls = [stage.inference.Complete(whole()), stage.inference.StreamComplete(streamed())]
    await eventually(lambda: len(stage.puppet.calls) == 2)

    await stage.gate.cut_short(5.0)

    for call in calls:
        failure = await failed(call)
        assert (failure.code, failure.info.reason) == (grpc.StatusCode.ABORTED, "SHUTTING_DOWN")
    await eventually(lambda: not stage.fleet.leases.in_flight("one"))
    assert set(stage.puppet.closed_in) == set(stage.puppet.opened_in)
    assert stage.gate.running == 0
    assert caplog.records == []


async def test_a_client_that_reads_nothing_does_not_hold_up_the_end() -> None:
    async with staged() as stage:
        stage.puppet.script = [*FLOOD, asyncio.Event()]
        call = stage.inference.StreamComplete(streamed())
        await anext(aiter(call))
        await stands_still(stage)

        begun = time.monotonic()
        await stage.gate.cut_short(60.0)
        await stage.server.stop(0.2)

        assert time.monotonic() - begun < 30.0
        await idle(stage)


async def test_those_who_wait_are_answered_when_the_daemon_drains() -> None:
    async with staged(BUSY) as stage:
        stage.puppet.script = [asyncio.Event()]
        running = stage.inference.Complete(whole())
        await eventually(lambda: stage.puppet.calls)
        queued = stage.inference.Complete(whole())
        await eventually(lambda: len(stage.waiting))

        stage.waiting.close()

        failure = await failed(queued)
        assert (failure.code, failure.info.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        running.cancel()
        await idle(stage)


async def test_the_end_of_the_grace_frees_the_backend(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.puppet.script = [asyncio.Event()]
    running = stage.inference.Complete(whole())
    await eventually(lambda: stage.puppet.calls)

    await stage.server.stop(0)

    assert await running.code() is grpc.StatusCode.UNAVAILABLE
    await idle(stage)
    assert caplog.records == []


# --------------------------------------------------------------------------------------------- clients that leave


async def test_a_client_that_cancels_complete_frees_the_backend(stage: Stage) -> None:
    stage.puppet.script = [[Delta("x", tokens=1)], asyncio.Event()]
    call = stage.inference.Complete(whole())
    await eventually(lambda: stage.puppet.calls)

    call.cancel()

    await idle(stage)
    assert len(stage.puppet.opened_in) == 1


async def test_a_client_that_cancels_before_the_first_token_frees_the_backend(stage: Stage) -> None:
    stage.puppet.script = [asyncio.Event()]
    call = stage.inference.StreamComplete(streamed())
    await eventually(lambda: stage.puppet.calls)

    call.cancel()

    await idle(stage)
    assert len(stage.puppet.opened_in) == 1


async def test_a_client_that_cancels_in_the_middle_frees_the_backend(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.puppet.script = [[Delta("x", tokens=1)], asyncio.Event()]
    call = stage.inference.StreamComplete(streamed())
    async for event in call:
        if event.HasField("delta"):
            break

    call.cancel()

    await idle(stage)
    assert caplog.records == []


async def test_a_client_that_cancels_while_it_waits_in_the_queue_leaves_no_trace() -> None:
    async with staged(BUSY) as stage:
        stage.puppet.script = [asyncio.Event()]
        first = stage.inference.Complete(whole())
        await eventually(lambda: stage.puppet.calls)
        second = stage.inference.Complete(whole())
        await eventually(lambda: len(stage.waiting))

        second.cancel()
        await eventually(lambda: not len(stage.waiting))
        first.cancel()

        await idle(stage)
        assert len(stage.puppet.calls) == 1


async def test_a_connection_that_breaks_frees_the_backend(stage: Stage) -> None:
    stage.puppet.script = [[Delta("x", tokens=1)], asyncio.Event()]
    async with grpc.aio.insecure_channel(stage.target) as channel:
        other = replace(stage, channel=channel)
        async for event in other.inference.StreamComplete(streamed()):
            if event.HasField("delta"):
                break

    await idle(stage)


async def test_a_client_that_leaves_while_a_write_is_blocked_frees_the_backend_quietly(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stalled = asyncio.Event()
    stage.puppet.script = [*FLOOD, stalled]
    call = stage.inference.StreamComplete(streamed())
    await anext(aiter(call))
    await stands_still(stage)

    call.cancel()

    await idle(stage)
    assert caplog.records == []


async def stands_still(stage: Stage) -> None:
    """Waits until the flood has come to a halt: the client's window is full and the write of the next piece waits."""
    looks: deque[int] = deque(maxlen=5)

    def still() -> bool:
        looks.append(stage.puppet.sent)
        return len(looks) == looks.maxlen and len(set(looks)) == 1

    await eventually(still)
    assert 0 < stage.puppet.sent < len(FLOOD)


async def test_a_client_that_reads_nothing_is_given_up_and_the_backend_is_free() -> None:
    async with staged(Setting(servicer={"write_timeout": 0.1})) as stage:
        stage.puppet.script = [*FLOOD, asyncio.Event()]
        call = aiter(stage.inference.StreamComplete(streamed()))
        await anext(call)

        await idle(stage)
        failure = await failed(call)

        assert (failure.code, failure.info.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "SLOW_CONSUMER",
        )
        assert failure.text == "the client has read nothing for 0.1 s"
        assert set(map(type, failure.details.values())) == {type(failure.info)}


async def test_nothing_waits_longer_than_the_daemons_own_limit_even_in_a_write() -> None:
    async with staged(Setting(max_request_time=0.5)) as stage:
        stage.puppet.script = [*FLOOD, asyncio.Event()]
        call = aiter(stage.inference.StreamComplete(streamed()))
        await anext(call)

        await idle(stage)

        assert (await failed(call)).info.reason == "DEADLINE_EXCEEDED"
