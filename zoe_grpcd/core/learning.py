"""What one deployment teaches by being used: how long it loads, reads and writes, how much it says, how often it fails.

Before there are measurements, priors: a model of unknown size is taken for 3B on a home GPU or a good CPU, loads at
400 MB/s, and answers with 200 tokens. Each prior weighs as much as one measurement, or less.
"""

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from zoe_grpcd.core.answer import Measured, Usage
from zoe_grpcd.core.usage import DecayedMean, Window, numbers, quantile_of

LOAD_BYTES_PER_SECOND = 400e6
LOAD_OVERHEAD = 0.5
LOAD_UNKNOWN = 5.0
USUAL_SIZE = 3.0  # billions
# Seconds a token and a billion parameters, quantised to 4 bits: memory at 75 GB/s for writing, 25 times that for reading;
# and what each token takes besides, however small the model and however fast the machine (sampling, framing).
TOKEN_PER_BILLION, MIN_TOKEN_PRIOR, TOKEN_OVERHEAD = 0.007, 0.001, 0.001
PREFILL_PER_BILLION, MIN_PREFILL_PRIOR = 0.0003, 0.00005
LEAST_PART = 0.25  # of the time of a token is taken to be the machine's own
# Shorter prompts say more of the fixed cost of a request than of the rate.
MIN_PREFILL_TOKENS = 16
MIN_DECODE_TOKENS = 4
# Truth / estimate of so many last answers of a model; and what they are taken to be before there are any.
SPREAD_SIZE = 100
GUESSES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.3, 1.8, 2.5)
# A prompt whose tokens seem to take less than this share of the time that they usually do was not read anew.
CACHED = 0.25
# The longer a prompt, the more it says of the rate and of the length of a token, and the less of the fixed cost and of
# what its template adds.
USUAL_PROMPT, LONG_PROMPT = 300, 1500
# Ollama reports 1 to 3 ms of "load" for a warm model.
MIN_LOAD_SECONDS = 0.1
NOT_MEASURED = Measured()
BYTES_PER_TOKEN = (1.0, 12.0)
# Of a picture: models make 8 to 4000 of one, most of them always the same number, or one by its size.
IMAGE_TOKENS, MOST_IMAGE_TOKENS = 600, 20_000
# How quickly a backend responds is told by so many of its last answers, none older than that (seconds).
RESPONSES, RESPONSE_AGE = 64, 600.0
# The same of its loads; and of how many of either a P95 is made, at least.
LOADS, LOAD_AGE = 32, 7 * 86400.0
ENOUGH_RESPONSES, ENOUGH_LOADS = 20, 4


@dataclass(slots=True)
class Lesson:
    """What one attempt showed. Seconds from its start; None: there was no first token."""

    failed: bool  # the backend's own fault; what the caller or the operator did wrong does not count
    duration: float
    first_token: float | None = None
    output_tokens: int = 0
    whole: bool = False  # the answer came to its own end
    usage: Usage | None = None
    measured: Measured = NOT_MEASURED
    prompt_bytes: int = 0
    fixed_tokens: int = 0
    images: int = 0
    cold: bool = False  # the model had to be loaded first
    waited: bool = False  # no slot was free when it began
    slowdown: float = 1.0  # by requests beside it, as the estimate has it


class Timed(NamedTuple):
    """The P95 of what was timed, seconds; None: not often enough."""

    load: float | None = None
    response: float | None = None  # first tokens, wait and load left out


class Spread:
    """How far truth and estimate are apart, of one model on all its backends: the 0.9-quantile of truth / estimate.

    Before there are answers, GUESSES stand for them.
    """

    __slots__ = ("_last", "_sorted", "ninety")

    def __init__(self) -> None:
        self._last = deque(GUESSES)
        self._sorted = sorted(GUESSES)  # the same
        self.ninety = GUESSES[-2]

    def learn(self, expected: float, took: float) -> None:
        """Takes in one answer: seconds from the decision to its end."""
        if expected > 0:
            self._last.append(took / expected)
            insort(self._sorted, took / expected)
            if len(self._last) > SPREAD_SIZE:
                del self._sorted[bisect_left(self._sorted, self._last.popleft())]
            self.ninety = quantile_of(self._sorted, 0.9)

    def dump(self, _now: float) -> list[float]:
        """The last ratios, the oldest first."""
        return list(self._last)

    def restore(self, values: object, _now: float) -> None:
        """Takes what `dump` gave. Raises ValueError."""
        ratios = numbers(values, len(values) if isinstance(values, list) else 0)
        if ratios:
            self._last = deque(ratios[-SPREAD_SIZE:])
            self._sorted = sorted(self._last)
            self.ninety = quantile_of(self._sorted, 0.9)


