"""Kills a backend in the middle of every stream, and prints what its callers saw of it as one table.

python -m benchmarks.chaos               300 streams; some five minutes; writes benchmarks/chaos/results.md as well
python -m benchmarks.chaos --streams 20  fewer, and nothing is written
python -m benchmarks.chaos --seed 7      other prompts, cut at other places
python -m benchmarks.chaos --json        JSON in place of the table
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks.chaos.report import RESULTS, as_json, as_markdown
from benchmarks.chaos.streams import Plan, play
from benchmarks.processes import BenchmarkError
from zoe_grpcd.localbackends.fetch import BackendUnavailable

USUAL = Plan()


def main() -> int:
    """Runs the command line. A target that is missed is no failure; what can't be measured is."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos", description="Kills a backend in the middle of every stream."
    )
    parser.add_argument("--streams", type=int, default=USUAL.streams, help="how many, at least 1")
    parser.add_argument("--seed", type=int, default=USUAL.seed, help="of prompts and places")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    arguments = parser.parse_args()
    plan = Plan(max(1, arguments.streams), arguments.seed)
    try:
        with tempfile.TemporaryDirectory(prefix="zoe-chaos-") as folder:
            fates = asyncio.run(play(Path(folder), plan))
    except (BenchmarkError, BackendUnavailable) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    table = as_markdown(fates, plan)
    print(as_json(fates, plan) if arguments.json else table)
    if plan.streams >= USUAL.streams:
        RESULTS.write_text(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
