"""Recordings: what is in them, what is not, and that the same settings make the same choices of them."""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fakes import (
    ANSWER,
    Script,
    World,
    a_backend,
    a_resolver,
    a_snapshot,
    a_status,
    a_view,
    an_ask,
    fault,
    finished,
    said,
    seen,
)
from hypothesis import given
from hypothesis import settings as settled
from hypothesis import strategies as st
from situations import ASKS, question_of, snapshots
from waiting import wait_until

from zoe_grpcd.access import Access, Credential, Visit, digest_of
from zoe_grpcd.adapters.store_memory import MemoryStore
from zoe_grpcd.core.ask import Ask, Target
from zoe_grpcd.core.backend import Deployment, ModelFacts, Phase, Price
from zoe_grpcd.core.breaker import Caution
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.errors import Fault, ZoeError
from zoe_grpcd.core.generation import Generation, Json
from zoe_grpcd.core.grants import permission
from zoe_grpcd.core.intents import configured
from zoe_grpcd.core.licence import Grant
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.core.resolve import Policy, Resolver
from zoe_grpcd.core.strategies import STRATEGIES
from zoe_grpcd.core.views import BackendView, Snapshot
from zoe_grpcd.deciding import Rules
from zoe_grpcd.fleet import Lease
from zoe_grpcd.recording.lines import ASK, LEFT_OUT, Changes, Deltas, ask_line, ask_of
from zoe_grpcd.recording.recorder import Recorder
from zoe_grpcd.replay import Expected, Redecided, Replay
from zoe_grpcd.replay.summary import summed_up
from zoe_grpcd.run import Reliability
from zoe_grpcd.settings import Settings

POLICY = Policy(default_model="n")


def settings(policy: Policy = POLICY, **stated: Any) -> Settings:
    empty: dict[str, Any] = {
        "backends": (),
        "deployments": (),
        "facts": {},
        "litellm_params": {},
        "intents": (),
    }
    known: dict[str, Any] = {**empty, **stated}
    return Settings(rules=Rules(a_resolver(policy), policy, Reliability()), **known)


def through_json(line: Json) -> Json:
    read: Json = json.loads(json.dumps(line))
    return read


# ------------------------------------------------------------------------------------------------------- a request


def test_each_field_of_a_request_is_recorded_or_left_out_on_purpose() -> None:
    assert {field.name for field in fields(Ask)} == ASK | LEFT_OUT
    assert not ASK & LEFT_OUT


def question(ask: Ask) -> Question:
    snapshot = a_snapshot([BackendView(a_backend("a"), Phase.READY)], [a_view("a", "m"), a_view("a", "n")])
    found = question_of(snapshot, ask, frozenset())
    assert found is not None
    return found


def test_nothing_that_was_said_is_in_it() -> None:
    secret = {"role": "user", "content": "swordfish"}
    tool = {"type": "function", "function": {"name": "swordfish"}}
    generation = Generation(
        (secret, secret),
        tools=(tool,),
        response_format={"type": "json_schema", "json_schema": {"name": "swordfish"}},
        options={"stop": ["swordfish"], "temperature": 0.5, "max_output_tokens": 0},
        backend_options={"num_ctx": 512, "suffix": "swordfish"},
    )
    ask = an_ask("swordfish", "m", generation=generation, request_id="swordfish")
    line = ask_line(question(ask))
    assert "swordfish" not in json.dumps(line)

    again = ask_of(through_json(line))
    assert len(again.generation.messages) == 2
    assert len(again.generation.tools) == 1
    assert again.generation.response_format is not None
    assert set(again.generation.options) == set(generation.options)
    assert again.max_output_tokens == 0
    assert again.generation.backend_options == {"num_ctx": 512}


@given(ASKS)
def test_a_request_is_read_as_it_was_asked(ask: Ask) -> None:
    again = ask_of(through_json(ask_line(question(ask))))
    for name in ASK:
        assert getattr(again, name) == getattr(ask, name), name


