"""What reaches a backend: a conversation in OpenAI's chat shape, what it goes on from, and one attempt ready to be sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoe_grpcd.core.answer import Seam
from zoe_grpcd.core.backend import Backend

Json = dict[str, Any]


@dataclass(slots=True)
class Generation:
    """What reaches a backend, in OpenAI's chat shape, with the contract's names for the options.

    `options` holds only what was set: temperature, top_p, min_p, top_k, frequency_penalty, presence_penalty,
    repetition_penalty, seed, logit_bias, stop, max_output_tokens, top_logprobs, parallel_tool_calls,
    reasoning_effort ("none", "low", "medium", "high"), grammar.
    """

    messages: tuple[Json, ...]
    tools: tuple[Json, ...] = ()
    tool_choice: str | Json | None = None  # "auto", "none", "required" or {"type": "function", ...}
    # of the type "json_object", or "json_schema" with the schema
    response_format: Json | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    backend_options: Mapping[str, Any] = field(default_factory=dict)  # passed on as the backend spells them


@dataclass(slots=True)
class Continuation:
    """What a call goes on from: the last message of its generation is the answer so far.

    `text`: what of it was said by those before; the rest is the caller's own beginning. `prompt`: the whole of it as
    text and token ids, for a backend that takes those in place of messages.
    """

    seam: Seam
    text: str
    tokens: int  # of `text`, as far as it is known
    reasoning: str = ""  # what was thought before it
    repeats: bool = True  # the answer may begin with the text so far, once more
    prompt: tuple[str | int, ...] = ()


@dataclass(slots=True)
class Call:
    """One attempt, ready to be sent: the caller's values, then the deployment's bundle, then the intent's defaults.

    `defaults`: names of the options that are the intent's, so that nobody misses them where a model does not take them.
    """

    backend: Backend
    backend_model: str
    generation: Generation
    continues: Continuation | None = None
    priority: str = "normal"  # of the request, for a backend that has a queue of its own
    defaults: frozenset[str] = frozenset()
    trace: tuple[tuple[str, str], ...] = ()  # headers that tell the backend which trace it belongs to

    @property
    def api_key(self) -> str:
        """The backend's key, empty if it wants none."""
        return self.backend.api_key
