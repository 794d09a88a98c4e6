"""Where state is kept over a restart: the store behind `state.url`.

Rule: a daemon that cannot keep anything says so, and serves all the same.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from zoe_grpcd.adapters.store_memory import MemoryStore
from zoe_grpcd.adapters.store_sqlite import CannotKeep, SqliteStore
from zoe_grpcd.ports import StateStore

log = logging.getLogger(__name__)

MEMORY, SQLITE = "memory://", "sqlite://"
FILE = "state.db"


def store_of(url: str = "", env: Mapping[str, str] = os.environ) -> StateStore:
    """The store, open: memory://, sqlite:///path, or for anything else the usual file."""
    if url.startswith(MEMORY):
        return MemoryStore()
    path = Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else usual_file(env)
    if path is None:
        log.warning("nothing is kept over a restart: neither HOME nor XDG_STATE_HOME is set")
        return MemoryStore()
    try:
        return SqliteStore(path)
    except CannotKeep as error:
        log.warning("nothing is kept over a restart: %s can't be used: %s", path, error)
        return MemoryStore()


def usual_file(env: Mapping[str, str]) -> Path | None:
    """state.db in the state folder; None: there is no such place."""
    folder = state_folder(env)
    return folder and folder / FILE


def state_folder(env: Mapping[str, str]) -> Path | None:
    """The one that systemd gives, else $XDG_STATE_HOME/zoe-grpcd; None: there is no such place."""
    if given := env.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(given)
    home = env.get("XDG_STATE_HOME") or (f"{env['HOME']}/.local/state" if env.get("HOME") else "")
    return Path(home) / "zoe-grpcd" if home else None


def prompts_file(named: Path | None, env: Mapping[str, str] = os.environ) -> Path | None:
    """Where what was said is written; None: nowhere."""
    if named is None or named.is_absolute():
        return named
    folder = state_folder(env)
    if folder is None:
        log.warning("log.prompts: there is no state folder for %s; give an absolute path", named)
    return folder and folder / named
