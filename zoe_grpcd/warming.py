"""Brings models into memory because an operator says so, before anybody asks for them.

The one rule: a load belongs to the daemon, not to whoever wanted it: several share one, and it goes on when they leave.
"""

import asyncio
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from zoe_grpcd.core.ask import Ask, Target
from zoe_grpcd.core.awaited import once_over
from zoe_grpcd.core.backend import Backend, Deployment, Phase
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.eligible import Question, question_of, views_of
from zoe_grpcd.core.errors import (
    Fault,
    InvalidRequest,
    ModelNotFound,
    NoCapableBackend,
    NoHealthyBackend,
    UpstreamError,
    Violation,
    ZoeError,
)
from zoe_grpcd.core.generation import Call, Generation
from zoe_grpcd.core.learning import Lesson
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.core.outcome import Attempt
from zoe_grpcd.core.recovery import AFTER, failure_of
from zoe_grpcd.core.refusal import refusal_of
from zoe_grpcd.core.scoring import choose
from zoe_grpcd.core.views import DeploymentView, Snapshot
from zoe_grpcd.deciding import Rules
from zoe_grpcd.fleet import Fleet, Lease
from zoe_grpcd.patience import Patience
from zoe_grpcd.ports import Warmer
from zoe_grpcd.run import Around

log = logging.getLogger(__name__)

