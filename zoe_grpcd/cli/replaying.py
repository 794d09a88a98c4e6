"""replay: decides recorded requests anew with a configuration, and shows what would have changed."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from zoe_grpcd import config
from zoe_grpcd.cli import BAD_CONFIG
from zoe_grpcd.cli.tables import table
from zoe_grpcd.core.generation import Json
from zoe_grpcd.core.key import Key
from zoe_grpcd.recording.lines import FORMAT
from zoe_grpcd.replay import Expected, Replay
from zoe_grpcd.replay.summary import Gain, Summary, summed_up
from zoe_grpcd.settings import settings_of

# Changes that are shown one by one; --json has all.
SHOWN = 20


def run(options: argparse.Namespace) -> int:
    """Runs it; returns the exit status."""
    try:
        path = config.find(os.environ, options.config)
        loaded = config.load(path).config if path else config.defaults()
    except config.ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return BAD_CONFIG
    try:
        replay = Replay(_lines(Path(options.file)), settings_of(loaded))
        summary = summed_up(replay)
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else error
        print(f"zoe-grpcd: {options.file}: {what}", file=sys.stderr)
        return 1
    notes = list(_notes(replay, summary))
    if options.json:
        print(json.dumps({**as_json(summary), "notes": notes}, indent=2))
    else:
        print(told(summary))
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
    return 0


def _lines(path: Path) -> Iterator[bytes]:
    """The file that was put aside when it was full, then the file."""
    for part in (path.with_name(path.name + ".1"), path):
        if part.exists() or part is path:
            with part.open("rb") as lines:
                yield from lines


def _notes(replay: Replay, summary: Summary) -> Iterator[str]:
    if replay.formats:
        yield f"what is of format {', '.join(sorted(replay.formats))} is left out; this version reads format {FORMAT}"
    if replay.unreadable:
        yield f"lines that could not be read: {replay.unreadable:,}"
    if summary.unknown_intents:
        yield f"requests whose intent is not in the configuration, so that they count as chat: {summary.unknown_intents:,}"
    for backend, model in sorted(replay.unseen):
        what = f"model {model} on backend {backend}" if model else f"backend {backend}"
        yield f"nothing was recorded of {what}, so it gets no request here"


# -------------------------------------------------------------------------------------------------------- for people


def told(summary: Summary) -> str:
    """A summary as text."""
    requests = summary.all.requests
    if not requests:
        return "no request is in the recording"
    changed = requests - summary.same
    when = f"{_time(summary.first)} to {_time(summary.last)}"
    stay = f"{summary.same:,} go where they went ({summary.same / requests:.1%})"
    lines = [f"{requests:,} requests, {when}: {stay}, {changed:,} elsewhere"]
    if means := summary.all.means():
        lines.append(f"expected of a request, by the estimates of its time: {_gain_in_words(*means)}")
    if changed:
        lines += ["", _moves(summary), "", _shares(summary)]
    return "\n".join(lines)


def _time(unix: float) -> str:
    return datetime.fromtimestamp(unix).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _gain_in_words(before: Expected, after: Expected) -> str:
    parts = [f"{before.seconds:.2f} -> {after.seconds:.2f} s{_change(before.seconds, after.seconds)}"]
    if before.usd or after.usd:
        parts.append(f"{before.usd:.6f} -> {after.usd:.6f} USD")
    return ", ".join([*parts, f"success {before.success:.1%} -> {after.success:.1%}"])


def _change(before: float, after: float) -> str:
    """` (-29.8%)`, or ` (16 times)` where that says more."""
    if not before:
        return ""
    ratio = after / before
    return f" ({ratio:.0f} times)" if ratio >= 2.5 else f" ({ratio - 1:+.1%})"


def _moves(summary: Summary) -> str:
    rows = []
    for (before, after), gain in summary.largest_moves()[:SHOWN]:
        means = gain.means()
        words = _gain_in_words(*means) if means else ""
        rows.append((f"{gain.requests:,}", _name(before), _name(after), words))
    return table(("REQUESTS", "WENT TO", "WOULD GO TO", "EXPECTED"), rows)


def _shares(summary: Summary) -> str:
    shares = sorted(summary.shares.items(), key=lambda item: (-item[1][1], str(item[0])))
    rows = [(_name(key), f"{before:,}", f"{after:,}") for key, (before, after) in shares]
    return table(("DEPLOYMENT", "BEFORE", "AFTER"), rows)


def _name(key: Key | None) -> str:
    return f"{key[1]} @ {key[0]}" if key else "nobody"


# ------------------------------------------------------------------------------------------------------ for programs


def as_json(summary: Summary) -> Json:
    """A summary with all that changed."""
    return {
        "requests": summary.all.requests,
        "same": summary.same,
        "changed": summary.all.requests - summary.same,
        "first": summary.first,
        "last": summary.last,
        "expected": _gain(summary.all),
        "changes": [
            {"from": _place(before), "to": _place(after), "requests": gain.requests, "expected": _gain(gain)}
            for (before, after), gain in summary.largest_moves()
        ],
        "deployments": [
            {"deployment": _place(key), "before": before, "after": after}
            for key, (before, after) in summary.shares.items()
        ],
    }


def _place(key: Key | None) -> Json | None:
    return {"backend": key[0], "model": key[1]} if key else None


def _gain(gain: Gain) -> dict[str, Any] | None:
    means = gain.means()
    if means is None:
        return None
    names = ("before", "after")
    told = {
        name: {"seconds": mean.seconds, "usd": mean.usd, "success": mean.success}
        for name, mean in zip(names, means, strict=True)
    }
    return {"requests": gain.compared, **told}
