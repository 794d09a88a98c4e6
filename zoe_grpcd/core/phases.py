"""The backend's state machine. Everything that moves a backend between phases is in this one table."""

from enum import StrEnum

from zoe_grpcd.core.domain import Phase


class Signal(StrEnum):
    """What a probe or an attempt showed of a backend."""

    IDLE = "IDLE"  # a probe: up, with a free slot
    FULL = "FULL"  # a probe: up, every slot taken
    LOADING = "LOADING"  # a probe or an attempt: the server says that it loads its model
    SILENT = "SILENT"  # a probe: no answer in its time
    BROKEN = "BROKEN"  # a probe: refused, or an answer that makes no sense
    REFUSED = "REFUSED"  # an attempt: no connection
    ANSWERED = "ANSWERED"  # an attempt: it answered
    DRAIN = "DRAIN"  # the operator
    UNDRAIN = "UNDRAIN"


_UP = {Signal.IDLE: Phase.READY, Signal.FULL: Phase.BUSY, Signal.LOADING: Phase.LOADING}
_GONE = {Signal.BROKEN: Phase.DOWN, Signal.REFUSED: Phase.DOWN}

# What is not named stays where it is. One silent probe is a suspicion (DEGRADED: half the weight), the second is DOWN;
# a refused connection leaves no doubt. An answer to a caller ends the suspicion, but does not say that a slot is free.
NEXT: dict[Phase, dict[Signal, Phase]] = {
    Phase.UNKNOWN: {**_UP, **_GONE, Signal.SILENT: Phase.DOWN, Signal.DRAIN: Phase.DRAINING},
    Phase.READY: {**_UP, **_GONE, Signal.SILENT: Phase.DEGRADED, Signal.DRAIN: Phase.DRAINING},
    Phase.BUSY: {**_UP, **_GONE, Signal.SILENT: Phase.DEGRADED, Signal.DRAIN: Phase.DRAINING},
    Phase.LOADING: {
        **_UP,
        **_GONE,
        Signal.SILENT: Phase.DEGRADED,
        Signal.ANSWERED: Phase.READY,
        Signal.DRAIN: Phase.DRAINING,
    },
    Phase.DEGRADED: {
        **_UP,
        **_GONE,
        Signal.SILENT: Phase.DOWN,
        Signal.ANSWERED: Phase.READY,
        Signal.DRAIN: Phase.DRAINING,
    },
    Phase.DOWN: {**_UP, Signal.DRAIN: Phase.DRAINING},
    Phase.DRAINING: {Signal.UNDRAIN: Phase.UNKNOWN},
    Phase.COOLING_DOWN: {},  # entered by nothing yet: a later version counts errors
    Phase.DISABLED: {},  # set by the config alone
}


def after(phase: Phase, signal: Signal) -> Phase:
    """The phase that follows."""
    return NEXT[phase].get(signal, phase)
