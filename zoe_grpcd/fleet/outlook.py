"""What a backend has before it at this moment, as decisions play it through: its tasks, what it works with, its loads."""

from functools import lru_cache
from operator import attrgetter

from zoe_grpcd.core.estimate import MANY
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.core.timetable import Sharing, Shop, Task
from zoe_grpcd.fleet.host import Host
from zoe_grpcd.fleet.served import load_left


def tasks_of(host: Host, now: float) -> tuple[Task, ...]:
    """What is left of each request, those at work first, then in the order of their arrival."""
    if not 0 < len(host.leases) + host.foreign <= MANY:
        return ()
    pace, per_token = host.speed.pace(now), dict[str, float]()
    for model, count in host.asked.items():
        if count and (served := host.served.get(model)):  # else it was taken away meanwhile
            per_token[model] = served.learned.token.value * pace
    waiting = list[Task]()
    tasks = [Task(host.sole, host.service.value)] * host.foreign
    for lease in host.leases:
        model = lease.deployment.model
        if model in per_token:
            (waiting if lease.first_at is None else tasks).append(lease.task(now, per_token[model]))
    return (*tasks, *waiting)


def shop_of(host: Host, now: float) -> Shop:
    """What it works with at this moment."""
    if len(host.served) < 2:
        return _shop_of_one(host.model_slots, host.contention.sharing)
    loads, loading, sizes, loaded = {}, {}, {}, []
    for model, served in host.served.items():
        loads[model] = served.learned.load.value
        if served.loading_since is not None and served.has_begun(now):
            loading[model] = load_left(served, now)
        elif served.state is LoadState.LOADED:
            loaded.append(served)
        if served.status:
            sizes[model] = served.status.size_bytes
    loaded.sort(key=_last_use)
    return Shop(
        host.model_slots,
        host.contention.sharing,
        loads,
        loading,
        tuple([served.deployment.model for served in loaded]),
        sizes,
        host.most_models,
        host.most_bytes,
        host.backend.loads_in_turn,
    )


@lru_cache(maxsize=256)
def _shop_of_one(slots: int, sharing: Sharing) -> Shop:
    """That of a server with one model, which is asked for at every decision and hardly ever changes."""
    return Shop(slots, sharing)


def reloads_of(host: Host, now: float) -> dict[str, float]:
    """For each model: seconds of its load * its share of what is asked of this backend lately."""
    if len(host.served) < 2:
        return {}
    asked = {model: served.asked.at(now) for model, served in host.served.items()}
    whole = sum(asked.values()) or 1.0
    return {m: s.learned.load.value * asked[m] / whole for m, s in host.served.items()}


_last_use = attrgetter("used_at")