def test_metadata_is_there_but_not_at_any_length() -> None:
    ask = ask_of(ask_line(question(an_ask("", "m", metadata={"team": "home", "note": "x" * 1000}))))
    assert ask.metadata == {"team": "home", "note": "x" * 200}


# -------------------------------------------------------------------------------------------------------- the fleet


@settled(max_examples=40, deadline=None)
@given(st.lists(snapshots(), min_size=3, max_size=3))
def test_pictures_come_out_as_they_went_in(pictures: list[Snapshot]) -> None:
    changes, deltas = Changes(), Deltas()
    for picture in (*pictures, pictures[-1]):
        again = deltas.snapshot(through_json(changes.line(picture)))
        assert set(again.backends) == set(picture.backends)
        for name, view in picture.backends.items():
            assert again.backends[name] == replace(view, backend=replace(view.backend, url=""))
        assert again.by_model == picture.by_model
        assert {id_of(view) for view in again.auto} == {id_of(view) for view in picture.auto}
    assert changes.line(pictures[-1]) == {}


def id_of(view: Any) -> tuple[str, str]:
    return view.deployment.backend, view.deployment.model


def test_neither_keys_nor_addresses_nor_parameters_are_in_it() -> None:
    backend = replace(a_backend("a", api_key="swordfish"), url="http://me:swordfish@a")
    deployment = Deployment("m", "a", "m", options={"stop": "swordfish"}, backend_options={"x": "swordfish"})
    snapshot = a_snapshot([BackendView(backend, Phase.READY)], [a_view("a", deployment=deployment)])
    assert "swordfish" not in json.dumps(Changes().line(snapshot))


# ----------------------------------------------------------------------------------------------------------- a file


@pytest.fixture(name="record")
def _record(tmp_path: Path) -> Iterator[Callable[..., Recorder]]:
    recorders = []

    def start(name: str = "decisions", max_bytes: int = 2**20, **more: Any) -> Recorder:
        recorder = Recorder(tmp_path / name, max_bytes, **more)
        recorder.start()
        recorders.append(recorder)
        return recorder

    yield start
    for recorder in recorders:
        recorder.close()


WEIGHTS = {"a": 1.0, "b": 2.0, "c": 0.5}


def three_boxes(record: Any, url: str = "http://{}", **more: Any) -> World:
    """Three backends of different weight and speed with two models; one of the models is cold on one of them."""
    world = World(**{"policy": POLICY, "record": record, **more})
    cold = seen("m", a_status("n", state=LoadState.UNLOADED), slots=64)
    for name, pace in (("a", 0.5), ("b", 1.5), ("c", 0.2)):
        script: Script = (said("x"), partial(world.clock.advance, pace), said("y"), finished(20, 30))
        seen_as = cold if name == "c" else seen("m", "n", slots=64)
        world.add(name, script, seen_as=seen_as, weight=WEIGHTS[name], url=url.format(name))
    return world


async def some_traffic(world: World, requests: int = 60) -> None:
    """Requests of many kinds, while up to five others are in flight."""
    texts = ("hello", "write a Python function", "Hola, ¿qué tal?", "tell me a long story about a fox")
    others: list[Lease] = []
    for number in range(requests):
        target = Target(model=("", "m", "n", "")[number % 4])
        await world.run(an_ask(texts[number % len(texts)] * (1 + number % 7), target=target))
        chosen = world.router.route(an_ask("", ("m", "n")[number % 2])).chosen
        others.append(world.fleet.leases.take(chosen.deployment, world.clock(), chosen.estimate))
        if len(others) > 5:
            world.fleet.leases.release(others.pop(0), None, world.clock())
        world.clock.advance(0.1 + 0.01 * number)


