"""What is kept over a restart: by every store as long as it is open, and by the file whatever happens to the daemon."""

import asyncio
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import eventually

from zoe_grpcd.adapters.store_memory import MemoryStore
from zoe_grpcd.adapters.store_sqlite import CannotKeep, SqliteStore
from zoe_grpcd.ports import StateStore

BY_HAND = 3600.0  # seconds: nothing is written but by `flush`


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "state.db"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, path: Path) -> Iterator[StateStore]:
    made: StateStore = MemoryStore() if request.param == "memory" else SqliteStore(path, batch=0.0)
    yield made
    asyncio.run(made.close())


async def reads(store: StateStore, kind: str, texts: dict[str, str]) -> None:
    await eventually(lambda: store.read(kind) == texts)


async def test_the_last_text_of_a_key_is_read(store: StateStore) -> None:
    assert store.read("speed") == {}
    store.put("speed", "desk", "1")
    store.put("speed", "désk\n", '{"a": "ü"}')
    store.put("spent", "desk", "3")
    store.put("speed", "desk", "2")
    await reads(store, "speed", {"desk": "2", "désk\n": '{"a": "ü"}'})
    store.drop("speed", "désk\n")
    store.drop("speed", "never there")
    await reads(store, "speed", {"desk": "2"})
    await reads(store, "spent", {"desk": "3"})


async def test_what_was_put_last_is_there_after_a_restart(path: Path) -> None:
    store = SqliteStore(path, BY_HAND)
    store.put("speed", "desk", "1")
    await store.close()
    again = SqliteStore(path)
    assert again.read("speed") == {"desk": "1"}
    await again.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["state.db"]


async def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    store = SqliteStore(path, BY_HAND)
    store.put("speed", "desk", "1")
    store.flush()
    assert {oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()} == {"0o600"}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    await store.close()


async def test_two_daemons_at_once_write_into_one_file(path: Path) -> None:
    old, new = SqliteStore(path, batch=0.0), SqliteStore(path, batch=0.0)
    for number in range(200):
        old.put("old", str(number), "x" * 1000)
        new.put("new", str(number), "y" * 1000)
        (old, new)[number % 2].put("both", "key", str(number))
        await asyncio.sleep(0)
    await old.close()
    new.put("both", "key", "the last")
    await new.close()
    third = SqliteStore(path)
    assert [len(third.read(kind)) for kind in ("old", "new", "both")] == [200, 200, 1]
    assert third.read("both") == {"key": "the last"}
    await third.close()


# ------------------------------------------------------------------------------------------------------------ crashes

KEYS = st.sampled_from("abc")
STEPS = st.one_of(
    st.tuples(st.just("put"), KEYS, st.text(max_size=300)),
    st.tuples(st.just("drop"), KEYS, st.just("")),
    st.tuples(st.just("flush"), st.just(""), st.just("")),
)


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEPS, max_size=30), cut=st.floats(0.0, 1.0))
def test_after_a_crash_at_any_moment_one_of_the_states_that_were_written_is_there(
    steps: list[tuple[str, str, str]], cut: float
) -> None:
    """A kill leaves all that was written; a machine that loses power may leave any beginning of the log."""
    with TemporaryDirectory() as name:
        path = Path(name) / "state.db"
        store = SqliteStore(path, BY_HAND)
        now: dict[str, str] = {}
        written = [dict(now)]
        for step, key, text in steps:
            if step == "put":
                store.put("kind", key, text)
                now[key] = text
            elif step == "drop":
                store.drop("kind", key)
                now.pop(key, None)
            else:
                assert store.flush()
                written.append(dict(now))
        assert after(path, 1.0) == written[-1]
        assert after(path, cut) in written
        asyncio.run(store.close())


def after(path: Path, share: float) -> dict[str, str]:
    """What a daemon reads that starts with what a crash has left: so much of the log."""
    with TemporaryDirectory() as name:
        left = Path(name) / "state.db"
        shutil.copy(path, left)
        log = path.with_name("state.db-wal").read_bytes()
        left.with_name("state.db-wal").write_bytes(log[: round(len(log) * share)])
        store = SqliteStore(left)
        try:
            return store.read("kind")
        finally:
            asyncio.run(store.close())
            assert not left.with_name("state.db.damaged").exists()


