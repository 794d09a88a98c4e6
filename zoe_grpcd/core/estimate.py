"""How long would this request take on that deployment, in seconds, and what would it cost?

    total = queue + load + prefill + decode

    queue    0 while the model has a free slot, else until so many of the requests before it have ended that it has
             one: the expected ends of ours are known, and each of other people's keeps a slot for a mean service.
             A model that is not in memory waits for any slot of the backend; where a load waits already, all wait
             until that one is served
    load     what is left of the model's load, less the wait if it loads already; 0 if it is warm
    prefill  overhead + prompt tokens * seconds per prompt token
    decode   output tokens * seconds per token * slowdown
    slowdown 1 + SHARING * requests at work beside it on its model + CONTENTION * those on other models

Prompt tokens are bytes / (bytes per token, learned per deployment) + 4 a message + IMAGE_TOKENS an image. Output
tokens are the mean of past answers, bounded by what the caller allows.
"""

from typing import NamedTuple

from zoe_grpcd.core.domain import Ask, Estimate, LoadState
from zoe_grpcd.core.views import BackendView, DeploymentView

# Slots of one server share its memory bandwidth: each request beside it makes a request this much slower.
SHARING = 0.3
# Requests for another model are not batched with it, so they take more.
CONTENTION = 0.7
_RESIDENT = {LoadState.LOADED, LoadState.LOADING}
IMAGE_TOKENS = 600
MESSAGE_TOKENS = 4


class Size(NamedTuple):
    """What an estimate needs to know of a request."""

    prompt_bytes: int
    fixed_tokens: int  # of messages and images, whatever the tokenizer
    max_output_tokens: int | None


def size_of(ask: Ask, default_max_output: int | None = None) -> Size:
    """The size of a request; `default_max_output` holds where the caller set no limit."""
    limit = ask.max_output_tokens
    return Size(
        ask.prompt_bytes,
        MESSAGE_TOKENS * len(ask.generation.messages) + IMAGE_TOKENS * ask.images,
        default_max_output if limit is None else limit,
    )


def prompt_tokens(size: Size, view: DeploymentView) -> float:
    """Expected tokens of the prompt in this deployment's tokenizer."""
    return size.prompt_bytes / view.bytes_per_token + size.fixed_tokens


class Wait(NamedTuple):
    """What a deployment's backend adds to a request: seconds until it has a slot, and how many times slower it decodes."""

    queue: float
    slowdown: float


IDLE = Wait(0.0, 1.0)


def wait_of(view: DeploymentView, backend: BackendView) -> Wait:
    """What the requests in front of it, and beside it, cost a request on this deployment."""
    if not backend.in_flight + backend.foreign:
        return IDLE
    if backend.in_flight and not backend.remaining:
        return Wait(queue_seconds(backend), sharing(backend))
    model, room = view.deployment.model, backend.model_slots or backend.slots
    own = backend.remaining.get(model, ())
    alone = len(backend.remaining) == bool(own)  # nobody uses another model of it
    if view.state in _RESIDENT:
        # other people's requests are taken for ones of this model where they can be no others of ours
        full = alone and backend.in_flight + backend.foreign >= backend.slots
        queue = _until_free(own, len(own) + (backend.foreign if full else 0), room, backend.service)
    else:
        queue = queue_seconds(backend)
    if backend.swapping and view.state is LoadState.LOADED:
        queue = max(queue, max((ends[-1] for ends in backend.remaining.values()), default=0.0))
    others = sum(min(len(ends), room) for name, ends in backend.remaining.items() if name != model)
    mates, strangers = len(own), backend.foreign
    if room > 1 and room == backend.slots:  # one model at a time: they share it
        mates, strangers = mates + strangers, 0
    return Wait(queue, 1.0 + SHARING * min(mates, room - 1) + CONTENTION * (others + strangers))


def queue_seconds(backend: BackendView) -> float:
    """Expected wait for any slot of a backend."""
    others = backend.in_flight + backend.foreign
    if not backend.remaining:
        return max(0, others - backend.slots + 1) * backend.service / backend.slots
    ends = tuple(end for ends in backend.remaining.values() for end in ends)
    return _until_free(ends, others, backend.slots, backend.service)


def _until_free(ends: tuple[float, ...], others: int, slots: int, service: float) -> float:
    """Seconds until fewer than `slots` of the others are left; those of unknown end take a mean service."""
    if others < slots:
        return 0.0
    return sorted((*ends, *[service] * (others - len(ends))))[others - slots]


def sharing(backend: BackendView) -> float:
    """How many times slower a request decodes because of those beside it; >= 1."""
    return 1.0 + SHARING * min(backend.in_flight + backend.foreign, backend.slots - 1)


def estimate(size: Size, view: DeploymentView, queue: float, slowdown: float) -> Estimate:
    """The expected times; `queue` and `slowdown` as `wait_of` has them."""
    prompt = size.prompt_bytes / view.bytes_per_token + size.fixed_tokens
    output = view.output_tokens
    if size.max_output_tokens is not None and size.max_output_tokens < output:
        output = size.max_output_tokens
    load = view.load_seconds
    if load and queue and view.state is LoadState.LOADING:
        load = max(0.0, load - queue)  # it loads while the request waits
    per_token = view.seconds_per_token * slowdown
    return Estimate(
        queue,
        load,
        view.overhead_seconds + prompt * view.seconds_per_prompt_token,
        output * per_token,
        1.0 / per_token,
        prompt * view.input_usd_per_token + output * view.output_usd_per_token,
    )
