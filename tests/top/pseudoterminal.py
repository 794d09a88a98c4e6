"""A terminal that is none: a program in it believes to be at a screen, and what it draws can be read and counted."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import pyte
from waiting import wait_until

LIMIT = 30.0  # seconds for whatever is waited for: starting Python on a busy machine takes some


class _Screen(pyte.Screen):
    """Knows three sequences more, which ncurses uses: the last character again, and scrolling up and down."""

    _last = " "

    def draw(self, data: str) -> None:
        self._last = data[-1:] or self._last
        super().draw(data)

    def repeat(self, count: int = 1) -> None:
        super().draw(self._last * count)

    def scroll_up(self, count: int = 1) -> None:
        self._from_the_top(self.delete_lines, count)

    def scroll_down(self, count: int = 1) -> None:
        self._from_the_top(self.insert_lines, count)

    def _from_the_top(self, move: Callable[[int], None], count: int) -> None:
        x, y = self.cursor.x, self.cursor.y
        self.cursor.y = self.margins.top if self.margins else 0
        move(count)
        self.cursor.x, self.cursor.y = x, y


class _Stream(pyte.ByteStream):
    csi = {**pyte.ByteStream.csi, "b": "repeat", "S": "scroll_up", "T": "scroll_down"}  # noqa: RUF012
    events = pyte.ByteStream.events | {"repeat", "scroll_up", "scroll_down"}


class PseudoTerminal:
    """Runs one program in a terminal of so many columns and lines."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        size: tuple[int, int] = (80, 24),
        term: str = "xterm",
    ) -> None:
        self.screen = _Screen(*size)
        self.bytes = 0
        self.left = False  # the other screen, which keeps what was there before
        self._stream = _Stream(self.screen)
        self._lock = threading.Lock()
        self._ours, theirs = pty.openpty()
        self._theirs = theirs
        self._stopped, self._stop = os.pipe()
        self._open = [self._ours, theirs, self._stopped, self._stop]
        _set_size(theirs, size)
        self.before = termios.tcgetattr(theirs)
        self.process = subprocess.Popen(
            argv,
            env={**env, "TERM": term},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.hang_up()

    def hang_up(self) -> None:
        """Closes our ends, as a connection that breaks does; no signal tells the program. Twice is once."""
        if self._reader.is_alive():
            os.write(self._stop, b".")
        self._reader.join()
        while self._open:
            os.close(self._open.pop())

    def _read(self) -> None:
        while self._stopped not in select.select([self._ours, self._stopped], [], [])[0]:
            data = os.read(self._ours, 65536)
            with self._lock:
                self._stream.feed(data)
                self.left = self.left or b"\x1b[?1049l" in data
                self.bytes += len(data)

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        with self._lock:
            return list(self.screen.display)

    @property
    def text(self) -> str:
        """The same as one text."""
        return "\n".join(line.rstrip() for line in self.lines)

    @property
    def attributes(self) -> list[Any]:
        """The state of the terminal itself: echo, lines, signals."""
        return termios.tcgetattr(self._theirs)

    def press(self, keys: str) -> None:
        """Types."""
        os.write(self._ours, keys.encode())

    def shows(self, *words: str, within: float = LIMIT) -> str:
        """Returns the screen when all of the words are on it."""
        try:
            return str(wait_until(lambda: all(word in self.text for word in words) and self.text, within))
        except AssertionError:
            missing = [word for word in words if word not in self.text]
            raise AssertionError(f"{missing} not in\n{self.text}") from None

    def shows_no_more(self, word: str, within: float = LIMIT) -> None:
        """Returns when the word has gone."""
        wait_until(lambda: word not in self.text, within)

    def resize(self, *size: int) -> None:
        """Another size, of which the program is told as by a window."""
        with self._lock:
            self.screen.resize(size[1], size[0])
        _set_size(self._theirs, size)
        os.killpg(self.process.pid, signal.SIGWINCH)

    def ended(self, within: float = LIMIT) -> int:
        """Waits for the end of the program; returns its exit status."""
        return self.process.wait(within)


def _set_size(terminal: int, size: Sequence[int]) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