WRITER = """
import sys
from pathlib import Path
from zoe_grpcd.adapters.store_sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]), batch=0.001)
number = 0
while True:
    number += 1
    store.put("count", "a", str(number))
    store.put("count", "b", str(number))
    if number % 100 == 0 and store.read("count"):
        print("it runs", flush=True)
"""


def test_a_daemon_that_is_killed_while_it_writes_leaves_a_sound_file(path: Path) -> None:
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        with writer.stdout:
            assert writer.stdout.readline() == b"it runs\n"
            writer.send_signal(signal.SIGKILL)
        assert writer.wait(10) == -signal.SIGKILL
        path.with_name("state.db-shm").unlink(missing_ok=True)  # as after the loss of power
        store = SqliteStore(path)
        count = {key: int(text) for key, text in store.read("count").items()}
        asyncio.run(store.close())
        assert abs(count["a"] - count["b"]) <= 1
        assert not path.with_name("state.db.damaged").exists()


# ------------------------------------------------------------------------------------------------------ damaged files


def _no_database(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


def _broken_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:8192] = os.urandom(4096)
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _of_a_later_version(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


def _another_table(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE state")
        db.execute("CREATE TABLE state (something TEXT)")
    db.close()


DAMAGES = [_no_database, _broken_page, _cut, _of_a_later_version, _another_table]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_file_is_put_aside_with_a_warning(
    path: Path, caplog: pytest.LogCaptureFixture, damage: object
) -> None:
    assert callable(damage)
    store = SqliteStore(path, BY_HAND)
    for number in range(100):
        store.put("speed", str(number), "x" * 500)
    await store.close()
    damage(path)
    broken = path.read_bytes()  # noqa: ASYNC240 - a small file
    again = SqliteStore(path)
    assert again.read("speed") == {}
    again.put("speed", "desk", "1")
    await again.close()
    third = SqliteStore(path)
    assert third.read("speed") == {"desk": "1"}
    await third.close()
    assert path.with_name("state.db.damaged").read_bytes() == broken
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert "state.db is damaged, and put aside as state.db.damaged" in caplog.text


async def test_a_file_that_is_damaged_while_it_is_written_is_put_aside(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqliteStore(path, BY_HAND)
    store.put("speed", "desk", "1")
    store.flush()
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE state")
    db.close()
    store.put("speed", "desk", "2")
    assert not store.flush()
    assert store.flush()
    assert store.read("speed") == {"desk": "2"}
    await store.close()
    assert "state is not kept in" in caplog.text
    assert path.with_name("state.db.damaged").exists()


async def test_a_file_that_was_removed_is_made_anew(path: Path) -> None:
    store = SqliteStore(path, BY_HAND)
    store.put("speed", "desk", "1")
    assert store.flush()
    for part in path.parent.iterdir():
        part.unlink()
    store.put("speed", "desk", "2")
    assert store.flush()
    await store.close()
    again = SqliteStore(path)
    assert again.read("speed") == {"desk": "2"}
    await again.close()


async def test_text_that_is_no_utf_8_is_read_as_well_as_it_goes(path: Path) -> None:
    store = SqliteStore(path)
    await store.close()
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO state VALUES ('speed', 'desk', CAST(x'31ff' AS TEXT))")
    db.close()
    again = SqliteStore(path)
    assert again.read("speed") == {"desk": "1\ufffd"}
    await again.close()


def test_a_place_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotKeep, match=r"exists|directory"):
        SqliteStore(tmp_path / "file" / "state.db")
    (tmp_path / "state.db").mkdir()
    with pytest.raises(CannotKeep, match="directory"):
        SqliteStore(tmp_path / "state.db")


async def test_what_cannot_be_written_now_is_written_later(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("zoe_grpcd.adapters.store_sqlite.OTHERS", 0.01)
    store = SqliteStore(path, BY_HAND)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store.put("speed", "desk", "1")
    assert not store.flush()
    store.put("speed", "cloud", "2")
    assert not store.flush()
    other.execute("ROLLBACK")
    other.close()
    assert store.flush()
    assert store.read("speed") == {"desk": "1", "cloud": "2"}
    await store.close()
    assert [r.getMessage().split(str(path))[0] for r in caplog.records] == [
        "state is not kept in ",
        "state is kept in ",
    ]
