"""A process that ends a server's process group when the one that started it is gone, even by SIGKILL.

The one rule: it knows nothing but the standard library, since it is run by its path, outside the package.
"""

import contextlib
import os
import signal
import subprocess
import sys


class Guard:
    """Watches over one process group from a process of its own, through a pipe that only this process holds."""

    def __init__(self, group: int) -> None:
        argv = [sys.executable, "-I", "-S", __file__, str(group)]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True)

    def dismiss(self) -> None:
        """Ends the watch; the group's number may belong to others from now on."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate(b"dismissed")


def main() -> None:
    """Waits for a word, or for the pipe to break without one."""
    if not sys.stdin.buffer.read():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(sys.argv[1]), signal.SIGKILL)


if __name__ == "__main__":
    main()