def replayed(path: Path, stated: Settings | None = None) -> list[Redecided]:
    parts = (part for part in (path.with_name(path.name + ".1"), path) if part.exists())
    lines = (line for part in parts for line in part.read_bytes().splitlines(keepends=True))
    return list(Replay(lines, stated or settings()))


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_the_same_settings_make_the_same_choices(strategy: str, record: Any, tmp_path: Path) -> None:
    recorder = record()
    policy = replace(POLICY, strategy=strategy)
    await some_traffic(three_boxes(recorder, policy=policy))
    recorder.close()
    found = replayed(tmp_path / "decisions", settings(policy))
    assert len(found) == 60
    assert [request.after for request in found] == [request.before for request in found]
    assert [request.expected_after for request in found] == [request.expected_before for request in found]
    assert len({request.before for request in found}) > 1


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_what_is_held_against_those_that_failed_makes_the_same_choices_again(
    strategy: str, record: Any, tmp_path: Path
) -> None:
    """Strained, tripped, back slowly, limited by their own word or ours, and all of them at once."""
    recorder, chance = record(), Random(1)
    policy = replace(POLICY, strategy=strategy)
    caution = Caution(error_window=20.0, cooldown=4.0, rate_limit_cooldown=2.0)
    once = Reliability(max_attempts=1, retry_delay=0.0)
    world = three_boxes(recorder, policy=policy, caution=caution, reliability=once)
    sick = [fault(Fault.SERVER), fault(Fault.CUT), fault(Fault.RATE_LIMITED, retry_after=1.0)]
    sick += [fault(Fault.RATE_LIMITED), fault(Fault.LOAD_FAILED)]
    pictures = []
    for _ in range(150):
        for dispatcher in world.dispatchers.values():
            error: Script = (chance.choice(sick),)
            dispatcher.scripts = [error if chance.random() < 0.6 else ANSWER]
            dispatcher.calls.clear()
        with suppress(ZoeError):
            await world.run(an_ask("", chance.choice("mn"), max_queue_time=0.0))
        world.clock.advance(chance.random())
        for name in chance.sample(sorted(world.dispatchers), 1):
            world.observe(name, seen("m", "n", slots=64))
        pictures.append(world.fleet.picture.snapshot(world.clock()))
    recorder.close()
    found = replayed(tmp_path / "decisions", settings(policy))
    assert len(found) == 150
    assert [request.after for request in found] == [request.before for request in found]
    seen_reasons = {view.barred for p in pictures for views in p.by_model.values() for view in views}
    assert seen_reasons == {None, Reason.CIRCUIT_OPEN, Reason.RATE_LIMITED}
    phases = {backend.phase for p in pictures for backend in p.backends.values()}
    assert phases >= {Phase.READY, Phase.DEGRADED, Phase.COOLING_DOWN}


async def test_what_a_key_may_use_holds_again_or_as_it_is_now(record: Any, tmp_path: Path) -> None:
    recorder = record()
    world = three_boxes(recorder)
    access = Access(MemoryStore())

    def knows(*globs: str) -> Settings:
        grant = Grant("app", globs, permission(globs, {}), daily_budget_usd=1.0)
        return replace(settings(), credentials=(Credential(digest_of("zoe-s3cret"), grant),))

    access.change(knows("n").credentials)
    for _ in range(12):
        visit = Visit(access.identify("Bearer zoe-s3cret"))
        ask = an_ask()
        visit.begin(ask, sends=True)
        await world.run(ask)
        visit.close()
    recorder.close()
    found = replayed(tmp_path / "decisions", knows("n"))
    assert {request.before[1] for request in found if request.before} == {"n"}
    assert [request.after for request in found] == [request.before for request in found]
    other = replayed(tmp_path / "decisions", knows("m"))
    assert {request.after[1] for request in other if request.after} == {"m"}
    text = (tmp_path / "decisions").read_text()
    assert '"key":"app"' in text
    assert '"budget_usd":1.0' in text
    assert "s3cret" not in text


