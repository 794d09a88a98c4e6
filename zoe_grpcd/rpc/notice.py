"""Wakes what watches the fleet. One rule: a watcher that ends leaves nothing behind."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Notice:
    """What changed since a watcher last looked; `closing`: the daemon shuts down and watchers should end."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    changed: set[str] = field(default_factory=set)
    closing: bool = False

    async def take(self) -> set[str]:
        """The backends that changed, once there are any or the daemon shuts down."""
        await self.event.wait()
        self.event.clear()
        changed, self.changed = self.changed, set()
        return changed


class Watchers:
    """All that watch. `subscribe` is the fleet's."""

    def __init__(self, subscribe: Callable[[Callable[[str], None]], Callable[[], None]]) -> None:
        self._notices: set[Notice] = set()
        self._closing = False
        subscribe(self._changed)

    def _changed(self, backend: str) -> None:
        for notice in self._notices:
            notice.changed.add(backend)
            notice.event.set()

    @contextmanager
    def watch(self) -> Iterator[Notice]:
        """A notice that hears of every change from now on."""
        notice = Notice(closing=self._closing)
        if self._closing:
            notice.event.set()
        self._notices.add(notice)
        try:
            yield notice
        finally:
            self._notices.discard(notice)

    def close(self) -> None:
        """Lets every watcher come to its end, those that come later too."""
        self._closing = True
        for notice in self._notices:
            notice.closing = True
            notice.event.set()

    @property
    def closing(self) -> bool:
        """The daemon shuts down."""
        return self._closing
