"""What a choice hangs on, quantity by quantity: how it reads, how it is put at another value, how it is said.

Rule: a quantity is one row of `OF_DEPLOYMENT` or `OF_POLICY`, or `WEIGHT`; nobody else changes a situation.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf
from typing import Any, NamedTuple

from zoe_grpcd.core.eligible import Option, Question
from zoe_grpcd.core.key import Key
from zoe_grpcd.core.resolve import Policy
from zoe_grpcd.core.strategies import qualities_of
from zoe_grpcd.core.views import BackendView, DeploymentView, Snapshot

COST = "weight of cost"
_WEIGHTS = ("latency_weight", "success_weight", "cost_weight")


class Situation(NamedTuple):
    """All that a choice depends on."""

    question: Question
    snapshot: Snapshot
    policy: Policy


class Quantity(NamedTuple):
    """A quantity of a deployment. `read` gives 0 where it says nothing; `write` puts a situation's at another value.

    `good`: more of it is better. `unit` is a format. `none`: how it is said that there is nothing of it.
    """

    name: str
    read: Callable[[Option, Question], float]
    write: Callable[[Situation, Option, float], Situation]
    good: bool
    unit: str
    most: float = inf
    none: str = ""


def only(snapshot: Snapshot, keys: set[Key]) -> Snapshot:
    """The snapshot with these deployments alone."""

    def kept(views: tuple[DeploymentView, ...]) -> tuple[DeploymentView, ...]:
        return tuple(view for view in views if view.key in keys)

    by_model = {model: views for model, all_ in snapshot.by_model.items() if (views := kept(all_))}
    return replace(snapshot, by_model=by_model, auto=kept(snapshot.auto))


def with_view(situation: Situation, key: Key, **fields: Any) -> Situation:
    """The situation with other facts of one deployment."""
    snapshot, model = situation.snapshot, key[1]
    old = next(view for view in snapshot.by_model[model] if view.key == key)
    new = replace(old, **fields)

    def changed(views: tuple[DeploymentView, ...]) -> tuple[DeploymentView, ...]:
        return tuple(new if view is old else view for view in views)

    by_model = {**snapshot.by_model, model: changed(snapshot.by_model[model])}
    return situation._replace(snapshot=replace(snapshot, by_model=by_model, auto=changed(snapshot.auto)))


def with_backend(situation: Situation, name: str, **fields: Any) -> Situation:
    """The situation with another state of one backend."""
    backends = situation.snapshot.backends
    changed: Mapping[str, BackendView] = {**backends, name: replace(backends[name], **fields)}
    return situation._replace(snapshot=replace(situation.snapshot, backends=changed))


def _field(name: str) -> Callable[[Situation, Option, float], Situation]:
    return lambda situation, option, value: with_view(situation, option.view.key, **{name: value})


def _rate(name: str) -> Callable[[Situation, Option, float], Situation]:
    return lambda situation, option, value: with_view(situation, option.view.key, **{name: 1.0 / value})


def _write_queue(situation: Situation, option: Option, value: float) -> Situation:
    """Every request before it takes so much less, or more."""
    view, factor = option.gate.view, value / option.estimate.queue
    tasks = tuple(task._replace(work=task.work * factor) for task in view.tasks)
    return with_backend(situation, view.backend.name, service=max(view.service * factor, 1e-9), tasks=tasks)


def _write_price(situation: Situation, option: Option, value: float) -> Situation:
    view, factor = option.view, value / option.estimate.cost_usd
    prices = (view.input_usd_per_token * factor, view.output_usd_per_token * factor)
    return with_view(situation, view.key, input_usd_per_token=prices[0], output_usd_per_token=prices[1])


def _write_quality(situation: Situation, option: Option, value: float) -> Situation:
    stated = {**option.view.quality, situation.question.resolution.intent: value}
    return with_view(situation, option.view.key, quality=stated)


def _write_weight(situation: Situation, option: Option, value: float) -> Situation:
    return with_view(situation, option.view.key, deployment=replace(option.view.deployment, weight=value))


OF_DEPLOYMENT: tuple[Quantity, ...] = (
    Quantity(
        "load",
        lambda option, _: option.view.load_seconds if option.estimate.load else 0.0,
        _field("load_seconds"),
        good=False,
        unit="{} s",
        none="were loaded",
    ),
    Quantity(
        "wait",
        lambda option, _: option.estimate.queue,
        _write_queue,
        good=False,
        unit="{} s",
        none="had a free slot",
    ),
    Quantity(
        "speed",
        lambda option, _: 1.0 / option.view.seconds_per_token,
        _rate("seconds_per_token"),
        good=True,
        unit="{} tokens/s",
    ),
    Quantity(
        "prompt speed",
        lambda option, _: 1.0 / (option.view.seconds_per_prompt_token or inf),
        _rate("seconds_per_prompt_token"),
        good=True,
        unit="{} tokens/s",
    ),
    Quantity(
        "success rate",
        lambda option, _: option.view.success,
        _field("success"),
        good=True,
        unit="{}",
        most=1.0,
    ),
    Quantity(
        "price",
        lambda option, _: option.estimate.cost_usd,
        _write_price,
        good=False,
        unit="{} USD for this request",
        none="cost nothing",
    ),
    Quantity(
        "quality",
        lambda option, question: qualities_of([option], question.resolution)[0],
        _write_quality,
        good=True,
        unit="{}",
        most=1.0,
    ),
    Quantity(
        "window",
        lambda option, _: float(option.view.context_tokens),
        lambda situation, option, value: with_view(situation, option.view.key, context_tokens=round(value)),
        good=True,
        unit="{} tokens",
    ),
)
WEIGHT = Quantity(
    "weight", lambda option, _: option.view.deployment.weight, _write_weight, good=True, unit="{}"
)


def cost_weight(situation: Situation) -> float:
    """The weight of cost that holds for the request: its own, else the configured one."""
    own = situation.question.ask.cost_weight
    return situation.policy.cost_weight if own is None else own


def _write_policy(name: str) -> Callable[[Situation, float], Situation]:
    """As the configuration has them: beside the others as they are, and only the ratio counts."""

    def write(situation: Situation, value: float) -> Situation:
        weights = {each: getattr(situation.policy, each) for each in _WEIGHTS} | {name: value}
        scale = 1.0 / (sum(weights.values()) or 1.0)
        scaled = {each: weight * scale for each, weight in weights.items()}
        return situation._replace(policy=replace(situation.policy, **scaled))

    return write


def _write_cost_weight(situation: Situation, value: float) -> Situation:
    ask = situation.question.ask
    if ask.cost_weight is None:
        return _write_policy("cost_weight")(situation, value)
    return situation._replace(question=replace(situation.question, ask=replace(ask, cost_weight=value)))


OF_POLICY: dict[str, tuple[Callable[[Situation], float], Callable[[Situation, float], Situation]]] = {
    "weight of latency": (lambda s: s.policy.latency_weight, _write_policy("latency_weight")),
    "weight of success rate": (lambda s: s.policy.success_weight, _write_policy("success_weight")),
    COST: (cost_weight, _write_cost_weight),
}
"""Name -> how it reads, and how it is put at another value."""
