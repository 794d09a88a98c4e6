"""Filter, score, choose. A score is in 0..1 before the standing of its deployment; ties break on the name."""

from dataclasses import replace
from operator import mul
from typing import NamedTuple

from zoe_grpcd.core.contest import Contest, Scores
from zoe_grpcd.core.decision import Candidate, Reason, ScoreTerm
from zoe_grpcd.core.eligible import Gates, Option, Question, eligible_of, gate_of, views_of, why_not
from zoe_grpcd.core.fallback import is_open
from zoe_grpcd.core.key import Key
from zoe_grpcd.core.narrow import narrow, why_aside
from zoe_grpcd.core.resolve import Policy
from zoe_grpcd.core.strategies import STRATEGIES, strategy_of
from zoe_grpcd.core.turns import Turn
from zoe_grpcd.core.views import Snapshot

WAITED_FOR = frozenset({Reason.LOADING, Reason.SATURATED})
"""What ends without anybody's doing, and soon."""
_new = tuple.__new__  # of a named tuple, in half the time
HELD = frozenset({Reason.CIRCUIT_OPEN, Reason.RATE_LIMITED})
"""What is held against those that failed."""


class Choice(NamedTuple):
    """The options with their scores; `best` is the index of the chosen one, `step` the tier that they came from.

    `turn`: the one that the chosen one takes if the request is sent, for a strategy that goes by turns. `panic`: nobody
    may serve, so that the least bad of those is tried who fail too often.
    """

    options: list[Option]
    scores: Scores
    totals: list[float]
    best: int
    step: int
    strategy: str
    turn: Turn | None = None
    panic: bool = False


def choose(question: Question, snapshot: Snapshot, policy: Policy) -> Choice | None:
    """The best deployment of the first tier that has an eligible one; None when nobody may serve.

    A backend that is avoided counts when nobody else may, and one that fails too often when there is nobody to wait for.
    """
    choice = _first(question, snapshot, policy)
    if choice is None and question.avoided:
        question = replace(question, avoided=frozenset())
        choice = _first(question, snapshot, policy)
    if choice is None and is_panic(question, snapshot):
        choice = _first(replace(question, panic=True), snapshot, policy)
        return choice and choice._replace(panic=True)
    return choice


def is_panic(question: Question, snapshot: Snapshot) -> bool:
    """Some may not serve only because they fail too often, and nobody comes free or finishes loading."""
    reasons = [set(candidate.reasons) for candidate in ineligible(question, snapshot)]
    return any(found <= HELD for found in reasons) and not any(found <= WAITED_FOR for found in reasons)


def _first(question: Question, snapshot: Snapshot, policy: Policy) -> Choice | None:
    gates = Gates(question, snapshot.backends)
    for step, tier in enumerate(question.resolution.tiers):
        if tier.when and not is_open(question, step, snapshot):
            continue
        options = narrow(question, eligible_of(question, views_of(tier, snapshot), gates), policy)
        if options:
            contest = Contest(options, question, policy, snapshot.number, snapshot.owing)
            return _won(contest, strategy_of(contest), step)
    return None


def _won(contest: Contest, strategy: str, step: int) -> Choice:
    options, scores = contest.options, STRATEGIES[strategy](contest)
    totals = _totals(options, scores)
    best = _best(options, totals)
    turn = scores.round.served_by(options[best].view.key) if scores.round else None
    return Choice(options, scores, totals, best, step, strategy, turn)


def _totals(options: list[Option], scores: Scores) -> list[float]:
    """The weighted mean of the terms, times the standing. By column: that is twice as fast."""
    scale = 1.0 / (sum(scores.weights) or 1.0)  # nothing counts: all are equal
    same, totals = 0.0, list[float]()  # of all, until a term tells them apart
    for weight, column in zip(scores.weights, scores.columns, strict=True):
        share = weight * scale
        if column.count(first := column[0]) != len(column):
            totals = totals or [same] * len(options)
            totals = [sum_ + share * value for sum_, value in zip(totals, column, strict=True)]
        elif totals:  # as where nothing costs
            share *= first
            totals = [sum_ + share for sum_ in totals]
        else:
            same += share * first
    totals = totals or [same] * len(options)
    return totals if scores.standing is None else list(map(mul, totals, scores.standing))


def _best(options: list[Option], totals: list[float]) -> int:
    top = max(totals)
    if totals.count(top) == 1:
        return totals.index(top)
    return min((i for i, total in enumerate(totals) if total == top), key=lambda i: options[i].view.key)


def ranking(choice: Choice) -> list[int]:
    """The indexes of all options, best first; equal scores by backend, then model."""
    return sorted(range(len(choice.options)), key=lambda i: (-choice.totals[i], *choice.options[i].view.key))


def candidate_of(choice: Choice, index: int) -> Candidate:
    """An option with its terms."""
    option, scores = choice.options[index], choice.scores
    values = [column[index] for column in scores.columns]
    backend = option.gate.view.backend
    return Candidate(
        option.view.deployment,
        backend.kind,
        backend.local,
        eligible=True,
        score=choice.totals[index],
        terms=tuple(
            [_new(ScoreTerm, term) for term in zip(scores.names, values, scores.weights, strict=True)]
        ),
        estimate=option.estimate,
    )


def passed_over(question: Question, choice: Choice, snapshot: Snapshot) -> tuple[Candidate, ...]:
    """What could serve as well as the options, but is not local, has less of what is preferred, or is not of the kind for
    its size. For explanations.
    """
    gates = {name: gate_of(question, view) for name, view in snapshot.backends.items()}
    able = eligible_of(question, views_of(question.resolution.tiers[choice.step], snapshot), gates)
    kept = {option.view.key for option in choice.options}
    candidates = []
    for option in able:
        if option.view.key not in kept:
            backend = option.gate.view.backend
            reasons = (why_aside(question, option, choice.options[0]),)
            candidates.append(
                Candidate(
                    option.view.deployment,
                    backend.kind,
                    backend.local,
                    eligible=False,
                    reasons=reasons,
                    estimate=option.estimate,
                )
            )
    return tuple(candidates)


def ineligible(question: Question, snapshot: Snapshot) -> tuple[Candidate, ...]:
    """Every deployment of every tier that may not serve, with all its reasons. For explanations and refusals."""
    seen: dict[Key, Candidate] = {}
    for tier in question.resolution.tiers:
        for view in views_of(tier, snapshot):
            key = (view.deployment.backend, view.deployment.model)
            if key not in seen and (reasons := why_not(question, view, snapshot.backends[key[0]])):
                backend = snapshot.backends[key[0]].backend
                seen[key] = Candidate(
                    view.deployment, backend.kind, backend.local, eligible=False, reasons=reasons
                )
    return tuple(seen.values())
