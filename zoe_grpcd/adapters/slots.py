"""The slots of a llama-server: what they do, and how often it may be asked for that.

The one rule: asking counts as use, and puts off the sleep of an idle server, so it is asked ever more rarely.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from zoe_grpcd.adapters.inquiry import count
from zoe_grpcd.core.generation import Json

_LONGEST_DOZE = 900.0  # s; a server that stays awake when left alone for so long does not fall asleep


@dataclass(slots=True)
class Restraint:
    """How often an idle server may be asked for its slots, given that each time puts off its sleep.

    As soon as it has been idle for t, the next question waits another t. So one that sleeps after n idle seconds
    does so within 3n in place of n, and foreign work is noticed no later than after the idle time before it.
    """

    sleepless: bool = False  # it never falls asleep: ask at every probe
    asked: float | None = None
    active: float = 0.0
    traces: tuple[object, ...] = ()

    def allows(self, now: float) -> bool:
        """Whether the slots may be asked for now."""
        return self.sleepless or self.asked is None or now - self.asked >= self.asked - self.active

    def saw(self, slots: Sequence[Json], now: float) -> None:
        """Takes note of what /slots told: work, or traces of work since the last time, begins the wait anew."""
        traces = tuple(slot.get("id_task") for slot in slots)
        if busy_in(slots) or self.asked is None or traces != self.traces:
            self.active = now
        elif now - self.asked >= _LONGEST_DOZE:
            self.sleepless = True
        self.asked, self.traces = now, traces


def busy_in(slots: Sequence[Json] | None) -> int | None:
    """Slots taken."""
    return None if slots is None else sum(slot.get("is_processing") is True for slot in slots)


def reading_in(slots: Sequence[Json] | None) -> tuple[tuple[int, int], ...] | None:
    """How far the slots are that read a prompt: they have written nothing yet."""
    if slots is None:
        return None
    return tuple(
        (count(slot.get("id_task")) or 0, count(slot.get("n_prompt_tokens_processed")) or 0)
        for slot in slots
        if slot.get("is_processing") is True and not _written(slot)
    )


def _written(slot: Json) -> int:
    """Tokens of its answer."""
    told = slot.get("next_token")
    first = told[0] if isinstance(told, list) and told else told
    return count(first.get("n_decoded")) or 0 if isinstance(first, dict) else 0
