"""How long would this request take on that deployment, in seconds, and what would it cost?

    total = queue + load + prefill + decode

    queue    0 while a slot is free, else (others - slots + 1) * service / slots: the requests ahead of it leave one
             slot every service / slots seconds. `others` are ours in flight and those of other people.
    load     what is left of the model's load, 0 if it is warm
    prefill  overhead + prompt tokens * seconds per prompt token
    decode   output tokens * seconds per token * (1 + SHARING * requests at work beside it)

Prompt tokens are bytes / (bytes per token, learned per deployment) + 4 a message + IMAGE_TOKENS an image. Output
tokens are the mean of past answers, bounded by what the caller allows.
"""

from typing import NamedTuple

from zoe_grpcd.core.domain import Ask, Estimate
from zoe_grpcd.core.views import BackendView, DeploymentView

# Slots of one server share its memory bandwidth: each request beside it makes a request this much slower.
SHARING = 0.3
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


def queue_seconds(backend: BackendView) -> float:
    """Expected wait for a slot."""
    ahead = backend.in_flight + backend.foreign - backend.slots + 1
    return ahead * backend.service / backend.slots if ahead > 0 else 0.0


def sharing(backend: BackendView) -> float:
    """How many times slower a request decodes because of those beside it; >= 1."""
    return 1.0 + SHARING * min(backend.in_flight + backend.foreign, backend.slots - 1)


def estimate(size: Size, view: DeploymentView, queue: float, slowdown: float) -> Estimate:
    """The expected times; `queue` and `slowdown` are those of its backend."""
    prompt = size.prompt_bytes / view.bytes_per_token + size.fixed_tokens
    output = view.output_tokens
    if size.max_output_tokens is not None and size.max_output_tokens < output:
        output = size.max_output_tokens
    per_token = view.seconds_per_token * slowdown
    return Estimate(
        queue,
        view.load_seconds,
        view.overhead_seconds + prompt * view.seconds_per_prompt_token,
        output * per_token,
        1.0 / per_token,
        prompt * view.input_usd_per_token + output * view.output_usd_per_token,
    )
