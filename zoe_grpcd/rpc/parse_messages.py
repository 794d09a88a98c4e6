"""Messages and tools: from the contract's parts to OpenAI's chat shape, which the rest of the daemon speaks."""

import base64
import binascii
import re
from collections.abc import Iterable

from zoe.inference.v1 import message_pb2 as pb
from zoe_grpcd.core.domain import Json
from zoe_grpcd.rpc.fields import Violations

ROLES = {
    pb.ROLE_SYSTEM: "system",
    pb.ROLE_DEVELOPER: "developer",
    pb.ROLE_USER: "user",
    pb.ROLE_ASSISTANT: "assistant",
    pb.ROLE_TOOL: "tool",
}
PARTS = {
    "system": {"text"},
    "developer": {"text"},
    "user": {"text", "image"},
    "assistant": {"text", "tool_call", "reasoning", "refusal"},
    "tool": {"tool_result"},
}
DETAILS = {pb.IMAGE_DETAIL_AUTO: "auto", pb.IMAGE_DETAIL_LOW: "low", pb.IMAGE_DETAIL_HIGH: "high"}
IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif")
TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Conversation:
    """The messages of one request, read in order; what is wrong with them goes to `notes`."""

    def __init__(self, notes: Violations, *, allow_http_images: bool) -> None:
        self._notes = notes
        self._allow_http = allow_http_images
        self._open_calls: set[str] = set()
        self.messages: list[Json] = []
        self.images = 0
        self.features: set[str] = set()
        self.prompt_bytes = 0
        self.last_user_text = ""

    def read(self, messages: Iterable[pb.Message]) -> None:
        """Takes in all messages of a request."""
        for index, message in enumerate(messages):
            self._message(f"spec.messages[{index}]", message)
        if not self.messages:
            self._notes.add("spec.messages", "must hold at least one message")
        elif len(self.messages) > 1 and all(m.get("role") == "assistant" for m in self.messages[-2:]):
            self._notes.add(
                "spec.messages",
                "must not end with two assistant messages; one is a prefill that is continued",
            )

    def count(self, text: str) -> str:
        """Adds a text to the length of the prompt, and returns it."""
        self.prompt_bytes += len(text) if text.isascii() else len(text.encode())
        return text

    def _message(self, path: str, message: pb.Message) -> None:
        role = ROLES.get(message.role)
        if role is None:
            self._notes.add(f"{path}.role", "must be SYSTEM, DEVELOPER, USER, ASSISTANT or TOOL")
            return
        if not message.parts:
            self._notes.add(f"{path}.parts", "must hold at least one part")
        for index, part in enumerate(message.parts):
            kind = part.WhichOneof("part")
            if kind not in PARTS[role]:
                allowed = " or ".join(sorted(PARTS[role]))
                self._notes.add(
                    f"{path}.parts[{index}]", f"must be {allowed} in a message of role {role.upper()}"
                )
                return
        if message.name:
            self.features.add("messages.name")
        if role == "tool":
            self._results(path, message)
        else:
            self.messages.append(self._spoken(path, role, message))

    def _spoken(self, path: str, role: str, message: pb.Message) -> Json:
        if role == "assistant":
            spoken = self._assistant(path, message)
        elif len(message.parts) == 1 and message.parts[0].WhichOneof("part") == "text":
            spoken = {"role": role, "content": self.count(message.parts[0].text)}
        else:
            parts = [self._part(f"{path}.parts[{i}]", part) for i, part in enumerate(message.parts)]
            spoken = {"role": role, "content": parts}
        if role == "user":
            self._open_calls.clear()
            self.last_user_text = "\n".join(p.text for p in message.parts if p.HasField("text"))
        if message.name:
            spoken["name"] = message.name
        return spoken

    def _part(self, path: str, part: pb.ContentPart) -> Json:
        if part.HasField("image"):
            return self._image(f"{path}.image", part.image)
        return {"type": "text", "text": self.count(part.text)}

    def _assistant(self, path: str, message: pb.Message) -> Json:
        text = "".join(part.text for part in message.parts if part.HasField("text"))
        spoken: Json = {"role": "assistant", "content": self.count(text) or None}
        reasoning = "".join(part.reasoning.text for part in message.parts if part.HasField("reasoning"))
        if reasoning:
            spoken["reasoning_content"] = self.count(reasoning)
        refusal = "".join(part.refusal for part in message.parts if part.HasField("refusal"))
        if refusal:
            spoken["refusal"] = self.count(refusal)
        self._open_calls.clear()
        calls = [
            self._call(f"{path}.parts[{index}].tool_call", part.tool_call)
            for index, part in enumerate(message.parts)
            if part.HasField("tool_call")
        ]
        if calls:
            spoken["tool_calls"] = calls
        elif not text and not refusal:
            self._notes.add(f"{path}.parts", "must hold text, a refusal or a tool call that is not empty")
        return spoken

    def _call(self, path: str, call: pb.ToolCall) -> Json:
        if not call.id or call.id in self._open_calls:
            self._notes.add(f"{path}.id", "must be set, and another one for each call")
        if not TOOL_NAME.fullmatch(call.name):
            self._notes.add(f"{path}.name", "must be 1 to 64 letters, digits, '_', '-' or '.'")
        self._notes.parsed(f"{path}.arguments_json", call.arguments_json or "{}")
        self._open_calls.add(call.id)
        function = {"name": call.name, "arguments": self.count(call.arguments_json or "{}")}
        return {"id": call.id, "type": "function", "function": function}

    def _results(self, path: str, message: pb.Message) -> None:
        """Each result is a message of its own in OpenAI's shape."""
        for index, part in enumerate(message.parts):
            result = part.tool_result
            if result.tool_call_id not in self._open_calls:
                self._notes.add(
                    f"{path}.parts[{index}].tool_result.tool_call_id",
                    "must be the id of a tool call of the assistant message before it, not answered yet",
                )
            self._open_calls.discard(result.tool_call_id)
            text = f"Error: {result.text}" if result.is_error else result.text
            spoken = {"role": "tool", "tool_call_id": result.tool_call_id, "content": self.count(text)}
            self.messages.append(spoken)

    def _image(self, path: str, image: pb.ImagePart) -> Json:
        self.images += 1
        self.features.add("images")
        url = (
            self._data_url(path, image)
            if image.WhichOneof("source") == "data"
            else self._uri(path, image.uri)
        )
        shown: Json = {"url": url}
        if detail := DETAILS.get(image.detail):
            shown["detail"] = detail
        return {"type": "image_url", "image_url": shown}

    def _data_url(self, path: str, image: pb.ImagePart) -> str:
        if not image.data:
            self._notes.add(f"{path}.data", "must not be empty")
        if image.media_type not in IMAGE_TYPES:
            self._notes.add(f"{path}.media_type", f"must be one of {', '.join(IMAGE_TYPES)}")
        return f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"

    def _uri(self, path: str, uri: str) -> str:
        """A `data:` URI, or an address that only the backend will fetch, if the config allows that."""
        head, _, payload = uri.partition(",")
        if head.startswith("data:"):
            if head.removeprefix("data:").removesuffix(";base64") not in IMAGE_TYPES or not head.endswith(
                ";base64"
            ):
                self._notes.add(
                    f"{path}.uri", f"must be data:TYPE;base64,... with TYPE of {', '.join(IMAGE_TYPES)}"
                )
            elif not _is_base64(payload):
                self._notes.add(f"{path}.uri", "must carry valid base64")
        elif uri.startswith(("http://", "https://")):
            self.features.add("images.uri")
            if not self._allow_http:
                self._notes.add(
                    f"{path}.uri", "must be a data: URI; the config does not allow http(s) addresses"
                )
        else:
            self._notes.add(
                f"{path}.uri", "must be a data: URI, or an http(s) address if the config allows it"
            )
        return uri


