"""How one of several deployments that may serve is chosen: one function a strategy, each with its formula.

A strategy returns terms with values in 0..1 and weights; the score is their weighted mean (`core.scoring`).
"""

from collections.abc import Callable
from typing import NamedTuple

from zoe_grpcd.core.eligible import Option, Question
from zoe_grpcd.core.resolve import Policy
from zoe_grpcd.core.views import DeploymentView

LEAN = 1.0  # weight of what an intent favours, beside weights that usually add up to 1


class Scores(NamedTuple):
    """The terms of all options: one name, weight and column of values a term, one value in it an option."""

    names: tuple[str, ...]
    weights: tuple[float, ...]
    columns: tuple[list[float], ...]


def usage_based(options: list[Option], question: Question, policy: Policy) -> Scores:
    """Weighs time, success and cost: sum(w * v) / sum(w) over the terms, with the configured weights.

    latency       v = shortest expected total / this one's      (estimate.py; twice as long is half the value)
    success_rate  v = decayed share of attempts that the backend did not fail
    cost          v = 1 - cost / highest cost; 1 if nothing costs
    quality       v = quality / best quality                    only for an intent that favours quality
    context       v = window / largest window                   only for an intent, or a prompt, that favours it

    An intent that favours latency adds LEAN to the weight of latency.
    """
    favours = question.resolution.favours
    if question.ask.latency_level in ("ULTRA_LOW", "LOW"):
        favours = "latency"
    names = ["latency", "success_rate", "cost"]
    cost_weight = policy.cost_weight if question.ask.cost_weight is None else question.ask.cost_weight
    weights = [policy.latency_weight, policy.success_weight, cost_weight]
    if favours == "latency":
        weights[0] += LEAN
    columns = [_latency(options, policy), [o.view.success for o in options], _cheapness(options)]
    if favours in ("quality", "context"):
        names.append(favours)
        weights.append(LEAN)
        columns.append(
            _quality(options, question.resolution.intent) if favours == "quality" else _window(options)
        )
    return Scores(tuple(names), tuple(weights), tuple(columns))


def _latency(options: list[Option], policy: Policy) -> list[float]:
    totals = [q + load * policy.prefer_warm + p + d for q, load, p, d, _, _ in (o.estimate for o in options)]
    shortest = min(totals)
    return [shortest / total if total > 0 else 1.0 for total in totals]


def _cheapness(options: list[Option]) -> list[float]:
    highest = max(option.estimate.cost_usd for option in options)
    if highest <= 0:
        return [1.0] * len(options)
    return [1.0 - option.estimate.cost_usd / highest for option in options]


def _quality(options: list[Option], intent: str) -> list[float]:
    qualities = [quality_of(option.view, intent) for option in options]
    best = max(qualities)
    return [quality / best for quality in qualities]


def quality_of(view: DeploymentView, intent: str) -> float:
    """What the operator states for this intent, else the mean of what it states, else size / (size + 7B)."""
    stated = view.quality
    if intent in stated:
        return max(stated[intent], 0.01)
    if stated:
        return max(sum(stated.values()) / len(stated), 0.01)
    size = view.parameters or 3.0
    return size / (size + 7.0)


def _window(options: list[Option]) -> list[float]:
    largest = max(option.view.context_tokens for option in options)
    return [option.view.context_tokens / largest if largest else 1.0 for option in options]


STRATEGIES: dict[str, Callable[[list[Option], Question, Policy], Scores]] = {"usage_based": usage_based}
