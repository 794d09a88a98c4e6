"""Every phase with every signal, written out, so that a change of the table is a change here."""

import pytest

from zoe_grpcd.core.backend import Phase
from zoe_grpcd.core.phases import NEXT, Signal, after

COLUMNS = "IDLE FULL LOADING SILENT BROKEN REFUSED ANSWERED STRAINED TRIPPED MENDED DRAIN UNDRAIN".split()
# a dot: it stays where it is
TABLE = """
UNKNOWN       READY  BUSY  LOADING  DOWN      DOWN  DOWN  .      .         .             .      DRAINING  .
READY         .      BUSY  LOADING  DEGRADED  DOWN  DOWN  .      DEGRADED  COOLING_DOWN  .      DRAINING  .
BUSY          READY  .     LOADING  DEGRADED  DOWN  DOWN  .      DEGRADED  COOLING_DOWN  .      DRAINING  .
LOADING       READY  BUSY  .        DEGRADED  DOWN  DOWN  READY  .         .             .      DRAINING  .
DEGRADED      READY  BUSY  LOADING  DOWN      DOWN  DOWN  READY  .         COOLING_DOWN  READY  DRAINING  .
COOLING_DOWN  .      .     LOADING  DOWN      DOWN  DOWN  .      DEGRADED  .             READY  DRAINING  .
DOWN          READY  BUSY  LOADING  .         .     .     .      .         .             .      DRAINING  .
DRAINING      .      .     .        .         .     .     .      .         .             .      .         UNKNOWN
DISABLED      .      .     .        .         .     .     .      .         .             .      .         .
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]
MOVES = [
    (Phase(row[0]), Signal(signal), Phase(row[0] if to == "." else to))
    for row in ROWS
    for signal, to in zip(COLUMNS, row[1:], strict=True)
]


@pytest.mark.parametrize(("phase", "signal", "expected"), MOVES)
def test_every_move(phase: Phase, signal: Signal, expected: Phase) -> None:
    assert after(phase, signal) is expected


def test_no_phase_and_no_signal_is_left_out() -> None:
    assert set(NEXT) == set(Phase)
    assert {(phase, signal) for phase, signal, _ in MOVES} == {(p, s) for p in Phase for s in Signal}


def test_a_drained_backend_comes_back_by_the_operator_alone() -> None:
    ways_out = {signal for signal in Signal if after(Phase.DRAINING, signal) is not Phase.DRAINING}
    assert ways_out == {Signal.UNDRAIN}
