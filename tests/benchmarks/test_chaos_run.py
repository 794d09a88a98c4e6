"""The table of killed backends: a short run on real servers, and what its figures mean."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.chaos.report import as_json, as_markdown
from benchmarks.chaos.streams import Fate, Plan
from zoe_grpcd.localbackends.fetch import Tools

ROOT = Path(__file__).parents[2]
WELL = Fate(5, completed=True, switched=True, exact_seam=True, equal=True, silence=0.05)


def test_a_backend_is_killed_in_each_stream_and_each_is_whole(tools: Tools) -> None:
    command = [sys.executable, "-m", "benchmarks.chaos", "--streams", "2", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr
    streams = json.loads(done.stdout)["streams"]
    assert [(s["completed"], s["switched"], s["equal"], s["error"]) for s in streams] == [
        (True, True, True, "")
    ] * 2


def verdicts(fates: list[Fate]) -> list[str]:
    cells = [line.split("|") for line in as_markdown(fates, Plan()).splitlines() if line.startswith("|")]
    return [cell.strip() for *_, cell, _ in cells if cell.strip() in ("reached", "missed")]


def test_one_stream_that_is_lost_misses_the_target() -> None:
    lost = Fate(5, False, False, False, False, None, "BACKEND_LOST")
    assert verdicts([WELL] * 300) == ["reached"] * 3
    assert verdicts([*[WELL] * 299, lost]) == ["missed", "reached", "reached"]
    assert verdicts([*[WELL] * 296, *[lost] * 4]) == ["missed", "missed", "reached"]


def test_the_silence_is_the_usual_one() -> None:
    fates = [Fate(5, True, True, True, True, seconds / 100) for seconds in range(1, 101)]
    figures = json.loads(as_json(fates, Plan()))["figures"]
    assert (figures["silence at the switch, median"], figures["silence at the switch, p95"]) == (
        "505 ms",
        "960 ms",
    )
