"""Where a request goes on: after a failed attempt, and from one step of a chain to the next.

Rule: what may follow on which failure is `ELSEWHERE`, and nothing else. Nobody who may not have a request by its own
words (locality, backends, cost) gets it by any of this: a fallback goes through the same filter as the first choice.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto

from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.eligible import Question, views_of, why_not
from zoe_grpcd.core.errors import Fault
from zoe_grpcd.core.sizes import size_in
from zoe_grpcd.core.tiers import ANY, Tier
from zoe_grpcd.core.views import Snapshot


class Elsewhere(Enum):
    """What may be tried after a failure."""

    NOWHERE = auto()  # it would only repeat what is wrong with the request
    ANYWHERE = auto()  # the same deployment too, when it is ready
    ANOTHER = auto()  # another deployment
    OTHER_BACKEND = auto()  # another deployment, on another backend as long as one can serve, and at once
    LARGER_WINDOW = auto()  # another deployment, with more room than this one had


ELSEWHERE: Mapping[Fault, Elsewhere] = {
    Fault.REFUSED: Elsewhere.ANOTHER,
    Fault.TIMEOUT: Elsewhere.ANOTHER,
    Fault.LOADING: Elsewhere.ANYWHERE,
    Fault.RATE_LIMITED: Elsewhere.OTHER_BACKEND,
    Fault.OVERLOADED: Elsewhere.OTHER_BACKEND,
    Fault.SERVER: Elsewhere.ANOTHER,
    Fault.LOAD_FAILED: Elsewhere.ANOTHER,
    Fault.MODEL_MISSING: Elsewhere.ANOTHER,
    Fault.UNAUTHORIZED: Elsewhere.OTHER_BACKEND,
    Fault.CONTEXT_TOO_LONG: Elsewhere.LARGER_WINDOW,
    Fault.REJECTED: Elsewhere.NOWHERE,
    Fault.CUT: Elsewhere.ANOTHER,
}


WHOEVER = ANY._replace(reason=Reason.FAILOVER, why="any model, as the caller allows")


def next_question(
    question: Question, failed: Deployment, fault: Fault, snapshot: Snapshot
) -> Question | None:
    """The question for the next attempt; None: trying on would not help."""
    elsewhere = ELSEWHERE[fault]
    if elsewhere is Elsewhere.NOWHERE:
        return None
    question = replace(question, faults=(*question.faults, fault))
    question = widened(question) or question
    if elsewhere is Elsewhere.ANYWHERE:
        return question
    excluded = question.excluded | {(failed.backend, failed.model)}
    avoided, window = question.avoided, question.min_window
    if elsewhere is Elsewhere.OTHER_BACKEND:
        avoided |= {failed.backend}
    if elsewhere is Elsewhere.LARGER_WINDOW:
        window = max(window, window_of(question, failed, snapshot) + 1)
    return replace(question, excluded=excluded, avoided=avoided, min_window=window)


def widened(question: Question) -> Question | None:
    """The question for any model, in the end; None: the caller does not allow that, or it is one already."""
    tiers = question.resolution.tiers
    if not question.ask.allow_different_model or any(t.models is None and t.only is None for t in tiers):
        return None
    return replace(question, resolution=replace(question.resolution, tiers=(*tiers, WHOEVER)))


def window_of(question: Question, deployment: Deployment, snapshot: Snapshot) -> int:
    """The window that the request had on a deployment; 0: unknown."""
    views = snapshot.by_model.get(deployment.model, ())
    view = next((view for view in views if view.deployment == deployment), None)
    if question.window and snapshot.backends[deployment.backend].backend.truncates:
        return question.window
    return view.context_tokens if view else 0


def is_open(question: Question, step: int, snapshot: Snapshot) -> bool:
    """Whether a step of a chain may be taken, since nobody of the steps before may serve."""
    tiers = question.resolution.tiers
    condition = tiers[step].when
    if condition is None:
        return True
    if condition.sizes is not None and _asked_size(question, tiers[0], snapshot) not in condition.sizes:
        return False
    return not condition.causes or condition.holds(
        question.faults, _obstacles(question, tiers[:step], snapshot)
    )


def _asked_size(question: Question, tier: Tier, snapshot: Snapshot) -> float:
    """The size of the model that was asked for, by those that have it, else by its name; unknown counts as large."""
    views = () if tier.reason is Reason.FAILOVER else views_of(tier, snapshot)
    known = (view.parameters for view in views)
    told = max((size for size in known if size is not None), default=None)
    guess = size_in(question.resolution.requested_model) if told is None else told
    return math.inf if guess is None else guess


def _obstacles(question: Question, tiers: tuple[Tier, ...], snapshot: Snapshot) -> set[Reason]:
    """What keeps the deployments of the tiers from serving, apart from what failed."""
    question, reasons = replace(question, avoided=frozenset()), set[Reason]()
    for tier in tiers:
        for view in views_of(tier, snapshot):
            backend = snapshot.backends[view.deployment.backend]
            reasons |= set(why_not(question, view, backend))
    return reasons - {Reason.EXCLUDED}
