"""What is in flight: each request's place on a deployment, from the decision to its last byte, and what it taught.

Rule: a request is counted where its lease says, and counted out once, whatever became of it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from zoe_grpcd.core.backend import Deployment, Phase
from zoe_grpcd.core.decision import Estimate
from zoe_grpcd.core.learning import Lesson, seconds_of_service
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.core.progress import Progress
from zoe_grpcd.core.turns import Turn
from zoe_grpcd.fleet.found import give_up_load
from zoe_grpcd.fleet.health import Health
from zoe_grpcd.fleet.host import Host, host_of
from zoe_grpcd.fleet.lease import Lease
from zoe_grpcd.fleet.memory import Memory
from zoe_grpcd.fleet.picture import Picture
from zoe_grpcd.fleet.pictures import backend_view_of, window_of
from zoe_grpcd.fleet.served import COLD, load_fraction, load_left
from zoe_grpcd.fleet.stalls import is_left_alone

ANSWERING = frozenset({Phase.READY, Phase.BUSY, Phase.DEGRADED, Phase.COOLING_DOWN})


class Leases:
    """Of one fleet, which `one_less` tells of each request that is counted out."""

    def __init__(
        self,
        hosts: Mapping[str, Host],
        health: Health,
        picture: Picture,
        memory: Memory,
    ) -> None:
        self._hosts = hosts
        self._health = health
        self._picture = picture
        self._memory = memory
        self.one_less: Callable[[Host, float], None] = lambda _host, _now: None

    def take(
        self, deployment: Deployment, now: float, expected: Estimate | None = None, turn: Turn | None = None
    ) -> Lease:
        """Counts a request in. `expected`: what it will take; None: what others took here. `turn`: the one that it takes.

        A cold model counts as loading from now on, or from when its load is expected to begin.
        """
        host = self._hosts[deployment.backend]
        served = host.served[deployment.model]
        # the decision's own picture will do, unless the wait is asked for: all else in it does not age
        view = host.view if host.view and expected is not None else backend_view_of(host, now)
        if expected is None:
            expected = Estimate(0.0, 0.0, 0.0, view.service, 1.0 / served.learned.token.value, 0.0)
        lease = Lease(served, view, now, expected)
        if host.trouble is not None and (trials := host.trouble.begin(deployment.model, now)):
            lease.trials = trials
            host.forget_views()
        host.leases[lease] = None
        host.asked[deployment.model] += 1
        served.asked.add(now)
        served.used_at = now
        host.own_since_probe += 1
        host.view = None
        if lease.cold:
            served.loading_since, served.view = now + expected.queue, None
        host.settle(now)
        self._picture.begin(turn)
        return lease

    def load(self, deployment: Deployment, now: float) -> Lease:
        """Counts in a request that wants its model in memory, and nothing else."""
        host = self._hosts[deployment.backend]
        load = load_left(host.served[deployment.model], now)
        lease = self.take(deployment, now, Estimate(0.0, load, 0.0, 0.0, 1.0, 0.0))
        self._picture.changed(host)
        return lease

    def loaded(self, lease: Lease, now: float) -> None:
        """The model is in memory, so the request for that is over; how long it took is learned, unless it waited."""
        self.first_token(lease, now)
        host = host_of(self._hosts, lease)
        served = host.served.get(lease.deployment.model) if host else None
        if host and served is not None and lease.cold:
            if not lease.waited:
                served.learned.learn_load(now - lease.started, now)
                self._memory.changed.add(host.backend.name)
            self._health.answered(lease, now)
        self.release(lease, None, now)
        if host:
            self._picture.changed(host)

    def first_token(self, lease: Lease, now: float) -> None:
        """The deployment answers: it is warm, and its backend is no longer given up for this request."""
        lease.abandon = lease.go_on = None
        host = host_of(self._hosts, lease)
        if host is not None:
            host.begin_answer(lease, now)
            host.view = None
            self._picture.current = None
        served = host.served.get(lease.deployment.model) if host else None
        if served is not None:
            served.stalls = served.left = 0
        if host and served is not None and served.loading_since is not None:
            served.loading_since = None
            if served.status:
                served.status = replace(served.status, state=LoadState.LOADED)
            host.settle(now)
            served.view = None
            self._picture.current = None

    def release(self, lease: Lease, lesson: Lesson | None, now: float) -> None:
        """Counts a request out and learns from it; `lesson` None: it taught nothing (cancelled, the caller's mistake)."""
        host = host_of(self._hosts, lease)
        if host is None:
            return
        for breaker in lease.trials:
            breaker.trying = False
            host.forget_views()
        beside = host.beside(lease, now)
        del host.leases[lease]
        host.asked[lease.deployment.model] -= 1
        host.settle(now)
        host.see_end(lease, now)
        host.view = None
        self._picture.current = None
        self.one_less(host, now)
        served = host.served.get(lease.deployment.model)
        if served is None:
            return
        served.used_at = now
        if lesson is None or lesson.failed:
            give_up_load(host, served)
        if lesson is not None:
            self._memory.changed.add(host.backend.name)
            host.see_company(lease)
            lesson.slowdown = host.contention.slowdown(beside)
            slower = host.speed.learn(lesson, served.learned, now)
            if slower is not None:
                host.contention.learn(beside, slower, now)
            served.learned.learn(lesson, now)
            host.rescale()
            for other in self._hosts.values():  # they share the length of its answers
                if same := other.served.get(lease.deployment.model):
                    same.view = None
            if not lesson.failed and lesson.first_token is not None:
                served.learned.spread.learn(lease.expected.total, now - lease.started)
                host.service.add(max(0.01, seconds_of_service(lesson, served.learned.load.value)), now)

    def window(self, lease: Lease) -> int:
        """Tokens that a prompt and its answer may have there; 0: not known."""
        host = host_of(self._hosts, lease)
        served = host and host.served.get(lease.deployment.model)
        return window_of(served, lease.backend) if served else 0

    def in_flight(self, name: str) -> int:
        """Requests of ours on one backend."""
        return len(self._hosts[name].leases)

    def is_left_alone(self, deployment: Deployment) -> bool:
        """Nothing of ours is in flight for its model there, and nothing of others is seen on its backend."""
        return is_left_alone(self._hosts[deployment.backend], deployment)

    def has_room(self, key: tuple[str, str]) -> bool:
        """Whether a (backend, model) takes one more request at once."""
        host = self._hosts.get(key[0])
        return host is not None and host.has_room(key[1])

    def has_any_room(self, models: Collection[str] | None) -> bool:
        """Whether some backend that answers takes one more request of one of these models at once; None: of any."""
        answering = (host for host in self._hosts.values() if host.phase in ANSWERING)
        return any(
            host.has_room(model)
            for host in answering
            for model in host.served
            if models is None or model in models
        )

    def progress(self, lease: Lease, now: float) -> Progress:
        """What a request waits for that was sent and has no first token yet."""
        host, passed, expected = self._hosts.get(lease.backend.name), now - lease.started, lease.expected
        served = host.served.get(lease.deployment.model) if host else None
        left = max(0.0, expected.time_to_first_token - passed)
        if served is not None and served.state in (*COLD, LoadState.LOADING):
            asleep = served.status is not None and served.status.state is LoadState.SLEEPING
            fraction = load_fraction(served, now)
            return Progress("WAKING" if asleep else "LOADING", left, fraction=fraction)
        return Progress("QUEUED" if passed < expected.queue else "PREFILLING", left)
