"""What is held against one backend: breakers of the server and of its models, and who asked us to wait.

Rule: a backend has this only while there is something to hold against it.
"""

from collections.abc import Iterator
from math import ceil, inf
from typing import NamedTuple

from zoe_grpcd.core.breaker import Breaker, Caution, Standing, Whose
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.phases import Signal

# Whoever sleeps until the end of a pause may wake so much earlier (seconds).
EARLY = 0.01
# A backend that wants more is asked again all the same (seconds).
LONGEST_PAUSE = 3600.0


class Bar(NamedTuple):
    """What is held against one model. `barred`: why it gets nothing; `until`: till when, None: not known.

    `asked`: the backend itself said how long. `trust`: factor on its weight.
    """

    barred: Reason | None = None
    until: float | None = None
    asked: bool = False
    trust: float = 1.0


NO_BAR = Bar()


class Pause(NamedTuple):
    """A model is not to be asked before `until`; `asked`: the backend said so itself, which counts for more than a guess."""

    asked: bool
    until: float
    since: float


class Trouble:
    """Of one backend. `several`: it serves several models."""

    def __init__(self, caution: Caution, *, several: bool) -> None:
        self._caution = caution
        self._server = Breaker(caution, several=several)
        self._models: dict[str, Breaker] = {}
        self._pauses: dict[str, Pause] = {}
        self._several = several

    def fail(self, model: str, whose: Whose, began: float, now: float, *, gone: bool) -> None:
        """Takes in a failed attempt that began then; `gone`: it had lost its server."""
        if whose is not Whose.MODEL:
            self._server.fail("" if whose is Whose.SERVER else model, began, now, gone=gone)
        if whose is Whose.MODEL or (whose is Whose.EITHER and self._several):
            self._of(model).fail(model, began, now, gone=gone)

    def doubt(self, model: str, now: float) -> None:
        """Takes in an answer that looks wrong."""
        self._of(model).doubt(model, now)

    def pause(self, model: str, seconds: float | None, now: float) -> None:
        """A model is not to be asked for so long; None: the backend did not say."""
        asked = seconds is not None
        length = self._caution.rate_limit_cooldown if seconds is None else min(seconds - EARLY, LONGEST_PAUSE)
        pause = Pause(asked, now + max(0.0, length), now)
        known = self._pauses.get(model, pause)
        self._pauses[model] = max(pause, known) if known.until > now else pause

    def answer(self, model: str, began: float, now: float) -> bool:
        """Takes in a whole answer; True if it ends something."""
        ended, pause = self._server.answer(began, now), self._pauses.get(model)
        if pause is not None and began >= pause.since:
            del self._pauses[model]
            ended = True
        breaker = self._models.get(model)
        return (breaker is not None and breaker.answer(began, now)) or ended

    def came_back(self, now: float) -> None:
        """The server was gone and is up again."""
        for breaker in self._breakers():
            breaker.came_back(now)

    def restarted(self, model: str, now: float) -> None:
        """Another process runs a model: what it failed with before says nothing of that one, which gets its trial."""
        for breaker in (self._server, self._models.get(model)):
            if breaker is not None:
                breaker.came_back(now)

    def begin(self, model: str, now: float) -> tuple[Breaker, ...]:
        """A request goes there: the breakers that it is the trial of."""
        breakers = (self._server, self._models.get(model))
        found = tuple(b for b in breakers if b is not None and b.standing(now).trial)
        for breaker in found:
            breaker.trying = True
        return found

    def server(self, now: float) -> Standing:
        """Of the whole backend."""
        return self._server.standing(now)

    def signal(self, now: float) -> Signal:
        """What it means for the phase of the backend."""
        return self._server.standing(now).signal

    def model(self, model: str, now: float) -> Bar:
        """Of one model."""
        pause = self._pauses.get(model)
        if pause is not None and now < pause.until:
            return Bar(Reason.RATE_LIMITED, pause.until, pause.asked)
        breaker = self._models.get(model)
        if breaker is None:
            return NO_BAR
        standing = breaker.standing(now)
        if standing.signal is Signal.TRIPPED and not standing.trial:
            return Bar(Reason.CIRCUIT_OPEN, standing.until if standing.until < inf else None)
        return Bar(trust=standing.trust)

    def changes_at(self, now: float) -> float:
        """When something of this changes by itself; inf: not with time."""
        ends = (pause.until for pause in self._pauses.values() if pause.until > now)
        return min((*(breaker.standing(now).until for breaker in self._breakers()), *ends), default=inf)

    def is_over(self, now: float) -> bool:
        """Nothing is held against it any longer. Drops what is over."""
        self._models = {model: breaker for model, breaker in self._models.items() if not breaker.is_over(now)}
        self._pauses = {model: pause for model, pause in self._pauses.items() if pause.until > now}
        return not self._models and not self._pauses and self._server.is_over(now)

    def words(self, now: float) -> str:
        """What an operator reads; empty: nothing worth telling."""
        parts = [self._server.words(now)]
        for model, breaker in sorted(self._models.items()):
            if text := breaker.words(now):
                parts.append(f"{model}: {text}")
        for model, pause in sorted(self._pauses.items()):
            if pause.until > now:
                parts.append(f"{model}: it limits our rate; next request in {ceil(pause.until - now)} s")
        return ". ".join(part for part in parts if part)

    def _of(self, model: str) -> Breaker:
        return self._models.setdefault(model, Breaker(self._caution))

    def _breakers(self) -> Iterator[Breaker]:
        yield self._server
        yield from self._models.values()
