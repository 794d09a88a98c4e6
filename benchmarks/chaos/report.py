"""What became of the streams, as a table in Markdown and as JSON."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median, quantiles

from benchmarks.chaos.streams import Fate, Plan
from benchmarks.report import line, processor

RESULTS = Path(__file__).with_name("results.md")
HEADINGS = ("measure", "result", "to reach", "")


def as_markdown(fates: Sequence[Fate], plan: Plan) -> str:
    """Returns the table, with what it was measured on below it."""
    rows = [HEADINGS, *_rows(fates)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [line(row, widths) for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join([*lines, "", conditions(plan), ""])


def _rows(fates: Sequence[Fate]) -> list[tuple[str, str, str, str]]:
    number = len(fates)
    completed, equal = sum(fate.completed for fate in fates), sum(fate.equal for fate in fates)
    pauses = [1000 * fate.silence for fate in fates if fate.silence is not None]
    usual, late = (median(pauses), _p95(pauses)) if pauses else (float("inf"), float("inf"))
    return [
        ("streams run, a backend killed in each", f"{number}", "", ""),
        ("killed in the middle", f"{sum(fate.switched for fate in fates)}", "", ""),
        ("streams completed", f"{completed}", "all", _verdict(completed == number)),
        ("exact joins (EXACT_TOKENS)", f"{sum(fate.exact_seam for fate in fates)}", "", ""),
        (
            "text equal to the undisturbed one",
            f"{equal / number:.1%}",
            ">= 99%",
            _verdict(equal >= 0.99 * number),
        ),
        ("silence at the switch, median", f"{usual:.0f} ms", "< 300 ms", _verdict(usual < 300)),
        ("silence at the switch, p95", f"{late:.0f} ms", "", ""),
    ]


def _p95(values: Sequence[float]) -> float:
    return quantiles(values, n=20)[-1] if len(values) > 1 else values[0]


def _verdict(reached: bool) -> str:
    return "reached" if reached else "missed"


def conditions(plan: Plan) -> str:
    """Returns what the figures depend on."""
    return (
        f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}. Two llama-servers with the same tiny "
        f"model (some 400 tokens a second), answers of 100 tokens at temperature 0; whoever answers gets SIGKILL when 1 to "
        f"70 tokens have arrived (seed {plan.seed}) and is started again at once. Silence is what the client sees between "
        "the last token before the seam and the first one after it. Undisturbed: the same prompt, asked of a "
        "llama-server without the daemon."
    )


def as_json(fates: Sequence[Fate], plan: Plan) -> str:
    """Returns every stream's fate as one JSON object."""
    rows = {what: result for what, result, _, _ in _rows(fates)}
    return json.dumps(
        {"plan": asdict(plan), "figures": rows, "streams": [asdict(fate) for fate in fates]}, indent=1
    )