async def test_what_neighbours_do_makes_the_same_choices_again(record: Any, tmp_path: Path) -> None:
    recorder = record()
    world = three_boxes(recorder, "http://127.0.0.1/{}")
    await some_traffic(world)
    recorder.close()
    assert any(view.neighbours for view in world.fleet.picture.snapshot(world.clock()).backends.values())
    found = replayed(tmp_path / "decisions")
    assert len(found) == 60
    assert [request.after for request in found] == [request.before for request in found]
    assert [request.expected_after for request in found] == [request.expected_before for request in found]
    apart = record("apart")
    await some_traffic(three_boxes(apart))
    apart.close()
    assert [r.expected_before for r in replayed(tmp_path / "apart")] != [r.expected_before for r in found]


async def test_what_nobody_could_serve_is_there_too(record: Any, tmp_path: Path) -> None:
    recorder = record()
    world = three_boxes(recorder)
    with pytest.raises(ZoeError):
        await world.run(an_ask("", "m", needs=frozenset({"vision"})))
    recorder.close()
    (found,) = replayed(tmp_path / "decisions")
    assert (found.before, found.after) == (None, None)

    able = settings(facts={"m": ModelFacts(capabilities=frozenset({"vision"}))})
    (found,) = replayed(tmp_path / "decisions", able)
    assert found.after is not None
    assert found.after[1] == "m"


async def test_only_what_is_sent_is_recorded_and_once(record: Any, tmp_path: Path) -> None:
    recorder = record()
    world = three_boxes(recorder)
    world.router.route(an_ask())
    world.dispatchers["b"].scripts = [(fault(Fault.REFUSED),)]
    await world.run(an_ask("", "m"))
    recorder.close()
    (found,) = replayed(tmp_path / "decisions")
    assert found.before == ("b", "m")


async def test_a_file_goes_on_where_it_was_left_even_in_the_middle_of_a_line(
    record: Any, tmp_path: Path
) -> None:
    for _ in range(2):
        recorder = record()
        await some_traffic(three_boxes(recorder), 5)
        recorder.close()
        with (tmp_path / "decisions").open("ab") as file:
            file.write(b'{"time":1,"id":"half a li')
    lines = (tmp_path / "decisions").read_bytes().splitlines()
    replay = Replay(lines, settings())
    assert len(list(replay)) == 10
    assert replay.unreadable == 2


async def test_a_file_that_is_full_is_put_aside_and_both_stay_small(record: Any, tmp_path: Path) -> None:
    limit = 60_000
    recorder = record(max_bytes=limit)
    world = three_boxes(recorder)
    for _ in range(4):
        await some_traffic(world, 60)
    recorder.close()
    parts = [tmp_path / "decisions", tmp_path / "decisions.1"]
    assert sum(part.stat().st_size for part in parts) < limit * 1.1
    found = replayed(tmp_path / "decisions")
    assert 20 < len(found) < 240
    assert all(request.before == request.after for request in found)


async def test_it_is_for_its_owner_alone(record: Any, tmp_path: Path) -> None:
    recorder = record()
    await some_traffic(three_boxes(recorder), 1)
    recorder.close()
    assert (tmp_path / "decisions").stat().st_mode & 0o777 == 0o600


