"""When the requests on one backend will end, and what one more of them costs: their future played through.

The rule: requests at work share their machine. Each runs at 1 / slowdown of its speed when alone:

    slowdown = 1 + mates * (others of its model at work) + strangers * (all others at work)

A model has so many slots; who finds none waits in the order of arrival, and who comes before its model is in memory
waits for the load. What does not fit beside the models in memory pushes the least recently used out, once that is
idle; until then a server either starts nothing more on it, or, where loads go in turn, nothing more at all.
Seconds from now on. How much mates and strangers cost is learned (`core.contention`).
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

ANY = ""
"""The model of a request of which nobody knows which; it is in memory, and has a slot."""


class Task(NamedTuple):
    """A request. `work`: seconds that it still takes, alone."""

    model: str
    work: float


class Sharing(NamedTuple):
    """By how much each request beside it makes a request slower: one of its own model on its server, one of another model
    there, and one on another server of its machine.
    """

    mates: float = 0.3
    strangers: float = 0.7
    neighbours: float = 0.3  # as mates: a burst spreads over equal servers of one machine, until it is seen


USUAL = Sharing()


@dataclass(frozen=True, slots=True)
class Shop:
    """What a backend works with. A model that is none of `loads` is always in memory.

    Attributes:
        slots: requests of one model at the same time.
        loads: seconds that the load of a model takes.
        loading: seconds until it is loaded, of those whose load has begun.
        resident: the models in memory, the least recently used first.
        sizes: bytes in memory; who is not in it, or 0, is not known.
        most_models, most_bytes: what is known to fit into memory at the same time.
        in_turn: loads go one after the other, and whoever waits for memory holds up all behind it.
    """

    slots: int = 1
    sharing: Sharing = USUAL
    loads: Mapping[str, float] = field(default_factory=dict)
    loading: Mapping[str, float] = field(default_factory=dict)
    resident: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    most_models: int = 1
    most_bytes: int = 0
    in_turn: bool = False

    def loading_in(self, model: str, seconds: float) -> "Shop":
        """The same where the load of a model, begun or not, takes so long; 0: it is in memory."""
        if seconds <= 0:
            known = model in self.resident or model not in self.loads
            return self if known else replace(self, resident=(*self.resident, model))
        if model in self.loading:
            return (
                self
                if self.loading[model] == seconds
                else replace(self, loading={**self.loading, model: seconds})
            )
        return (
            self if self.loads.get(model) == seconds else replace(self, loads={**self.loads, model: seconds})
        )


class Place(NamedTuple):
    """What becomes of one task: seconds until it starts, and until it ends."""

    start: float
    end: float


class Played(NamedTuple):
    """What becomes of all, in the order of the tasks; and which models leave the memory."""

    places: list[Place]
    pushed_out: list[str]


class _Crew:
    """The tasks at work on one model. `spent`: work that each who is in since the beginning has had."""

    __slots__ = ("ends", "spent")

    def __init__(self) -> None:
        self.spent = 0.0
        self.ends: list[tuple[float, int]] = []  # a heap: at which `spent` each ends, and its number


def play(shop: Shop, tasks: Sequence[Task]) -> Played:
    """What becomes of each task; they are in the order of arrival, those at work already first."""
    return _side_by_side(shop.sharing, tasks) if _all_start(shop, tasks) else _Play(shop, tasks).run()


def loss_beside(shop: Shop, tasks: Sequence[Task], mine: Task) -> float | None:
    """Seconds that one more task, its model in memory, loses by the others, and all of them together by it; None: that has
    to be played, since somebody waits, or several models are at work.

    Two requests that run side by side make each other longer by what one costs the other * the smaller work: so does each
    of those for one model, which do the same work in the same time, and a single one for another model. It is the
    difference of two plays, and twenty times faster.
    """
    model, work, common = mine.model, mine.work, 0.0
    if len(tasks) >= shop.slots or model in shop.loading:
        return _loss_beside_stranger(shop, tasks, mine)
    for other, left in tasks:
        if other != model:
            return _loss_beside_stranger(shop, tasks, mine)
        common += min(work, left)
    return shop.sharing.mates * common


def _loss_beside_stranger(shop: Shop, tasks: Sequence[Task], mine: Task) -> float | None:
    """The same beside a single one for another model; None: it is not so."""
    if len(tasks) != 1:
        return None
    model, left = tasks[0]
    if model == mine.model or not (_is_ready(shop, model) and _is_ready(shop, mine.model)):
        return None
    return shop.sharing.strangers * min(mine.work, left)


def wait_for_one(shop: Shop, tasks: Sequence[Task], model: str) -> float | None:
    """Seconds until a model with one slot has it free, while one request of its own is all that is at work; None: it is not so.

    Nobody loses by whoever waits for it.
    """
    if len(tasks) != 1 or shop.slots != 1 or tasks[0].model != model or not _is_ready(shop, model):
        return None
    return tasks[0].work


def _all_start(shop: Shop, tasks: Sequence[Task]) -> bool:
    """Nobody waits, and nothing is loaded."""
    models = [task.model for task in tasks]
    return all(
        _is_ready(shop, model) and (model == ANY or models.count(model) <= shop.slots)
        for model in set(models)
    )


def _is_ready(shop: Shop, model: str) -> bool:
    """It is in memory."""
    return model not in shop.loading and (model in shop.resident or model not in shop.loads)


def _side_by_side(sharing: Sharing, tasks: Sequence[Task]) -> Played:
    """The usual case, several times faster than a play: all are at work from now on until they end.

    Those of one model end in the order of their work; `spent` is what each of them has had, as in `_Crew`.
    """
    if len(tasks) == 2:
        return Played(_two(sharing, *tasks), [])
    mates, strangers, _ = sharing
    crews: dict[str, list[tuple[float, int]]] = {}
    for number, task in enumerate(tasks):
        crews.setdefault(task.model, []).append((task.work, number))
    for crew in crews.values():
        crew.sort(reverse=True)
    spent = dict.fromkeys(crews, 0.0)
    ends, now = [0.0] * len(tasks), 0.0
    for left in range(len(tasks), 0, -1):
        base, seconds, first = 1.0 - mates + strangers * left, math.inf, ANY
        slowdowns = {model: base + (mates - strangers) * len(crew) for model, crew in crews.items()}
        for model, slowdown in slowdowns.items():
            needs = (crews[model][-1][0] - spent[model]) * slowdown
            if needs < seconds:
                seconds, first = needs, model
        seconds = max(0.0, seconds)
        now += seconds
        ends[crews[first].pop()[1]] = now
        for model, slowdown in slowdowns.items():
            spent[model] += seconds / slowdown
        if not crews[first]:
            del crews[first]
    return Played([Place(0.0, end) for end in ends], [])


def _two(sharing: Sharing, one: Task, other: Task) -> list[Place]:
    """The same for two: who needs longer is alone with what is left of it."""
    beside = 1.0 + (sharing.mates if one.model == other.model else sharing.strangers)
    first = min(one.work, other.work) * beside
    return [
        Place(0.0, first + max(0.0, mine - others))
        for mine, others in ((one.work, other.work), (other.work, one.work))
    ]


class _Play:
    """One future."""

    __slots__ = (
        "crews",
        "doomed",
        "ends",
        "loading",
        "now",
        "pushed",
        "resident",
        "shop",
        "starts",
        "tasks",
        "waiting",
    )

    def __init__(self, shop: Shop, tasks: Sequence[Task]) -> None:
        self.shop = shop
        self.tasks = tasks
        self.now = 0.0
        self.crews: dict[str, _Crew] = {}
        self.waiting = list(range(len(tasks)))
        self.starts = [0.0] * len(tasks)
        self.ends = [0.0] * len(tasks)
        self.loading = dict(shop.loading)
        self.resident = list(shop.resident)
        self.doomed = ""
        self.pushed: list[str] = []

    def run(self) -> Played:
        self._admit()
        while self.crews or self.loading:
            self._step()
            if self.waiting:
                self._admit()
            elif not self.crews:
                break
        for number in self.waiting:  # nobody knows what they wait for
            self.starts[number] = self.ends[number] = self.now
        places = [Place(start, end) for start, end in zip(self.starts, self.ends, strict=True)]
        return Played(places, self.pushed)

    # ------------------------------------------------------------------------------------------------- who may start

    def _admit(self) -> None:
        """Starts tasks and loads, in the order of arrival."""
        left = []
        for index, number in enumerate(self.waiting):
            task = self.tasks[number]
            model = task.model
            if model in self.loading:
                left.append(number)
            elif model in self.shop.loads and model not in self.resident:
                left.append(number)
                if not self._load(model) and self.shop.in_turn:
                    left += self.waiting[index + 1 :]
                    break
            elif not self._start(model, number, task.work):
                left.append(number)
        self.waiting = left

    def _start(self, model: str, number: int, work: float) -> bool:
        crew = self.crews.get(model)
        if model != ANY and (model == self.doomed or (crew and len(crew.ends) >= self.shop.slots)):
            return False
        if crew is None:
            crew = self.crews[model] = _Crew()
        heapq.heappush(crew.ends, (crew.spent + work, number))
        self.starts[number] = self.now
        self._use(model)
        return True

    def _load(self, model: str) -> bool:
        """Begins a load if it may; False: it waits for memory, or for another load."""
        if self.shop.in_turn and self.loading:
            return False
        while not self._fits(model):
            if not self.resident:
                return False
            leaves = self.doomed or next((m for m in self.resident if m not in self.crews), self.resident[0])
            if not self.shop.in_turn:
                leaves = self.doomed = self.doomed or self.resident[0]
            if leaves in self.crews:
                return False
            self.resident.remove(leaves)
            self.pushed.append(leaves)
            self.doomed = ""
        self.loading[model] = self.now + self.shop.loads[model]
        return True

    def _fits(self, model: str) -> bool:
        shop, held = self.shop, [*self.resident, *self.loading]
        if not held:
            return True
        sizes = [shop.sizes.get(name, 0) for name in (model, *held)]
        return len(held) < shop.most_models and (not all(sizes) or sum(sizes) <= shop.most_bytes)

    def _use(self, model: str) -> None:
        if model in self.resident:
            self.resident.remove(model)
            self.resident.append(model)

    # ------------------------------------------------------------------------------------------------ how time passes

    def _step(self) -> None:
        """Works until a task or a load ends."""
        total = sum([len(crew.ends) for crew in self.crews.values()])
        mates, strangers, _ = self.shop.sharing
        base, mate = 1.0 - mates + strangers * total, mates - strangers
        seconds = min(self.loading.values(), default=math.inf) - self.now
        slowdowns = []
        for crew in self.crews.values():
            slowdown = base + mate * len(crew.ends)
            slowdowns.append(slowdown)
            seconds = min(seconds, (crew.ends[0][0] - crew.spent) * slowdown)
        seconds = max(0.0, seconds)
        self.now += seconds
        for crew, slowdown in zip(self.crews.values(), slowdowns, strict=True):
            crew.spent += seconds / slowdown
        self._end()

    def _end(self) -> None:
        """Lets go who is done."""
        for model, crew in list(self.crews.items()):
            while crew.ends and crew.ends[0][0] <= crew.spent + 1e-9:
                self.ends[heapq.heappop(crew.ends)[1]] = self.now
                self._use(model)
            if not crew.ends:
                del self.crews[model]
        for model in [model for model, at in self.loading.items() if at <= self.now + 1e-9]:
            del self.loading[model]
            self.resident.append(model)
