"""The keyword arguments of `complete`, `stream` and `route`. Absent or None means the daemon's default."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from zoe.inference.v1.message_pb2 import ContentPart, ImagePart, Message, Tool, ToolChoice
from zoe.inference.v1.routing_pb2 import CapabilityHint
from zoe.inference.v1.spec_pb2 import InferenceSpec, ResponseFormat

Json = Mapping[str, Any]
"""A dict as in OpenAI's API."""

Messages = str | Message | Json | Sequence[str | Message | Json]
"""A prompt, or a conversation of messages, OpenAI-style dicts, and strings (which the user says)."""

Part = str | ContentPart | Json
"""A piece of a message's content."""

Image = bytes | str | Path | ImagePart
"""An encoded picture, a `data:` or `http(s):` URI, a file, or a ready part."""


class SpecOptions(TypedDict, total=False):
    """What is asked. Ranges and defaults are those of zoe.inference.v1.InferenceSpec."""

    model: str | None
    """Model, alias or group. One of model, capability and intent, at most."""
    capability: str | Sequence[str] | CapabilityHint | None
    """What the model has to be able to do, for example `"vision"` or `["tools", "code"]`."""
    intent: str | None
    """Intent of the request, for example `"code"`; saves its classification."""
    profile: str | None
    """Routing profile of the configuration."""
    fallback_models: Sequence[str] | None
    """Models to try when no backend of the selected one can serve."""
    allowed_backends: Sequence[str] | None
    """Backends that may be used."""
    excluded_backends: Sequence[str] | None
    """Backends that may not be used."""

    system: str | None
    """Instructions; becomes the first message."""
    images: Sequence[Image] | None
    """Pictures, put before the text of the last user message."""
    context: str | None
    """Text of documents that the answer shall rest on."""
    tools: Sequence[Tool | Json] | None
    """Functions that the model may call: messages, or dicts as in OpenAI's API."""
    tool_choice: str | ToolChoice | Json | None
    """`"auto"`, `"none"`, `"required"`, the name of a function, or a dict as in OpenAI's API."""
    parallel_tool_calls: bool | None
    """Whether several tools may be called in one answer."""
    response_format: str | ResponseFormat | Json | None
    """`"text"`, `"json_object"`, or a dict as in OpenAI's API; `{"type": "grammar", "grammar": ...}` for GBNF."""

    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    repetition_penalty: float | None
    seed: int | None
    logit_bias: Mapping[int, float] | None
    top_logprobs: int | None
    max_output_tokens: int | None
    stop: str | Sequence[str] | None
    backend_options: Json | None
    """Options in the backend's own words, for example `{"num_ctx": 8192}`."""
    reasoning_effort: Literal["none", "low", "medium", "high"] | None
    include_reasoning: bool | None

    priority: Literal["batch", "low", "normal", "high", "critical"] | None
    latency: Literal["ultra_low", "low", "medium", "high"] | None
    max_time_to_first_token: float | None
    """Longest acceptable time to the first token, in seconds."""
    max_total_time: float | None
    """Longest acceptable time to the last token, in seconds. Chooses among backends; `timeout` ends the call."""
    locality: Literal["local_only", "prefer_local", "any"] | None
    strategy: str | None
    affinity_key: str | None
    cost_weight: float | None
    max_cost_micro_usd: int | None
    max_queue_time: float | None
    """Longest wait for a place, in seconds."""
    max_attempts: int | None
    allow_different_model: bool | None
    minimum_seam: Literal["exact_tokens", "text_prefill", "restart", "none"] | None
    hedge_after: float | None
    """Seconds of silence after which a second backend is asked too."""

    cache: Literal["default", "bypass", "read_only", "refresh"] | None
    cache_ttl: float | None
    """Seconds for which the answer may be served to others."""
    session_id: str | None
    end_user_id: str | None
    metadata: Mapping[str, str] | None
    """Labels for the configuration's rules and the decision log. Request headers are `headers`."""


class Options(SpecOptions, total=False):
    """What is asked, and how the call is made."""

    spec: InferenceSpec | None
    """A ready specification in place of messages and all that describes one."""
    timeout: float | None
    """Seconds for the whole call, all retries included. Default: the client's."""
    request_id: str | None
    """The caller's name for the request, for the daemon's log. Default: a random UUID."""
    explain: bool | None
    """Whether the decision lists every candidate."""
    headers: Mapping[str, str] | None
    """More request metadata, for example `{"traceparent": ...}`."""


class StreamingOptions(Options, total=False):
    """What is asked, and how it is streamed."""

    max_coalesce: float | None
    """Seconds for which text may be held back to send fewer messages, at most 1. Default: 0."""
    progress: bool | None
    """Whether the decision and Progress events come while the request waits."""
