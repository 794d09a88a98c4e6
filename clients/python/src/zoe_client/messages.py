"""Conversations from what people have at hand: strings, OpenAI-style dicts, files, and ready messages.

The rule: what is not understood is an error that names its place, never dropped.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from zoe.inference.v1 import message_pb2 as pb
from zoe_client.options import Image, Json, Messages
from zoe_client.values import allow_keys, choice, expect, text

MESSAGE_KEYS = {"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "reasoning_content"}


def conversation(messages: Messages) -> list[pb.Message]:
    """Returns the messages; a string is what the user says.

    Raises:
        TypeError: Something is of the wrong type; its place is named.
        ValueError: Something has a wrong value; its place is named.
    """
    if isinstance(messages, str | pb.Message | dict):
        messages = [messages]
    expect(messages, Sequence, "messages", "a string or a list of messages")
    if not messages:
        raise ValueError("messages: at least one is needed")
    return [_message(each, f"messages[{index}]") for index, each in enumerate(messages)]


def with_images(messages: Sequence[pb.Message], images: Sequence[Image]) -> None:
    """Puts pictures before the text of the last user message."""
    expect(images, list | tuple, "images", "a list")
    users = [message for message in messages if message.role == pb.ROLE_USER]
    if not users:
        raise ValueError("images: there is no user message to put them in")
    said = list(users[-1].parts)
    shown = [pb.ContentPart(image=_image(each, f"images[{index}]")) for index, each in enumerate(images)]
    del users[-1].parts[:]
    users[-1].parts.extend([*shown, *said])


def system_message(instructions: str) -> pb.Message:
    """Returns instructions as a message."""
    return pb.Message(role=pb.ROLE_SYSTEM, parts=[pb.ContentPart(text=text(instructions, "system"))])


def _message(value: str | pb.Message | Json, place: str) -> pb.Message:
    if isinstance(value, pb.Message):
        return value
    if isinstance(value, str):
        return pb.Message(role=pb.ROLE_USER, parts=[pb.ContentPart(text=text(value, place))])
    expect(value, dict, place, "a string, a dict or a Message")
    allow_keys(value, MESSAGE_KEYS, place)
    role = choice(pb.Role, value.get("role"), f"{place}.role")
    parts = _tool_result(value, place) if role == pb.ROLE_TOOL else _parts(value, place)
    return pb.Message(role=role, parts=parts, name=text(value.get("name") or "", f"{place}.name"))


def _parts(value: Json, place: str) -> Iterator[pb.ContentPart]:
    if reasoning := value.get("reasoning_content"):
        yield pb.ContentPart(reasoning=pb.ReasoningPart(text=text(reasoning, f"{place}.reasoning_content")))
    yield from _content(value.get("content"), f"{place}.content")
    if refusal := value.get("refusal"):
        yield pb.ContentPart(refusal=text(refusal, f"{place}.refusal"))
    for index, call in enumerate(value.get("tool_calls") or ()):
        yield pb.ContentPart(tool_call=_tool_call(call, f"{place}.tool_calls[{index}]"))


def _content(content: Any, place: str) -> Iterator[pb.ContentPart]:
    if isinstance(content, str):
        yield pb.ContentPart(text=text(content, place))
        return
    for index, part in enumerate(expect(content or [], list | tuple, place, "a string or a list of parts")):
        yield _part(part, f"{place}[{index}]")


def _part(part: Any, place: str) -> pb.ContentPart:
    if isinstance(part, pb.ContentPart):
        return part
    if isinstance(part, str):
        return pb.ContentPart(text=text(part, place))
    expect(part, dict, place, "a string, a dict or a ContentPart")
    kind = part.get("type")
    if kind not in PART_KINDS:
        raise ValueError(f"{place}.type: {kind!r} is not one of {', '.join(PART_KINDS)}")
    allow_keys(part, {"type", kind}, place)
    return PART_KINDS[kind](part.get(kind), f"{place}.{kind}")


def _image_url(value: Any, place: str) -> pb.ContentPart:
    given = {"url": value} if isinstance(value, str) else expect(value, dict, place, "a URI or a dict")
    allow_keys(given, {"url", "detail"}, place)
    image = _image(text(given.get("url"), f"{place}.url"), f"{place}.url")
    if detail := given.get("detail"):
        image.detail = choice(pb.ImageDetail, detail, f"{place}.detail")
    return pb.ContentPart(image=image)


PART_KINDS: dict[str, Callable[[Any, str], pb.ContentPart]] = {
    "text": lambda value, place: pb.ContentPart(text=text(value, place)),
    "image_url": _image_url,
    "refusal": lambda value, place: pb.ContentPart(refusal=text(value, place)),
}


def _image(value: Image, place: str) -> pb.ImagePart:
    if isinstance(value, pb.ImagePart):
        return value
    if isinstance(value, Path):
        return pb.ImagePart(data=value.read_bytes())
    if isinstance(value, bytes):
        return pb.ImagePart(data=value)
    if text(value, place).startswith(("data:", "http:", "https:")):
        return pb.ImagePart(uri=value)
    raise ValueError(
        f"{place}: a string has to be a data:, http: or https: URI; give a pathlib.Path for a file"
    )


def _tool_call(value: Any, place: str) -> pb.ToolCall:
    if isinstance(value, pb.ToolCall):
        return value
    allow_keys(expect(value, dict, place, "a dict or a ToolCall"), {"id", "type", "function", "index"}, place)
    function = expect(value.get("function"), dict, f"{place}.function", "a dict")
    return pb.ToolCall(
        id=text(value.get("id") or "", f"{place}.id"),
        name=text(function.get("name"), f"{place}.function.name"),
        arguments_json=text(function.get("arguments") or "", f"{place}.function.arguments"),
    )


def _tool_result(value: Json, place: str) -> Iterator[pb.ContentPart]:
    parts = list(_content(value.get("content"), f"{place}.content"))
    if any(part.WhichOneof("part") != "text" for part in parts):
        raise ValueError(f"{place}.content: a tool's result is text")
    call_id = text(value.get("tool_call_id"), f"{place}.tool_call_id")
    result = pb.ToolResult(tool_call_id=call_id, text="".join(part.text for part in parts))
    yield pb.ContentPart(tool_result=result)
