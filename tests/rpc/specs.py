"""Specifications in JSON's words, and what is wrong with them."""

from typing import Any

from google.protobuf import json_format
from rpc.stage import asked

from zoe.inference.v1 import message_pb2 as msg
from zoe.inference.v1 import spec_pb2 as pb
from zoe_grpcd.core.errors import InvalidRequest
from zoe_grpcd.rpc.parse import ask_of

PNG = b"\x89PNG\r\n\x1a\n and so on"


def text(words: str) -> dict[str, Any]:
    return {"text": words}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "ROLE_USER", "parts": list(parts)}


def assistant(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "ROLE_ASSISTANT", "parts": list(parts)}


def call(id: str = "c1", name: str = "f", arguments: str = "{}") -> dict[str, Any]:  # noqa: A002
    return {"tool_call": {"id": id, "name": name, "arguments_json": arguments}}


def result(*ids: str) -> dict[str, Any]:
    return {
        "role": "ROLE_TOOL",
        "parts": [{"tool_result": {"tool_call_id": id_, "text": "42"}} for id_ in ids],
    }


def spec_of(fields: dict[str, Any]) -> pb.InferenceSpec:
    """A specification from JSON's names for it; without messages, one that says hello."""
    return json_format.ParseDict({"messages": [user(text("Hello."))]} | fields, pb.InferenceSpec())


def violations(spec: pb.InferenceSpec, request_id: str = "", *, http: bool = False) -> list[tuple[str, str]]:
    """What is wrong with it; empty: nothing."""
    try:
        ask_of(spec, request_id, allow_http_images=http)
    except InvalidRequest as refused:
        return [(v.field, v.description) for v in refused.violations]
    return []


def image(**fields: Any) -> pb.InferenceSpec:
    return asked(msg.Message(role=msg.ROLE_USER, parts=[msg.ContentPart(image=msg.ImagePart(**fields))]))