class Learned:
    """The decayed measurements of one deployment."""

    __slots__ = (
        "bytes_per_token",
        "image_tokens",
        "load",
        "loads",
        "output_tokens",
        "overhead",
        "prefill",
        "response",
        "spread",
        "success",
        "token",
        "ttft",
        "usual_load",
        "usual_prefill",
        "usual_token",
    )

    def __init__(self, size_bytes: int = 0, parameters: float | None = None) -> None:
        self.load = DecayedMean(0.0, prior_weight=0.3, half_life=86400.0)
        self.prefill = DecayedMean(0.0, prior_weight=0.3)
        self.token = DecayedMean(0.0, prior_weight=0.3)
        self.overhead = DecayedMean(0.03)
        self.output_tokens = DecayedMean(200.0, half_life=3600.0)
        self.bytes_per_token = DecayedMean(3.6, prior_weight=0.1, half_life=86400.0)
        self.image_tokens = DecayedMean(IMAGE_TOKENS, prior_weight=0.05, half_life=86400.0)
        self.success = DecayedMean(1.0, prior_weight=2.0, half_life=300.0)
        self.ttft = Window()
        self.spread = Spread()
        self.response = Window(RESPONSES, RESPONSE_AGE)
        self.loads = Window(LOADS, LOAD_AGE)
        self.assume(size_bytes, parameters)

    def assume(self, size_bytes: int, parameters: float | None) -> None:
        """Sets the priors that depend on how big the model is: bytes, 0 unknown; billions of parameters."""
        size = parameters or USUAL_SIZE
        self.usual_load = load_prior(size_bytes)
        self.usual_prefill = max(MIN_PREFILL_PRIOR, PREFILL_PER_BILLION * size)
        self.usual_token = max(MIN_TOKEN_PRIOR, TOKEN_PER_BILLION * size)
        self.scale(1.0, 1.0, 1.0)

    def scale(self, reading: float, writing: float, loading: float) -> None:
        """Sets the priors for a machine that reads, writes and loads so many times slower than a usual one."""
        self.load.reset_prior(self.usual_load * loading)
        self.prefill.reset_prior(self.usual_prefill * reading)
        self.token.reset_prior(TOKEN_OVERHEAD + self.usual_token * writing)

    def slowness(self, seconds: float) -> float:
        """How many times slower than usual a machine writes that takes so long for a token of this model.

        Without what each token takes besides: what a small model shows of a fast machine would be too little for a large one.
        """
        return max(seconds - TOKEN_OVERHEAD, LEAST_PART * seconds) / self.usual_token

    def learn(self, lesson: Lesson, now: float) -> None:
        """Takes in one attempt."""
        self.success.add(0.0 if lesson.failed else 1.0, now)
        if lesson.failed or lesson.first_token is None:
            return
        self.ttft.add(lesson.first_token, now)
        if not lesson.cold and not lesson.waited:
            self.response.add(lesson.first_token, now)
        prefill = self.prefill_of(lesson)
        self._learn_prefill(lesson, now)
        self._learn_decode(lesson, now)
        self._learn_load(lesson, prefill, now)
        if lesson.whole:
            self.output_tokens.add(float(lesson.output_tokens), now)

    def learn_load(self, seconds: float, now: float) -> None:
        """Takes in one load."""
        self.load.add(seconds, now)
        self.loads.add(seconds, now)

    def timed(self, now: float) -> Timed:
        """What the slowest of the past took."""
        return Timed(
            self.loads.quantile(0.95, now) if len(self.loads) >= ENOUGH_LOADS else None,
            self.response.quantile(0.95, now) if len(self.response) >= ENOUGH_RESPONSES else None,
        )

    def prefill_of(self, lesson: Lesson) -> float:
        """Seconds that the prompt took, measured by the backend or expected by us."""
        if lesson.measured.prefill is not None:
            return lesson.measured.prefill
        return _content_tokens(lesson) * self.prefill.value

    def seconds_of_reading(self, lesson: Lesson) -> float | None:
        """How fast the prompt was read, in seconds a token; None: it does not tell, or the prompt was known already.

        Ollama counts what it still had as well: what seems to be read several times faster than before was such.
        """
        seconds = seconds_per_prompt_token(lesson)
        if seconds is None or lesson.measured.prefill_tokens is not None:
            return seconds
        is_known = self.prefill.weight >= 1.0 and seconds < CACHED * self.prefill.value
        return None if is_known else seconds

    def _learn_prefill(self, lesson: Lesson, now: float) -> None:
        tokens = _content_tokens(lesson)
        if lesson.images:
            self._learn_images(lesson, tokens, now)
        elif tokens > MIN_PREFILL_TOKENS:
            low, high = BYTES_PER_TOKEN
            length = min(high, max(low, lesson.prompt_bytes / tokens))
            self.bytes_per_token.add(length, now, min(tokens, LONG_PROMPT) / USUAL_PROMPT)
        if (seconds := self.seconds_of_reading(lesson)) is not None:
            tokens = min(_tokens_read(lesson), LONG_PROMPT)
            self.prefill.add(seconds / lesson.slowdown, now, tokens / USUAL_PROMPT / lesson.slowdown)

    def _learn_images(self, lesson: Lesson, tokens: int, now: float) -> None:
        """What is no text is pictures; where most of it is text, that says little."""
        text = lesson.prompt_bytes / self.bytes_per_token.value
        if tokens > 2 * text and tokens > 0:
            self.image_tokens.add(min(MOST_IMAGE_TOKENS, (tokens - text) / lesson.images), now)

    def _learn_decode(self, lesson: Lesson, now: float) -> None:
        if (seconds := seconds_per_token(lesson)) is not None:
            self.token.add(seconds / lesson.slowdown, now, 1.0 / lesson.slowdown**2)

    def _learn_load(self, lesson: Lesson, prefill: float, now: float) -> None:
        if (seconds := self.seconds_of_load(lesson, prefill)) is not None:
            self.learn_load(seconds, now)
        elif not lesson.cold and not lesson.waited and (lesson.measured.load or 0.0) < MIN_LOAD_SECONDS:
            rest = (lesson.first_token or 0.0) - prefill
            if rest >= 0:
                self.overhead.add(min(rest, 5.0), now)

    def seconds_of_load(self, lesson: Lesson, prefill: float) -> float | None:
        """How long the model was loaded; None: it was not, or it waited for something else, too."""
        if lesson.waited or lesson.failed or lesson.first_token is None:
            return None  # Ollama counts the wait for memory, and for other loads, into the load
        told = lesson.measured.load
        if told is not None:
            return told if told >= MIN_LOAD_SECONDS else None
        rest = lesson.first_token - prefill - self.overhead.value
        return rest if lesson.cold and rest > MIN_LOAD_SECONDS else None


