"""StateStore in a small SQLite file, written by a thread of its own.

Rule: each batch is one transaction in a write-ahead log, so that a daemon that is killed loses what it put within the
last second and nothing else. A file that cannot be read is set aside as FILE.damaged, and a new one begun.
"""

import asyncio
import logging
import os
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

# What is put within this time is written together (seconds).
BATCH = 0.5
# Time until what could not be written is tried again (seconds).
RETRY = 10.0
# How long another daemon that writes is waited for (seconds).
OTHERS = 5.0
# Time for what waits to be written at the end (seconds).
LAST_WORDS = 3.0

_FORMAT = 1
_TABLE = """CREATE TABLE IF NOT EXISTS state
    (kind TEXT NOT NULL, key TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID"""
_READ = "SELECT key, text FROM state WHERE kind = ?"
_PUT = "INSERT OR REPLACE INTO state VALUES (?, ?, ?)"
_DROP = "DELETE FROM state WHERE kind = ? AND key = ?"
# The file is there, and is not what we wrote: another schema, a broken page, no database at all.
_DAMAGED = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class CannotKeep(Exception):
    """The file can be neither opened nor made; the text says why."""


class SqliteStore:
    """A StateStore in the file `path`, whose folder is made if it is not there. Raises CannotKeep."""

    def __init__(self, path: Path, batch: float = BATCH) -> None:
        self._path = path
        self._batch = batch
        self._db, self._file = _opened(path)
        self._using = threading.Lock()
        self._pending: dict[tuple[str, str], str | None] = {}  # None: to be dropped
        self._changing = threading.Lock()
        self._work = threading.Event()
        self._ending = threading.Event()
        self._is_failing = False
        self._thread = threading.Thread(target=self._write_behind, name="state", daemon=True)
        self._thread.start()

    def read(self, kind: str) -> dict[str, str]:
        """See StateStore."""
        try:
            with self._using:
                return dict(self._db.execute(_READ, (kind,)))
        except sqlite3.Error as error:
            self._recover(error)
            return {}

    def put(self, kind: str, key: str, text: str) -> None:
        """See StateStore."""
        self._note(kind, key, text)

    def drop(self, kind: str, key: str) -> None:
        """See StateStore."""
        self._note(kind, key, None)

    async def close(self) -> None:
        """See StateStore. A disk that hangs is not waited for longer than `LAST_WORDS`."""
        self._ending.set()
        self._work.set()
        await asyncio.to_thread(self._thread.join, LAST_WORDS)

    def _note(self, kind: str, key: str, text: str | None) -> None:
        with self._changing:
            self._pending[kind, key] = text
        if not self._work.is_set():
            self._work.set()

    def _write_behind(self) -> None:
        while not self._ending.is_set():
            self._work.wait()
            self._ending.wait(self._batch)
            if not self.flush():
                self._ending.wait(RETRY)
                self._work.set()
        self.flush()
        with self._using:
            self._db.close()

    def flush(self) -> bool:
        """Writes what was put; False: it could not, and keeps it for another time."""
        with self._changing:
            batch, self._pending = self._pending, {}
            self._work.clear()
        if not batch:
            return True
        try:
            self._follow()
            with self._using, self._db:
                self._db.executemany(_DROP, [key for key, text in batch.items() if text is None])
                self._db.executemany(_PUT, [(*key, text) for key, text in batch.items() if text is not None])
        except (CannotKeep, sqlite3.Error) as error:
            with self._changing:
                self._pending = batch | self._pending
            self._recover(error)
            return False
        if self._is_failing:
            log.info("state is kept in %s again", self._path)
        self._is_failing = False
        return True

    def _follow(self) -> None:
        """Somebody may have removed the file, or another daemon put it aside: goes on with the one that is there now."""
        if _identity(self._path) != self._file:
            with self._using:
                db, self._file = _opened(self._path)
                self._db.close()
                self._db = db

    def _recover(self, error: Exception) -> None:
        """Says once that nothing is kept; begins a new file if this one is damaged."""
        if not self._is_failing:
            log.warning("state is not kept in %s: %s", self._path, error)
        self._is_failing = True
        if _is_damage(error):
            with suppress(CannotKeep, OSError), self._using:
                _set_aside(self._path, self._file)
                self._db.close()
                self._db, self._file = _opened(self._path)


def _opened(path: Path) -> tuple[sqlite3.Connection, tuple[int, int]]:
    """A connection to a sound file, and which file that is. Raises CannotKeep."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = _made(path)
        try:
            return _connected(path), file
        except sqlite3.Error as error:
            if not _is_damage(error):
                raise
            log.warning("%s is damaged, and put aside as %s.damaged: %s", path, path.name, error)
        _set_aside(path, file)
        file = _made(path)
        return _connected(path), file
    except (OSError, sqlite3.Error) as error:
        raise CannotKeep(str(error)) from error


def _made(path: Path) -> tuple[int, int]:
    """Makes the file, for its owner alone, if it is not there. Returns which one it is."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return found.st_dev, found.st_ino


def _connected(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=OTHERS, check_same_thread=False)  # one lock guards it
    try:
        db.text_factory = lambda raw: raw.decode(errors="replace")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version not in (0, _FORMAT):
            raise _corrupt(f"its format is {version}, and this version writes {_FORMAT}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise _corrupt(found)
        if version == 0:
            with db:
                db.execute(_TABLE)
                db.execute(f"PRAGMA user_version = {_FORMAT}")
        db.execute(_READ, ("",)).fetchone()
    except BaseException:
        db.close()
        raise
    return db


def _corrupt(why: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(why)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _is_damage(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _set_aside(path: Path, file: tuple[int, int]) -> None:
    """Renames it with what belongs to it, in place of one that was put aside before.

    Unless it is another one by now: a daemon that started beside us has found the same, and begun anew.
    """
    if _identity(path) != file:
        return
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        with suppress(FileNotFoundError):
            part.replace(path.with_name(f"{path.name}.damaged{suffix}"))
