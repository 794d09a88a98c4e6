"""The terminal, through curses: it knows what each kind of terminal can do, and sends no more than what has changed.

Rule: whatever happens inside `opened`, the terminal is as it was before when it ends.
"""

import curses
import locale
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from zoe_grpcd.cli.top.columns import Line, Style
from zoe_grpcd.cli.top.drawing import Size

KEYS = {
    curses.KEY_UP: "up",
    curses.KEY_DOWN: "down",
    curses.KEY_ENTER: "enter",
    curses.KEY_BACKSPACE: "backspace",
}
CHARACTERS = {
    "\n": "enter",
    "\r": "enter",
    "\x1b": "esc",
    "\t": "tab",
    "\x7f": "backspace",
    "\x08": "backspace",
}
# What a terminal that knows no Unicode shows in place of our signs.
ASCII = str.maketrans("■▪·●›–…↑↓", "#+.*>-~^v")
ESCAPE_DELAY = 25  # ms after which an escape is the key alone, not the begin of another one
NEWER = "xterm-256color"  # what a terminal speaks that this machine has never heard of


class NoTerminal(Exception):
    """Nothing can be drawn here; the text says why, and what to do."""


class Terminal:
    """An open terminal. Styles become colours where there are any, else bold, dim and reverse alone."""

    def __init__(self, window: curses.window) -> None:
        self._window = window
        self._styles = _styles()
        self._unicode = "utf" in window.encoding.lower()

    @property
    def size(self) -> Size:
        """As it is now."""
        height, width = self._window.getmaxyx()
        return Size(width, height)

    def paint(self, lines: Sequence[Line]) -> None:
        """Shows these lines; what is the same as before is not sent again."""
        window, height = self._window, self.size.height
        window.erase()
        for number, line in enumerate(lines[:height]):
            window.move(number, 0)
            with suppress(
                curses.error
            ):  # the cell in the last corner is written, and then there is no next one
                for span in line:
                    window.addstr(self._writable(span.text), self._styles[span.style])
        window.refresh()

    def _writable(self, text: str) -> str:
        if self._unicode:
            return text
        encoding = self._window.encoding
        return text.translate(ASCII).encode(encoding, "replace").decode(encoding)

    def pressed(self) -> Iterator[str]:
        """What has been pressed, as `look.press` names it."""
        while True:
            try:
                key = self._window.get_wch()
            except curses.error:
                return
            name = KEYS.get(key, "") if isinstance(key, int) else CHARACTERS.get(key, key)
            if name:
                yield name

    @property
    def is_gone(self) -> bool:
        """Nobody is at the other end any more: it was hung up, and the signal that tells so went to another process."""
        ends = select.poll()
        ends.register(sys.stdin.fileno(), 0)
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in ends.poll(0))

    def fitted(self) -> None:
        """The window has another size now."""
        size = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1)
        curses.resizeterm(size.lines, size.columns)
        self._window.clearok(True)  # noqa: FBT003 - curses knows no keywords

    def redrawn(self) -> None:
        """All of it is sent again at the next paint."""
        self._window.clearok(True)  # noqa: FBT003


@contextmanager
def opened() -> Iterator[Terminal]:
    """The terminal for as long as this lasts. Raises NoTerminal."""
    _check()
    locale.setlocale(locale.LC_ALL, "")
    window = curses.initscr()
    try:
        curses.noecho()
        curses.cbreak()
        curses.set_escdelay(ESCAPE_DELAY)
        window.keypad(True)  # noqa: FBT003
        window.nodelay(True)  # noqa: FBT003
        with suppress(curses.error):
            curses.curs_set(0)
        yield Terminal(window)
    finally:
        window.keypad(False)  # noqa: FBT003
        with suppress(curses.error):  # as where it is gone
            curses.curs_set(1)
        with suppress(curses.error):
            curses.endwin()


def _check() -> None:
    """A terminal at both ends, on which the cursor can be moved."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NoTerminal("top needs a terminal; `zoe-grpcd backends --watch` does without one")
    kind = os.environ.get("TERM", "")
    try:
        curses.setupterm(kind or "dumb")
    except curses.error:
        os.environ["TERM"] = kind = NEWER
        curses.setupterm(kind)
    if not curses.tigetstr("cup"):
        raise NoTerminal(
            f"top cannot move the cursor on a terminal of the kind {kind or 'dumb'!r} ($TERM); "
            "`zoe-grpcd backends --watch` does without that"
        )


def _styles() -> dict[Style, int]:
    plain: dict[Style, int] = {
        "plain": curses.A_NORMAL,
        "dim": curses.A_DIM,
        "bold": curses.A_BOLD,
        "head": curses.A_DIM,
        "good": curses.A_NORMAL,
        "warn": curses.A_BOLD,
        "bad": curses.A_BOLD,
        "active": curses.A_NORMAL,
        "idle": curses.A_DIM,
    }
    with suppress(curses.error):
        curses.start_color()
        curses.use_default_colors()
        colours: dict[Style, int] = {
            "good": curses.COLOR_GREEN,
            "warn": curses.COLOR_YELLOW,
            "bad": curses.COLOR_RED,
            "active": curses.COLOR_CYAN,
        }
        for number, (style, colour) in enumerate(colours.items(), 1):
            curses.init_pair(number, colour, -1)
            plain[style] = curses.color_pair(number)
    return plain
