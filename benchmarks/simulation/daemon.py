"""The daemon in simulated time, put together as `app` does it: its fleet, monitor, queue, router and breakers.

The rule: nothing of it is retold. Only the servers, the clock and the callers are simulated; a rival is a strategy
beside the daemon's own, so that all have its probes, retries, breakers and first-token limits.
"""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass

from benchmarks.simulation.link import ASKED, Link
from benchmarks.simulation.rivals import Moment, Rival
from benchmarks.simulation.traces import Request
from benchmarks.simulation.world import World
from zoe_grpcd.admission import WaitingRoom
from zoe_grpcd.core.ask import Ask, Target
from zoe_grpcd.core.backend import Backend, Prefill
from zoe_grpcd.core.contest import Contest, Scores
from zoe_grpcd.core.decision import Decision, Estimate
from zoe_grpcd.core.errors import ZoeError
from zoe_grpcd.core.generation import Generation
from zoe_grpcd.core.intents import SHIPPED
from zoe_grpcd.core.outcome import Completed
from zoe_grpcd.core.resolve import Policy, Resolver
from zoe_grpcd.core.strategies import DEFAULT, STRATEGIES
from zoe_grpcd.deciding import Rules
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.monitor import Monitor
from zoe_grpcd.router import Router
from zoe_grpcd.run import Around, Item, Reliability

PATIENCE = 600.0  # for the whole answer, whoever chooses: the daemon's max_request_time by default
EVERYBODY = 1_000_000  # finds a seat, and stays as long as there is any time at all
PICKED = "picked by a rival"


@dataclass(slots=True, eq=False)
class Call:
    """One request, and what became of it."""

    request: Request
    started: float
    ended: float = 0.0
    expected: Estimate | None = None  # at its first decision
    completed: Completed | None = None

    @property
    def answered(self) -> bool:
        """It has got a whole answer."""
        return self.completed is not None

    @property
    def disturbed(self) -> bool:
        """It took more than one attempt, or came to nothing."""
        return self.completed is None or len(self.completed.attempts) > 1

    async def take(self, item: Item) -> None:
        """Hears what the daemon tells a caller who wants to hear everything."""
        if isinstance(item, Decision) and self.expected is None:
            self.expected = item.chosen.estimate
        elif isinstance(item, Completed):
            self.completed = item


class Daemon:
    """One policy at work in one world."""

    def __init__(self, world: World, rival: Rival) -> None:
        self.world = world
        self.calls: list[Call] = []
        # whoever limits its wait is sent at once to a server where it waits for memory
        self._max_queue_time = None if rival.waits else PATIENCE
        clock = asyncio.get_running_loop().time
        self._fleet = Fleet()
        self._monitor = Monitor(self._fleet, clock)
        has_room = self._fleet.leases.has_room if rival.waits else _always
        waiting = WaitingRoom(EVERYBODY, PATIENCE, has_room=has_room)
        self._fleet.picture.subscribe(lambda _name: waiting.stir())
        around = Around(clock, self._monitor.nudge, random.Random(0).random, look=self._monitor.look)
        policy = Policy(aliases=world.home.aliases, strategy=_strategy_of(rival, world))
        rules = Rules(Resolver(policy, SHIPPED), policy, Reliability())
        links = {name: Link(world, name, rival.learn) for name in world.servers}
        self._router = Router(self._fleet, rules, links, waiting, around)
        for name, link in links.items():
            self._monitor.watch(_backend(world, name), link)

    async def close(self) -> None:
        """Ends what goes on beside the requests, and takes the rival's strategy from the daemon's own."""
        await self._monitor.close()
        await self._router.close()
        STRATEGIES.pop(PICKED, None)

    async def serve(self, request: Request) -> None:
        """A request, to its end."""
        ASKED.set(request)
        call = Call(request, self.world.now)
        self.calls.append(call)
        with suppress(ZoeError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._router.run(_ask(request, self._max_queue_time), call.take, eager=True)
        call.ended = self.world.now


def _always(_key: tuple[str, str]) -> bool:
    return True


def _ask(request: Request, max_queue_time: float | None) -> Ask:
    limit = request.activity.limit
    generation = Generation(
        ({"role": "user", "content": request.activity.text},),
        options={"max_output_tokens": limit} if limit else {},
    )
    target = Target(model=request.target)
    return Ask(
        generation,
        target,
        text=request.activity.text,
        prompt_bytes=request.prompt_bytes,
        stream=True,
        max_queue_time=max_queue_time,
    )


def _backend(world: World, name: str) -> Backend:
    box, server = world.servers[name]
    is_ollama = server.kind == "ollama"
    return Backend(
        name,
        server.kind,
        f"http://{box.name}:8080",
        truncates=is_ollama,
        loads_in_turn=is_ollama,
        prefill=Prefill.CONTINUES,
    )


def _strategy_of(rival: Rival, world: World) -> str:
    """The name of the strategy by which it chooses."""
    pick = rival.pick
    if pick is None:
        return DEFAULT

    def picked(contest: Contest) -> Scores:
        options = sorted(contest.options, key=lambda o: (o.view.deployment.backend, o.view.deployment.model))
        best = pick(Moment(world.now, ASKED.get(), options, world))
        return Scores(("pick",), (1.0,), ([float(o.view.deployment == best) for o in contest.options],))

    STRATEGIES[PICKED] = picked
    return PICKED