async def test_what_cannot_be_written_is_lost_and_logged_once(
    record: Any, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = record("no/such/folder")
    await some_traffic(three_boxes(recorder), 10)
    recorder.close()
    (line,) = [entry.getMessage() for entry in caplog.records]
    assert line.startswith("decisions are not recorded: [Errno 2]")


async def test_a_full_disk_leaves_whole_lines_and_is_tried_again(
    record: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file may not grow beyond 20 kB for a while, as RLIMIT_FSIZE has it: a write is cut short, the next one fails."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("zoe_grpcd.recording.writer.RETRY", 0.0)
    space, real = [20_000], os.write

    def write(descriptor: int, data: bytes) -> int:
        if space[0] <= 0:
            raise OSError(28, "No space left on device")
        written = real(descriptor, data[: space[0]])
        space[0] -= written
        return written

    monkeypatch.setattr("zoe_grpcd.recording.file.os.write", write)
    recorder, path = record(), tmp_path / "decisions"
    world = three_boxes(recorder)
    await some_traffic(world, 60)
    wait_until(lambda: "No space left" in caplog.text)
    wait_until(lambda: not recorder.waiting)
    space[0] = 10**9
    await some_traffic(world, 5)
    recorder.close()

    replay = Replay(path.read_bytes().splitlines(), settings())
    found = list(replay)
    assert 10 < len(found) < 65
    assert replay.unreadable == 0
    assert all(request.before == request.after for request in found)
    assert caplog.text.count("not recorded") == 1
    assert caplog.text.count("recorded again") == 1


async def test_a_disk_that_hangs_holds_up_nobody(record: Any, tmp_path: Path) -> None:
    """A pipe that nobody reads takes 64 kB, then a write waits."""
    os.mkfifo(tmp_path / "decisions")
    reader = os.open(tmp_path / "decisions", os.O_RDONLY | os.O_NONBLOCK)
    recorder = record()
    world = three_boxes(recorder)
    await some_traffic(world, 300)
    assert recorder.waiting > 0

    def drained() -> bool:
        with suppress(BlockingIOError):
            os.read(reader, 2**20)
        return not recorder.waiting

    wait_until(drained)
    os.close(reader)


# ------------------------------------------------------------------------------------------------- other settings


@pytest.fixture(name="traffic", scope="module")
def _traffic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty requests for three boxes, one deployment of which was named by the operator."""
    path = tmp_path_factory.mktemp("recording") / "decisions"
    coder = Deployment("coder", "a", "n")
    recorder = Recorder(path, 2**20, (coder,))
    recorder.start()
    world = three_boxes(recorder, deployments=(coder,))
    asyncio.run(some_traffic(world))
    asyncio.run(world.run(an_ask("", "coder")))
    recorder.close()
    return path


CODER = settings(deployments=(Deployment("coder", "a", "n"),))


def homes(found: list[Redecided]) -> set[tuple[str, str] | None]:
    return {request.after for request in found}


def boxes(*names: str, **stated: Any) -> tuple[Any, ...]:
    return tuple(a_backend(name, **stated) for name in names)


def test_what_was_named_is_there_under_its_name(traffic: Path) -> None:
    found = replayed(traffic, CODER)
    assert all(request.before == request.after for request in found)
    assert found[-1].after == ("a", "coder")


def test_a_name_that_is_no_more_serves_nobody(traffic: Path) -> None:
    assert replayed(traffic)[-1].after is None
    assert ("a", "n") in homes(replayed(traffic))


def test_a_new_name_stands_for_what_was_seen(traffic: Path) -> None:
    aliases = Policy(aliases={"coder": ("fox",)}, default_model="fox")
    stated = settings(aliases, deployments=(Deployment("fox", "c", "m"),))
    assert replayed(traffic, stated)[-1].after == ("c", "fox")


def test_a_backend_that_is_left_out_gets_nothing(traffic: Path) -> None:
    stated = settings(backends=boxes("a", "c"), deployments=CODER.deployments)
    found = replayed(traffic, stated)
    assert "b" not in {home[0] for home in homes(found) if home}
    assert any(request.before != request.after for request in found)


def test_a_weight_moves_requests(traffic: Path) -> None:
    stated = settings(backends=(*boxes("a", "b", weight=0.01), *boxes("c")), deployments=CODER.deployments)
    assert {home[0] for home in homes(replayed(traffic, stated)) if home} >= {"c"}
    summary = summed_up(replayed(traffic, stated))
    assert summary.shares["c", "m"][1] > summary.shares["c", "m"][0]


def test_prices_and_qualities_of_the_settings_count(traffic: Path) -> None:
    dear = settings(facts={"m": ModelFacts(price=Price(1.0, 1e6))}, deployments=CODER.deployments)
    summary = summed_up(replayed(traffic, dear))
    before, after = summary.all.means() or (None, None)
    assert before is not None
    assert after is not None
    assert before.usd == 0.0
    assert after.usd > 0.0


def test_what_was_never_seen_is_said_and_made_up_by_nobody(traffic: Path) -> None:
    stated = settings(
        backends=tuple(a_backend(name, weight=weight) for name, weight in (*WEIGHTS.items(), ("new", 9.0))),
        deployments=(*CODER.deployments, Deployment("huge", "b", "huge")),
    )
    replay = Replay(traffic.read_bytes().splitlines(), stated)
    assert all(request.before == request.after for request in replay)
    assert replay.unseen == {("new", ""), ("b", "huge")}


def test_an_intent_that_is_no_more_counts_as_chat(traffic: Path) -> None:
    policy = POLICY
    few = [intent for intent in configured({}) if intent.name in ("chat", "explain")]
    rules = Rules(Resolver(policy, few), policy, Reliability())
    found = replayed(traffic, replace(CODER, rules=rules))
    assert any(not request.intent_known for request in found)


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ([b"[]"], "no recording"),
        ([b'{"a": 1}', b"hello"], "no recording"),
        ([b'{"fleet": {}, "ask": {}}'], "its beginning is missing"),
        ([b'{"recording": 99}', b'{"fleet": {}}'], "format 99; this version reads format 1"),
    ],
)
def test_what_is_no_recording_is_refused(lines: list[bytes], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        list(Replay(lines, settings()))


def test_an_empty_recording_has_no_requests() -> None:
    assert list(Replay([], settings())) == []


def test_what_another_version_wrote_into_the_same_file_is_left_out(traffic: Path) -> None:
    lines = traffic.read_bytes().splitlines()
    replay = Replay([b'{"recording": 99}', b'{"fleet": {"new": 1}}', *lines], CODER)
    assert len(list(replay)) == len(lines) - 1
    assert (replay.formats, replay.unreadable) == ({"99"}, 1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[: len(line) // 2],
        lambda line: line.replace(b'"ask"', b'"asc"'),
        lambda line: line.replace(b'"fleet":{', b'"fleet":{"gone":[["x","y"]],'),
        lambda line: line.replace(b'"messages":1', b'"messages":"1"'),
        lambda _line: b"[1, 2]",
    ],
)
def test_behind_a_damaged_line_nothing_is_known_until_all_is_told_anew(
    traffic: Path, damage: Callable[[bytes], bytes]
) -> None:
    lines = traffic.read_bytes().splitlines()
    damaged = [*lines[:10], damage(lines[10]), *lines[11:], *lines]
    assert damaged[10] != lines[10]
    replay = Replay(damaged, CODER)
    found = list(replay)
    assert len(found) == 9 + len(lines) - 1
    assert replay.unreadable == len(lines) - 10
    assert all(request.before == request.after for request in found)


# ------------------------------------------------------------------------------------------------------------ sums


def test_requests_add_up_by_where_they_move() -> None:
    a, b = ("a", "m"), ("b", "m")
    slow, fast = Expected(4.0, 0.0, 1.0), Expected(2.0, 0.5, 0.5)
    summary = summed_up(
        [
            Redecided(10.0, a, a, slow, slow),
            Redecided(20.0, a, b, slow, fast),
            Redecided(30.0, None, b, None, fast),
            Redecided(5.0, a, b, slow, fast, intent_known=False),
        ]
    )
    assert (summary.all.requests, summary.same, summary.unknown_intents) == (4, 1, 1)
    assert (summary.first, summary.last) == (5.0, 30.0)
    assert summary.shares == {a: [3, 1], b: [0, 3], None: [1, 0]}
    assert [(move, gain.requests) for move, gain in summary.largest_moves()] == [((a, b), 2), ((None, b), 1)]
    assert summary.moves[a, b].means() == (slow, fast)
    assert summary.moves[None, b].means() is None
    assert summary.all.means() == (slow, Expected(8 / 3, 1 / 3, 2 / 3))
