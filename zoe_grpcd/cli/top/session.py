"""One person at one terminal: keys in, pictures out, until they leave."""

import asyncio
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from zoe_grpcd.cli.top.daemon import Feed
from zoe_grpcd.cli.top.drawing import screen
from zoe_grpcd.cli.top.look import Act, Drain, Look, Screen, Undrain, Warm, press
from zoe_grpcd.cli.top.picture import Picture
from zoe_grpcd.cli.top.reading import picture
from zoe_grpcd.cli.top.terminal import Terminal

# Seconds between two pictures: what changes faster is shown once; the clock moves on without a change.
FASTEST, SLOWEST = 0.25, 1.0


class Session:
    """`feed` is what there is to see; `wake` is set by whatever makes another picture necessary."""

    def __init__(self, terminal: Terminal, feed: Feed, wake: asyncio.Event) -> None:
        self._terminal = terminal
        self._feed = feed
        self._wake = wake
        self._look = Look()
        self._over = asyncio.Event()
        self._acts: set[asyncio.Task[None]] = set()
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Returns when the person leaves, or the process is asked to end."""
        with self._listening():
            while not self._over.is_set():
                self._paint()
                await self._pause()
        for act in self._acts:
            act.cancel()

    def _paint(self) -> None:
        self._wake.clear()
        self._hurry.clear()
        self._terminal.paint(screen(self._picture(), self._look, self._terminal.size))

    async def _pause(self) -> None:
        """Until there is something new, at most so often; a key is answered at once."""
        begun = time.monotonic()
        await self._until(self._wake, SLOWEST)
        await self._until(self._hurry, FASTEST - (time.monotonic() - begun))

    @staticmethod
    async def _until(event: asyncio.Event, seconds: float) -> None:
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return

    def _picture(self) -> Picture:
        return picture(self._feed.seen, time.time())

    @contextmanager
    def _listening(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin.fileno(), self._keys)
        loop.add_signal_handler(signal.SIGWINCH, self._resized)
        for ending in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(ending, self._leave)
        try:
            yield
        finally:
            loop.remove_reader(sys.stdin.fileno())
            for heard in (signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP):
                loop.remove_signal_handler(heard)

    def _leave(self) -> None:
        self._over.set()
        self._show()

    def _show(self) -> None:
        """Another picture, now."""
        self._wake.set()
        self._hurry.set()

    def _resized(self) -> None:
        self._terminal.fitted()
        self._show()

    def _keys(self) -> None:
        for key in self._terminal.pressed():
            self._look, action = press(key, self._look, self._picture())
            match action:
                case Screen.QUIT:
                    self._over.set()
                case Screen.REDRAW:
                    self._terminal.redrawn()
                case Drain() | Undrain() | Warm():
                    self._begin(action)
        if self._terminal.is_gone:
            self._over.set()
        self._show()

    def _begin(self, action: Act) -> None:
        async def act() -> None:
            told = await self._feed.act(action)
            self._look = replace(self._look, note=told)
            self._show()

        task = asyncio.create_task(act())
        self._acts.add(task)
        task.add_done_callback(self._acts.discard)
