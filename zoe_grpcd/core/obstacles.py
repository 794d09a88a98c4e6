"""What keeps a deployment out, and what would let it in: for each reason how it is lifted, and how that is said.

Rule: what a caller has ruled out itself is not held up to it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import ceil
from typing import NamedTuple

from zoe_grpcd.core.ask import NO_LIMITS
from zoe_grpcd.core.backend import Backend, Phase
from zoe_grpcd.core.decision import Candidate, Reason
from zoe_grpcd.core.eligible import PROBABILITIES, PROBABLE, Question, held_for, refused_by
from zoe_grpcd.core.estimate import prompt_tokens
from zoe_grpcd.core.key import Key
from zoe_grpcd.core.quantities import Situation, with_backend, with_view
from zoe_grpcd.core.rules import rank, rule_for
from zoe_grpcd.core.scoring import choose
from zoe_grpcd.core.views import BackendView, DeploymentView

# Of how many backends one deployment is looked at, and how many are told of.
LOOKED_AT, TOLD = 4, 2


class Obstacle(NamedTuple):
    """One reason that keeps one deployment out, in its situation."""

    situation: Situation
    view: DeploymentView
    backend: BackendView

    @property
    def question(self) -> Question:
        """What is asked."""
        return self.situation.question

    @property
    def key(self) -> Key:
        """Which deployment it is about."""
        return self.view.key


def _up(obstacle: Obstacle) -> Situation:
    """Nothing is held against it, either."""
    situation = with_backend(obstacle.situation, obstacle.key[0], phase=Phase.READY, trust=1.0, until=None)
    return with_view(situation, obstacle.key, barred=None, until=None) if obstacle.view.barred else situation


def _when(obstacle: Obstacle) -> str:
    seconds = held_for(obstacle.view, obstacle.backend, obstacle.situation.snapshot.at)
    return "" if seconds is None else f", which takes another {ceil(seconds)} s"


def _with_room(obstacle: Obstacle) -> Situation:
    limit = obstacle.backend.backend.max_in_flight or 1
    return with_backend(obstacle.situation, obstacle.key[0], in_flight=limit - 1)


def _lacking(obstacle: Obstacle) -> frozenset[str]:
    """The capabilities that it must have and has not, else those that others have that it should."""
    question, able = obstacle.question, obstacle.view.capabilities
    return question.required - able or question.resolution.preferred - able


def _able(obstacle: Obstacle) -> Situation:
    view, backend = obstacle.view, obstacle.backend.backend
    honours = replace(backend, refuses=backend.refuses - obstacle.question.features)
    situation = with_backend(obstacle.situation, obstacle.key[0], backend=honours)
    lacking = _lacking(obstacle) | ({PROBABLE} if PROBABILITIES in obstacle.question.features else set())
    return with_view(situation, obstacle.key, capabilities=view.capabilities | lacking)


def _lacks(obstacle: Obstacle) -> str:
    lacking = sorted(_lacking(obstacle))
    refused = sorted(refused_by(obstacle.view, obstacle.backend.backend, obstacle.question.features))
    parts = [f"could do {', '.join(lacking)}"] if lacking else []
    return " and ".join([*parts, *([f"honoured {', '.join(refused)}"] if refused else [])])


def _tokens(obstacle: Obstacle) -> int:
    question = obstacle.question
    return max(question.min_window, ceil(prompt_tokens(question.size, obstacle.view)))


def _free(obstacle: Obstacle) -> Situation:
    return with_view(obstacle.situation, obstacle.key, input_usd_per_token=0.0, output_usd_per_token=0.0)


def _affordable(question: Question) -> float:
    limits = (question.ask.max_cost_usd, question.budget)
    return min(limit for limit in limits if limit is not None)


def _in_no_hurry(obstacle: Obstacle) -> Situation:
    return obstacle.situation._replace(question=replace(obstacle.question, limits=NO_LIMITS))


def _at_home(obstacle: Obstacle) -> Situation:
    backend = replace(obstacle.backend.backend, local=True)
    return with_backend(obstacle.situation, obstacle.key[0], backend=backend)


LIFTED: Mapping[Reason, tuple[Callable[[Obstacle], Situation], Callable[[Obstacle], str]]] = {
    Reason.UNHEALTHY: (_up, lambda _: "were up"),
    Reason.CIRCUIT_OPEN: (_up, lambda o: f"had cooled down{_when(o)}"),
    Reason.RATE_LIMITED: (_up, lambda o: f"did not limit our rate{_when(o)}"),
    Reason.LOADING: (_up, lambda _: "had finished loading"),
    Reason.DRAINING: (_up, lambda _: "were not drained"),
    Reason.SATURATED: (_with_room, lambda o: f"had fewer than {o.backend.backend.max_in_flight} in flight"),
    Reason.MODEL_NOT_SERVED: (
        lambda o: with_view(o.situation, o.key, served=True),
        lambda o: f"served {o.view.deployment.backend_model}",
    ),
    Reason.MISSING_CAPABILITY: (_able, _lacks),
    Reason.CONTEXT_TOO_LONG: (
        lambda o: with_view(o.situation, o.key, context_tokens=_tokens(o)),
        lambda o: f"had a window of {_tokens(o)} tokens",
    ),
    Reason.TOO_EXPENSIVE: (_free, lambda o: f"cost at most {_affordable(o.question):g} USD"),
    Reason.TOO_SLOW: (_in_no_hurry, lambda _: "were given more time"),
    Reason.LOCALITY: (_at_home, lambda _: "were local"),
}
"""Reason -> the situation without it, and what follows `if it ...`."""


def hopes(situation: Situation, candidates: tuple[Candidate, ...]) -> list[str]:
    """`gpu would be a candidate if it were up`, for those that the least keeps out; who would win comes first."""
    nearest: dict[str, Candidate] = {}
    for candidate in sorted(candidates, key=lambda c: (len(c.reasons), c.deployment.backend)):
        if candidate.reasons and LIFTED.keys() >= set(candidate.reasons):
            nearest.setdefault(candidate.deployment.backend, candidate)
    found = []
    for candidate in list(nearest.values())[:LOOKED_AT]:
        without, ifs = lifted(situation, candidate)
        deployment = candidate.deployment
        key = (deployment.backend, deployment.model)
        choice = choose(*without) if ifs else None
        if choice and key in (
            option.view.key for option in choice.options
        ):  # not left aside for what others can do
            wins = choice.options[choice.best].view.key == key
            name = f"{deployment.model} @ {deployment.backend}"
            text = f"{name} would {'win' if wins else 'be a candidate'} if it {' and '.join(ifs)}"
            found.append((not wins, len(candidate.reasons), text))
    return [text for _, _, text in sorted(found)[:TOLD]]


def aside(situation: Situation, chosen: Candidate, candidates: tuple[Candidate, ...]) -> list[str]:
    """`m @ desk is left aside: with 7.6B, ollama comes before llamacpp`, for those of a kind that sizes put behind."""
    found, winner = [], _place_of(situation, chosen)
    sizes, wishes = situation.policy.sizes, situation.question.resolution.prefer
    for candidate in candidates if sizes else ():
        view, backend = place = _place_of(situation, candidate)
        rule = rule_for(sizes, view.parameters)
        wished = all(wish.holds(*place) for wish in wishes if wish.holds(*winner))
        behind = rank(sizes, view.parameters, backend) > rank(sizes, winner[0].parameters, winner[1])
        if candidate.reasons == (Reason.EXCLUDED,) and rule and wished and behind:
            first = ", ".join(sorted(rule.kinds | rule.fallback - {backend.kind}))
            words = f"with {view.parameters:.3g}B, {first} comes before {backend.kind}"
            found.append(f"{candidate.deployment.model} @ {backend.name} is left aside: {words}")
    return found[:TOLD]


def _place_of(situation: Situation, candidate: Candidate) -> tuple[DeploymentView, Backend]:
    backend = situation.snapshot.backends[candidate.deployment.backend].backend
    return _view_of(situation, candidate), backend


def lifted(situation: Situation, candidate: Candidate) -> tuple[Situation, list[str]]:
    """The situation without what keeps a candidate out, and what that is, in words."""
    ifs = []
    for reason in candidate.reasons:
        lift, words = LIFTED[reason]
        backend = situation.snapshot.backends[candidate.deployment.backend]
        obstacle = Obstacle(situation, _view_of(situation, candidate), backend)
        ifs.append(words(obstacle))
        situation = lift(obstacle)
    return situation, [text for text in ifs if text]


def _view_of(situation: Situation, candidate: Candidate) -> DeploymentView:
    views = situation.snapshot.by_model[candidate.deployment.model]
    return next(view for view in views if view.deployment.backend == candidate.deployment.backend)
