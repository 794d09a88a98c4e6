"""Hand-written stand-ins: a clock that a test moves, dispatchers that follow a script, and a small world around a router.

The one rule: a fake records what it was asked and does what its script says, nothing more.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any, Final

from zoe_grpcd.admission import WaitingRoom
from zoe_grpcd.core.answer import Delta, Event, Finish, FinishReason, Measured, Usage
from zoe_grpcd.core.ask import Ask, Target
from zoe_grpcd.core.backend import Backend, Deployment, ModelFacts, Prefill
from zoe_grpcd.core.breaker import Caution
from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.estimate import size_of
from zoe_grpcd.core.generation import Call, Generation, Json
from zoe_grpcd.core.intents import configured
from zoe_grpcd.core.observation import LoadState, ModelStatus, Observation
from zoe_grpcd.core.resolve import Policy, Resolution, Resolver
from zoe_grpcd.core.views import BackendView, DeploymentView, Snapshot
from zoe_grpcd.deciding import Rules
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.router import Router
from zoe_grpcd.run import Around, Item, Reliability

# ------------------------------------------------------------------------------------------------ values with defaults


def an_ask(text: str = "hello", model: str = "", options: Json | None = None, **fields: Any) -> Ask:
    """A request of one user message; `fields` are those of `Ask`."""
    generation = Generation(({"role": "user", "content": text},), options=options or {})
    fields = {"target": Target(model=model), "prompt_bytes": len(text.encode()), "text": text, **fields}
    return Ask(fields.pop("generation", generation), **fields)


def a_resolver(
    policy: Policy | None = None, intents: Mapping[str, Mapping[str, Any]] | None = None
) -> Resolver:
    if policy in (None, Policy()) and not intents:
        return _plain_resolver()
    return Resolver(policy or Policy(), configured(intents or {}))


@cache
def _plain_resolver() -> Resolver:
    """Keeps nothing of a request, and takes 30 ms to make."""
    return Resolver(Policy(), configured({}))


def a_backend(name: str, **fields: Any) -> Backend:
    fields = {"prefill": Prefill.CONTINUES, **fields}
    return Backend(name, fields.pop("kind", "llamacpp"), fields.pop("url", f"http://{name}"), **fields)


def a_view(backend: str, model: str = "m", **fields: Any) -> DeploymentView:
    """A warm deployment that can chat, as a decision sees it."""
    deployment = fields.pop("deployment", None) or Deployment(model, backend, model)
    fields = {"state": LoadState.LOADED, "capabilities": frozenset({"chat"}), **fields}
    return DeploymentView(deployment, **fields)


def a_snapshot(backends: Sequence[BackendView], views: Sequence[DeploymentView]) -> Snapshot:
    by_model: dict[str, tuple[DeploymentView, ...]] = {}
    for view in views:
        by_model[view.deployment.model] = (*by_model.get(view.deployment.model, ()), view)
    return Snapshot(
        {view.backend.name: view for view in backends},
        by_model,
        tuple(v for v in views if v.deployment.auto and "chat" in v.capabilities),
    )


def a_question(ask: Ask, resolution: Resolution, **fields: Any) -> Question:
    return Question(ask, resolution, size_of(ask), **{"features": ask.features, **fields})


def a_status(name: str = "m", **fields: Any) -> ModelStatus:
    return ModelStatus(name, **fields)


def seen(*models: ModelStatus | str, **fields: Any) -> Observation:
    """A probe that went well; a name stands for a loaded model."""
    found = tuple(ModelStatus(m) if isinstance(m, str) else m for m in models)
    return Observation(ok=True, models=found, **fields)


BROKEN: Final = Observation(ok=False, error="connection refused")

# -------------------------------------------------------------------------------------------------------------- clock


@dataclass(slots=True)
class Clock:
    """Monotonic seconds that pass when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


# --------------------------------------------------------------------------------------------------------- dispatcher


class Hang:
    """A silence that lasts until the test ends it."""

    def __init__(self) -> None:
        self.over = asyncio.Event()


Step = list[Event] | UpstreamError | Exception | Hang | Callable[[], None]
Script = Sequence[Step]


def said(text: str = "hi", tokens: int = 1) -> list[Event]:
    return [Delta(text, tokens=tokens)]


