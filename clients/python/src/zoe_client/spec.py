"""The InferenceSpec of a call, from keyword arguments.

The rule: one table says where each argument goes. Ranges are the daemon's to check, since it reports all at once.
"""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import Message

from zoe.inference.v1.routing_pb2 import CapabilityHint, LatencyTarget, Locality, Priority, SeamQuality
from zoe.inference.v1.spec_pb2 import CachePolicy, InferenceSpec, ReasoningConfig
from zoe_client import formats
from zoe_client.messages import conversation, system_message, with_images
from zoe_client.options import Messages
from zoe_client.values import Enum, choice, duration, expect, texts

Setter = Callable[[InferenceSpec, str, Any], None]
SELECTORS = ("model", "capability", "intent")


def build_spec(messages: Messages, options: Mapping[str, Any]) -> InferenceSpec:
    """Returns the specification of a request.

    Args:
        messages: A prompt, or a conversation.
        options: SpecOptions by name; None counts as absent.

    Raises:
        TypeError: An argument is unknown or of the wrong type; it is named.
        ValueError: An argument has a wrong value, or two exclude each other; they are named.
    """
    given = {name: value for name, value in options.items() if value is not None}
    _check_names(given)
    spec = InferenceSpec(messages=conversation(messages))
    for name, value in given.items():
        FIELDS[name](spec, name, value)
    return spec


def _check_names(given: Mapping[str, Any]) -> None:
    for name in given:
        if name not in FIELDS:
            near = difflib.get_close_matches(name, FIELDS, n=1)
            raise TypeError(f"{name}: unknown argument" + (f"; did you mean {near[0]}?" if near else ""))
    selectors = [name for name in SELECTORS if name in given]
    if len(selectors) > 1:
        raise ValueError(f"{' and '.join(selectors)}: give only one of them")
    if "profile" in given and selectors not in ([], ["intent"]):
        raise ValueError(f"profile and {selectors[0]}: a profile is for automatic selection")


def _misfit(name: str, value: Any, error: TypeError | ValueError) -> TypeError | ValueError:
    """The error with its place; one of Unicode, which is a ValueError, would take no text alone."""
    kind = TypeError if isinstance(error, TypeError) else ValueError
    return kind(f"{name}: {value!r} does not fit: {error}")


def _field(path: str, convert: Callable[[Any, str], Any] = lambda value, _: value) -> Setter:
    """Sets a scalar at a path, or copies a message to it."""

    def set_field(spec: InferenceSpec, name: str, value: Any) -> None:
        owner, field = _owner(spec, path)
        converted = convert(value, name)
        try:
            if isinstance(converted, Message):
                getattr(owner, field).CopyFrom(converted)
            else:
                setattr(owner, field, converted)
        except (TypeError, ValueError) as error:
            raise _misfit(name, value, error) from None

    return set_field


def _collection(path: str, convert: Callable[[Any, str], Any]) -> Setter:
    """Fills a list or a map at a path."""

    def fill(spec: InferenceSpec, name: str, value: Any) -> None:
        owner, field = _owner(spec, path)
        converted = convert(value, name)
        container = getattr(owner, field)
        try:
            (container.update if isinstance(converted, Mapping) else container.extend)(converted)
        except (TypeError, ValueError) as error:
            raise _misfit(name, value, error) from None

    return fill


def _choice(path: str, enum: Enum[Any]) -> Setter:
    return _field(path, lambda value, name: choice(enum, value, name))


def _owner(spec: InferenceSpec, path: str) -> tuple[Message, str]:
    owner: Message = spec
    *parents, field = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    return owner, field


def _mapping(value: Any, name: str) -> Mapping[Any, Any]:
    checked: Mapping[Any, Any] = expect(value, Mapping, name, "a dict")
    return checked


def _capability(value: Any, name: str) -> CapabilityHint:
    return value if isinstance(value, CapabilityHint) else CapabilityHint(required=texts(value, name))


def _tools(value: Any, name: str) -> list[Any]:
    given = expect(value, list | tuple, name, "a list of tools")
    return [formats.tool(each, f"{name}[{index}]") for index, each in enumerate(given)]


FIELDS: dict[str, Setter] = {
    "model": _field("target.model"),
    "capability": _field("target.capability", _capability),
    "intent": _field("target.auto.intent"),
    "profile": _field("target.auto.profile"),
    "fallback_models": _collection("target.fallback_models", texts),
    "allowed_backends": _collection("target.allowed_backends", texts),
    "excluded_backends": _collection("target.excluded_backends", texts),
    "system": lambda spec, _, value: spec.messages.insert(0, system_message(value)),
    "images": lambda spec, _, value: with_images(spec.messages, value),
    "context": _field("context"),
    "tools": _collection("tools", _tools),
    "tool_choice": _field("tool_choice", formats.tool_choice),
    "parallel_tool_calls": _field("parallel_tool_calls"),
    "response_format": _field("response_format", formats.response_format),
    "temperature": _field("sampling.temperature"),
    "top_p": _field("sampling.top_p"),
    "top_k": _field("sampling.top_k"),
    "min_p": _field("sampling.min_p"),
    "frequency_penalty": _field("sampling.frequency_penalty"),
    "presence_penalty": _field("sampling.presence_penalty"),
    "repetition_penalty": _field("sampling.repetition_penalty"),
    "seed": _field("sampling.seed"),
    "logit_bias": _collection("sampling.logit_bias", _mapping),
    "top_logprobs": _field("top_logprobs"),
    "max_output_tokens": _field("max_output_tokens"),
    "stop": _collection("stop", texts),
    "backend_options": _collection("backend_options", _mapping),
    "reasoning_effort": _choice("reasoning.effort", ReasoningConfig.Effort),
    "include_reasoning": _field("reasoning.include_reasoning"),
    "priority": _choice("routing.priority", Priority),
    "latency": _choice("routing.latency_target.level", LatencyTarget.Level),
    "max_time_to_first_token": _field("routing.latency_target.time_to_first_token", duration),
    "max_total_time": _field("routing.latency_target.total", duration),
    "locality": _choice("routing.locality", Locality),
    "strategy": _field("routing.strategy"),
    "affinity_key": _field("routing.affinity_key"),
    "cost_weight": _field("routing.cost.weight"),
    "max_cost_micro_usd": _field("routing.cost.max_cost_micro_usd"),
    "max_queue_time": _field("routing.max_queue_time", duration),
    "max_attempts": _field("routing.failover.max_attempts"),
    "allow_different_model": _field("routing.failover.allow_different_model"),
    "minimum_seam": _choice("routing.failover.minimum_seam", SeamQuality),
    "hedge_after": _field("routing.failover.hedge_after", duration),
    "cache": _choice("cache.mode", CachePolicy.Mode),
    "cache_ttl": _field("cache.ttl", duration),
    "session_id": _field("session_id"),
    "end_user_id": _field("end_user_id"),
    "metadata": _collection("metadata", _mapping),
}
