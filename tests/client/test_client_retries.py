"""What the clients try again, and what not."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from client.recording import (
    Daemon,
    Refusal,
    answer,
    decision,
    events,
    retry_info,
    spoken,
)

import zoe_client

Connect = Callable[..., Any]
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("refusals", [1, 2])
async def test_a_refusal_with_advice_is_tried_again(asker: Any, daemon: Daemon, refusals: int) -> None:
    busy = Refusal(EXHAUSTED, "QUEUE_FULL", details=(retry_info(0.001),))
    daemon.script += [busy] * refusals + [answer("four")] + [busy] * refusals + [spoken(["four"])]
    assert (await asker.complete("2+2?", timeout=30)).text == "four"
    assert await asker.texts("2+2?", timeout=30) == ["four"]
    ids = [request.request_id for request in daemon.requests]
    assert len(ids) == 2 * (refusals + 1)
    assert len(set(ids)) == 2


async def test_all_tries_share_the_timeout(asker: Any, daemon: Daemon) -> None:
    daemon.script += [Refusal(EXHAUSTED, "QUEUE_FULL", details=(retry_info(0.4),)), answer("four")]
    await asker.complete("2+2?", timeout=10)
    first, second = daemon.seconds
    assert second < first - 0.2  # the wire rounds the timeout up, by a tenth of a second at this size


async def test_it_gives_up_after_two_repetitions(asker: Any, daemon: Daemon) -> None:
    daemon.script += [Refusal(EXHAUSTED, "QUEUE_FULL", details=(retry_info(0.001),))] * 3
    with pytest.raises(zoe_client.QueueFull):
        await asker.complete("2+2?")
    assert len(daemon.requests) == 3


async def test_retries_can_be_turned_off(connect: Connect, daemon: Daemon) -> None:
    daemon.script.append(Refusal(EXHAUSTED, "QUEUE_FULL", details=(retry_info(0.001),)))
    with pytest.raises(zoe_client.QueueFull):
        await connect(daemon.target, max_retries=0).complete("2+2?")


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(EXHAUSTED, "RATE_LIMITED"),
        Refusal(EXHAUSTED, "RATE_LIMITED", details=(retry_info(60),)),
        Refusal(grpc.StatusCode.ABORTED, "BACKEND_LOST", details=(retry_info(0.001),)),
        Refusal(grpc.StatusCode.INVALID_ARGUMENT, "BAD_REQUEST"),
    ],
    ids=["no advice", "longer than the timeout", "not to be repeated", "the caller's fault"],
)
async def test_what_would_not_help_is_not_tried_again(asker: Any, daemon: Daemon, refusal: Refusal) -> None:
    daemon.script.append(refusal)
    with pytest.raises(zoe_client.ZoeError):
        await asker.complete("2+2?", timeout=30)
    assert len(daemon.requests) == 1


async def test_a_stream_that_has_begun_is_not_tried_again(asker: Any, daemon: Daemon) -> None:
    late = Refusal(EXHAUSTED, "SLOW_CONSUMER", details=(retry_info(0.001),))
    daemon.script.append([*events(decision()), late])
    with pytest.raises(zoe_client.SlowConsumer):
        await asker.events("2+2?")
    assert len(daemon.requests) == 1


async def test_an_unavailable_daemon_is_tried_again_by_grpc(asker: Any, daemon: Daemon) -> None:
    pushback = (("grpc-retry-pushback-ms", "1"),)
    down = Refusal(UNAVAILABLE, "SHUTTING_DOWN", trailers=pushback)
    daemon.script += [down, answer("four"), down, spoken(["four"])]
    assert (await asker.complete("2+2?")).text == "four"
    assert (await asker.final("2+2?")).text == "four"
    assert [headers.get("grpc-previous-rpc-attempts") for headers in daemon.headers] == [None, "1", None, "1"]


async def test_without_retries_an_unavailable_daemon_is_asked_once(connect: Connect, daemon: Daemon) -> None:
    down = Refusal(UNAVAILABLE, "SHUTTING_DOWN", trailers=(("grpc-retry-pushback-ms", "1"),))
    daemon.script += [down, answer("never asked for")]
    asker = connect(daemon.target, max_retries=0)
    with pytest.raises(zoe_client.ShuttingDown):
        await asker.complete("2+2?", timeout=30)
    assert len(daemon.requests) == 1


async def test_a_large_request_is_tried_again_too(asker: Any, daemon: Daemon) -> None:
    down = Refusal(UNAVAILABLE, "SHUTTING_DOWN", trailers=(("grpc-retry-pushback-ms", "1"),))
    daemon.script += [down, answer("a picture")]
    got = await asker.complete("What is this?", images=[b"\x89PNG" + bytes(1_000_000)])
    assert got.text == "a picture"


async def test_no_daemon_is_an_error_at_once(connect: Connect) -> None:
    asker = connect("127.0.0.1:1")
    with pytest.raises(zoe_client.Unavailable) as caught:
        await asyncio.wait_for(asker.complete("2+2?", timeout=60), 20)
    assert caught.value.reason == ""
    assert caught.value.request_id


@pytest.mark.parametrize("code", [UNAVAILABLE, EXHAUSTED])
async def test_who_wants_to_hear_of_waits_is_told_why_and_how_long(
    connect: Connect, daemon: Daemon, code: grpc.StatusCode
) -> None:
    pushback = (("grpc-retry-pushback-ms", "1"),)
    busy = Refusal(code, "QUEUE_FULL", "come back", details=(retry_info(0.002),), trailers=pushback)
    told: list[tuple[str, float]] = []
    asker = connect(daemon.target, on_wait=lambda error, seconds: told.append((error.message, seconds)))
    daemon.script += [busy, answer("four"), busy, spoken(["four"])]
    assert (await asker.complete("2+2?", timeout=30)).text == "four"
    assert await asker.texts("2+2?", timeout=30) == ["four"]
    assert told == [("come back", 0.002)] * 2


async def test_who_hears_of_waits_does_not_wait_for_what_comes_too_late(
    connect: Connect, daemon: Daemon
) -> None:
    pushback = (("grpc-retry-pushback-ms", "60000"),)
    daemon.script.append(
        Refusal(UNAVAILABLE, "NO_HEALTHY_BACKEND", details=(retry_info(60),), trailers=pushback)
    )
    told: list[float] = []
    asker = connect(daemon.target, on_wait=lambda _error, seconds: told.append(seconds))
    with pytest.raises(zoe_client.Unavailable) as caught:
        await asker.complete("2+2?", timeout=30)
    assert (caught.value.retry_after, told) == (60, [])


async def test_who_hears_of_waits_hears_of_a_daemon_that_is_not_there(connect: Connect) -> None:
    told: list[float] = []
    asker = connect("127.0.0.1:1", on_wait=lambda _error, seconds: told.append(seconds), max_retries=3)
    with pytest.raises(zoe_client.Unavailable):
        await asker.complete("2+2?", timeout=60)
    assert told == [0.1, 0.2, 0.4]
