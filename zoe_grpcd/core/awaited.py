"""What a request may wait for, and the fleet as it will be then: for whoever asks where it would go, and does not wait.

Rule: only what ends without anybody's doing is waited for.
"""

from dataclasses import replace

from zoe_grpcd.core.domain import Phase, Reason
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.scoring import WAITED_FOR, ineligible
from zoe_grpcd.core.views import BackendView, Snapshot


def waited_for(question: Question, snapshot: Snapshot) -> frozenset[Reason]:
    """What ends by itself and is all that keeps somebody from serving; empty: waiting does not help."""
    return frozenset(reason for _, reasons in _blocked(question, snapshot) for reason in reasons)


def once_over(question: Question, snapshot: Snapshot) -> Snapshot | None:
    """The fleet with those in it that a request would wait for, and the wait in their queues; None: there is none.

    How long a whole server still loads is not known, so that is no part of it.
    """
    if question.ask.max_queue_time == 0:
        return None
    names = {backend for backend, _ in _blocked(question, snapshot)}
    opened = {name: _opened(snapshot.backends[name]) for name in names}
    return replace(snapshot, backends={**snapshot.backends, **opened}) if opened else None


def wait_in_words(view: BackendView) -> str:
    """What keeps a backend from serving for now."""
    if view.phase is Phase.LOADING:
        return "it is loading, and the request would wait for that"
    places = view.backend.max_in_flight
    taken = "its only place is taken" if places == 1 else f"all {places} of its places are taken"
    return f"{taken}, and the request would wait for one"


def _blocked(question: Question, snapshot: Snapshot) -> list[tuple[str, tuple[Reason, ...]]]:
    found = ineligible(question, snapshot)
    return [(c.deployment.backend, c.reasons) for c in found if WAITED_FOR.issuperset(c.reasons)]


def _opened(view: BackendView) -> BackendView:
    """Ready, with as many slots as we may use: who is one too many then stands in its queue."""
    phase = Phase.READY if view.phase is Phase.LOADING else view.phase
    limit = view.backend.max_in_flight
    if limit is None:
        return replace(view, phase=phase)
    shop = view.shop and replace(view.shop, slots=min(view.shop.slots, limit))
    backend = replace(view.backend, max_in_flight=None)
    return replace(view, phase=phase, backend=backend, slots=min(view.slots, limit), shop=shop)
