"""What a request may wait for, and the fleet as it will be then: for whoever asks where it would go, and does not wait.

Rule: only what ends without anybody's doing is waited for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil

from zoe_grpcd.core.backend import Deployment, Phase
from zoe_grpcd.core.decision import Candidate, Reason
from zoe_grpcd.core.eligible import Question, held_for
from zoe_grpcd.core.estimate import MANY
from zoe_grpcd.core.key import Key
from zoe_grpcd.core.scoring import WAITED_FOR, ineligible
from zoe_grpcd.core.timetable import Task
from zoe_grpcd.core.views import BackendView, DeploymentView, Snapshot

SHORT_PAUSE = 10.0  # seconds: a backend that asks us to stay away for longer is not waited for


def held_up(question: Question, snapshot: Snapshot) -> dict[Key, tuple[Reason, ...]]:
    """Who would serve if it were not for what ends by itself, and what that is."""
    found = ineligible(question, snapshot)
    return {c.deployment.key: c.reasons for c in found if _passes_soon(question, c, snapshot)}


def _passes_soon(question: Question, candidate: Candidate, snapshot: Snapshot) -> bool:
    """What keeps it out ends by itself: a load, a full backend, or a pause that is short enough for the request."""
    if WAITED_FOR.issuperset(candidate.reasons):
        return True
    if not (WAITED_FOR | {Reason.RATE_LIMITED}).issuperset(candidate.reasons):
        return False
    view, backend = _view_of(candidate.deployment, snapshot), snapshot.backends[candidate.deployment.backend]
    pause = held_for(view, backend, snapshot.at)
    limits = (question.ask.max_queue_time, question.limits.deadline)
    if pause is None or pause > SHORT_PAUSE:
        return False
    return all(limit is None or pause < limit for limit in limits)


def _view_of(deployment: Deployment, snapshot: Snapshot) -> DeploymentView:
    return next(view for view in snapshot.by_model[deployment.model] if view.deployment == deployment)


def once_over(question: Question, snapshot: Snapshot) -> Snapshot | None:
    """The fleet with those in it that a request would wait for, and the wait in their queues; None: there is none."""
    if question.ask.max_queue_time == 0:
        return None
    held = held_up(question, snapshot)
    opened = {name: _opened(snapshot.backends[name]) for name, _ in held}
    paused = {key for key, reasons in held.items() if Reason.RATE_LIMITED in reasons}
    later = _without_pauses(snapshot, paused) if paused else snapshot
    return replace(later, backends={**snapshot.backends, **opened}) if opened else None


def _without_pauses(snapshot: Snapshot, keys: set[Key]) -> Snapshot:
    def free(views: Sequence[DeploymentView]) -> tuple[DeploymentView, ...]:
        return tuple(replace(v, barred=None, until=None) if v.key in keys else v for v in views)

    by_model = {model: free(views) for model, views in snapshot.by_model.items()}
    return replace(snapshot, by_model=by_model, auto=free(snapshot.auto))


def behind(snapshot: Snapshot, before: Mapping[str, Sequence[Task]]) -> Snapshot:
    """The fleet as it is for a request that is served after others who wait: with their tasks, by backend."""
    views = ((name, snapshot.backends.get(name), tasks) for name, tasks in before.items())
    fuller = {name: _with_tasks(view, tasks) for name, view, tasks in views if view is not None}
    return replace(snapshot, backends={**snapshot.backends, **fuller}) if fuller else snapshot


def _with_tasks(view: BackendView, tasks: Sequence[Task]) -> BackendView:
    count = view.in_flight + view.foreign
    known = count == 0 or view.tasks
    all_tasks = (*view.tasks, *tasks) if known and count + len(tasks) <= MANY else ()
    return replace(view, in_flight=view.in_flight + len(tasks), tasks=all_tasks)


def wait_in_words(deployment: Deployment, snapshot: Snapshot) -> str:
    """What keeps a deployment from serving for now."""
    own, view = _view_of(deployment, snapshot), snapshot.backends[deployment.backend]
    if own.barred is Reason.RATE_LIMITED:
        pause = ceil(held_for(own, view, snapshot.at) or 0)
        return f"it limits our rate for another {pause} s, and the request would wait for that"
    if view.phase is Phase.LOADING:
        return "it is loading, and the request would wait for that"
    places = view.backend.max_in_flight
    if places is None:
        return "others wait already, and the request would be served after them"
    taken = "its only place is taken" if places == 1 else f"all {places} of its places are taken"
    return f"{taken}, and the request would wait for one"


def _opened(view: BackendView) -> BackendView:
    """Ready, with as many slots as we may use: who is one too many then stands in its queue."""
    phase = Phase.READY if view.phase is Phase.LOADING else view.phase
    limit = view.backend.max_in_flight
    if limit is None:
        return replace(view, phase=phase)
    shop = view.shop and replace(view.shop, slots=min(view.shop.slots, limit))
    backend = replace(view.backend, max_in_flight=None)
    return replace(view, phase=phase, backend=backend, slots=min(view.slots, limit), shop=shop)
