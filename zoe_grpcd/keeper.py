"""Brings over a restart what the fleet has learned, and the last decisions: read when the daemon starts, kept every few
seconds while it runs.

Rule: it is done beside the requests, a little at a time. What was kept is of another process, perhaps of another version:
what it does not understand it passes over.
"""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from zoe_grpcd.decisions import CAPACITY, DecisionLog, Entry
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.fleet.memory import KINDS
from zoe_grpcd.ports import StateStore

log = logging.getLogger(__name__)

# How often what is new is kept (seconds).
INTERVAL = 2.0
# What was learned of something that has not been seen for so long is forgotten (seconds).
FORGOTTEN = 30 * 86400.0
DECISION = "decision"
# Of those that have ended since the last time, so many are kept, the latest: encoding one takes 10 us.
AT_ONCE = 400
# Decisions that are kept, or restored, before others may run.
AT_A_TIME = 10


@dataclass(frozen=True, slots=True)
class Clocks:
    """`now` is the fleet's clock; `wall` gives unix seconds, which another process understands."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


class Keeper:
    """Of one daemon."""

    def __init__(
        self, fleet: Fleet, decisions: DecisionLog, store: StateStore, clocks: Clocks | None = None
    ) -> None:
        self._fleet = fleet
        self._decisions = decisions
        self._store = store
        self._clocks = clocks or Clocks()
        self._ended: deque[Entry] = deque(maxlen=AT_ONCE)
        self._keys: deque[str] = deque()  # of the decisions that are kept, the oldest first
        decisions.listeners.append(self._ended.append)

    def restore(self) -> None:
        """Tells the fleet what an earlier one has learned; before any backend is taken in."""
        for kind in KINDS:
            for key, text in self._store.read(kind).items():
                self._restore(kind, key, text)

    def open(self) -> None:
        """Begins to keep what is new."""
        self._keeping = asyncio.create_task(self._keep_on(), name="keeper")

    async def _keep_on(self) -> None:
        await self._restore_decisions()
        while True:
            await asyncio.sleep(INTERVAL)
            for kind, key, values in self._fleet.memory.dump(self._clocks.now()):
                self._put(kind, key, values)
                await asyncio.sleep(0)
            while self._ended:
                for _ in range(min(AT_A_TIME, len(self._ended))):
                    self._put_decision(self._ended.popleft())
                await asyncio.sleep(0)

    async def close(self) -> None:
        """Keeps what is new at the end."""
        self._keeping.cancel()
        with suppress(asyncio.CancelledError):
            await self._keeping
        for kind, key, values in self._fleet.memory.dump(self._clocks.now()):
            self._put(kind, key, values)
        while self._ended:
            self._put_decision(self._ended.popleft())

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

    def _put_decision(self, entry: Entry) -> None:
        key = f"{entry.arrived:.6f}-{entry.number}"
        self._store.put(DECISION, key, entry.dump())
        self._keys.append(key)
        if len(self._keys) > CAPACITY:
            self._store.drop(DECISION, self._keys.popleft())

    async def _restore_decisions(self) -> None:
        kept = await asyncio.to_thread(self._store.read, DECISION)
        keys = sorted(kept)
        for key in keys[:-CAPACITY]:
            self._store.drop(DECISION, key)
        self._keys.extendleft(reversed(keys[-CAPACITY:]))
        for number, key in enumerate(reversed(keys[-CAPACITY:])):
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)
            try:
                self._decisions.restore(Entry.restored(CAPACITY - number, kept[key]))
            except ValueError as error:
                log.warning("a decision that was kept is not understood: %s", error)
                self._store.drop(DECISION, key)
