"""Tools and the choice among them: from the contract's messages to OpenAI's chat shape."""

import re
from collections.abc import Iterable

from zoe.inference.v1 import message_pb2 as pb
from zoe_grpcd.core.generation import Json
from zoe_grpcd.rpc.fields import Violations

TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
NAME_RULE = "1 to 64 letters, digits, '_', '-' or '.'"
MODES = {
    pb.ToolChoice.MODE_UNSPECIFIED: None,
    pb.ToolChoice.MODE_AUTO: "auto",
    pb.ToolChoice.MODE_NONE: "none",
    pb.ToolChoice.MODE_REQUIRED: "required",
}


def tools_of(tools: Iterable[pb.Tool], features: set[str], notes: Violations) -> tuple[Json, ...]:
    """The tools in OpenAI's shape; what they need of a backend is added to `features`."""
    shaped: list[Json] = []
    names: set[str] = set()
    for index, tool in enumerate(tools):
        path = f"spec.tools[{index}]"
        if not TOOL_NAME.fullmatch(tool.name):
            notes.add(f"{path}.name", f"must be {NAME_RULE}")
        elif tool.name in names:
            notes.add(f"{path}.name", "must be another one for each tool")
        names.add(tool.name)
        features |= {"tools", "tools.strict"} if tool.strict else {"tools"}
        shaped.append({"type": "function", "function": _function(path, tool, notes)})
    return tuple(shaped)


def _function(path: str, tool: pb.Tool, notes: Violations) -> Json:
    parameters: Json | None = {"type": "object", "properties": {}}
    if tool.parameters_json_schema:
        parameters = notes.schema(f"{path}.parameters_json_schema", tool.parameters_json_schema)
    function: Json = {"name": tool.name, "description": tool.description, "parameters": parameters}
    if tool.strict:
        function["strict"] = True
    return function


def tool_choice_of(
    choice: pb.ToolChoice, tools: tuple[Json, ...], features: set[str], notes: Violations
) -> str | Json | None:
    """The choice in OpenAI's shape; None: the backend's default. What it needs is added to `features`."""
    if choice.WhichOneof("choice") == "function_name":
        if choice.function_name not in {tool["function"]["name"] for tool in tools}:
            notes.add("spec.tool_choice.function_name", "must be the name of one of spec.tools")
        features.add("tool_choice.function")
        return {"type": "function", "function": {"name": choice.function_name}}
    if choice.mode not in MODES:
        notes.add("spec.tool_choice.mode", "must be AUTO, NONE or REQUIRED")
        return None
    if choice.mode == pb.ToolChoice.MODE_REQUIRED:
        features.add("tool_choice.required")
        if not tools:
            notes.add("spec.tool_choice.mode", "REQUIRED needs at least one tool in spec.tools")
    return MODES[choice.mode]
