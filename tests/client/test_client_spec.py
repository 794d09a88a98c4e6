"""Where each keyword argument goes, and how a wrong one is named."""

from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor

from zoe.inference.v1.message_pb2 import Tool, ToolChoice
from zoe.inference.v1.routing_pb2 import CapabilityHint
from zoe.inference.v1.spec_pb2 import InferenceSpec, ResponseFormat
from zoe_client import SpecOptions, build_spec
from zoe_client.spec import FIELDS

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
SCHEMA_JSON = '{"type": "object", "properties": {"a": {"type": "integer"}}}'

WHERE: list[tuple[str, Any, dict[str, Any]]] = [
    ("model", "tiny", {"target": {"model": "tiny"}}),
    ("capability", "vision", {"target": {"capability": {"required": ["vision"]}}}),
    ("capability", ["tools", "code"], {"target": {"capability": {"required": ["tools", "code"]}}}),
    ("capability", CapabilityHint(preferred=["code"]), {"target": {"capability": {"preferred": ["code"]}}}),
    ("intent", "code", {"target": {"auto": {"intent": "code"}}}),
    ("profile", "night", {"target": {"auto": {"profile": "night"}}}),
    ("fallback_models", ["a", "b"], {"target": {"fallback_models": ["a", "b"]}}),
    ("allowed_backends", "left", {"target": {"allowed_backends": ["left"]}}),
    ("excluded_backends", ("right",), {"target": {"excluded_backends": ["right"]}}),
    ("context", "It rained.", {"context": "It rained."}),
    ("tools", [Tool(name="add")], {"tools": [{"name": "add"}]}),
    (
        "tools",
        [{"name": "add", "description": "adds", "parameters": SCHEMA, "strict": True}],
        {
            "tools": [
                {"name": "add", "description": "adds", "parameters_json_schema": SCHEMA_JSON, "strict": True}
            ]
        },
    ),
    (
        "tools",
        [{"type": "function", "function": {"name": "add", "parameters": SCHEMA_JSON}}],
        {"tools": [{"name": "add", "parameters_json_schema": SCHEMA_JSON}]},
    ),
    ("tool_choice", "auto", {"tool_choice": {"mode": "MODE_AUTO"}}),
    ("tool_choice", "none", {"tool_choice": {"mode": "MODE_NONE"}}),
    ("tool_choice", "required", {"tool_choice": {"mode": "MODE_REQUIRED"}}),
    ("tool_choice", "add", {"tool_choice": {"function_name": "add"}}),
    (
        "tool_choice",
        {"type": "function", "function": {"name": "auto"}},
        {"tool_choice": {"function_name": "auto"}},
    ),
    ("tool_choice", ToolChoice(function_name="add"), {"tool_choice": {"function_name": "add"}}),
    ("parallel_tool_calls", False, {"parallel_tool_calls": False}),
    ("response_format", "text", {"response_format": {"text": {}}}),
    ("response_format", {"type": "json_object"}, {"response_format": {"json_object": {}}}),
    (
        "response_format",
        {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
        {"response_format": {"json_schema": {"name": "n", "schema_json": SCHEMA_JSON, "strict": True}}},
    ),
    (
        "response_format",
        {"type": "grammar", "grammar": "root ::= [0-9]"},
        {"response_format": {"grammar": "root ::= [0-9]"}},
    ),
    ("response_format", ResponseFormat(grammar="g"), {"response_format": {"grammar": "g"}}),
    ("temperature", 0.0, {"sampling": {"temperature": 0.0}}),
    ("top_p", 0.5, {"sampling": {"top_p": 0.5}}),
    ("top_k", 0, {"sampling": {"top_k": 0}}),
    ("min_p", 0.25, {"sampling": {"min_p": 0.25}}),
    ("frequency_penalty", -1, {"sampling": {"frequency_penalty": -1.0}}),
    ("presence_penalty", 1, {"sampling": {"presence_penalty": 1.0}}),
    ("repetition_penalty", 1.5, {"sampling": {"repetition_penalty": 1.5}}),
    ("seed", -7, {"sampling": {"seed": "-7"}}),
    ("logit_bias", {5: -100}, {"sampling": {"logit_bias": {"5": -100.0}}}),
    ("top_logprobs", 0, {"top_logprobs": 0}),
    ("max_output_tokens", 20, {"max_output_tokens": 20}),
    ("stop", "\n", {"stop": ["\n"]}),
    ("stop", ["a", "b"], {"stop": ["a", "b"]}),
    (
        "backend_options",
        {"num_ctx": 8192, "mirostat": True},
        {"backend_options": {"num_ctx": 8192.0, "mirostat": True}},
    ),
    ("reasoning_effort", "none", {"reasoning": {"effort": "EFFORT_NONE"}}),
    ("include_reasoning", True, {"reasoning": {"include_reasoning": True}}),
    ("priority", "critical", {"routing": {"priority": "PRIORITY_CRITICAL"}}),
    ("latency", "ultra_low", {"routing": {"latency_target": {"level": "LEVEL_ULTRA_LOW"}}}),
    ("max_time_to_first_token", 0.5, {"routing": {"latency_target": {"time_to_first_token": "0.500s"}}}),
    ("max_total_time", 20, {"routing": {"latency_target": {"total": "20s"}}}),
    ("locality", "local_only", {"routing": {"locality": "LOCALITY_LOCAL_ONLY"}}),
    ("strategy", "least_loaded", {"routing": {"strategy": "least_loaded"}}),
    ("affinity_key", "k", {"routing": {"affinity_key": "k"}}),
    ("cost_weight", 0.5, {"routing": {"cost": {"weight": 0.5}}}),
    ("max_cost_micro_usd", 0, {"routing": {"cost": {"max_cost_micro_usd": "0"}}}),
    ("max_queue_time", 0, {"routing": {"max_queue_time": "0s"}}),
    ("max_attempts", 1, {"routing": {"failover": {"max_attempts": 1}}}),
    ("allow_different_model", True, {"routing": {"failover": {"allow_different_model": True}}}),
    ("minimum_seam", "none", {"routing": {"failover": {"minimum_seam": "SEAM_QUALITY_NONE"}}}),
    ("hedge_after", 0.001, {"routing": {"failover": {"hedge_after": "0.001s"}}}),
    ("cache", "read_only", {"cache": {"mode": "MODE_READ_ONLY"}}),
    ("cache_ttl", 60, {"cache": {"ttl": "60s"}}),
    ("session_id", "s", {"session_id": "s"}),
    ("end_user_id", "u", {"end_user_id": "u"}),
    ("metadata", {"team": "blue"}, {"metadata": {"team": "blue"}}),
]


@pytest.mark.parametrize(
    ("name", "value", "expected"), WHERE, ids=lambda each: each if isinstance(each, str) else ""
)
def test_an_argument_goes_to_its_field(name: str, value: Any, expected: dict[str, Any]) -> None:
    spec = build_spec("hi", {name: value})
    spec.ClearField("messages")
    assert json_format.MessageToDict(spec, preserving_proto_field_name=True) == expected


def test_every_argument_of_the_typed_signature_is_understood() -> None:
    assert SpecOptions.__annotations__.keys() == FIELDS.keys()
    assert FIELDS.keys() - {name for name, _, _ in WHERE} == {"system", "images"}


def test_every_field_of_the_contract_can_be_reached() -> None:
    reached = {path for _, _, expected in WHERE for path in paths(expected)} | {"messages"}
    assert leaves(InferenceSpec.DESCRIPTOR) - reached == {
        "target.capability.min_context_tokens",  # with a CapabilityHint
        "target.capability.labels",
    }


def paths(expected: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for name, value in expected.items():
        found.add(prefix + name)
        if isinstance(value, dict):
            found |= paths(value, f"{prefix}{name}.")
    return found


def leaves(message: Descriptor | None, prefix: str = "") -> set[str]:
    found: set[str] = set()
    assert message is not None
    for field in message.fields:
        inner = field.message_type
        nested = inner and not field.is_repeated and inner.file.package == "zoe.inference.v1" and inner.fields
        found |= leaves(inner, f"{prefix}{field.name}.") if nested else {prefix + field.name}
    return found


def test_none_counts_as_absent() -> None:
    assert build_spec("hi", {"temperature": None, "tools": None}) == build_spec("hi", {})


def test_nothing_is_set_that_was_not_asked_for() -> None:
    spec = build_spec("hi", {})
    assert [field.name for field, _ in spec.ListFields()] == ["messages"]


def test_arguments_that_share_a_message_do_not_disturb_each_other() -> None:
    spec = build_spec(
        "hi", {"intent": "code", "profile": "night", "excluded_backends": ["a"], "temperature": 0.5}
    )
    assert (spec.target.auto.intent, spec.target.auto.profile) == ("code", "night")
    assert spec.target.excluded_backends == ["a"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"temprature": 1}, TypeError, ["temprature", "did you mean temperature"]),
        ({"xyz": 1}, TypeError, ["xyz", "unknown"]),
        ({"model": "a", "intent": "b"}, ValueError, ["model and intent", "only one"]),
        ({"model": "a", "profile": "b"}, ValueError, ["profile and model"]),
        ({"temperature": "hot"}, TypeError, ["temperature", "'hot'"]),
        ({"max_output_tokens": -1}, ValueError, ["max_output_tokens", "-1"]),
        ({"seed": 2**63}, ValueError, ["seed"]),
        ({"model": 3}, TypeError, ["model", "3"]),
        ({"priority": "urgent"}, ValueError, ["priority", "'urgent'", "critical"]),
        ({"priority": "unspecified"}, ValueError, ["priority"]),
        ({"max_queue_time": -1}, ValueError, ["max_queue_time", "-1"]),
        ({"max_queue_time": float("nan")}, ValueError, ["max_queue_time"]),
        ({"max_queue_time": "1s"}, TypeError, ["max_queue_time", "number of seconds"]),
        ({"stop": [1]}, TypeError, ["stop[0]", "string"]),
        ({"stop": {"a": 1}}, TypeError, ["stop", "list of strings"]),
        ({"metadata": ["a"]}, TypeError, ["metadata", "dict"]),
        ({"metadata": {"a": 1}}, TypeError, ["metadata"]),
        ({"logit_bias": {"a": 1}}, TypeError, ["logit_bias"]),
        ({"backend_options": {"a": ...}}, ValueError, ["backend_options"]),
        ({"tools": {"name": "add"}}, TypeError, ["tools", "list"]),
        ({"tools": [{"nam": "add"}]}, ValueError, ["tools[0].nam", "name"]),
        ({"tools": [{"function": {"name": 1}}]}, TypeError, ["tools[0].function.name"]),
        ({"tools": [{"name": "add", "parameters": 3}]}, TypeError, ["tools[0].parameters", "JSON Schema"]),
        ({"tool_choice": {"function": "add"}}, TypeError, ["tool_choice.function"]),
        ({"response_format": "json"}, ValueError, ["response_format.type", "json_object"]),
        ({"response_format": {"type": "text", "schema": 1}}, ValueError, ["response_format.schema"]),
        ({"response_format": {"type": "json_schema"}}, TypeError, ["response_format.json_schema"]),
        ({"system": 3}, TypeError, ["system"]),
        ({"system": "\ud800"}, ValueError, ["system", "half of a surrogate pair"]),
        ({"model": "\ud800"}, ValueError, ["model", "does not fit"]),
        ({"stop": ["a", "b\ud800"]}, ValueError, ["stop[1]", "half of a surrogate pair, at 1"]),
        ({"metadata": {"a": "\ud800"}}, ValueError, ["metadata"]),
    ],
    ids=str,
)
def test_a_wrong_argument_is_named(options: dict[str, Any], error: type[Exception], words: list[str]) -> None:
    with pytest.raises(error) as caught:
        build_spec("hi", options)
    assert all(word in str(caught.value) for word in words)
    assert str(caught.value).startswith(words[0])
