"""How fast a backend is, beside what is usual for models of their size: what one model shows is true of its machine.

    reading, writing   seconds a token / those that the size lets expect; over days. The priors of all its models
                       are scaled by them, so that a model that was never used there is not taken for a usual one.
                       Of writing without what each token takes besides (`learning.TOKEN_OVERHEAD`).
    pace               seconds a token lately / those learned so far; over minutes, for all models at once. A box that
                       is throttled, or used by somebody else, shows it in whatever it is asked. Forgotten by and by,
                       so that it gets another chance.

A backend that nobody has used yet is taken to be as fast as the others of its machine, and a machine as the mean of all.
"""

from typing import NamedTuple

from zoe_grpcd.core.learning import Learned, Lesson, seconds_per_token
from zoe_grpcd.core.usage import DecayedMean

DAY = 86400.0
PACE_HALF_LIFE = 120.0
# A single answer may not say more than that.
SLOWEST, FASTEST = 8.0, 0.125


class Shown(NamedTuple):
    """What an attempt tells of a machine: seconds a token that was written or read, seconds of a load; None: nothing."""

    written: float | None
    read: float | None
    load: float | None
    slowdown: float


class Speed:
    """The decayed ratios of one backend; of all of them together, where no other is given."""

    __slots__ = ("_loading", "_others", "_pace", "_reading", "_writing")

    def __init__(self, others: "Speed | None" = None) -> None:
        self._others = others
        self._reading = DecayedMean(1.0, prior_weight=0.3, half_life=DAY)
        self._writing = DecayedMean(1.0, prior_weight=0.3, half_life=DAY)
        self._loading = DecayedMean(1.0, prior_weight=0.3, half_life=DAY)
        self._pace = DecayedMean(1.0, half_life=PACE_HALF_LIFE)

    @property
    def reading(self) -> float:
        """Times slower in reading a prompt than usual."""
        if self._others is None or self._reading.weight:
            return self._reading.value
        return self._others.reading

    @property
    def writing(self) -> float:
        """Times slower in writing an answer than usual."""
        if self._others is None or self._writing.weight:
            return self._writing.value
        return self._others.writing

    @property
    def loading(self) -> float:
        """Times slower in loading a model than usual."""
        if self._others is None or self._loading.weight:
            return self._loading.value
        return self._others.loading

    def pace(self, now: float) -> float:
        """Times slower than it was."""
        return self._pace.at(now)

    def feel(self, seconds: float, learned: Learned, now: float, weight: float) -> None:
        """Takes in the seconds a token, alone, of an answer: how it compares with earlier ones, if there are any, else
        with what is usual.
        """
        if learned.token.weight > 1.0:
            ratio = seconds / learned.token.value
            self._pace.add(min(SLOWEST, max(FASTEST, ratio)), now, weight)
        else:
            self._writing.add(learned.slowness(seconds), now, weight)

    def learn(self, lesson: Lesson, learned: Learned, now: float) -> float | None:
        """Takes in one attempt, before the deployment itself has learned from it.

        Returns how many times slower than alone it was, given the pace; None: nothing to compare with.
        """
        written, read = seconds_per_token(lesson), learned.seconds_of_reading(lesson)
        load = learned.seconds_of_load(lesson, learned.prefill_of(lesson))
        slower = None
        if written is not None and learned.token.weight > 1.0:
            slower = written / (learned.token.value * self.pace(now))
        self.take(Shown(written, read, load, lesson.slowdown), learned, now)
        return slower

    def take(self, shown: Shown, learned: Learned, now: float) -> None:
        """Takes in what an attempt shows of the machine, here and in the mean of all."""
        slowdown = shown.slowdown
        if shown.written is not None:
            if learned.token.weight > 1.0:
                self._writing.add(learned.slowness(shown.written / slowdown), now)
            self.feel(shown.written / slowdown, learned, now, 1.0 / slowdown)
        if shown.read is not None:
            self._reading.add(shown.read / slowdown / learned.usual_prefill, now)
        if shown.load is not None:
            self._loading.add(shown.load / learned.usual_load, now)
        if self._others is not None:
            self._others.take(shown, learned, now)

    @property
    def measures(self) -> dict[str, DecayedMean]:
        """All that it has learned, by name."""
        return {
            "reading": self._reading,
            "writing": self._writing,
            "loading": self._loading,
            "pace": self._pace,
        }
