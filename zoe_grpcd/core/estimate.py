"""How long would this request take on that deployment, in seconds, and what would it cost?

    total = queue + load + prefill + decode

    queue    until its load begins, or until it has a slot: the requests in flight there are played through, with the
             loads that they wait for (`core.timetable`)
    load     what is left of the model's load, less the wait if it loads already; 0 if it is warm
    prefill  (overhead + prompt tokens * seconds per prompt token) * slowdown
    decode   output tokens * seconds per token * slowdown
    slowdown mean over its run, by those that run beside it; each request at work on another backend of its machine adds
             what such a neighbour costs, for as long as it runs, and lengthens the queue in proportion
    burden   what others lose by it: seconds that those in flight there end later, and seconds to load again what it
             pushes out of memory, times how likely that is asked for next
    ninety   total * the 0.9-quantile of truth / estimate of past answers of this model

Prompt tokens are bytes / bytes per token + 4 a message + images * tokens of an image, learned per deployment. Output
tokens are the mean of past answers, bounded by what the caller allows.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.decision import Estimate
from zoe_grpcd.core.learning import MOST_IMAGE_TOKENS
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.core.timetable import Shop, Task, loss_beside, play, wait_for_one
from zoe_grpcd.core.views import BackendView, DeploymentView

MESSAGE_TOKENS = 4
# Of more requests on one backend only the number counts: playing them through takes as long as there are.
MANY = 16
USUAL_SHOP = Shop()
_new = tuple.__new__  # of a named tuple, in half the time: a decision estimates every deployment


class Size(NamedTuple):
    """What an estimate needs to know of a request."""

    prompt_bytes: int
    fixed_tokens: int  # of messages, whatever the tokenizer
    max_output_tokens: int | None
    images: int = 0


def size_of(ask: Ask, default_max_output: int | None = None) -> Size:
    """The size of a request; `default_max_output` holds where the caller set no limit."""
    limit = ask.max_output_tokens
    return Size(
        ask.prompt_bytes,
        MESSAGE_TOKENS * len(ask.generation.messages),
        default_max_output if limit is None else limit,
        ask.images,
    )


def prompt_tokens(size: Size, view: DeploymentView) -> float:
    """Expected tokens of the prompt in this deployment's tokenizer."""
    return size.prompt_bytes / view.bytes_per_token + size.fixed_tokens + size.images * view.image_tokens


def most_tokens(size: Size) -> int:
    """No tokenizer makes more of it: a token has a byte at least."""
    return size.prompt_bytes + size.fixed_tokens + size.images * MOST_IMAGE_TOKENS


class Wait(NamedTuple):
    """What a deployment's backend adds to a request."""

    queue: float = 0.0  # seconds before its load, or before it starts
    load: float = 0.0  # seconds that it waits for the model
    slowdown: float = 1.0  # times slower than alone
    burden: float = 0.0  # seconds that others lose by it


def alone(size: Size, view: DeploymentView, slowdown: float = 1.0) -> Estimate:
    """The expected times on a backend that has nothing else to do; `slowdown`: by the rest of its machine."""
    prompt = size.prompt_bytes / view.bytes_per_token + size.fixed_tokens
    if size.images:
        prompt += size.images * view.image_tokens
    output = view.output_tokens
    if size.max_output_tokens is not None and size.max_output_tokens < output:
        output = size.max_output_tokens
    load = view.load_seconds
    prefill = (view.overhead_seconds + prompt * view.seconds_per_prompt_token) * slowdown
    decode = output * view.seconds_per_token * slowdown
    speed = 1.0 / (view.seconds_per_token * slowdown)
    cost = prompt * view.input_usd_per_token + output * view.output_usd_per_token
    ninety = (load + prefill + decode) * view.spread
    return _new(Estimate, (0.0, load, prefill, decode, speed, cost, ninety, slowdown, 0.0))