def finished(
    prompt: int = 5,
    completion: int = 2,
    reason: FinishReason = FinishReason.STOP,
    measured: Measured | None = None,
) -> list[Event]:
    return [Finish(reason, Usage(prompt, completion), measured or Measured())]


ANSWER: Final[Script] = (said("he"), said("llo"), finished())


def fault(kind: Fault, message: str = "as scripted", **fields: Any) -> UpstreamError:
    return UpstreamError(kind, message, **fields)


class FakeDispatcher:
    """Plays one script a call, in order, the last one again and again; records the calls and how they ended."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts) or [ANSWER]
        self.calls: list[Call] = []
        self.running = 0
        self.opened_in: list[asyncio.Task[Any] | None] = []
        self.closed_in: list[asyncio.Task[Any] | None] = []
        self.resume: Callable[[Call], Call] = lambda call: call

    async def stream(self, call: Call) -> AsyncGenerator[list[Event]]:
        script = self.scripts[min(len(self.calls), len(self.scripts) - 1)]
        self.calls.append(call)
        self.running += 1
        self.opened_in.append(asyncio.current_task())
        try:
            for step in script:
                if isinstance(step, Hang):
                    await step.over.wait()
                elif isinstance(step, Exception):
                    raise step
                elif callable(step):
                    step()
                else:
                    yield step
        finally:
            self.running -= 1
            self.closed_in.append(asyncio.current_task())

    async def resumed(self, call: Call) -> Call:
        return self.resume(call)


# -------------------------------------------------------------------------------------------------------------- world


@dataclass
class World:
    """A router, its fleet, and a fake in place of each backend. Every backend is ready and has served nothing yet."""

    policy: Policy = field(default_factory=Policy)
    reliability: Reliability = field(default_factory=lambda: Reliability(retry_delay=0.001, return_time=0.0))
    facts: Mapping[str, ModelFacts] = field(default_factory=dict)
    deployments: Sequence[Deployment] = ()
    intents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    max_queue: int = 256
    max_queue_time: float = 30.0
    record: Callable[[Question, Snapshot, Decision | None], None] | None = None
    look: Callable[[Collection[str], float], Awaitable[None]] | None = None
    caution: Caution | None = None

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.fleet = Fleet(self.facts, self.deployments, caution=self.caution)
        self.waiting = WaitingRoom(self.max_queue, self.max_queue_time, has_room=self.fleet.leases.has_room)
        self.fleet.picture.subscribe(lambda _name: self.waiting.stir())
        self.dispatchers: dict[str, FakeDispatcher] = {}
        self.nudged: list[str] = []
        rules = Rules(a_resolver(self.policy, self.intents), self.policy, self.reliability)
        around = Around(self.clock, self.nudged.append, Random(0).random, self.record, self.look)
        self.router = Router(self.fleet, rules, self.dispatchers, self.waiting, around)

    def add(
        self, name: str, *scripts: Script, seen_as: Observation | None = None, **fields: Any
    ) -> FakeDispatcher:
        """A backend with one loaded model `m`, if `seen_as` does not say otherwise."""
        self.fleet.add(a_backend(name, **fields), self.clock())
        self.observe(name, seen_as or seen("m"))
        dispatcher = self.dispatchers[name] = FakeDispatcher(*scripts)
        return dispatcher

    def observe(self, name: str, observation: Observation) -> None:
        self.fleet.health.observe(name, observation, self.clock())

    async def run(self, ask: Ask | None = None, **how: Any) -> list[Item]:
        """All items of a request."""
        items: list[Item] = []
        await self.collect(items, ask, **how)
        return items

    async def collect(self, into: list[Item], ask: Ask | None = None, **how: Any) -> None:
        """The same, into a list that can be looked at on the way."""

        async def deliver(item: Item) -> None:
            into.append(item)

        await self.router.run(ask or an_ask(), deliver, **how)

    @property
    def left_behind(self) -> int:
        """Requests in flight, upstream connections and waiters: 0 when nothing goes on."""
        in_flight = sum(self.fleet.leases.in_flight(name) for name in self.fleet.names())
        return in_flight + sum(d.running for d in self.dispatchers.values()) + len(self.waiting)


def text_of(items: Sequence[Item]) -> str:
    """The answer's text."""
    batches = (item for item in items if isinstance(item, list))
    return "".join(event.text for batch in batches for event in batch if isinstance(event, Delta))