def _is_base64(payload: str) -> bool:
    try:
        return bool(base64.b64decode(payload, validate=True))
    except (binascii.Error, ValueError):
        return False


def tools_of(tools: Iterable[pb.Tool], conversation: Conversation, notes: Violations) -> tuple[Json, ...]:
    """The tools in OpenAI's shape."""
    shaped: list[Json] = []
    names: set[str] = set()
    for index, tool in enumerate(tools):
        path = f"spec.tools[{index}]"
        if not TOOL_NAME.fullmatch(tool.name) or tool.name in names:
            notes.add(
                f"{path}.name",
                "must be 1 to 64 letters, digits, '_', '-' or '.', and another one for each tool",
            )
        names.add(tool.name)
        parameters: Json | None = {"type": "object", "properties": {}}
        if tool.parameters_json_schema:
            parameters = notes.schema(f"{path}.parameters_json_schema", tool.parameters_json_schema)
        function: Json = {"name": tool.name, "description": tool.description, "parameters": parameters}
        if tool.strict:
            function["strict"] = True
            conversation.features.add("tools.strict")
        conversation.count(tool.name + tool.description + tool.parameters_json_schema)
        shaped.append({"type": "function", "function": function})
    return tuple(shaped)


def tool_choice_of(
    choice: pb.ToolChoice, tools: tuple[Json, ...], notes: Violations
) -> tuple[str | Json | None, str]:
    """The choice in OpenAI's shape, and the feature that it needs, or ""."""
    if choice.WhichOneof("choice") == "function_name":
        if choice.function_name not in {tool["function"]["name"] for tool in tools}:
            notes.add("spec.tool_choice.function_name", "must be the name of one of spec.tools")
        return {"type": "function", "function": {"name": choice.function_name}}, "tool_choice.function"
    if choice.mode == pb.ToolChoice.MODE_REQUIRED:
        if not tools:
            notes.add("spec.tool_choice.mode", "REQUIRED needs at least one tool in spec.tools")
        return "required", "tool_choice.required"
    names = {
        pb.ToolChoice.MODE_UNSPECIFIED: None,
        pb.ToolChoice.MODE_AUTO: "auto",
        pb.ToolChoice.MODE_NONE: "none",
    }
    if choice.mode not in names:
        notes.add("spec.tool_choice.mode", "must be AUTO, NONE or REQUIRED")
    return names.get(choice.mode), ""
