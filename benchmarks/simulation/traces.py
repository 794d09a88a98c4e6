"""The traces: who asks for what and when, the same for every policy. Drawn from a seed.

A person comes, asks a few times with pauses for reading, about one thing, and goes. What an answer's length will be is
drawn with the request, since it does not depend on who answers, up to the model's manner of talking.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.simulation.fleets import MODELS, Home


@dataclass(frozen=True, slots=True)
class Activity:
    """What somebody does: tokens of prompt and answer are lognormal (median, sigma); `limit` is set by the caller, 0: none."""

    text: str
    prompt: tuple[float, float]
    answer: tuple[float, float]
    limit: int = 0


CHATTING = Activity("Hey, how are you today? Tell me how your week was.", (180, 0.8), (110, 0.6))
CODING = Activity("Write a Python function that parses this log file.", (500, 0.8), (320, 0.6))
SUMMING_UP = Activity("Summarise this text in a few sentences.", (1600, 0.4), (150, 0.4))
SORTING = Activity("Classify this message as spam or not spam.", (220, 0.5), (5, 0.5), 16)
DRAWING_OUT = Activity("Extract all names and dates from this text as JSON.", (900, 0.4), (140, 0.4), 400)

DOINGS: dict[str, tuple[Activity, ...]] = {
    "tiny:1b": (SORTING, CHATTING),
    "chat:3b": (CHATTING, CHATTING, SUMMING_UP),
    "coder:7b": (CODING,),
    "general:8b": (CHATTING, SUMMING_UP),
    "big:14b": (CHATTING, SUMMING_UP),
    "": (CHATTING,),
}
ANY: tuple[Activity, ...] = (CHATTING, CODING, SUMMING_UP)


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `target`: a model, an alias, or "" for auto; `server`: of foreign ones only, which bypass the daemon."""

    number: int
    at: float
    target: str
    activity: Activity
    prompt_tokens: int
    prompt_bytes: int
    answer_tokens: float
    seed: int
    server: str = ""

    def output_tokens(self, model: str) -> int:
        """How many tokens this model will say."""
        said = max(1, round(self.answer_tokens * MODELS[model].talk))
        return min(said, self.activity.limit or said)


@dataclass(frozen=True, slots=True)
class Mishap:
    """From `start` to `end` something is wrong: a server "refuses" or "errors", or a box has only a part of its `speed`."""

    start: float
    end: float
    where: str
    fault: str = ""
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that happens from outside."""

    requests: tuple[Request, ...]
    foreign: tuple[Request, ...]
    mishaps: tuple[Mishap, ...] = ()


class Author:
    """Writes the requests of one trace."""

    def __init__(self, home: Home, seed: int) -> None:
        self.home = home
        self.random = random.Random(seed)
        self.number = 0

    def request(self, at: float, target: str, activity: Activity, server: str = "") -> Request:
        """One request."""
        draw = self.random
        self.number += 1
        prompt = min(
            3500, max(8, round(draw.lognormvariate(math.log(activity.prompt[0]), activity.prompt[1])))
        )
        answer = min(1500.0, draw.lognormvariate(math.log(activity.answer[0]), activity.answer[1]))
        size = round(prompt * draw.uniform(3.3, 4.6))
        return Request(self.number, at, target, activity, prompt, size, answer, draw.getrandbits(32), server)

    def target(self) -> str:
        """A model, an alias or auto, by the fleet's habits."""
        weights = self.home.weights
        return self.random.choices(list(weights), list(weights.values()))[0]

    def session(self, at: float, target: str, server: str = "") -> Iterator[Request]:
        """What one person asks in a row."""
        activity = self.random.choice(DOINGS.get(target, ANY))
        for _ in range(self.random.randint(1, 6)):
            yield self.request(at, target, activity, server)
            at += 4.0 + self.random.expovariate(1 / 20.0)

    def sessions(self, per_minute: float, seconds: float) -> Iterator[Request]:
        """Persons who come and go; `per_minute` counts requests."""
        at = 0.0
        while (at := at + self.random.expovariate(per_minute / 3.5 / 60.0)) < seconds:
            yield from self.session(at, self.target())

    def bursts(self, seconds: float) -> Iterator[Request]:
        """Many at once, every other minute: as an automation that was set off, or a family after dinner."""
        at, scale = 0.0, self.home.rate / 7.0
        while (at := at + 40.0 + self.random.expovariate(1 / 60.0)) < seconds:
            favourite = self.target()
            for _ in range(round(self.random.randint(4, 12) * scale)):
                target = favourite if self.random.random() < 0.5 else self.target()
                activity = self.random.choice(DOINGS.get(target, ANY))
                yield self.request(at + self.random.uniform(0.0, 4.0), target, activity)

    def batches(self, seconds: float) -> Iterator[Request]:
        """A job that sends its texts by fours, one handful every few seconds, for a while."""
        at, scale = 0.0, self.home.rate / 7.0
        while (at := at + 120.0 + self.random.expovariate(1 / 240.0)) < seconds:
            target = self.target()
            for turn in range(8):
                for _ in range(round(3 * scale)):
                    yield self.request(at + 7.0 * turn, target, DRAWING_OUT)

    def bypassing(self, seconds: float) -> Iterator[Request]:
        """Other people at the servers themselves."""
        for name, (_, server) in self.home.servers().items():
            hourly = self.home.foreign.get(name, 0.0)
            at = 0.0
            while hourly and (at := at + self.random.expovariate(hourly / 3600.0)) < seconds:
                yield from self.session(at, self.random.choice(sorted(server.models)), name)


def _trace(author: Author, requests: list[Request], seconds: float, *mishaps: Mishap) -> Trace:
    return Trace(
        tuple(sorted(requests, key=lambda request: request.at)),
        tuple(sorted(author.bypassing(seconds), key=lambda request: request.at)),
        mishaps,
    )


def calm(home: Home, seed: int, seconds: float) -> Trace:
    """A few people."""
    author = Author(home, seed)
    return _trace(author, list(author.sessions(home.rate, seconds)), seconds)


def bursty(home: Home, seed: int, seconds: float) -> Trace:
    """Quiet, then many at once."""
    author = Author(home, seed)
    requests = [*author.sessions(home.rate * 0.3, seconds), *author.bursts(seconds)]
    return _trace(author, requests, seconds)


def mixed(home: Home, seed: int, seconds: float) -> Trace:
    """People, and batch jobs behind their backs."""
    author = Author(home, seed)
    requests = [*author.sessions(home.rate * 0.7, seconds), *author.batches(seconds)]
    return _trace(author, requests, seconds)


def failing(home: Home, seed: int, seconds: float) -> Trace:
    """As calm, but one server answers 500 at once for a fifth of the time, and later does not listen for a tenth."""
    author, where = Author(home, seed), home.failing
    errors = Mishap(0.2 * seconds, 0.4 * seconds, where, "errors")
    refuses = Mishap(0.6 * seconds, 0.7 * seconds, where, "refuses")
    return _trace(author, list(author.sessions(home.rate, seconds)), seconds, errors, refuses)


def slow(home: Home, seed: int, seconds: float) -> Trace:
    """As calm, but one box has a quarter of its speed for half of the time."""
    author = Author(home, seed)
    throttled = Mishap(0.3 * seconds, 0.8 * seconds, home.slow, speed=0.25)
    return _trace(author, list(author.sessions(home.rate, seconds)), seconds, throttled)


TRACES: dict[str, Callable[[Home, int, float], Trace]] = {
    "calm": calm,
    "bursty": bursty,
    "mixed": mixed,
    "failing": failing,
    "slow": slow,
}