_NO_TIME = re.compile(r"[0.a-zµ]*0[0.a-zµ]*")  # as Ollama spells it
LOOK = 1.0  # seconds for a look at what is in memory, before the choice and after a load


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator wants in memory. `model`: a name as callers use it; `backend` empty: the one that serves it best.

    `keep_alive`: seconds that it shall stay there without requests, less than 0 for as long as its server lives; None: as
    its deployment says.
    """

    model: str
    backend: str = ""
    keep_alive: float | None = None


@dataclass(frozen=True, slots=True)
class Warmed:
    """Where the model is, or is on its way to. `seconds`: how long its load took; None: there was none, or it goes on.

    With a load behind it and `UNLOADED`, it is out of memory again.
    """

    backend: str
    state: LoadState
    already: bool = False
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """One that goes on. Its task ends with the seconds that it took, or with why it failed."""

    task: asyncio.Task[float | ZoeError]
    keep_alive: float | None


class Warming:
    """One for the life of the daemon. `warmers` go by backend name; who has none there loads nothing when told to."""

    def __init__(self, fleet: Fleet, rules: Rules, warmers: Mapping[str, Warmer], around: Around) -> None:
        self.rules = rules
        self._fleet = fleet
        self._warmers = warmers
        self._clock, self._nudge, self._look = around.clock, around.nudge, around.look
        self._loads: dict[tuple[str, str], Load] = {}

    async def warm(self, wish: Wish, *, wait: bool) -> Warmed:
        """Has it loaded where requests for it would go; with `wait`, returns when it is there.

        Raises the ZoeError that a request for the model would end with, NoCapableBackend where nothing can be loaded, or
        why the load has failed.
        """
        question = self._question(wish)
        await self._look_at(self._places(question, self._fleet.picture.snapshot(self._clock())))
        view = self._chosen(question, wish)
        backend = self._fleet.backend(view.deployment.backend)
        asleep = self._fleet.health.is_asleep(backend.name)
        self._check(wish, view.deployment, backend)
        loads = self._fleet.health.is_starting(backend.name)
        already = view.state is LoadState.LOADED and not loads and not asleep
        warmer = self._warmers.get(backend.name)
        if warmer is None and not loads and not already:
            raise NoCapableBackend(f"{backend.name}: kind {backend.kind} loads a model with a request only")
        if already and (warmer is None or not warmer.keeps):
            return Warmed(backend.name, LoadState.LOADED, already=True)
        load = self._begun(view.deployment, wish.keep_alive)
        if not wait:
            return Warmed(backend.name, LoadState.LOADED if already else LoadState.LOADING, already)
        outcome = await asyncio.shield(load.task)
        if isinstance(outcome, ZoeError):
            raise outcome
        there = LoadState.UNLOADED if self._is_gone(view.deployment) else LoadState.LOADED
        return Warmed(backend.name, there, already, None if already else outcome)

    async def close(self) -> None:
        """Ends what is going on."""
        tasks = [load.task for load in self._loads.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------------------------------------------- choosing

    def _question(self, wish: Wish) -> Question:
        """As a request for the model would be decided, but that nothing else will do."""
        target = Target(wish.model, allowed_backends=frozenset({wish.backend} if wish.backend else ()))
        ask = Ask(Generation(()), target)
        resolution = self.rules.resolver.resolve(
            ask, self._fleet.catalogue.models(), self._fleet.catalogue.silent()
        )
        resolution.tiers = tuple(tier for tier in resolution.tiers if tier.reason is not Reason.FAILOVER)
        if not resolution.tiers:
            raise ModelNotFound(resolution.why, metadata={"model": wish.model})
        return question_of(ask, resolution, drop_params=True)

    def _places(self, question: Question, snapshot: Snapshot) -> list[DeploymentView]:
        """Where the model is served, as far as that is known."""
        allowed = question.ask.target.allowed_backends
        views = [view for tier in question.resolution.tiers for view in views_of(tier, snapshot)]
        return [view for view in views if not allowed or view.key[0] in allowed]

    async def _look_at(self, places: list[DeploymentView]) -> None:
        if self._look is not None:
            await self._look({view.key[0] for view in places}, LOOK)

    def _chosen(self, question: Question, wish: Wish) -> DeploymentView:
        """The best place that something can be loaded into."""
        snapshot = self._fleet.picture.snapshot(self._clock())
        places = self._places(question, snapshot)
        able = [view for view in places if not self._is_away(snapshot.backends[view.key[0]].backend)]
        if places and not able:
            names = ", ".join(sorted({view.key[0] for view in places}))
            raise NoCapableBackend(
                f"{names}: a service that loads its models by itself; nothing is to be done"
            )
        if wish.backend and not places:
            raise self._not_served(wish)
        target = replace(question.ask.target, allowed_backends=frozenset(view.key[0] for view in able))
        question = replace(question, ask=replace(question.ask, target=target))
        choice = choose(question, snapshot, self.rules.policy)
        if choice is None and (later := once_over(question, snapshot)) is not None:
            choice = choose(question, later, self.rules.policy)
        if choice is not None:
            return choice.options[choice.best].view
        for view in able:
            if self._fleet.health.is_asleep(view.key[0]):
                return view
        raise refusal_of(question, snapshot, self.rules.reliability.retry_delay)

    def _is_away(self, backend: Backend) -> bool:
        return not backend.local and backend.name not in self._warmers

    def _not_served(self, wish: Wish) -> ZoeError:
        if wish.backend in self._fleet.catalogue.silent():
            text = f"{wish.backend}: {self._fleet.health.detail(wish.backend)}, and what it serves is not known yet"
            return NoHealthyBackend(text, retry_after=self.rules.reliability.retry_delay)
        metadata = {"model": wish.model, "backend": wish.backend}
        return ModelNotFound(f"{wish.backend} does not serve {wish.model!r}", metadata=metadata)

    def _check(self, wish: Wish, deployment: Deployment, backend: Backend) -> None:
        """Nobody is promised to keep a model who can't, nor told to load what is to be kept for no time."""
        warmer, stay = self._warmers.get(backend.name), deployment.backend_options.get("keep_alive", "")
        text = f"{backend.name} (kind {backend.kind}) cannot be told how long to keep a model; leave it out"
        wrong = wish.keep_alive is not None and not self.rules.policy.drop_params
        if warmer is not None and warmer.keeps:
            text = f"{backend.name}: its deployment has keep_alive {stay}, which unloads it at once; say how long"
            wrong = wish.keep_alive is None and _NO_TIME.fullmatch(str(stay)) is not None
        if wrong:
            raise InvalidRequest(f"keep_alive: {text}", violations=(Violation("keep_alive", text),))

    # -------------------------------------------------------------------------------------------------- loading

    def _begun(self, deployment: Deployment, keep_alive: float | None) -> Load:
        """The load of a deployment: the one that goes on, unless that keeps it for another time than is wanted now."""
        before = self._loads.get(deployment.key)
        if before is not None and keep_alive in (None, before.keep_alive):
            return before
        lease = self._fleet.leases.load(deployment, self._clock())
        after = before.task if before is not None else None
        task = asyncio.create_task(self._load(lease, keep_alive, after), name=f"load {deployment.model}")
        load = self._loads[deployment.key] = Load(task, keep_alive)
        task.add_done_callback(lambda _: self._over(lease, load))
        self._nudge(deployment.backend)
        return load

    def _over(self, lease: Lease, load: Load) -> None:
        """However it ended, and even if it was cancelled before it began."""
        self._fleet.leases.release(lease, None, self._clock())  # nothing to do if it is back already
        if self._loads.get(lease.deployment.key) is load:
            del self._loads[lease.deployment.key]

    async def _load(
        self, lease: Lease, keep_alive: float | None, after: asyncio.Task[float | ZoeError] | None
    ) -> float | ZoeError:
        """One load, after another one of the same model; the seconds that it took, or why it failed."""
        patience = Patience()
        lease.abandon = patience.lose
        place = f"{lease.deployment.model} @ {lease.backend.name}"
        try:
            if after is not None:
                await asyncio.wait({after})
            await self._request(lease, keep_alive, patience)
            seconds = self._clock() - lease.started
            self._fleet.leases.loaded(lease, self._clock())
            log.info("%s is in memory, as it was wished, after %.2f s", place, seconds)
        except UpstreamError as error:
            log.warning("%s could not be loaded, as it was wished: %s", place, error.message)
            return self._failed(lease, error)
        finally:
            patience.close()
        if self._look is not None:
            await self._look({lease.backend.name}, LOOK)
            if self._is_gone(lease.deployment):  # as it seems to a look that began before the end
                await self._look({lease.backend.name}, LOOK)
        return seconds

    def _is_gone(self, deployment: Deployment) -> bool:
        """It is not in memory, as was seen after its load: it was not to be kept for long, or others needed the room."""
        view = self._fleet.picture.view(deployment, self._clock())
        return view is not None and view.state is LoadState.UNLOADED

    async def _request(self, lease: Lease, keep_alive: float | None, patience: Patience) -> None:
        """What makes its server load it, to the end of the load."""
        backend = lease.backend
        limit = backend.first_token_timeout or self.rules.reliability.first_token.ceiling
        warmer = self._warmers.get(backend.name)
        try:
            with patience(limit):
                if warmer is not None and not self._fleet.health.is_starting(backend.name):
                    await warmer(_call_of(lease), keep_alive)
                    self._nudge(backend.name)
                await self._settled(backend.name)
        except TimeoutError:
            if self._fleet.health.phase(backend.name) is Phase.DOWN:
                text = f"given up while it loaded: {self._fleet.health.detail(backend.name)}"
                raise UpstreamError(Fault.LOAD_FAILED, text) from None
            raise UpstreamError(Fault.TIMEOUT, f"not loaded within {limit:g} s") from None

    async def _settled(self, name: str) -> None:
        """Returns when a server is seen to be up that loads as a whole, or was woken; that it goes down ends the wait."""
        changed, health = asyncio.Event(), self._fleet.health
        unsubscribe = self._fleet.picture.subscribe(lambda _name: changed.set())
        try:
            while health.is_starting(name) or health.phase(name) is Phase.DOWN:
                changed.clear()
                await changed.wait()
        finally:
            unsubscribe()

    def _failed(self, lease: Lease, error: UpstreamError) -> ZoeError:
        """Observes a failed load as that of a request, and says so."""
        now, after = self._clock(), AFTER[error.fault]
        counts = self._fleet.health.failed(lease, error, now) and after.counts
        seconds = now - lease.started
        self._fleet.leases.release(lease, Lesson(failed=True, duration=seconds) if counts else None, now)
        self._nudge(lease.backend.name)
        attempt = Attempt(
            1,
            lease.deployment,
            lease.backend.kind,
            lease.backend.local,
            after.outcome,
            0.0,
            seconds,
            error_reason=error.fault.value,
            http_status=error.http_status,
        )
        return failure_of((attempt,), (error,), self.rules.reliability.retry_delay)


def _call_of(lease: Lease) -> Call:
    """A request for nothing, with the settings of the real ones, so that nothing is loaded anew for those."""
    deployment = lease.deployment
    generation = Generation((), options=deployment.options, backend_options=deployment.backend_options)
    return Call(lease.backend, deployment.backend_model, generation)
