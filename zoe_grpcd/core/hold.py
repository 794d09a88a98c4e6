"""What of an answer is handed on only when it is whole.

The one rule: half a tool call, or half an object, is never delivered to who can't be told to drop it.
"""

from enum import Enum

from zoe_grpcd.core.answer import Delta, Event, Seam, ToolDelta
from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.continuation import is_structured


class Hold(Enum):
    """What waits for the end of the answer."""

    NOTHING = "NOTHING"
    CALLS = "CALLS"  # tool calls
    OBJECTS = "OBJECTS"  # tool calls, and the text, which is an object
    ALL = "ALL"


def hold_of(ask: Ask, *, whole: bool) -> Hold:
    """What waits in an answer to this request; `whole`: it is asked for all at once.

    A caller that takes a restart can drop what it has, and one that takes no splice at all wants it as it comes.
    """
    if whole:
        return Hold.ALL
    if ask.minimum_seam >= Seam.RESTART:
        return Hold.NOTHING
    if is_structured(ask.generation):
        return Hold.OBJECTS
    return Hold.CALLS if ask.generation.tools else Hold.NOTHING


def sift(events: list[Event], hold: Hold) -> tuple[list[Event], list[Event]]:
    """What goes on now, and what waits."""
    if hold is Hold.NOTHING:
        return events, []
    if hold is Hold.ALL:
        return [], events
    now: list[Event] = []
    later: list[Event] = []
    for event in events:
        waits = isinstance(event, ToolDelta)
        if hold is Hold.OBJECTS and isinstance(event, Delta):
            waits = not event.reasoning
        (later if waits else now).append(event)
    return now, later
