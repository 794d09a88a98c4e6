"""A backend's state: how it does, what runs there, which models it has, and what it showed of its speed.

Rule: only the parts of a `Fleet` change it.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from math import inf

from zoe_grpcd.core.backend import Backend, Deployment, Phase
from zoe_grpcd.core.contention import ALONE, NONE, Company, Contention
from zoe_grpcd.core.observation import LoadState, Observation
from zoe_grpcd.core.speed import Speed
from zoe_grpcd.core.timetable import USUAL
from zoe_grpcd.core.usage import DecayedMean
from zoe_grpcd.core.views import BackendView
from zoe_grpcd.fleet.crowd import Crowd
from zoe_grpcd.fleet.lease import Lease
from zoe_grpcd.fleet.machine import Machine
from zoe_grpcd.fleet.served import Served
from zoe_grpcd.fleet.trouble import Trouble

# So many tokens should have been written before a pulse tells something.
PULSE = 16
STEADY = 0.01  # a pace that differs by less is none


class Host:
    """A backend's state. `machine`: what it runs on, with its neighbours."""

    def __init__(
        self, backend: Backend, configured: Sequence[Deployment], now: float, machine: Machine
    ) -> None:
        self.backend = backend
        self.configured = tuple(configured)
        self.phase = Phase.UNKNOWN
        self.since = now
        self.detail = "not probed yet"
        self.observation: Observation | None = None
        self.probed_at: float | None = None
        self.leases: dict[Lease, None] = {}  # in the order of their arrival
        self.ended: deque[float] = deque(maxlen=256)  # when requests of ours ended since the last probe
        self.served: dict[str, Served] = {}
        self.foreign = 0
        self.own_since_probe = 0
        self.answered_from = inf  # when the first of those began that were answered since the last probe
        self.service = DecayedMean(5.0, prior_weight=0.3)
        self.speed = Speed(machine.speed)
        self.contention = Contention(USUAL if backend.local else NONE)
        self.crowd = Crowd(machine)
        self.asked: Counter[str] = Counter()  # requests of ours by model
        self.at_once = 1  # answers of one model that were seen coming at the same time
        self.most_models, self.most_bytes = 1, 0  # that were seen in memory at the same time
        self.revision = 0
        self.view: BackendView | None = None
        self.view_at = now
        self.loads_since: float | None = None  # the server as a whole
        self.trouble: Trouble | None = None  # None: nothing is held against it
        self.changes_at = inf  # when that changes by itself, as far as the last look at it told
        self.reading: dict[int, int] = {}  # how far its prompts were at the last look: task -> tokens
        self.gone = False  # the last probe, or an attempt since, found no server
        self.doubted = 1.0  # factor on its weight after a silent probe
        self.retired = False  # it is no longer configured, and gone when nothing runs there any more

    @property
    def slots(self) -> int:
        """Requests that it works on at the same time."""
        if told := self.told_slots:
            return told
        return max(1, self.at_once, self.backend.max_in_flight or self.backend.usual_slots)

    @property
    def told_slots(self) -> int:
        """The same as it tells itself; 0: it does not."""
        return (self.observation.slots or 0) if self.observation else 0

    @property
    def model_slots(self) -> int:
        """Slots of one model: a server that tells its slots tells the sum over the models that it has loaded."""
        told = self.told_slots
        if len(self.served) < 2 or not told:
            return told or self.slots
        loaded = {served.own_name for served in self.served.values() if served.state is LoadState.LOADED}
        return max(1, told // max(1, len(loaded)))

    def has_room(self, model: str) -> bool:
        """Whether it works on one more request at once: by the operator's word, else by its own, else by what was seen.

        A server that loads its models in turn does not tell how many requests of one it takes, nor can one that has no
        model in memory: one more than were seen at once, so that it can show that it takes more. Of any other that does
        not tell, it is not known.
        """
        limit = self.backend.max_in_flight
        if limit is not None:
            return len(self.leases) < limit
        if self.told_slots:
            return self._under_way(model) < self.model_slots
        if not (self.backend.loads_in_turn or self.is_empty):
            return True
        return self._under_way(model) <= max(self.at_once, self.backend.usual_slots)

    def _under_way(self, model: str) -> int:
        """Requests of ours for a model, by whatever name."""
        if len(self.served) < 2:
            return len(self.leases)
        if (served := self.served.get(model)) is None:
            return self.asked[model]
        names = (name for name, other in self.served.items() if other.own_name == served.own_name)
        return sum(self.asked[name] for name in names)

    @property
    def is_empty(self) -> bool:
        """It has none of its models in memory."""
        return bool(self.served) and all(s.state is not LoadState.LOADED for s in self.served.values())

    def settle(self, now: float) -> None:
        """Counts the time that has passed, and who is at work from now on; after each change of that."""
        room, at_work = self.model_slots, dict[str, int]()
        for model, count in self.asked.items():
            served = self.served.get(model)
            if served is None or served.loading_since is None:
                at_work[model] = min(count, room)
        self.crowd.pass_time(now)
        self.crowd.set(at_work, self.foreign)

    def leave(self, now: float) -> None:
        """Another one takes its place: what is in flight there is no longer counted."""
        self.crowd.pass_time(now)
        self.crowd.set({}, 0)

    @property
    def is_doubted(self) -> bool:
        """Its last probe had no answer, and it is not known to be down."""
        return self.phase is Phase.DEGRADED and self.observation is not None and not self.observation.ok

    @property
    def is_asleep(self) -> bool:
        """It answers nothing until it is woken."""
        return self.phase is Phase.DOWN and self.observation is not None and self.observation.sleeping

    def forget_views(self) -> None:
        """What is held against it has changed."""
        self.view = None
        for served in self.served.values():
            served.view = None

    def beside(self, lease: Lease, now: float) -> Company:
        """Who ran beside it since its first token."""
        if lease.first_at is None or now <= lease.first_at:
            return ALONE
        self.crowd.pass_time(now)
        seconds, before = now - lease.first_at, lease.before
        reading = self.crowd.reading(lease.deployment.model)
        own, here = (reading.own - before.own) / seconds, (reading.here - before.here) / seconds
        all_ = (reading.machine - before.machine) / seconds
        return Company(max(0.0, own - 1.0), max(0.0, here - own), max(0.0, all_ - here))

    def begin_answer(self, lease: Lease, now: float) -> None:
        """Its first token is there: it runs at the same time as all of its model that have one and have not ended."""
        self.crowd.pass_time(now)
        model = lease.deployment.model
        lease.first_at, lease.pulse, lease.before = now, (now, 0), self.crowd.reading(model)
        if self.told_slots:  # what is seen of them does not count
            return
        mates = [other for other in self.leases if other.written and other.deployment.model == model]
        for other in mates:
            other.company = (len(mates) + 1, other.written() if other.written else 0)

    def see_company(self, lease: Lease) -> None:
        """It has ended: those that wrote while it went on writing had slots of their own."""
        count, before = lease.company
        if lease.written and lease.written() - before >= PULSE:
            self.at_once = max(self.at_once, count)

    def awaits(self, served: Served) -> bool:
        """Requests of ours wait for its model, and none has an answer yet: Ollama lists as loaded what still loads."""
        mine = [lease for lease in self.leases if lease.deployment == served.deployment]
        return self.backend.loads_in_turn and bool(mine) and all(lease.first_at is None for lease in mine)

    def see_end(self, lease: Lease, now: float) -> None:
        """A request is over."""
        self.ended.append(now)
        if lease.first_at is not None:
            self.answered_from = min(self.answered_from, lease.started)

    def got_on_from(self) -> float:
        """When the first of those began that have got on since the last probe; inf: nobody has."""
        earliest, self.answered_from = self.answered_from, inf
        for lease in self.leases:
            said = lease.written() if lease.written else 0
            if said > lease.said:
                lease.said, earliest = said, min(earliest, lease.started)
        return earliest

    def see_residents(self) -> None:
        """What is in memory at the same time fits into it."""
        loaded = {
            served.own_name: served.status.size_bytes
            for served in self.served.values()
            if served.state is LoadState.LOADED and served.status
        }
        self.most_models = max(self.most_models, len(loaded))
        self.most_bytes = max(self.most_bytes, sum(loaded.values()))

    def take_pulse(self, now: float) -> None:
        """Learns the pace of the answers that are under way: a box that became slow shows it before they end."""
        for lease in self.leases:
            served = self.served.get(lease.deployment.model)
            if lease.first_at is None or lease.written is None or served is None:
                continue
            at, before = lease.pulse
            said = lease.written()
            seconds, tokens = now - at, said - before
            slowdown = self.contention.slowdown(self.beside(lease, now))
            if seconds / (served.learned.token.value * slowdown) < PULSE:
                continue
            lease.pulse = (now, said)
            self.speed.feel(seconds / max(1, tokens) / slowdown, served.learned, now, 0.5 / slowdown)
            self.rescale()

    @property
    def sole(self) -> str:
        """The only model of the server; empty: it has several, and whose requests others send is not known."""
        return next(iter(self.served)) if len(self.served) == 1 else ""

    def let_fade(self, now: float) -> None:
        """Has the views made anew that show failures, a slow spell or a slow response: all are forgotten with time, so
        that it gets another chance.
        """
        self.rescale(views=abs(self.speed.pace(now) - 1.0) > STEADY)
        for served in self.served.values():
            view, learned = served.view, served.learned
            aged = view is not None and view.response_p95 != learned.response.quantile(0.95, now)
            if aged or learned.success.value < 1.0:
                served.view = None

    def rescale(self, *, views: bool = True) -> None:
        """What the backend showed of its speed is true of all its models."""
        reading, writing, loading = self.speed.reading, self.speed.writing, self.speed.loading
        for served in self.served.values():
            served.learned.scale(reading, writing, loading)
            if views or not served.learned.token.weight:
                served.view = None


def host_of(hosts: Mapping[str, Host], lease: Lease) -> Host | None:
    """Where a request is counted; None: another server has that name by now."""
    host = hosts.get(lease.backend.name)
    return host if host is not None and lease in host.leases else None
