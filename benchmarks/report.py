"""The figures as a table in Markdown, which reads well in a terminal too, and as JSON."""

import importlib.metadata
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from .load import CONCURRENCY
from .measures import Effort, Figure

HEADINGS = ("measure", "zoe-grpcd", "rival", "result", "to reach", "")
RESULTS = Path(__file__).with_name("results.md")


def as_markdown(figures: Sequence[Figure], effort: Effort) -> str:
    """Returns the table, with what it was measured on below it."""
    rows = [HEADINGS, *(cells(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [line(row, widths) for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join([*lines, "", conditions(effort), ""])


def cells(figure: Figure) -> tuple[str, ...]:
    """Returns the cells of a figure's row."""
    result = f"{figure.result:.2f} x" if figure.rival else ""
    verdict = "" if figure.reached is None else "reached" if figure.reached else "missed"
    return figure.what, figure.ours, figure.rival, result, figure.target, verdict


def line(row: Sequence[str], widths: Sequence[int]) -> str:
    """Returns a row of the table, padded."""
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"


def conditions(effort: Effort) -> str:
    """Returns what the figures depend on."""
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("grpcio", "litellm", "aiohttp")
    )
    return (
        f"{processor()}, Python {platform.python_version()}, {versions}. Each server on one core, the load and nginx "
        f"with its static answers on another; {CONCURRENCY} requests in flight over connections that stay open; "
        f"medians of {effort.rounds} rounds of {effort.seconds:g} s in turns, ratios within a round. "
        "Rivals: a bare grpc.aio echo of the same messages, and LiteLLM Proxy with one worker. "
        '"us CPU" is the server\'s own CPU time for one request or token; "busy" is the share of its core that it used.'
    )


def processor() -> str:
    """Returns the processor's name."""
    names = [text for text in Path("/proc/cpuinfo").read_text().splitlines() if text.startswith("model name")]
    return names[0].partition(": ")[2] if names else platform.machine()


def as_json(figures: Sequence[Figure], effort: Effort) -> str:
    """Returns the same as one JSON object."""
    return json.dumps(
        {"figures": [asdict(f) for f in figures], "effort": asdict(effort), "conditions": conditions(effort)},
        indent=2,
    )
