"""Plays traces through the daemon's own decisions and those of its rivals, in simulated time, and prints tables.

python -m benchmarks.simulation              two fleets, five traces, nine policies and a bound; some minutes
python -m benchmarks.simulation --quick      one short round
python -m benchmarks.simulation --held-back  a fleet and seeds that nothing was tuned on
python -m benchmarks.simulation --fleet random --seed 7 --seed 8   a fleet drawn from each seed, and its traces
python -m benchmarks.simulation --live       four policies on real servers, and nothing simulated
python -m benchmarks.simulation --json       JSON in place of the tables
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from benchmarks.simulation import live
from benchmarks.simulation.drawn import drawn
from benchmarks.simulation.fleets import FLEETS, HELD_BACK, Home
from benchmarks.simulation.measures import BOUND, Outcome, simulate
from benchmarks.simulation.rivals import POLICIES
from benchmarks.simulation.tables import Results, as_json, as_text, with_all
from benchmarks.simulation.traces import TRACES

SEEDS, HELD_BACK_SEEDS = (11, 12, 13), (901, 902, 903)
RANDOM = "random"
WHO = (*POLICIES, BOUND)
HOUR, QUICK = 3600.0, 1200.0
ENOUGH = 800.0  # requests of one seed


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round; rough")
    parser.add_argument(
        "--held-back", action="store_true", help="the fleets and seeds that nothing was tuned on"
    )
    parser.add_argument("--live", action="store_true", help="on real servers; four policies, one short trace")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the tables")
    parser.add_argument(
        "--fleet", action="append", choices=[*FLEETS, *HELD_BACK, RANDOM], help="only this fleet"
    )
    parser.add_argument("--trace", action="append", choices=[*TRACES], help="only this trace")
    parser.add_argument("--policy", action="append", choices=WHO, help="only this policy")
    parser.add_argument("--seed", action="append", type=int, help="draw the traces, or the fleet, from this")
    arguments = parser.parse_args()
    seeds = arguments.seed or (HELD_BACK_SEEDS if arguments.held_back else SEEDS)
    if arguments.live:
        print(live.as_text(live.compared(seeds[0])))
        return 0
    if arguments.quick:
        seeds = seeds[:1]
    chosen = arguments.fleet or [*FLEETS, *(HELD_BACK if arguments.held_back else ())]
    longest = QUICK if arguments.quick else HOUR
    games = [
        Game(name, build, trace, policy, seed, longest)
        for name, (build, draws) in _fleets(chosen, seeds).items()
        for trace in arguments.trace or TRACES
        for policy in arguments.policy or WHO
        for seed in draws
    ]
    began = time.perf_counter()
    results = with_all(_played(games))
    print(as_json(results) if arguments.json else as_text(results))
    print(f"{time.perf_counter() - began:.0f} s", file=sys.stderr)
    return 0


@dataclass(frozen=True, slots=True)
class Game:
    """One policy on one trace of a seed, of at most so many seconds."""

    fleet: str
    build: Callable[[], Home]
    trace: str
    policy: str
    seed: int
    longest: float

    def play(self) -> Outcome:
        """To its end."""
        home = self.build()
        seconds = min(self.longest, ENOUGH / home.rate * 60.0)
        return simulate(home, TRACES[self.trace](home, self.seed, seconds), self.policy, self.seed)

    @property
    def row(self) -> tuple[str, str, str]:
        """Where its outcome is counted: the seeds make one row."""
        return self.fleet, self.trace, self.policy


def _played(games: Sequence[Game]) -> Results:
    """All of them, each on a core of its own while there are any."""
    with ProcessPoolExecutor(min(len(games), os.cpu_count() or 1)) as pool:
        outcomes: Iterator[Outcome] = pool.map(Game.play, games)
        pairs = zip(games, outcomes, strict=True)
        rows = groupby(pairs, key=lambda pair: pair[0].row)
        return {row: sum((outcome for _, outcome in group), start=Outcome((), 0)) for row, group in rows}


def _fleets(
    chosen: Sequence[str], seeds: Sequence[int]
) -> dict[str, tuple[Callable[[], Home], Sequence[int]]]:
    """How to build each fleet, and the seeds of its traces; a random one has a seed of its own."""
    known = {**FLEETS, **HELD_BACK}
    fleets = {name: (known[name], seeds) for name in chosen if name != RANDOM}
    if RANDOM in chosen:
        fleets |= {f"seed {seed}": (partial(drawn, seed), (seed, 1000 + seed)) for seed in seeds}
    return fleets


if __name__ == "__main__":
    sys.exit(main())
