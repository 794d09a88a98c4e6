"""No field of a request is lost in silence: it changes the Ask, is refused by name, or says that it is advisory."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rpc.specs import assistant, call, result, spec_of, text, user, violations

from zoe.inference.v1 import spec_pb2 as pb
from zoe_grpcd.adapters.dialects import CLOUD, DIALECTS
from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.errors import InvalidRequest
from zoe_grpcd.rpc.parse import ask_of

PACKAGE = "zoe.inference.v1."
PROTOS = Path(__file__).resolve().parents[2] / "protos/zoe/inference/v1"
PIXEL = "iVBORw0KGgoAAAAA"
TOOL = {"tools": [{"name": "f"}]}
SCHEMA = {"name": "a", "schema_json": "{}"}


def picture(**fields: Any) -> dict[str, Any]:
    return {"messages": [user(text("Hello."), {"image": fields})]}


def answered(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [assistant(*parts), user(text("Hello."))]}


def routed(**fields: Any) -> dict[str, Any]:
    return {"routing": fields}


# field -> a specification without it and one with it; or one with it alone, next to a plain hello
Pair = tuple[dict[str, Any], dict[str, Any]]
FIELDS: dict[str, dict[str, Any] | Pair] = {
    "InferenceSpec.target": {"target": {"model": "x"}},
    "InferenceSpec.messages": {"messages": [user(text("Bye."))]},
    "InferenceSpec.tools": TOOL,
    "InferenceSpec.tool_choice": (TOOL, TOOL | {"tool_choice": {"mode": "MODE_REQUIRED"}}),
    "InferenceSpec.response_format": {"response_format": {"json_object": {}}},
    "InferenceSpec.sampling": {"sampling": {"top_k": 1}},
    "InferenceSpec.max_output_tokens": {"max_output_tokens": 1},
    "InferenceSpec.stop": {"stop": ["x"]},
    "InferenceSpec.reasoning": {"reasoning": {"effort": "EFFORT_LOW"}},
    "InferenceSpec.routing": routed(strategy="weighted"),
    "InferenceSpec.cache": {"cache": {"mode": 77}},
    "InferenceSpec.context": {"context": "x"},
    "InferenceSpec.session_id": {"session_id": "x"},
    "InferenceSpec.end_user_id": {"end_user_id": "x"},
    "InferenceSpec.metadata": {"metadata": {"a": "b"}},
    "InferenceSpec.parallel_tool_calls": {"parallel_tool_calls": False},
    "InferenceSpec.top_logprobs": {"top_logprobs": 0},
    "InferenceSpec.backend_options": {"backend_options": {"num_ctx": 1}},
    "Target.model": {"target": {"model": "x"}},
    "Target.capability": {"target": {"capability": {"required": ["x"]}}},
    "Target.auto": {"target": {"auto": {"intent": "x"}}},
    "Target.fallback_models": {"target": {"fallback_models": ["x"]}},
    "Target.allowed_backends": {"target": {"allowed_backends": ["x"]}},
    "Target.excluded_backends": {"target": {"excluded_backends": ["x"]}},
    "CapabilityHint.required": {"target": {"capability": {"required": ["x"]}}},
    "CapabilityHint.preferred": {"target": {"capability": {"preferred": ["x"]}}},
    "CapabilityHint.min_context_tokens": {"target": {"capability": {"min_context_tokens": 1}}},
    "CapabilityHint.labels": {"target": {"capability": {"labels": {"a": "b"}}}},
    "AutoTarget.intent": {"target": {"auto": {"intent": "x"}}},
    "AutoTarget.profile": {"target": {"auto": {"profile": "x"}}},
    "Message.role": {"messages": [{"role": "ROLE_SYSTEM", "parts": [text("Hello.")]}]},
    "Message.parts": {"messages": [user(text("Bye."))]},
    "Message.name": {"messages": [user(text("Hello.")) | {"name": "x"}]},
    "ContentPart.text": {"messages": [user(text("Bye."))]},
    "ContentPart.image": picture(data=PIXEL),
    "ContentPart.tool_call": answered(call()),
    "ContentPart.tool_result": (answered(call()), {"messages": [assistant(call()), result("c1")]}),
    "ContentPart.reasoning": answered({"reasoning": {"text": "x"}}),
    "ContentPart.refusal": answered({"refusal": "x"}),
    "ImagePart.data": picture(data=PIXEL),
    "ImagePart.uri": picture(uri=f"data:image/png;base64,{PIXEL}"),
    "ImagePart.media_type": (picture(data=PIXEL), picture(data=PIXEL, media_type="image/gif")),
    "ImagePart.detail": (picture(data=PIXEL), picture(data=PIXEL, detail="IMAGE_DETAIL_LOW")),
    "ToolCall.id": (answered(call("a")), answered(call("b"))),
    "ToolCall.name": (answered(call(name="a")), answered(call(name="b"))),
    "ToolCall.arguments_json": (answered(call()), answered(call(arguments='{"a": 1}'))),
    "ToolResult.tool_call_id": {"messages": [assistant(call()), result("c2")]},
    "ToolResult.text": (
        {"messages": [assistant(call()), result("c1")]},
        {
            "messages": [
                assistant(call()),
                {"role": "ROLE_TOOL", "parts": [{"tool_result": {"tool_call_id": "c1"}}]},
            ]
        },
    ),
    "ToolResult.is_error": (
        {
            "messages": [
                assistant(call()),
                {"role": "ROLE_TOOL", "parts": [{"tool_result": {"tool_call_id": "c1"}}]},
            ]
        },
        {
            "messages": [
                assistant(call()),
                {"role": "ROLE_TOOL", "parts": [{"tool_result": {"tool_call_id": "c1", "is_error": True}}]},
            ]
        },
    ),
    "ReasoningPart.text": answered({"reasoning": {"text": "x"}}),
    "ReasoningPart.opaque": answered({"reasoning": {"opaque": "AAAA"}}),
    "Tool.name": (TOOL, {"tools": [{"name": "g"}]}),
    "Tool.description": (TOOL, {"tools": [{"name": "f", "description": "x"}]}),
    "Tool.parameters_json_schema": (TOOL, {"tools": [{"name": "f", "parameters_json_schema": "{}"}]}),
    "Tool.strict": (TOOL, {"tools": [{"name": "f", "strict": True}]}),
    "ToolChoice.mode": (TOOL, TOOL | {"tool_choice": {"mode": "MODE_AUTO"}}),
    "ToolChoice.function_name": (TOOL, TOOL | {"tool_choice": {"function_name": "f"}}),
    "ResponseFormat.text": (
        {"response_format": {"json_object": {}}},
        {"response_format": {"text": {}}},
    ),
    "ResponseFormat.json_object": {"response_format": {"json_object": {}}},
    "ResponseFormat.json_schema": {"response_format": {"json_schema": SCHEMA}},
    "ResponseFormat.grammar": {"response_format": {"grammar": "x"}},
    "JsonSchemaFormat.name": (
        {"response_format": {"json_schema": SCHEMA}},
        {"response_format": {"json_schema": SCHEMA | {"name": "b"}}},
    ),
    "JsonSchemaFormat.schema_json": (
        {"response_format": {"json_schema": SCHEMA}},
        {"response_format": {"json_schema": SCHEMA | {"schema_json": '{"type": "object"}'}}},
    ),
    "JsonSchemaFormat.strict": (
        {"response_format": {"json_schema": SCHEMA}},
        {"response_format": {"json_schema": SCHEMA | {"strict": True}}},
    ),
    **{
        f"SamplingParams.{name}": {"sampling": {name: 0.5}}
        for name in (
            "temperature",
            "top_p",
            "min_p",
            "frequency_penalty",
            "presence_penalty",
            "repetition_penalty",
        )
    },
    "SamplingParams.top_k": {"sampling": {"top_k": 0}},
    "SamplingParams.seed": {"sampling": {"seed": 0}},
    "SamplingParams.logit_bias": {"sampling": {"logit_bias": {"1": 0.0}}},
    "ReasoningConfig.effort": {"reasoning": {"effort": "EFFORT_NONE"}},
    "ReasoningConfig.include_reasoning": {"reasoning": {"include_reasoning": True}},
    "RoutingPreferences.priority": routed(priority="PRIORITY_HIGH"),
    "RoutingPreferences.latency_target": routed(latency_target={"level": "LEVEL_LOW"}),
    "RoutingPreferences.cost": routed(cost={"weight": 0.5}),
    "RoutingPreferences.affinity_key": routed(affinity_key="x"),
    "RoutingPreferences.locality": routed(locality="LOCALITY_ANY"),
    "RoutingPreferences.failover": routed(failover={"max_attempts": 1}),
    "RoutingPreferences.max_queue_time": routed(max_queue_time="0s"),
    "RoutingPreferences.strategy": routed(strategy="weighted"),
    "LatencyTarget.level": routed(latency_target={"level": "LEVEL_LOW"}),
    "LatencyTarget.time_to_first_token": routed(latency_target={"time_to_first_token": "1s"}),
    "LatencyTarget.total": routed(latency_target={"total": "1s"}),
    "CostPreference.weight": routed(cost={"weight": 0.5}),
    "CostPreference.max_cost_micro_usd": routed(cost={"max_cost_micro_usd": "0"}),
    "FailoverPolicy.max_attempts": routed(failover={"max_attempts": 1}),
    "FailoverPolicy.allow_different_model": routed(failover={"allow_different_model": True}),
    "FailoverPolicy.minimum_seam": routed(failover={"minimum_seam": "SEAM_QUALITY_RESTART"}),
    "FailoverPolicy.hedge_after": routed(failover={"hedge_after": "1s"}),
    "CachePolicy.mode": {"cache": {"mode": "MODE_BYPASS"}},
    "CachePolicy.ttl": {"cache": {"ttl": "1s"}},
}


def messages_of(root: Descriptor) -> Iterator[Descriptor]:
    """The messages of the contract that a specification is made of."""
    found, todo = {root.full_name}, [root]
    while todo:
        message = todo.pop()
        yield message
        for kind in (field.message_type for field in message.fields if field.message_type):
            ours = kind.full_name.startswith(PACKAGE) and not kind.GetOptions().map_entry
            if ours and kind.full_name not in found:
                found.add(kind.full_name)
                todo.append(kind)


def name_of(field: FieldDescriptor) -> str:
    return field.full_name.removeprefix(PACKAGE)


def advisory() -> set[str]:
    """The fields whose comment says so."""
    found: set[str] = set()
    for proto in PROTOS.glob("*.proto"):
        message, comment = "", ""
        for line in proto.read_text().splitlines():
            if begins := re.match(r"message (\w+)", line):
                message = begins[1]
            elif line.strip().startswith("//"):
                comment += line
            else:
                if (field := re.match(r"  .*?(\w+) = \d+;", line)) and "Advisory" in comment:
                    found.add(f"{message}.{field[1]}")
                comment = ""
    return found


def outcome(fields: dict[str, Any]) -> Ask | str:
    try:
        return ask_of(spec_of(fields))
    except InvalidRequest as refused:
        return "refused: " + ", ".join(violation.field for violation in refused.violations)


def test_every_field_has_its_place() -> None:
    fields = {name_of(f) for message in messages_of(pb.InferenceSpec.DESCRIPTOR) for f in message.fields}

    assert set(FIELDS) == fields


@pytest.mark.parametrize("name", FIELDS)
def test_no_field_is_lost_in_silence(name: str) -> None:
    entry = FIELDS[name]
    without, having = entry if isinstance(entry, tuple) else ({}, entry)
    before, after = outcome(without), outcome(having)

    assert isinstance(before, Ask)
    if name in advisory():
        assert not isinstance(after, str)
    elif isinstance(after, str):
        assert name.rpartition(".")[2] in after
    else:
        assert after != before


def test_every_feature_that_a_kind_refuses_is_one_that_a_request_can_have() -> None:
    everything = spec_of(
        {
            "messages": [
                user(text("Hello."), {"image": {"uri": "http://x.invalid"}}) | {"name": "x"},
                {"role": "ROLE_ASSISTANT", "parts": [text("Hi.")]},
            ],
            "tools": [{"name": "f", "strict": True}],
            "sampling": {
                name: 1 for name in pb.SamplingParams.DESCRIPTOR.fields_by_name if name != "logit_bias"
            }
            | {"logit_bias": {"1": 1}},
            "max_output_tokens": 1,
            "stop": ["x"],
            "top_logprobs": 0,
            "parallel_tool_calls": True,
            "reasoning": {"effort": "EFFORT_LOW"},
        }
    )
    possible = set(ask_of(everything, allow_http_images=True).features)
    for name in ("json_object", "json_schema", "grammar"):
        possible.add(f"response_format.{name}")
    possible |= {"tool_choice.required", "tool_choice.function"}

    for dialect in (*DIALECTS.values(), *CLOUD.values()):
        assert dialect.refuses <= possible


# ------------------------------------------------------------------------------------------------- anything at all


TEXTS = st.sampled_from(
    ["", "x", "f", "c1", "{}", "[", '{"type": 5}', "data:image/png;base64,AAAA", "ü", "a b", "\0"]
)
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats() | st.sampled_from([0.5, 1.0]),
    FieldDescriptor.CPPTYPE_FLOAT: st.floats(width=32) | st.sampled_from([0.5, 1.0]),
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: st.sampled_from([0, 1, 5]) | st.integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
}


def value_of(field: FieldDescriptor, data: st.DataObject, depth: int) -> Any:
    if field.message_type is not None:
        message = GetMessageClass(field.message_type)()
        fill(message, data, depth - 1)
        return message
    if field.enum_type is not None:
        return data.draw(st.sampled_from([*field.enum_type.values_by_number, 99]))
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return data.draw(TEXTS if field.type == FieldDescriptor.TYPE_STRING else st.binary(max_size=12))
    return data.draw(SCALARS[field.cpp_type])


def fill(message: Any, data: st.DataObject, depth: int) -> None:
    """Sets some of its fields to anything."""
    usable = [f for f in message.DESCRIPTOR.fields if depth > 0 or f.message_type is None]
    if not usable:
        return
    for field in data.draw(st.lists(st.sampled_from(usable), max_size=4, unique_by=lambda f: f.number)):
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            fill_map(getattr(message, field.name), entry, data, depth)
        elif field.is_repeated:
            values = [value_of(field, data, depth) for _ in range(data.draw(st.integers(0, 3)))]
            getattr(message, field.name).extend(values)
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(value_of(field, data, depth))
        else:
            setattr(message, field.name, value_of(field, data, depth))


def fill_map(target: Any, entry: Descriptor, data: st.DataObject, depth: int) -> None:
    key, value = (value_of(entry.fields_by_name[name], data, depth) for name in ("key", "value"))
    if entry.fields_by_name["value"].message_type is not None:
        target[key].CopyFrom(value)
    else:
        target[key] = value


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(data=st.data(), spoken=st.booleans())
def test_any_specification_is_an_ask_or_a_list_of_violations(data: st.DataObject, spoken: bool) -> None:
    spec = spec_of({}) if spoken else pb.InferenceSpec()
    fill(spec, data, 5)

    for violation in violations(spec):
        assert re.match(r"spec[.]\w+", violation[0])
        assert violation[1]
