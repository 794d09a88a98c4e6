"""The decision log: what it keeps of a request, for how long, and at what cost."""

import gc
from typing import Any

import pytest

from zoe_grpcd.core.answer import FinishReason, Usage
from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.decision import Candidate, Decision, Estimate, Reason, ScoreTerm
from zoe_grpcd.core.outcome import Attempt, Completed, Outcome, Timings
from zoe_grpcd.decisions import CANDIDATES, LOOSE, DecisionLog, Entry

PLACE = Deployment("m", "box", "m.gguf")


def candidate(**fields: Any) -> Candidate:
    known: dict[str, Any] = {
        "score": 0.5,
        "terms": (ScoreTerm("latency", 0.25, 0.4),),
        "estimate": Estimate(1.0, 2.0, 0.5, 4.0, 25.0, 0.001),
        **fields,
    }
    return Candidate(Deployment("m", "box", ""), "ollama", local=True, eligible=True, **known)


def decision(id_: str = "d1", *more: Candidate, **fields: Any) -> Decision:
    chosen = candidate()
    known: dict[str, Any] = {"intent": "chat", "explanation": "since", "decide_seconds": 0.001, **fields}
    return Decision(
        chosen, (chosen, *more), "m", strategy="usage_based", reason=Reason.INTENT, id=id_, **known
    )


ATTEMPT = Attempt(1, Deployment("m", "box", ""), "ollama", True, Outcome.FAILED, 0.1, 0.2, "REFUSED", 503, 7)
END = Completed("m", FinishReason.LENGTH, Usage(10, 20, 3, 4), Timings(1, 2, 3, 4, 5, 6, 7), (ATTEMPT,), 0.5)


@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_what_was_noted_comes_out_again(*, over: bool, packed: bool) -> None:
    entry = DecisionLog().begin("Complete")
    entry.hear(decision())
    entry.completed(END)
    if over:
        entry.ended("OK")
    if over and packed:
        entry.pack()
    assert entry.decision() == decision()
    assert entry.completion() == END
    assert entry.attempts() == (ATTEMPT,)


def test_who_failed_before_anything_was_decided_has_neither() -> None:
    entry = DecisionLog().begin("Complete")
    entry.ended("NOT_FOUND", "MODEL_NOT_FOUND")
    assert entry.failed
    assert entry.decision() is None
    assert entry.completion() is None
    assert entry.attempts() == ()


def test_the_latest_decision_counts_under_the_id_that_the_caller_knows() -> None:
    entry = DecisionLog().begin("StreamComplete")
    first, second = decision("first"), decision("second", intent="code")
    entry.hear(first)
    entry.hear(second)
    assert entry.decision_id == "second"

    entry = DecisionLog().begin("StreamComplete")
    entry.hear(first)
    entry.told(first)
    entry.hear(second)
    known = entry.decision()
    assert known is not None
    assert (known.id, known.intent) == ("first", "code")


def test_of_an_explained_decision_the_best_are_kept() -> None:
    others = tuple(candidate(score=score / 100) for score in range(40, 0, -1))
    entry = DecisionLog().begin("Complete")
    entry.hear(decision("d", *others, explanation="x" * 10_000))
    kept = entry.decision()
    assert kept is not None
    assert kept.candidates == (candidate(), *others)[:CANDIDATES]
    assert len(kept.explanation) == 2000


def test_the_oldest_are_forgotten_and_numbers_go_on() -> None:
    log = DecisionLog(capacity=3, clock=iter(range(100)).__next__)
    running = log.begin("Route")
    for _ in range(4):
        log.begin("Complete")
    assert [entry.number for entry in log.newest_first()] == [8, 7, 6]
    assert [entry.number for entry in log.newest_first(before=8)] == [7, 6]
    running.ended("OK")  # what is forgotten may end, too


def test_an_entry_that_is_over_soon_holds_nothing_that_the_collector_looks_into() -> None:
    log = DecisionLog()
    entry = log.begin("Complete")
    entry.hear(decision())
    entry.completed(END)
    entry.ended("OK")
    for _ in range(LOOSE):
        log.begin("Route").ended("OK")
    parts = [getattr(entry, name) for name in Entry.__slots__]
    assert [part for part in parts if gc.is_tracked(part) and part != ()] == []
    assert sum(len(part) for part in parts if isinstance(part, bytes)) < 700


@pytest.mark.parametrize("said", ["since", "half a pair: \ud83d", "é \u2028 🙂"])
@pytest.mark.parametrize("took", [0.25, float("inf")])
def test_what_is_kept_over_a_restart_comes_out_again(said: str, took: float) -> None:
    entry = DecisionLog().begin("Complete")
    entry.hear(decision(explanation=said, decide_seconds=took))
    entry.completed(END)
    entry.ended("OK")
    again = Entry.restored(1, entry.dump())
    assert again.decision() == decision(explanation=said, decide_seconds=took)
    assert again.completion() == END
