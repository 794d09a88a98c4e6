"""The simulator: the daemon itself in simulated time. The same seed gives the same figures; who knows more does better."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulation import measures
from benchmarks.simulation.clock import Clock
from benchmarks.simulation.daemon import PATIENCE, Call
from benchmarks.simulation.drawn import drawn
from benchmarks.simulation.fleets import Home, uniform
from benchmarks.simulation.measures import Outcome, Sample, played, simulate
from benchmarks.simulation.rivals import POLICIES, Ours
from benchmarks.simulation.tables import ALL, as_json, as_text, with_all
from benchmarks.simulation.traces import Mishap, Trace, calm
from zoe_grpcd.core.outcome import Outcome as Ending

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


def outcome(*seconds: float) -> Outcome:
    return Outcome(tuple(Sample(each, 10.0, True, each) for each in seconds), len(seconds))


def test_all_traces_of_a_fleet_are_one_figure_too_against_the_rival_that_is_best_on_all_of_them() -> None:
    """Each rival is the better one on one of the traces, and who is best over both is not ours to change with the day."""
    results = {
        ("home", "calm", "ours"): outcome(1.0, 2.0),
        ("home", "calm", "random"): outcome(3.0, 4.0),
        ("home", "calm", "warm first"): outcome(8.0, 8.0),
        ("home", "slow", "ours"): outcome(9.0),
        ("home", "slow", "random"): outcome(36.0),
        ("home", "slow", "warm first"): outcome(18.0),
    }
    whole = with_all(results)
    assert whole["home", ALL, "ours"] == outcome(1.0, 2.0) + outcome(9.0)
    rows = {row["trace"]: row for row in json.loads(as_json(whole))["ours"]}
    assert {trace: row["best_rival"] for trace, row in rows.items()} == {
        "calm": "random",
        "slow": "warm first",
        ALL: "warm first",
    }
    assert rows[ALL]["p95_by_best_rival"] == pytest.approx(9.0 / 18.0)
    assert rows[ALL]["trace_by_trace"] == pytest.approx((2.0 / 8.0 * 9.0 / 18.0) ** 0.5)
    assert "0.50 of warm first (0.35 in the mean of the traces)" in as_text(whole)


def test_a_trace_that_is_the_only_one_is_not_counted_twice() -> None:
    results = {("home", "calm", "ours"): outcome(1.0)}
    assert with_all(results) == results


def test_nobody_waits_for_longer_than_the_daemon_lets_them_and_its_queue_is_no_slower_than_a_servers_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One server alone has a model, and is asked three times as much as it can answer."""

    def play(*, waits: bool) -> Outcome:
        monkeypatch.setattr(Ours, "waits", waits)
        fleet = drawn(18)
        return simulate(fleet, calm(fleet, 18, 700.0), "ours", 18)

    queue, servers_own = (measures.figures(play(waits=waits)) for waits in (True, False))
    assert servers_own.failed > 0, "it is no overload"
    assert queue.p99 <= PATIENCE
    assert queue.failed <= servers_own.failed
    assert queue.mean <= 1.02 * servers_own.mean


def calls_of(home: Home, trace: Trace, policy: str) -> list[Call]:
    with asyncio.Runner(loop_factory=Clock) as runner:
        return runner.run(played(home, trace, POLICIES[policy](1)))[1]


def test_a_server_that_answers_with_errors_only_is_left_alone_by_every_policy_as_the_breakers_want_it() -> (
    None
):
    """It answers at once, so that whoever goes by numbers in flight would send it everything."""
    fleet = uniform()
    trace = calm(fleet, 3, 300.0)
    errors = Mishap(0.0, 300.0, "node2", "errors")
    calls = calls_of(fleet, Trace(trace.requests, (), (errors,)), "least in flight")
    tries = [attempt for call in calls if call.completed for attempt in call.completed.attempts]
    failed = [attempt for attempt in tries if attempt.outcome is not Ending.OK]
    assert all(call.answered for call in calls)
    assert {attempt.deployment.backend for attempt in failed} == {"node2"}
    assert 3 <= len(failed) <= 6 < len(calls) / 10


def test_an_answer_whose_server_dies_is_gone_on_with_elsewhere_and_is_no_shorter_for_that() -> None:
    fleet = uniform()
    trace = calm(fleet, 3, 200.0)
    dies = Mishap(100.0, 150.0, "node1", "refuses")
    calls = calls_of(fleet, Trace(trace.requests, (), (dies,)), "round robin")
    lost = [call for call in calls if call.completed and call.completed.attempts[0].outcome is Ending.LOST]
    assert lost, "nobody was served by it when it died"
    for call in lost:
        assert call.completed is not None
        assert call.completed.usage.completion_tokens == call.request.output_tokens("general:8b")
        first, *_, last = call.completed.attempts
        assert (first.deployment.backend, last.outcome) == ("node1", Ending.OK)


def test_time_leaps_to_whatever_happens_next_and_stands_still_meanwhile() -> None:
    async def sleeps() -> list[float]:
        clock = asyncio.get_running_loop()
        times = [clock.time()]
        for seconds in (3600.0, 0.25):
            await asyncio.sleep(seconds)
            times.append(clock.time())
        return times

    with asyncio.Runner(loop_factory=Clock) as runner:
        assert runner.run(sleeps()) == pytest.approx([0.0, 3600.0, 3600.25])


def test_a_wait_for_what_never_comes_is_an_error_and_no_wait() -> None:
    with asyncio.Runner(loop_factory=Clock) as runner, pytest.raises(RuntimeError, match="nothing happens"):
        runner.run(asyncio.Event().wait())
