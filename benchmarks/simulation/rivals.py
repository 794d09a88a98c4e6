"""The policies that are compared. Each sees the same eligible deployments; only the oracle sees more.

The rule: a rival has all that its original has, and the daemon's health checks and retries on top.
"""

import random
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from benchmarks.simulation.traces import Request
from benchmarks.simulation.world import World
from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.eligible import Option
from zoe_grpcd.core.key import Key
from zoe_grpcd.core.observation import LoadState


@dataclass(frozen=True, slots=True)
class Moment:
    """What a policy decides from. `options` are in the order of their names."""

    now: float
    request: Request
    options: list[Option]
    world: World  # the truth, for the oracle


class Rival(Protocol):
    """A way to choose. `waits`: whoever finds no free place waits in the daemon's queue, and not in a server's."""

    waits: bool

    @property
    def pick(self) -> Callable[[Moment], Deployment] | None:
        """Chooses one of the options; None: the daemon chooses."""
        ...

    def learn(self, request: Request, deployment: Deployment, seconds: float, now: float) -> None:
        """A request was answered after so many seconds."""


class Ours:
    """The daemon's own choice, by its own code."""

    waits = True
    pick = None

    def __init__(self, seed: int) -> None:
        """It has nothing to draw."""

    def learn(self, request: Request, deployment: Deployment, seconds: float, now: float) -> None:
        """The fleet has learned already."""


class Blind(ABC):
    """What the simple rivals have in common: luck, nothing to learn, and no queue."""

    waits = False

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def learn(self, request: Request, deployment: Deployment, seconds: float, now: float) -> None:  # noqa: B027  # most learn nothing
        """They do not."""

    @abstractmethod
    def pick(self, moment: Moment) -> Deployment:
        """One of the options."""


class RoundRobin(Blind):
    """One after the other, for each name that is asked for."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._turn: dict[str, int] = defaultdict(int)

    def pick(self, moment: Moment) -> Deployment:
        """The next one."""
        self._turn[moment.request.target] += 1
        return moment.options[self._turn[moment.request.target] % len(moment.options)].view.deployment


class Shuffle(Blind):
    """Any."""

    def pick(self, moment: Moment) -> Deployment:
        """At random."""
        return self.random.choice(moment.options).view.deployment


class LeastInFlight(Blind):
    """The backend with the fewest requests of ours."""

    def pick(self, moment: Moment) -> Deployment:
        """Ties at random."""
        return self._fewest(moment, moment.options)

    def _fewest(self, moment: Moment, options: list[Option]) -> Deployment:
        def busy(option: Option) -> tuple[int, float]:
            return option.gate.view.in_flight, self.random.random()

        return min(options, key=busy).view.deployment


class WarmFirst(LeastInFlight):
    """Those that have the model in memory, if any; of them the least in flight."""

    def pick(self, moment: Moment) -> Deployment:
        """Ties at random."""
        warm = [option for option in moment.options if option.view.state is LoadState.LOADED]
        return self._fewest(moment, warm or moment.options)


class LowestLatency(Blind):
    """LiteLLM's latency-based-routing: the mean seconds a token of the last ten answers; who has none yet counts as 0."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._last: dict[tuple[str, Key], deque[float]] = defaultdict(lambda: deque(maxlen=10))

    def pick(self, moment: Moment) -> Deployment:
        """The lowest, within a buffer of 0, as its default is; ties at random."""
        self.random.shuffle(moment.options)
        group = moment.request.target

        def mean(option: Option) -> float:
            last = self._last.get((group, option.view.key))
            return sum(last) / len(last) if last else 0.0

        return min(moment.options, key=mean).view.deployment

    def learn(self, request: Request, deployment: Deployment, seconds: float, now: float) -> None:
        """Seconds by completion tokens."""
        self._last[request.target, deployment.key].append(seconds / request.output_tokens(deployment.model))


class LowestUsage(Blind):
    """LiteLLM's usage-based-routing-v2: the fewest tokens in this minute of the clock."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._tokens: dict[tuple[int, Key], int] = defaultdict(int)

    def pick(self, moment: Moment) -> Deployment:
        """Ties at random."""
        minute = int(moment.now // 60)
        self.random.shuffle(moment.options)

        def used(option: Option) -> int:
            return self._tokens.get((minute, option.view.key), 0)

        return min(moment.options, key=used).view.deployment

    def learn(self, request: Request, deployment: Deployment, seconds: float, now: float) -> None:
        """Tokens of prompt and answer, once it is there."""
        tokens = request.prompt_tokens + request.output_tokens(deployment.model)
        self._tokens[int(now // 60), deployment.key] += tokens


class WarmScore(Blind):
    """An additive score as ollama-herd's: hot 50, warm in the last half hour 30, on disk 10; less 6 for each request in
    flight for the model there (at most 30), less its 75th percentile of seconds for each (at most 25); up to 25 by
    bandwidth, which its operator states.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._seconds: dict[Key, deque[float]] = defaultdict(lambda: deque(maxlen=50))
        self._used: dict[Key, float] = {}

    def pick(self, moment: Moment) -> Deployment:
        """The highest score."""
        self.random.shuffle(moment.options)
        most = max(box.gigabytes for box in moment.world.home.boxes)
        return max(moment.options, key=lambda option: self._score(option, moment, most)).view.deployment

    def _score(self, option: Option, moment: Moment, most: float) -> float:
        deployment = option.view.deployment
        box, _ = moment.world.servers[deployment.backend]
        depth = option.gate.view.in_flight
        seconds = sorted(self._seconds.get(deployment.key, ()))
        wait = depth * seconds[3 * len(seconds) // 4] if seconds else 0.0
        heat = 10.0
        if option.view.state is LoadState.LOADED:
            heat = 50.0
        elif moment.now - self._used.get(deployment.key, -1e9) < 1800.0:
            heat = 30.0
        return heat - min(30.0, 6.0 * depth) - min(25.0, wait) + 25.0 * box.gigabytes / most

    def learn(self, request: Request, deployment: Deployment, seconds: float, now: float) -> None:
        """How long it took."""
        self._seconds[deployment.key].append(seconds)
        self._used[deployment.key] = now


class Oracle(Blind):
    """Knows how long everything will take, and takes what is done first. What has not come yet, it does not know."""

    def pick(self, moment: Moment) -> Deployment:
        """By playing the future through on each."""

        def done(option: Option) -> tuple[float, str]:
            deployment = option.view.deployment
            at = moment.world.completion(moment.request, deployment.backend, deployment.backend_model)
            return at, deployment.backend

        return min(moment.options, key=done).view.deployment


OURS, ORACLE = "ours", "oracle"
POLICIES: dict[str, type[Ours] | type[Blind]] = {
    "round robin": RoundRobin,
    "random": Shuffle,
    "least in flight": LeastInFlight,
    "litellm latency": LowestLatency,
    "litellm usage v2": LowestUsage,
    "warm score": WarmScore,
    "warm first": WarmFirst,
    OURS: Ours,
    ORACLE: Oracle,
}