def estimate(size: Size, view: DeploymentView, backend: BackendView) -> Estimate:
    """The expected times on a backend, given all that it does."""
    slower = by_neighbours(backend)
    if is_idle(backend) and not view.load_seconds:
        return alone(size, view, 1.0 + slower)
    expected = alone(size, view)
    queue, load, slowdown, burden = wait_of(view, backend, expected.prefill + expected.decode)
    queue, slowdown = queue * (1.0 + slower / slowdown), slowdown + slower
    prefill, decode = expected.prefill * slowdown, expected.decode * slowdown
    return Estimate(
        queue,
        load,
        prefill,
        decode,
        expected.tokens_per_second / slowdown,
        expected.cost_usd,
        (queue + load + prefill + decode) * view.spread,
        slowdown,
        burden,
    )


def is_idle(backend: BackendView) -> bool:
    """It has nothing to do, so that all its warm models are `alone` there, slower by its neighbours only."""
    return not (backend.tasks or backend.in_flight or backend.foreign)


def by_neighbours(backend: BackendView) -> float:
    """By how much a request is slower for all at work on other backends of its machine."""
    return (backend.shop or USUAL_SHOP).sharing.neighbours * backend.neighbours


def wait_of(view: DeploymentView, backend: BackendView, work: float) -> Wait:
    """What the requests before it and beside it mean for one of so much work (seconds alone) on this deployment."""
    shop = backend.shop
    if shop is None or (backend.in_flight + backend.foreign and not backend.tasks):
        return _by_numbers(view, backend)
    model = view.deployment.model
    if (
        work > 0
        and not view.load_seconds
        and (loss := loss_beside(shop, backend.tasks, Task(model, work))) is not None
    ):
        return _new(Wait, (0.0, 0.0, 1.0 + loss / work, loss))
    if not view.load_seconds and (left := wait_for_one(shop, backend.tasks, model)) is not None:
        return Wait(left)
    before = backend.played
    if before is None:
        before = backend.played = play(shop, backend.tasks)
    places, pushed_out = play(shop.loading_in(model, view.load_seconds), (*backend.tasks, Task(model, work)))
    mine = places.pop()
    load = min(view.load_seconds, mine.start)
    lost = sum([place.end for place in places]) - sum([place.end for place in before.places])
    lost += _reloads(backend, pushed_out) - _reloads(backend, before.pushed_out)
    slowdown = max(1.0, (mine.end - mine.start) / work) if work > 0 else 1.0
    return Wait(mine.start - load, load, slowdown, max(0.0, lost))


def _reloads(backend: BackendView, models: list[str]) -> float:
    """Seconds that it costs to have them in memory again, by how likely each is asked for next."""
    return sum([backend.reloads.get(model, 0.0) for model in models])


def _by_numbers(view: DeploymentView, backend: BackendView) -> Wait:
    """The same where only the number of requests is known: each takes a mean service, and goes beside those in slots."""
    others, shop = backend.in_flight + backend.foreign, backend.shop or USUAL_SHOP
    queue = max(0, others - backend.slots + 1) * backend.service / backend.slots
    load = view.load_seconds
    if view.state is LoadState.LOADING:
        load = max(0.0, load - queue)  # it loads while the request waits
    return Wait(queue, load, 1.0 + shop.sharing.mates * min(others, backend.slots - 1))


def chance(expected: Estimate, seconds: float) -> float:
    """How likely it ends within so many seconds, 0..1: where that is near 0, such a deadline is out of reach.

    Lognormal, with `total` as its median and `ninety` as its 0.9-quantile.
    """
    if seconds <= 0 or expected.total <= 0:
        return float(seconds > 0)
    sigma = max(LEAST_SIGMA, math.log(max(1.0, expected.ninety / expected.total)) / Z90)
    return NormalDist().cdf((math.log(seconds) - math.log(expected.total)) / sigma)


# Of the logarithm; nothing is surer than that.
LEAST_SIGMA = 0.05
Z90 = NormalDist().inv_cdf(0.9)
