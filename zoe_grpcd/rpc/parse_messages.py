"""Messages: from the contract's parts to OpenAI's chat shape, which the rest of the daemon speaks."""

from collections.abc import Sequence

from zoe.inference.v1 import message_pb2 as pb
from zoe_grpcd.core.generation import Json
from zoe_grpcd.rpc.fields import Violations
from zoe_grpcd.rpc.parse_images import image_of, is_address
from zoe_grpcd.rpc.parse_tools import NAME_RULE, TOOL_NAME

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
INSTRUCTING = {"system", "developer"}
Parts = list[tuple[str, pb.ContentPart]]  # each with its path


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

    def read(self, messages: Sequence[pb.Message]) -> None:
        """Takes in all messages of a request."""
        if len(messages) == 1 and self._read_question(messages[0]):
            return
        roles = [ROLES.get(message.role, "") for message in messages]
        instructing = True
        for index, (role, message) in enumerate(zip(roles, messages, strict=True)):
            path = f"spec.messages[{index}]"
            if role in INSTRUCTING and not instructing:
                self._notes.add(
                    f"{path}.role", "must not be SYSTEM or DEVELOPER after another role has spoken"
                )
            instructing = instructing and role in INSTRUCTING
            if role:
                self._read(role, message, self._parts(path, role, message))
            else:
                self._notes.add(f"{path}.role", "must be SYSTEM, DEVELOPER, USER, ASSISTANT or TOOL")
        if not roles:
            self._notes.add("spec.messages", "must hold at least one message")
        elif roles[-2:] == ["assistant", "assistant"]:
            self._notes.add(
                "spec.messages",
                "must not end with two assistant messages; one is a prefill that is continued",
            )

    def _read_question(self, message: pb.Message) -> bool:
        """Reads the usual request, one text of a user, at a third of the cost; False: it is another one."""
        parts = message.parts
        if message.role != pb.ROLE_USER or len(parts) != 1 or message.name or not parts[0].HasField("text"):
            return False
        text = self.last_user_text = self.count(parts[0].text)
        self.messages.append({"role": "user", "content": text})
        return True

    def instruct(self, text: str) -> None:
        """Adds a text to the instructions: at the end of the first message if it is one, else in one of its own."""
        self.count(text)
        first = self.messages[0] if self.messages else {}
        if first.get("role") not in INSTRUCTING:
            self.messages.insert(0, {"role": "system", "content": text})
        elif isinstance(first["content"], str):
            first["content"] = f"{first['content']}\n\n{text}"
        else:
            first["content"].append({"type": "text", "text": text})

    def count(self, text: str) -> str:
        """Adds a text to the length of the prompt, and returns it."""
        self.prompt_bytes += len(text) if text.isascii() else len(text.encode())
        return text

    def _parts(self, path: str, role: str, message: pb.Message) -> Parts:
        """The parts of kinds that the role may have, each with its path; notes all others."""
        allowed, parts = PARTS[role], []
        for index, part in enumerate(message.parts):
            if part.WhichOneof("part") in allowed:
                parts.append((f"{path}.parts[{index}]", part))
            else:
                rule = f"must be {' or '.join(sorted(allowed))} in a message of role {role.upper()}"
                self._notes.add(f"{path}.parts[{index}]", rule)
        if not message.parts and role != "assistant":
            self._notes.add(f"{path}.parts", "must hold at least one part")
        return parts

    def _read(self, role: str, message: pb.Message, parts: Parts) -> None:
        if role == "tool":
            self.features.add("messages.role")
            spoken = self._results(parts)
        elif role == "assistant":
            self.features.add("messages.role")  # who says what has to be told apart
            spoken = [self._assistant(parts)]
        else:
            spoken = [{"role": role, "content": self._content(parts)}]
        if role == "user":
            self._open_calls.clear()
            self.last_user_text = "\n".join(part.text for _, part in parts if part.HasField("text"))
        if message.name:
            self.features.add("messages.name")
            for one in spoken:
                one["name"] = message.name
        self.messages += spoken

    def _content(self, parts: Parts) -> str | list[Json]:
        if len(parts) == 1 and parts[0][1].HasField("text"):
            return self.count(parts[0][1].text)
        return [self._part(path, part) for path, part in parts]

    def _part(self, path: str, part: pb.ContentPart) -> Json:
        if not part.HasField("image"):
            return {"type": "text", "text": self.count(part.text)}
        self.images += 1
        self.features |= {"images", "images.uri"} if is_address(part.image) else {"images"}
        shown = image_of(f"{path}.image", part.image, self._notes, allow_http=self._allow_http)
        return {"type": "image_url", "image_url": shown}

    def _assistant(self, parts: Parts) -> Json:
        """An earlier answer, which may have been empty."""
        spoken: Json = {"role": "assistant", "content": "".join(part.text for _, part in parts)}
        reasoning = "".join(part.reasoning.text for _, part in parts)
        refusal = "".join(part.refusal for _, part in parts)
        self.count(spoken["content"] + reasoning + refusal)
        spoken |= {"reasoning_content": reasoning} if reasoning else {}
        spoken |= {"refusal": refusal} if refusal else {}
        self._open_calls.clear()
        calls = []
        for path, part in parts:
            if part.HasField("tool_call"):
                calls.append(self._call(f"{path}.tool_call", part.tool_call))
            if part.reasoning.opaque:
                self._notes.add(f"{path}.reasoning.opaque", "must be empty: no backend here has given it")
        if calls:
            spoken |= {"tool_calls": calls, "content": spoken["content"] or None}
        return spoken

    def _call(self, path: str, call: pb.ToolCall) -> Json:
        if not call.id or call.id in self._open_calls:
            self._notes.add(f"{path}.id", "must be set, and another one for each call")
        if not TOOL_NAME.fullmatch(call.name):
            self._notes.add(f"{path}.name", f"must be {NAME_RULE}")
        self._notes.parsed(f"{path}.arguments_json", call.arguments_json or "{}")
        self._open_calls.add(call.id)
        function = {"name": call.name, "arguments": self.count(call.arguments_json or "{}")}
        return {"id": call.id, "type": "function", "function": function}

    def _results(self, parts: Parts) -> list[Json]:
        """Each result is a message of its own in OpenAI's shape."""
        spoken: list[Json] = []
        for path, part in parts:
            result = part.tool_result
            if result.tool_call_id not in self._open_calls:
                self._notes.add(
                    f"{path}.tool_result.tool_call_id",
                    "must be the id of a tool call of the assistant message before it, not answered yet",
                )
            self._open_calls.discard(result.tool_call_id)
            text = f"Error: {result.text}" if result.is_error else result.text
            spoken.append({"role": "tool", "tool_call_id": result.tool_call_id, "content": self.count(text)})
        return spoken
