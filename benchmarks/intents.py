"""How often the classifiers are right on the labelled prompts, where they are wrong, and how long they take.

    python -m benchmarks.intents            accuracy by style, confusion tables, timing
    python -m benchmarks.intents --errors   the training prompts on which keywords are wrong, for tuning

The prompts of `tests/data/intents/held_back.jsonl` only measure: nothing was tuned on them, or learned from them
(`benchmarks.learn_intents` reads `training.jsonl`).
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from zoe_grpcd.adapters.embeddings import Embeddings
from zoe_grpcd.core.classify import KeywordClassifier, Shape
from zoe_grpcd.core.intents import SHIPPED

PROMPTS = Path(__file__).parents[1] / "tests" / "data" / "intents"

Classify = Callable[[str, Shape], str]
"""Text and shape -> the name of an intent."""

SAMPLES = {
    "prose": "Please sum up what the committee said on Tuesday about the new harbour and what it would cost the town. ",
    "chat": "Yesterday I had lunch with my sister and she told me that she wants to move. What do you think I should say? ",
    "code": "def add(a: int, b: int) -> int:\n    return a + b\n\n\nfor i in range(10):\n    print(add(i, 3))\n",
    "maths": "Tom buys 24 apples at 3 dollars a dozen and pays with a 20 dollar note. How much change does he get back? ",
    "foreign": "Ayer comí con mi hermana y me dijo que quiere mudarse a otra ciudad. ¿Qué le dirías tú en mi lugar? ",
}


class Labelled(NamedTuple):
    """A prompt, the intent that people gave it, and its manner of asking."""

    intent: str
    text: str
    shape: Shape
    style: str = ""


Judged = list[tuple[Labelled, str]]
"""Prompts, each with the intent that a classifier found."""


def prompts(part: str) -> list[Labelled]:
    """The labelled prompts of a part, "training" or "held_back", in the order of the file."""
    rows = map(json.loads, (PROMPTS / f"{part}.jsonl").read_text(encoding="utf-8").splitlines())
    return [Labelled(r["intent"], r["text"], Shape(**r.get("shape", {})), r.get("style", "")) for r in rows]


def judged(part: Iterable[Labelled], classify: Classify) -> Judged:
    """Each prompt with what a classifier found."""
    return [(prompt, classify(prompt.text, prompt.shape)) for prompt in part]


def accuracy(results: Judged) -> float:
    """Share of what was found that agrees with the label."""
    return sum(found == prompt.intent for prompt, found in results) / len(results)


def by_style(columns: dict[str, Judged]) -> str:
    """A table: manners of asking down, classifiers across."""
    styles = dict.fromkeys(prompt.style for prompt, _ in next(iter(columns.values())))
    lines = [f"{'style':22}{'prompts':>8}" + "".join(f"{name:>12}" for name in columns)]
    for style in (*styles, "all"):
        parts = [[r for r in results if style in (r[0].style, "all")] for results in columns.values()]
        lines.append(f"{style:22}{len(parts[0]):8}" + "".join(f"{accuracy(part):12.1%}" for part in parts))
    return "\n".join(lines)


def confusion(results: Judged) -> str:
    """A table: labels down, verdicts across."""
    names = [intent.name for intent in SHIPPED]
    counts = Counter((prompt.intent, found) for prompt, found in results)
    lines = [" " * 15 + "".join(f"{name[:6]:>7}" for name in names) + "  right"]
    for label in names:
        row = [counts[label, name] for name in names]
        share = counts[label, label] / sum(row) if sum(row) else 1.0
        lines.append(f"{label:15}" + "".join(f"{count or '.':>7}" for count in row) + f"{share:7.0%}")
    return "\n".join(lines)


def microseconds(classify: Classify, text: str, runs: int) -> tuple[float, float]:
    """Median and best time of one classification."""
    times = []
    for run in range(runs):
        new = f"{text[:-8]}{run:08}"  # each time, so that nothing is remembered
        start = perf_counter()
        classify(new, Shape())
        times.append((perf_counter() - start) * 1e6)
    return sorted(times)[runs // 2], min(times)


def timing(name: str, classify: Classify, runs: int) -> None:
    """Print how long a classifier takes, by kind and size of text."""
    for kind, text in SAMPLES.items():
        for size in (60, 2000, 1_000_000):
            median, best = microseconds(classify, (text * (size // len(text) + 1))[:size], runs)
            print(
                f"{name:>10} {kind:>8}, {size:>9,} characters: median {median:8.1f} us, best {best:8.1f} us"
            )


def main() -> None:
    """Print the report."""
    quick = KeywordClassifier(SHIPPED)

    def keywords(text: str, shape: Shape) -> str:
        return quick.classify(text, shape).intent

    if "--errors" in sys.argv:
        for prompt, found in judged(prompts("training"), keywords):
            if found != prompt.intent:
                signs = quick.classify(prompt.text, prompt.shape).signs
                print(f"{prompt.intent:>14} -> {found:14} {prompt.text[:100]!r}\n{'':32}{signs}")
        return
    slow = Embeddings(SHIPPED)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(slow.open())

    def embeddings(text: str, shape: Shape) -> str:
        verdict = loop.run_until_complete(slow(text, shape))
        return verdict.intent if verdict else keywords(text, shape)

    held_back = prompts("held_back")
    columns = {
        name: judged(held_back, by) for name, by in (("keywords", keywords), ("embeddings", embeddings))
    }
    print(by_style(columns))
    for name, results in columns.items():
        print(f"\n{name}\n{confusion(results)}")
    print()
    timing("keywords", keywords, 300)
    timing("embeddings", embeddings, 15)
    slow.close()
    loop.close()


if __name__ == "__main__":
    main()
