"""Budgets over restarts: read at the start, written at each change.

Rule: what a daemon did not live to settle counts as spent by the next one, with the most that it was expected to cost.
"""

import json
import logging

from zoe_grpcd.core.budget import Budget
from zoe_grpcd.ports import StateStore

log = logging.getLogger(__name__)

KIND = "budget"


class Ledger:
    """The budgets by name of the key."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._kept = store.read(KIND)

    def open(self, name: str, limit: float) -> Budget:
        """A key's budget, as the last daemon left it."""
        text = self._kept.pop(name, None)
        if text is None:
            return Budget(limit)
        try:
            kept = json.loads(text)
            spent = float(kept["spent_usd"]) + float(kept["held_usd"])
            return Budget(limit, int(kept["day"]), max(0.0, spent), warned=bool(kept["warned"]))
        except (ValueError, TypeError, KeyError):
            log.warning("what key %s has spent today could not be read; it counts from 0", name)
            return Budget(limit)

    def write(self, name: str, budget: Budget) -> None:
        """Keeps what a key has spent, and what is held for its calls that run."""
        kept = {
            "day": budget.day,
            "spent_usd": budget.spent,
            "held_usd": budget.held,
            "warned": budget.warned,
        }
        self._store.put(KIND, name, json.dumps(kept))
