"""Plays traces through the daemon's own decisions and those of its rivals, in simulated time, and prints tables.

python -m benchmarks.simulation              two fleets, five traces, nine policies; under two minutes
python -m benchmarks.simulation --quick      one short round
python -m benchmarks.simulation --held-back  a fleet and seeds that nothing was tuned on
python -m benchmarks.simulation --json       JSON in place of the tables
"""

import argparse
import sys
import time

from benchmarks.simulation.fleets import FLEETS, HELD_BACK, Home
from benchmarks.simulation.measures import Outcome, simulate
from benchmarks.simulation.rivals import POLICIES
from benchmarks.simulation.tables import Results, as_json, as_text
from benchmarks.simulation.traces import TRACES

SEEDS, HELD_BACK_SEEDS = (11, 12, 13), (901, 902, 903)
HOUR, QUICK = 3600.0, 1200.0
ENOUGH = 800.0  # requests of one seed


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round; rough")
    parser.add_argument(
        "--held-back", action="store_true", help="the fleets and seeds that nothing was tuned on"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the tables")
    parser.add_argument("--fleet", action="append", choices=[*FLEETS, *HELD_BACK], help="only this fleet")
    parser.add_argument("--trace", action="append", choices=[*TRACES], help="only this trace")
    parser.add_argument("--policy", action="append", choices=[*POLICIES], help="only this policy")
    arguments = parser.parse_args()
    seeds = HELD_BACK_SEEDS if arguments.held_back else SEEDS
    fleets = {**FLEETS, **HELD_BACK}
    chosen = arguments.fleet or (fleets if arguments.held_back else FLEETS)
    longest = QUICK if arguments.quick else HOUR
    results: Results = {}
    began = time.perf_counter()
    for fleet in chosen:
        for trace in arguments.trace or TRACES:
            for policy in arguments.policy or POLICIES:
                plays = (
                    play(fleets[fleet](), trace, policy, (seed, longest))
                    for seed in (seeds[:1] if arguments.quick else seeds)
                )
                results[fleet, trace, policy] = sum(plays, start=Outcome((), 0))
    print(as_json(results) if arguments.json else as_text(results))
    print(f"{time.perf_counter() - began:.0f} s", file=sys.stderr)
    return 0


def play(home: Home, trace: str, policy: str, draw: tuple[int, float]) -> Outcome:
    """One policy on one trace of a seed, of at most so many seconds."""
    seed, longest = draw
    seconds = min(longest, ENOUGH / home.rate * 60.0)
    return simulate(home, TRACES[trace](home, seed, seconds), policy, seed)


if __name__ == "__main__":
    sys.exit(main())
