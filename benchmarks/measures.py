"""What is measured, against whom, and what is to be reached: one figure each."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from . import calls
from .daemon import daemon, seconds_to_ready
from .decide import milliseconds_to_decide
from .echo import echo
from .httpload import ChatLoad
from .load import Bounds, Contender, Sample, contest
from .processes import Cores
from .proxy import proxy
from .trickle import trickle
from .upstream import STREAM_TOKENS, Upstream, upstream


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int = 3
    seconds: float = 5.0  # of one sample
    requests: int = 50_000  # of the memory measure
    starts: int = 5


@dataclass(frozen=True)
class Figure:
    """One line of the table. Without a target it is there for comparison."""

    what: str
    ours: str
    rival: str
    result: float  # what the target speaks of
    target: str
    reached: bool | None


async def figures(folder: Path, cores: Cores, effort: Effort) -> list[Figure]:
    """Returns all figures. Takes some five minutes with the default effort."""
    with ExitStack() as stack:
        answers = stack.enter_context(upstream(folder, cores.load))
        lone = stack.enter_context(trickle(folder, cores.load))
        backends = {"single": answers.single, "many": answers.many, "trickle": lone}
        samples = await throughput(folder, cores, effort, (answers, backends))
        return [
            *compared(samples),
            alone(samples["stream of lone tokens"]),
            ready(seconds_to_ready(folder, cores.server, backends, effort.starts)),
            await memory(folder, cores, effort, backends),
            deciding(milliseconds_to_decide()),
        ]


async def throughput(
    folder: Path, cores: Cores, effort: Effort, upstreams: tuple[Upstream, dict[str, str]]
) -> dict[str, list[Sample]]:
    """Returns the samples of every server under every load, taken in turns."""
    answers, backends = upstreams
    with ExitStack() as stack:
        bare, bare_port = stack.enter_context(echo(folder, cores.server))
        litellm, url = stack.enter_context(proxy(folder, cores.server, answers))
        ours, port = stack.enter_context(daemon(folder, cores.server, backends))
        calls.verify(
            port, {"static-single": 1, "static-many": STREAM_TOKENS, "static-trickle": STREAM_TOKENS}
        )
        contenders = {
            "echo": Contender(bare, calls.route(bare_port, "static-single")),
            "Route": Contender(ours, calls.route(port, "static-single")),
            "Route, auto": Contender(ours, calls.route(port, "")),
            "proxy": Contender(litellm, ChatLoad(url, "static-plain", 1, stream=False, prompt=calls.PROMPT)),
            "Complete": Contender(ours, calls.complete(port, "static-single")),
            "proxy, streamed": Contender(
                litellm, ChatLoad(url, "static-many", STREAM_TOKENS, stream=True, prompt=calls.PROMPT)
            ),
            "StreamComplete": Contender(ours, calls.stream(port, "static-many")),
            "stream of lone tokens": Contender(ours, calls.stream(port, "static-trickle")),
        }
        return await contest(contenders, effort.rounds, effort.seconds)


def compared(samples: dict[str, list[Sample]]) -> list[Figure]:
    """Returns the figures that are a ratio to a rival in the same round."""
    return [
        ratio("Route, model named", samples["Route"], samples["echo"], Goal(0.7, "the echo's")),
        ratio("Route, auto", samples["Route, auto"], samples["echo"], Goal(0.7, "the echo's")),
        ratio("Complete, 1 token", samples["Complete"], samples["proxy"], Goal(12, "the proxy's")),
        ratio(
            f"StreamComplete, {STREAM_TOKENS} tokens",
            samples["StreamComplete"],
            samples["proxy, streamed"],
            Goal(10, "the proxy's", tokens=True),
        ),
    ]


@dataclass(frozen=True)
class Goal:
    """So many times the throughput of `whose`, in requests or in tokens a second."""

    times: float
    whose: str
    tokens: bool = False


def ratio(what: str, ours: list[Sample], rival: list[Sample], goal: Goal) -> Figure:
    """Returns the median over the rounds of our throughput over the rival's."""
    result = median(rate(o, goal) / rate(r, goal) for o, r in zip(ours, rival, strict=True))
    target = f">= {goal.times:g} x {goal.whose}"
    return Figure(what, described(ours, goal), described(rival, goal), result, target, result >= goal.times)


def rate(sample: Sample, goal: Goal) -> float:
    """Returns the throughput that a goal speaks of."""
    return sample.tokens_per_second if goal.tokens else sample.requests_per_second


def described(samples: list[Sample], goal: Goal) -> str:
    """Returns throughput, CPU and load of the core, each the median over the rounds."""
    unit, cpu = (
        ("tokens", over(samples, cpu_us_per_token))
        if goal.tokens
        else ("req", over(samples, cpu_us_per_request))
    )
    per_second = median(rate(sample, goal) for sample in samples)
    return f"{per_second:,.0f} {unit}/s, {cpu:,.0f} us CPU, {over(samples, busy):.0%} busy"


def cpu_us_per_request(sample: Sample) -> float:
    """Returns the microseconds of CPU that one request took the server."""
    return sample.cpu_us_per_request


def cpu_us_per_token(sample: Sample) -> float:
    """Returns the microseconds of CPU that one token took the server."""
    return sample.cpu_us_per_token


def busy(sample: Sample) -> float:
    """Returns the share of its core that the server used."""
    return sample.busy


def over(samples: list[Sample], value: Callable[[Sample], float]) -> float:
    """Returns the median of a value over the rounds."""
    return median(map(value, samples))


def alone(samples: list[Sample]) -> Figure:
    """Returns the CPU of a token that arrives alone, its share of the stream's start and end included.

    Should the noise of a neighbour let two tokens arrive together, the message that holds both counts as one.
    """
    result = over(samples, lambda s: 1e6 * s.cpu_seconds / s.answered.messages)
    tokens = over(samples, lambda s: s.tokens_per_second)
    per_message = over(samples, lambda s: s.answered.tokens / s.answered.messages)
    text = f"{result:.0f} us CPU, at {tokens:,.0f} tokens/s, {per_message:.2f} a message"
    return Figure("a token that arrives alone", text, "", result, "< 100 us CPU", result < 100)


def ready(seconds: float) -> Figure:
    """Returns the figure of the start."""
    return Figure("start to READY", f"{seconds:.2f} s", "", seconds, "< 4 s", seconds < 4)


async def memory(folder: Path, cores: Cores, effort: Effort, backends: dict[str, str]) -> Figure:
    """Returns the memory of a fresh daemon after its requests, Complete and StreamComplete in equal parts."""
    with daemon(folder, cores.server, backends) as (server, port):
        calls.verify(port, {"static-single": 1})
        bounds = Bounds(effort.requests // 4, 600)
        sizes = []
        for _ in range(2):
            await calls.complete(port, "static-single")(bounds)
            await calls.stream(port, "static-single", 1)(bounds)
            sizes.append(server.resident_mb())
    halfway, end = sizes
    text = f"{end:.0f} MB, {end - halfway:+.1f} MB over the second half"
    # An allocator's pages come and go by less than a percent; a leak of 100 bytes a request shows.
    reached = end < 300 and end - halfway < 0.01 * end
    return Figure(f"memory after {effort.requests:,} requests", text, "", end, "< 300 MB, no growth", reached)


def deciding(milliseconds: float) -> Figure:
    """Returns the figure of the decision."""
    text = f"{milliseconds:.2f} ms"
    return Figure(
        "deciding over 16 backends x 8 models", text, "", milliseconds, "< 0.5 ms", milliseconds < 0.5
    )
