"""Brings over a restart what the fleet has learned: read when the daemon starts, kept every few seconds while it runs.

Rule: it is done beside the requests, a little at a time. What was kept is of another process, perhaps of another version:
what it does not understand it passes over.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from zoe_grpcd.fleet import Fleet
from zoe_grpcd.fleet.memory import KINDS
from zoe_grpcd.ports import StateStore

log = logging.getLogger(__name__)

# How often what is new is kept (seconds).
INTERVAL = 2.0
# What was learned of something that has not been seen for so long is forgotten (seconds).
FORGOTTEN = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class Clocks:
    """`now` is the fleet's clock; `wall` gives unix seconds, which another process understands."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


class Keeper:
    """Of one daemon."""

    def __init__(self, fleet: Fleet, store: StateStore, clocks: Clocks | None = None) -> None:
        self._fleet = fleet
        self._store = store
        self._clocks = clocks or Clocks()

    def restore(self) -> None:
        """Tells the fleet what an earlier one has learned; before any backend is taken in."""
        for kind in KINDS:
            for key, text in self._store.read(kind).items():
                self._restore(kind, key, text)

    def open(self) -> None:
        """Begins to keep what is new."""
        self._keeping = asyncio.create_task(self._keep_on(), name="keeper")

    async def _keep_on(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            for kind, key, values in self._fleet.memory.dump(self._clocks.now()):
                self._put(kind, key, values)
                await asyncio.sleep(0)

    async def close(self) -> None:
        """Keeps what is new at the end."""
        self._keeping.cancel()
        with suppress(asyncio.CancelledError):
            await self._keeping
        for kind, key, values in self._fleet.memory.dump(self._clocks.now()):
            self._put(kind, key, values)

    def _put(self, kind: str, key: str, values: object) -> None:
        text = json.dumps({"saved": self._clocks.wall(), "values": values}, separators=(",", ":"))
        self._store.put(kind, key, text)

    def _restore(self, kind: str, key: str, text: str) -> None:
        try:
            kept = json.loads(text)
            age = max(0.0, self._clocks.wall() - float(kept["saved"]))
            values = kept["values"]
        except (ValueError, TypeError, KeyError) as error:
            log.warning("what was kept of %s %s is not understood: %s", kind, key, error)
            self._store.drop(kind, key)
            return
        if age > FORGOTTEN:
            self._store.drop(kind, key)
        else:
            self._fleet.memory.restore(kind, key, values, self._clocks.now() - age)
