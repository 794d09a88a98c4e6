"""The simulator: the same seed gives the same figures, and whoever knows more does better."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def figures(trace: str, *policies: str, fleet: tuple[str, ...] = ("home",)) -> dict[str, dict[str, Any]]:
    named = [word for policy in policies for word in ("--policy", policy)]
    command = [sys.executable, "-m", "benchmarks.simulation", "--quick", "--json", "--fleet", *fleet]
    done = subprocess.run([*command, "--trace", trace, *named], cwd=ROOT, capture_output=True, check=True)
    return {row["policy"]: row for row in json.loads(done.stdout)["rows"]}


def test_a_trace_is_played_the_same_twice() -> None:
    assert figures("calm", "ours") == figures("calm", "ours")


def test_luck_is_worse_than_our_choice_and_that_is_not_better_than_to_know_the_future() -> None:
    rows = figures("failing", "random", "ours", "oracle")
    assert rows["oracle"]["mean"] <= 1.05 * rows["ours"]["mean"]
    assert rows["ours"]["mean"] < 0.7 * rows["random"]["mean"]
    assert len({row["requests"] for row in rows.values()}) == 1


def test_a_fleet_that_is_drawn_is_another_one_for_another_seed() -> None:
    eight, two = (figures("calm", "ours", fleet=("random", "--seed", seed)) for seed in ("8", "2"))
    assert eight == figures("calm", "ours", fleet=("random", "--seed", "8"))
    assert eight != two
