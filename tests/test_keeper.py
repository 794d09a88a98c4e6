"""What a daemon knows after a restart."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from waiting import eventually

from zoe_grpcd.adapters.store_memory import MemoryStore
from zoe_grpcd.adapters.store_sqlite import SqliteStore
from zoe_grpcd.core.answer import FinishReason, Usage
from zoe_grpcd.core.backend import Backend, Deployment
from zoe_grpcd.core.decision import Candidate, Decision, Reason, ScoreTerm
from zoe_grpcd.core.learning import Lesson
from zoe_grpcd.core.observation import ModelStatus, Observation
from zoe_grpcd.core.outcome import Completed, Timings
from zoe_grpcd.decisions import DecisionLog
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.keeper import FORGOTTEN, Clocks, Keeper
from zoe_grpcd.stores import store_of, usual_file

DESK = Backend("desk", "llamacpp", "http://desk:8080", local=True)
SMALL = Deployment("small", "desk", "small.gguf", auto=True)

END = Completed("small", FinishReason.STOP, Usage(1, 2), Timings(1, 2, 3, 4, 5, 6, 7), (), 0.5)


def decision() -> Decision:
    place = Deployment("small", "desk", "")
    chosen = Candidate(place, "llamacpp", local=True, eligible=True, terms=(ScoreTerm("latency", 0.2, 0.4),))
    return Decision(chosen, (chosen,), "auto", "chat", "usage_based", Reason.INTENT, "since", id="d1")


@dataclass
class Daemon:
    """Fleet and keeper on one store. `began`: its own clock, `wall`: unix seconds."""

    store: MemoryStore | SqliteStore
    began: float
    wall: float

    def __post_init__(self) -> None:
        self.fleet = Fleet()
        clocks = Clocks(lambda: self.began, lambda: self.wall)
        self.decisions = DecisionLog(clock=clocks.wall)
        self.keeper = Keeper(self.fleet, self.decisions, self.store, clocks)
        self.keeper.restore()
        self.fleet.add(DESK, self.began)
        small = ModelStatus("small.gguf", alias="small")
        self.fleet.health.observe("desk", Observation(ok=True, models=(small,)), self.began)

    def pass_time(self, seconds: float) -> None:
        self.began += seconds
        self.wall += seconds

    def answer(self, count: int = 20) -> None:
        """Answers that take 50 ms a token."""
        for _ in range(count):
            lease = self.fleet.leases.take(SMALL, self.began)
            self.fleet.leases.first_token(lease, self.began + 0.5)
            self.pass_time(5.5)
            lesson = Lesson(False, 5.5, 0.5, 101, whole=True, usage=Usage(50, 101), prompt_bytes=200)
            self.fleet.leases.release(lease, lesson, self.began)

    @property
    def token(self) -> float:
        """Seconds a token, as a decision has it."""
        (view,) = self.fleet.picture.snapshot(self.began).by_model["small"]
        return view.seconds_per_token

    async def end(self) -> None:
        self.keeper.open()
        await self.keeper.close()


async def test_a_daemon_knows_what_the_one_before_it_has_learned() -> None:
    store = MemoryStore()
    first = Daemon(store, 100.0, 1e9)
    before = first.token
    first.answer()
    assert first.token > before
    await first.end()
    second = Daemon(store, 5.0, first.wall + 60.0)
    assert second.token == pytest.approx(first.token, rel=0.01)


async def test_what_nobody_has_used_for_a_month_is_forgotten() -> None:
    store = MemoryStore()
    first = Daemon(store, 100.0, 1e9)
    before = first.token
    first.answer()
    await first.end()
    second = Daemon(store, 5.0, first.wall + FORGOTTEN + 1.0)
    assert second.token == pytest.approx(before)
    assert store.read("backend") == {}


async def test_a_clock_that_was_put_back_does_no_harm() -> None:
    store = MemoryStore()
    first = Daemon(store, 100.0, 1e9)
    first.answer()
    await first.end()
    second = Daemon(store, 5.0, 1e9 - 1e6)
    assert second.token == pytest.approx(first.token, rel=0.01)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"saved": "x", "values": {}}', '{"saved": null}', "7"]
)
async def test_what_is_not_understood_is_dropped_with_a_warning(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    store.put("backend", "desk", text)
    usual = Daemon(MemoryStore(), 0.0, 1e9).token
    assert Daemon(store, 0.0, 1e9).token == usual
    assert "what was kept of backend desk is not understood" in caplog.text
    assert store.read("backend") == {}


async def test_two_daemons_at_once_leave_what_the_later_one_has_learned(tmp_path: Path) -> None:
    """The old one drains while the new one works already, and ends after it has learned."""
    old = Daemon(SqliteStore(tmp_path / "state.db"), 100.0, 1e9)
    old.answer()
    await old.end()
    new = Daemon(SqliteStore(tmp_path / "state.db"), 5.0, old.wall)
    new.answer(5)
    old.answer(1)
    await old.end()
    await old.store.close()
    new.answer(5)
    await new.end()
    await new.store.close()
    third = Daemon(SqliteStore(tmp_path / "state.db"), 0.0, new.wall)
    assert third.token == pytest.approx(new.token, rel=0.01)
    await third.store.close()


# ---------------------------------------------------------------------------------------------------------- decisions


def ask(daemon: Daemon, request_id: str, code: str = "OK") -> None:
    """A request that comes and ends."""
    daemon.pass_time(1.0)
    entry = daemon.decisions.begin("Complete")
    entry.request_id = request_id
    entry.hear(decision())
    entry.completed(END)
    entry.ended(code)


def ids(daemon: Daemon) -> list[str]:
    return [entry.request_id for entry in daemon.decisions.newest_first()]


async def test_the_last_decisions_are_there_after_a_restart() -> None:
    store = MemoryStore()
    first = Daemon(store, 100.0, 1e9)
    for name in "abc":
        ask(first, name)
    running = first.decisions.begin("Complete")
    await first.end()
    running.ended("CANCELLED")
    second = Daemon(store, 5.0, first.wall)
    second.keeper.open()
    ask(second, "d")
    await eventually(lambda: ids(second) == ["d", "c", "b", "a"])
    before, after = first.decisions.newest_first()[1], second.decisions.newest_first()[1]
    for name in ("method", "arrived", "seconds", "code", "model", "backend", "intent", "decision_id"):
        assert getattr(after, name) == getattr(before, name)
    assert (after.decision(), after.completion()) == (before.decision(), before.completion())
    numbers = [entry.number for entry in second.decisions.newest_first()]
    assert numbers == sorted(set(numbers), reverse=True)
    await second.keeper.close()
    third = Daemon(store, 5.0, second.wall)
    third.keeper.open()
    await eventually(lambda: ids(third) == ["d", "c", "b", "a"])
    await third.keeper.close()


async def test_no_more_decisions_are_kept_than_the_ring_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoe_grpcd.keeper.CAPACITY", 3)
    store = MemoryStore()
    first = Daemon(store, 100.0, 1e9)
    for name in "abcde":
        ask(first, name)
    await first.end()
    assert len(store.read("decision")) == 3
    second = Daemon(store, 5.0, first.wall)
    second.keeper.open()
    await eventually(lambda: ids(second) == ["e", "d", "c"])
    ask(second, "f")
    await second.keeper.close()
    assert len(store.read("decision")) == 3


@pytest.mark.parametrize("text", ["", "{}", "[[], []]", '[["Complete", "x"], [[], [], []]]', "[1, 2]"])
async def test_a_decision_that_is_not_understood_is_dropped(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    first = Daemon(store, 100.0, 1e9)
    ask(first, "a")
    await first.end()
    store.put("decision", "5.0-1", text)
    second = Daemon(store, 5.0, first.wall)
    second.keeper.open()
    await eventually(lambda: ids(second) == ["a"] and len(store.read("decision")) == 1)
    await second.keeper.close()
    assert "is not understood" in caplog.text


# ------------------------------------------------------------------------------------------------------------- places


@pytest.mark.parametrize(
    ("env", "path"),
    [
        ({"HOME": "/home/z"}, "/home/z/.local/state/zoe-grpcd/state.db"),
        ({"HOME": "/home/z", "XDG_STATE_HOME": "/s"}, "/s/zoe-grpcd/state.db"),
        ({"HOME": "/home/z", "XDG_STATE_HOME": "/s", "STATE_DIRECTORY": "/v/a:/v/b"}, "/v/a/state.db"),
    ],
)
def test_the_file_is_where_state_goes(env: dict[str, str], path: str) -> None:
    assert str(usual_file(env)) == path


@pytest.mark.parametrize("url", ["", "redis://127.0.0.1:1/0"])
def test_the_usual_file_is_used_unless_another_is_named(tmp_path: Path, url: str) -> None:
    store = store_of(url, {"XDG_STATE_HOME": str(tmp_path)})
    asyncio.run(store.close())
    assert (tmp_path / "zoe-grpcd" / "state.db").exists()
    store = store_of(f"sqlite://{tmp_path}/named.db", {"XDG_STATE_HOME": str(tmp_path)})
    asyncio.run(store.close())
    assert (tmp_path / "named.db").exists()


def test_memory_leaves_no_file(tmp_path: Path) -> None:
    assert isinstance(store_of("memory://", {"XDG_STATE_HOME": str(tmp_path)}), MemoryStore)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["a file in the way", "none"])
def test_without_a_place_nothing_is_kept_and_that_is_said(
    tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "zoe-grpcd").write_text("")
    env: dict[str, Any] = {"XDG_STATE_HOME": str(tmp_path)} if place != "none" else {}
    assert isinstance(store_of("", env), MemoryStore)
    assert "nothing is kept over a restart" in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