def _content_tokens(lesson: Lesson) -> int:
    """Tokens of the prompt that are of its text and pictures, 0 or less if nobody counted."""
    usage = lesson.usage
    return usage.prompt_tokens - lesson.fixed_tokens if usage and not usage.estimated else 0


def seconds_per_token(lesson: Lesson) -> float | None:
    """How fast the answer was written; None: it failed, or was too short to tell."""
    if lesson.failed or lesson.first_token is None:
        return None
    measured, tokens = lesson.measured, lesson.output_tokens
    if measured.decode is not None and measured.decode_tokens:
        seconds, tokens = measured.decode, measured.decode_tokens
    else:
        seconds, tokens = lesson.duration - lesson.first_token, tokens - 1
    return seconds / tokens if tokens >= MIN_DECODE_TOKENS and seconds > 0 else None


def seconds_per_prompt_token(lesson: Lesson) -> float | None:
    """How fast the prompt was read, as the backend measured it; None: it failed, or does not tell, or read too little."""
    seconds, tokens = lesson.measured.prefill, _tokens_read(lesson)
    if lesson.failed or seconds is None or tokens < MIN_PREFILL_TOKENS:
        return None
    return seconds / tokens


def _tokens_read(lesson: Lesson) -> int:
    """Of the prompt, as the backend counted them; where it does not, all of the prompt."""
    if lesson.measured.prefill_tokens is not None:
        return lesson.measured.prefill_tokens
    return lesson.usage.prompt_tokens if lesson.usage and not lesson.usage.estimated else 0


def seconds_of_service(lesson: Lesson, load: float) -> float:
    """How long it kept a slot: what the backend measured, else all that was no load; `load` is what that is learned to be."""
    measured = lesson.measured
    if measured.decode is not None and measured.prefill is not None:
        return measured.prefill + measured.decode
    return lesson.duration - (measured.load or (load if lesson.cold else 0.0))


def load_prior(size_bytes: int) -> float:
    """Seconds to load a model of that size that was never seen loading; 0 bytes: the size is unknown."""
    return LOAD_OVERHEAD + size_bytes / LOAD_BYTES_PER_SECOND if size_bytes else LOAD_UNKNOWN
