"""Measures the daemon against its rivals and prints one table.

python -m benchmarks            some five minutes; writes benchmarks/results.md as well
python -m benchmarks --quick    one minute, rough, writes nothing
python -m benchmarks --json     JSON in place of the table
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from .measures import Effort, figures
from .processes import BenchmarkError, take_cores
from .report import RESULTS, as_json, as_markdown

QUICK = Effort(rounds=1, seconds=2.0, requests=4_000, starts=1)


def main() -> int:
    """Runs the command line. A figure that misses its target is no failure; one that can't be measured is."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measures the daemon against its rivals."
    )
    parser.add_argument("--quick", action="store_true", help="one short round; rough, and nothing is written")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    arguments = parser.parse_args()
    effort = QUICK if arguments.quick else Effort()
    try:
        with tempfile.TemporaryDirectory(prefix="zoe-bench-") as folder:
            taken = asyncio.run(figures(Path(folder), take_cores(), effort))
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    table = as_markdown(taken, effort)
    print(as_json(taken, effort) if arguments.json else table)
    if not arguments.quick:
        RESULTS.write_text(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
