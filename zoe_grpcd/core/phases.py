"""The backend's state machine. Everything that moves a backend between phases is in this one table.

Who says what:

- Probes say IDLE, FULL and LOADING (it is up), SILENT (no answer in time) and BROKEN (refused, or nonsense).
- Attempts say REFUSED (no connection), LOADING and ANSWERED. All other failures of attempts go to `core.breaker`, which
  says STRAINED (send it less), TRIPPED (send it nothing) and MENDED (all is well again).
- The operator says DRAIN and UNDRAIN.

Hence the rules. Loading is a phase of its own and never a failure. One silence is a suspicion, DEGRADED; the second, or
the first of a backend that is doubted already, is DOWN; a refused connection leaves no doubt. What a probe has found
wrong, a good probe ends. What attempts have found wrong, no probe ends: a server may answer its probes and fail every
request; so after each probe the breaker has the last word. Draining outlasts everything but UNDRAIN.
"""

from enum import StrEnum

from zoe_grpcd.core.backend import Phase


class Signal(StrEnum):
    """What a probe, an attempt, the breaker or the operator says of a backend."""

    IDLE = "IDLE"  # a probe: up, with a free slot
    FULL = "FULL"  # a probe: up, every slot taken
    LOADING = "LOADING"  # a probe or an attempt: the server says that it loads its model
    SILENT = "SILENT"  # a probe: no answer in its time
    BROKEN = "BROKEN"  # a probe: refused, or an answer that makes no sense
    REFUSED = "REFUSED"  # an attempt: no connection
    ANSWERED = "ANSWERED"  # an attempt: it answered
    STRAINED = "STRAINED"  # the breaker: it fails now and then, or has just come back
    TRIPPED = "TRIPPED"  # the breaker: it fails too often
    MENDED = "MENDED"  # the breaker: nothing against it any longer
    DRAIN = "DRAIN"  # the operator
    UNDRAIN = "UNDRAIN"


_UP = {Signal.IDLE: Phase.READY, Signal.FULL: Phase.BUSY, Signal.LOADING: Phase.LOADING}
_GONE = {Signal.BROKEN: Phase.DOWN, Signal.REFUSED: Phase.DOWN}
_DRAIN = {Signal.DRAIN: Phase.DRAINING}
_DOUBTED = {Signal.STRAINED: Phase.DEGRADED, Signal.TRIPPED: Phase.COOLING_DOWN}

# What is not named stays where it is. An answer to a caller ends a suspicion, but does not say that a slot is free.
NEXT: dict[Phase, dict[Signal, Phase]] = {
    Phase.UNKNOWN: {**_UP, **_GONE, **_DRAIN, Signal.SILENT: Phase.DOWN},
    Phase.READY: {**_UP, **_GONE, **_DRAIN, **_DOUBTED, Signal.SILENT: Phase.DEGRADED},
    Phase.BUSY: {**_UP, **_GONE, **_DRAIN, **_DOUBTED, Signal.SILENT: Phase.DEGRADED},
    Phase.LOADING: {
        **_UP,
        **_GONE,
        **_DRAIN,
        Signal.SILENT: Phase.DEGRADED,
        Signal.ANSWERED: Phase.READY,
    },
    Phase.DEGRADED: {
        **_UP,
        **_GONE,
        **_DRAIN,
        Signal.SILENT: Phase.DOWN,
        Signal.ANSWERED: Phase.READY,
        Signal.TRIPPED: Phase.COOLING_DOWN,
        Signal.MENDED: Phase.READY,
    },
    Phase.COOLING_DOWN: {
        **_GONE,
        **_DRAIN,
        Signal.LOADING: Phase.LOADING,
        Signal.SILENT: Phase.DOWN,
        Signal.STRAINED: Phase.DEGRADED,
        Signal.MENDED: Phase.READY,
    },
    Phase.DOWN: {**_UP, **_DRAIN},
    Phase.DRAINING: {Signal.UNDRAIN: Phase.UNKNOWN},
    Phase.DISABLED: {},  # set by the config alone
}


def after(phase: Phase, signal: Signal) -> Phase:
    """The phase that follows."""
    return NEXT[phase].get(signal, phase)
