"""Where the configuration comes from, so that it can be read again.

Rule: once a file was read, that file it is, and its absence a mistake: nobody wants the defaults because of a wrong move.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from zoe_grpcd.config.load import Loaded, defaults, find, load

Signature = tuple[tuple[int, int, int], ...]


class Source:
    """`named`: the file that the command line names, if any."""

    def __init__(self, env: Mapping[str, str] = os.environ, named: str | None = None) -> None:
        self._env = env
        self._named = named
        self._path: Path | None = None

    def read(self) -> Loaded:
        """What is there now. Raises ConfigError with all mistakes."""
        path = self._path or find(self._env, self._named)
        if path is None:
            return Loaded(defaults(self._env), (), None, "")
        loaded = load(path, self._env)
        self._path = path
        return loaded

    def signature(self, *besides: Path | None) -> Signature:
        """Changes when the file does, or one of those besides; of a file that is not there, nothing is known."""
        paths = [path for path in (self._path, *besides) if path is not None]
        found = [path.stat() for path in paths if path.exists()]
        return tuple((status.st_mtime_ns, status.st_size, status.st_ino) for status in found)
