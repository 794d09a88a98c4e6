"""The simulator: the same seed gives the same figures, and whoever knows more does better."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulation import measures
from benchmarks.simulation.daemon import PATIENCE
from benchmarks.simulation.drawn import drawn
from benchmarks.simulation.measures import Outcome, Sample, simulate
from benchmarks.simulation.rivals import Ours
from benchmarks.simulation.traces import calm

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


def sample(seconds: float, *, answered: bool = True) -> Sample:
    return Sample(seconds, 10.0, answered, None)


def test_who_is_sent_away_without_an_answer_has_not_been_quick() -> None:
    row = measures.figures(Outcome((sample(5.0), sample(1.0, answered=False)), 0))
    assert (row.mean, row.p95, row.failed) == ((5.0 + PATIENCE) / 2, PATIENCE, 1)


def test_nobody_waits_for_longer_than_the_daemon_lets_them_and_its_queue_is_no_slower_than_a_servers_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One server alone has a model, and is asked three times as much as it can answer."""

    def play(*, waits: bool) -> Outcome:
        monkeypatch.setattr(Ours, "waits", waits)
        fleet = drawn(18)
        return simulate(fleet, calm(fleet, 18, 1200.0), "ours", 18)

    queue, servers_own = (measures.figures(play(waits=waits)) for waits in (True, False))
    assert servers_own.failed > 0, "it is no overload"
    assert queue.p99 <= PATIENCE
    assert queue.failed <= servers_own.failed
    assert queue.mean <= 1.02 * servers_own.mean
