"""Tools, tool choice and response format, from messages or from dicts as in OpenAI's API."""

import json
from typing import Any

from zoe.inference.v1.message_pb2 import Tool, ToolChoice
from zoe.inference.v1.spec_pb2 import JsonObjectFormat, JsonSchemaFormat, ResponseFormat, TextFormat
from zoe_client.values import allow_keys, choice, expect, text

FORMAT_TYPES = ("text", "json_object", "json_schema", "grammar")


def tool(value: Any, place: str) -> Tool:
    """Returns a tool; its parameters may be a dict or JSON."""
    if isinstance(value, Tool):
        return value
    expect(value, dict, place, "a dict or a Tool")
    if "function" in value:
        allow_keys(value, {"type", "function"}, place)
        value, place = expect(value["function"], dict, f"{place}.function", "a dict"), f"{place}.function"
    allow_keys(value, {"name", "description", "parameters", "strict"}, place)
    return Tool(
        name=text(value.get("name"), f"{place}.name"),
        description=text(value.get("description") or "", f"{place}.description"),
        parameters_json_schema=_schema(value.get("parameters") or "", f"{place}.parameters"),
        strict=bool(value.get("strict")),
    )


def tool_choice(value: Any, place: str) -> ToolChoice:
    """Returns a tool choice; a string is a mode or the name of a function."""
    if isinstance(value, ToolChoice):
        return value
    if value in ("auto", "none", "required"):
        return ToolChoice(mode=choice(ToolChoice.Mode, value, place))
    if isinstance(value, dict):
        allow_keys(value, {"type", "function"}, place)
        function = expect(value.get("function"), dict, f"{place}.function", "a dict")
        return ToolChoice(function_name=text(function.get("name"), f"{place}.function.name"))
    return ToolChoice(function_name=text(value, place))


def response_format(value: Any, place: str) -> ResponseFormat:
    """Returns a response format; a string is its type."""
    if isinstance(value, ResponseFormat):
        return value
    given = {"type": value} if isinstance(value, str) else expect(value, dict, place, "a string or a dict")
    kind = given.get("type")
    if kind not in FORMAT_TYPES:
        raise ValueError(f"{place}.type: {kind!r} is not one of {', '.join(FORMAT_TYPES)}")
    allow_keys(given, {"type", kind}, place)
    if kind == "text":
        return ResponseFormat(text=TextFormat())
    if kind == "json_object":
        return ResponseFormat(json_object=JsonObjectFormat())
    if kind == "grammar":
        return ResponseFormat(grammar=text(given.get(kind), f"{place}.grammar"))
    return ResponseFormat(json_schema=_json_schema(given.get(kind), f"{place}.json_schema"))


def _json_schema(value: Any, place: str) -> JsonSchemaFormat:
    allow_keys(expect(value, dict, place, "a dict"), {"name", "description", "schema", "strict"}, place)
    return JsonSchemaFormat(
        name=text(value.get("name") or "", f"{place}.name"),
        schema_json=_schema(value.get("schema"), f"{place}.schema"),
        strict=bool(value.get("strict")),
    )


def _schema(value: Any, place: str) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(expect(value, dict, place, "a JSON Schema as a dict or as JSON"))
