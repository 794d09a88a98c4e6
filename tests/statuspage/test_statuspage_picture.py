"""What /status.json tells, and under which rules the page may run: on a real server with a real fleet and router."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from rpc.stage import TWO, Stage, asked, failed, said, staged, whole
from statuspage.pages import page_of

from zoe.inference.v1 import inference_service_pb2 as pb
from zoe_grpcd.adapters.httpport import HttpPort
from zoe_grpcd.core.answer import Delta, Finish, FinishReason, Usage
from zoe_grpcd.core.observation import LoadState, ModelStatus
from zoe_grpcd.core.outcome import Completed, Timings
from zoe_grpcd.core.statistics import Statistics
from zoe_grpcd.core.tally import Ended, Series
from zoe_grpcd.statuspage.history import History

SECRET = "the combination is 4711"


@asynccontextmanager
async def opened(stage: Stage) -> AsyncIterator[str]:
    port = HttpPort(page_of(stage).pages())
    await port.open("127.0.0.1:0")
    try:
        yield f"http://{port.address}"
    finally:
        await port.close()


async def told(stage: Stage) -> dict[str, Any]:
    async with (
        opened(stage) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/status.json") as reply,
    ):
        assert reply.status == 200
        picture: dict[str, Any] = json.loads(await reply.text(), parse_constant=pytest.fail)
        return picture


async def test_a_backend_is_told_with_its_load_and_its_models() -> None:
    async with staged(TWO) as stage:
        stage.observe("two", ModelStatus("tiny", LoadState.LOADED, expire_at=None), busy=1)
        picture = await told(stage)
    one, two = picture["backends"]
    assert (one["name"], one["state"], two["name"], two["state"]) == ("one", "ready", "two", "ready")
    assert (two["places"], two["in_flight"], two["others"]) == (4, 0, 1)
    assert [(model["name"], model["state"]) for model in two["models"]] == [("tiny", "loaded")]
    assert (picture["serving"], picture["running"], picture["waiting"]) == (2, 0, 0)


async def test_one_that_sleeps_is_asleep_until_it_is_woken_or_gone() -> None:
    async with staged(TWO) as stage:
        states = []
        for error, asleep in (("it sleeps", True), ("connection refused", False)):
            stage.observe("two", ok=False, sleeping=asleep, error=error)
            two = (await told(stage))["backends"][1]
            states.append((two["state"], two["models"][0]["state"], two["detail"]))
    assert states == [("asleep", "sleeping", "it sleeps"), ("down", "loaded", "connection refused")]


async def test_a_request_is_told_with_where_it_went_and_why(stage: Stage) -> None:
    await stage.inference.Complete(whole(target={"model": "tiny"}))
    picture = await told(stage)
    (decision,) = picture["decisions"]
    assert (decision["asked"], decision["model"], decision["backend"]) == ("tiny", "tiny", "one")
    assert (decision["reason"], decision["outcome"], decision["tokens"]) == ("exact model", "ok", 3)
    assert decision["first"] <= decision["total"]
    assert picture["minute"]["tokens"] > 0
    assert sum(bool(minute and minute["requests"]) for minute in picture["hour"]) <= 2


async def test_a_request_that_failed_says_what_went_wrong(stage: Stage) -> None:
    await failed(stage.inference.Complete(whole(target={"model": "nobody"})))
    (decision,) = (await told(stage))["decisions"]
    assert (decision["outcome"], decision["backend"]) == ("model not found", "")


async def test_nothing_that_was_said_is_told(stage: Stage) -> None:
    stage.puppet.script = [[Delta(f"I know: {SECRET}", tokens=3)], [Finish(FinishReason.STOP, Usage(7, 3))]]
    await stage.inference.Complete(whole(said(f"Write a Python function. Remember that {SECRET}.")))
    await stage.inference.Complete(
        pb.CompleteRequest(spec=asked(said(SECRET)), explain=True),
        metadata=(("authorization", "Bearer key-4711"),),
    )
    text = json.dumps(await told(stage))
    assert "4711" not in text
    assert "combination" not in text
    assert "Python" not in text


async def test_an_hour_is_sixty_minutes(stage: Stage) -> None:
    assert len((await told(stage))["hour"]) == 60


async def test_no_key_is_needed_and_nothing_can_be_changed(stage: Stage) -> None:
    async with opened(stage) as url, aiohttp.ClientSession() as session:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            for path in ("/", "/status.json"):
                async with session.request(method, url + path) as reply:
                    assert reply.status == 405


async def test_the_page_may_run_nothing_but_what_came_with_it(stage: Stage) -> None:
    async with opened(stage) as url, aiohttp.ClientSession() as session, session.get(url) as reply:
        policy, html = reply.headers["Content-Security-Policy"], await reply.text()
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe" not in policy
    assert re.fullmatch(r"'sha256-[\w+/]+='", rules["script-src"])
    assert not re.search(r"""\b(?:src|href)\s*=\s*["'](?!data:)""", html)
    assert not re.search(
        r"""innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|\bon\w+=|style=""", html
    )


def ended(tokens: int, first: float, code: str = "OK") -> Ended:
    timings = Timings(time_to_first_token=first, total=first + 1, queue=0.5)
    end = Completed("tiny", FinishReason.STOP, Usage(7, tokens), timings, (), 0.0) if code == "OK" else None
    return Ended(Series("box", "tiny", ""), code, "" if code == "OK" else "INTERNAL", (), (), end)


async def minutes(statistics: Statistics, now: float) -> list[Any]:
    return [minute async for minute in History(statistics).minutes(now)]


async def test_a_minute_has_rates_and_times() -> None:
    statistics = Statistics(started=0.0)
    statistics.ended(ended(300, 0.25), 10.0)
    statistics.ended(ended(0, 0.0, "INTERNAL"), 20.0)
    *_, first, _present = await minutes(statistics, 61.0)
    assert (first["requests"], first["failed"], first["tokens"]) == (2 / 60, 1 / 60, 5.0)
    assert first["first_p50"] == pytest.approx(0.25, rel=0.12)
    assert first["wait_p95"] == pytest.approx(0.5, rel=0.12)
    assert first["backends"] == {"box": 5.0}


async def test_what_was_not_counted_is_not_zero() -> None:
    hour = await minutes(Statistics(started=130.0), 290.0)
    assert [minute is None for minute in hour] == [True] * 57 + [False] * 3
    assert hour[-1]["requests"] == 0.0
    assert hour[-1]["first_p50"] is None


async def test_a_minute_that_has_only_begun_says_nothing_yet() -> None:
    statistics = Statistics(started=0.0)
    assert (await minutes(statistics, 305.0))[-1] is None
    assert (await minutes(statistics, 315.0))[-1] is not None


async def test_a_minute_that_is_over_is_added_up_once() -> None:
    statistics = Statistics(started=0.0)
    history = History(statistics)
    statistics.ended(ended(60, 0.1), 30.0)
    before = [minute async for minute in history.minutes(130.0)]
    after = [minute async for minute in history.minutes(190.0)]
    assert after[-4] is before[-3]
    assert len(after) == 60
