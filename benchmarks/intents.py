"""How often the classifier is right on the labelled prompts, where it is wrong, and how long it takes.

    python benchmarks/intents.py            accuracy on both parts, confusion table of the held-back part, timing
    python benchmarks/intents.py --errors   and the mistakes on the part that rules may be tuned on, never the others

A prompt is held back if the CRC-32 of its text is divisible by 3; nobody looks at how those fail while tuning.
"""

import json
import sys
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from zoe_grpcd.core.classify import KeywordClassifier, Shape, Verdict
from zoe_grpcd.core.intents import SHIPPED

PROMPTS = Path(__file__).parents[1] / "tests" / "data" / "intents" / "prompts.jsonl"

SAMPLES = {
    "prose": "Please sum up what the committee said on Tuesday about the new harbour and what it would cost the town. ",
    "chat": "Yesterday I had lunch with my sister and she told me that she wants to move. What do you think I should say? ",
    "code": "def add(a: int, b: int) -> int:\n    return a + b\n\n\nfor i in range(10):\n    print(add(i, 3))\n",
    "maths": "Tom buys 24 apples at 3 dollars a dozen and pays with a 20 dollar note. How much change does he get back? ",
    "foreign": "Ayer comí con mi hermana y me dijo que quiere mudarse a otra ciudad. ¿Qué le dirías tú en mi lugar? ",
}


class Labelled(NamedTuple):
    """A prompt and the intent that people gave it."""

    intent: str
    text: str
    shape: Shape

    @property
    def held_back(self) -> bool:
        """Whether this prompt only measures and never tunes."""
        return zlib.crc32(self.text.encode()) % 3 == 0


def prompts() -> list[Labelled]:
    """All labelled prompts, in the order of the file."""
    rows = map(json.loads, PROMPTS.read_text(encoding="utf-8").splitlines())
    return [Labelled(row["intent"], row["text"], Shape(**row.get("shape", {}))) for row in rows]


def judged(part: Iterable[Labelled]) -> list[tuple[Labelled, Verdict]]:
    """Each prompt with the classifier's verdict."""
    classifier = KeywordClassifier(SHIPPED)
    return [(prompt, classifier.classify(prompt.text, prompt.shape)) for prompt in part]


def accuracy(results: list[tuple[Labelled, Verdict]]) -> float:
    """Share of verdicts that agree with the label."""
    return sum(verdict.intent == prompt.intent for prompt, verdict in results) / len(results)


def confusion(results: list[tuple[Labelled, Verdict]]) -> str:
    """A table: labels down, verdicts across."""
    names = [intent.name for intent in SHIPPED]
    counts = Counter((prompt.intent, verdict.intent) for prompt, verdict in results)
    lines = [" " * 15 + "".join(f"{name[:6]:>7}" for name in names) + "  right"]
    for label in names:
        row = [counts[label, name] for name in names]
        share = counts[label, label] / sum(row) if sum(row) else 1.0
        lines.append(f"{label:15}" + "".join(f"{count or '.':>7}" for count in row) + f"{share:7.0%}")
    return "\n".join(lines)


def microseconds(text: str, runs: int = 300) -> tuple[float, float]:
    """Median and best time of one classification."""
    classifier = KeywordClassifier(SHIPPED)
    times = []
    for _ in range(runs):
        start = perf_counter()
        classifier.classify(text, Shape())
        times.append((perf_counter() - start) * 1e6)
    return sorted(times)[runs // 2], min(times)


def main() -> None:
    """Print the report."""
    tuned = judged(prompt for prompt in prompts() if not prompt.held_back)
    held = judged(prompt for prompt in prompts() if prompt.held_back)
    if "--errors" in sys.argv:
        for prompt, verdict in tuned:
            if verdict.intent != prompt.intent:
                print(
                    f"{prompt.intent:>14} -> {verdict.intent:14} {verdict.confidence:.2f} {prompt.text[:100]!r}"
                )
                print(f"{'':32}{verdict.signs}")
    print(confusion(held))
    print(
        f"\ntuned on: {accuracy(tuned):.1%} of {len(tuned)}   held back: {accuracy(held):.1%} of {len(held)}"
    )
    for kind, text in SAMPLES.items():
        for size in (60, 2000, 1_000_000):
            median, best = microseconds((text * (size // len(text) + 1))[:size])
            print(f"{kind:>8}, {size:>9,} characters: median {median:6.1f} us, best {best:6.1f} us")


if __name__ == "__main__":
    main()
