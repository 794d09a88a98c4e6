"""Conversations from strings, dicts as in OpenAI's API, files and ready messages."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from zoe.inference.v1 import message_pb2 as pb
from zoe_client import build_spec

URI = "data:image/png;base64,iVBORw0KGgo="


def sent(messages: Any, **options: Any) -> list[dict[str, Any]]:
    spec = build_spec(messages, options)
    return [json_format.MessageToDict(each, preserving_proto_field_name=True) for each in spec.messages]


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "ROLE_USER", "parts": list(parts)}


def test_a_string_is_what_the_user_says() -> None:
    assert sent("hi") == [user({"text": "hi"})]
    assert sent(["hi", "there"]) == [user({"text": "hi"}), user({"text": "there"})]


def test_instructions_come_first() -> None:
    assert sent("hi", system="Be brief.")[0] == {"role": "ROLE_SYSTEM", "parts": [{"text": "Be brief."}]}


def test_a_ready_message_is_taken_as_it_is() -> None:
    message = pb.Message(role=pb.ROLE_DEVELOPER, name="app", parts=[pb.ContentPart(text="Be brief.")])
    assert list(build_spec(message, {}).messages) == [message]


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_a_dict_says_who_speaks(role: str) -> None:
    expected = {"role": f"ROLE_{role.upper()}", "parts": [{"text": "hi"}], "name": "Ann"}
    assert sent([{"role": role, "content": "hi", "name": "Ann"}]) == [expected]


def test_content_may_be_parts_of_text_and_images() -> None:
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": URI, "detail": "high"}},
        {"type": "image_url", "image_url": "https://example.org/a.png"},
        pb.ContentPart(text="And this?"),
    ]
    assert sent([{"role": "user", "content": content}]) == [
        user(
            {"text": "What is this?"},
            {"image": {"uri": URI, "detail": "IMAGE_DETAIL_HIGH"}},
            {"image": {"uri": "https://example.org/a.png"}},
            {"text": "And this?"},
        )
    ]


def test_tool_calls_and_their_results() -> None:
    call = {"id": "c-1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    conversation = [
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c-1", "content": [{"type": "text", "text": "2"}]},
    ]
    assert sent(conversation)[1:] == [
        {
            "role": "ROLE_ASSISTANT",
            "parts": [{"tool_call": {"id": "c-1", "name": "add", "arguments_json": '{"a": 1}'}}],
        },
        {"role": "ROLE_TOOL", "parts": [{"tool_result": {"tool_call_id": "c-1", "text": "2"}}]},
    ]


def test_an_earlier_answer_keeps_its_thinking_and_its_refusal() -> None:
    earlier = {"role": "assistant", "content": "four", "reasoning_content": "hm", "refusal": "no"}
    assert sent([earlier])[0]["parts"] == [{"reasoning": {"text": "hm"}}, {"text": "four"}, {"refusal": "no"}]


def test_images_go_before_the_text_of_the_last_user_message(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"\x89PNG")
    conversation: list[Any] = ["hi", {"role": "assistant", "content": "hello"}, "What is this?"]
    spec = build_spec(
        conversation, {"images": [file, b"\x89PNG", URI, pb.ImagePart(data=b"x", media_type="a/b")]}
    )
    parts = [part.image for part in spec.messages[2].parts[:4]]
    assert [part.data for part in parts] == [b"\x89PNG", b"\x89PNG", b"", b"x"]
    assert parts[2].uri == URI
    assert spec.messages[2].parts[4].text == "What is this?"
    assert len(spec.messages[0].parts) == 1


@pytest.mark.parametrize(
    ("messages", "error", "place"),
    [
        ([], ValueError, "messages: at least one"),
        (3, TypeError, "messages: expected"),
        ([3], TypeError, r"messages\[0\]: expected"),
        ([{"content": "hi"}], ValueError, r"messages\[0\]\.role"),
        (
            [{"role": "bot", "content": "hi"}],
            ValueError,
            r"messages\[0\]\.role: 'bot' is not one of system, developer",
        ),
        ([{"role": "user", "text": "hi"}], ValueError, r"messages\[0\]\.text: unknown"),
        ([{"role": "user", "content": 3}], TypeError, r"messages\[0\]\.content"),
        ([{"role": "user", "content": [3]}], TypeError, r"messages\[0\]\.content\[0\]"),
        (
            [{"role": "user", "content": [{"type": "audio"}]}],
            ValueError,
            r"content\[0\]\.type: 'audio' is not one of",
        ),
        (
            [{"role": "user", "content": [{"type": "text", "txt": ""}]}],
            ValueError,
            r"content\[0\]\.txt: unknown",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "/a.png"}}]}],
            ValueError,
            r"image_url\.url: a string has to be a data:",
        ),
        (
            [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": URI, "detail": "max"}}],
                }
            ],
            ValueError,
            r"image_url\.detail: 'max' is not one of auto, low, high",
        ),
        (["hi", {"role": "tool", "content": "2"}], TypeError, r"messages\[1\]\.tool_call_id"),
        (
            [{"role": "tool", "tool_call_id": "c", "content": [{"type": "image_url", "image_url": URI}]}],
            ValueError,
            r"messages\[0\]\.content: a tool's result is text",
        ),
        (
            [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": 3}}]}],
            TypeError,
            r"messages\[0\]\.tool_calls\[0\]\.function\.name",
        ),
    ],
    ids=str,
)
def test_a_wrong_message_is_named_by_its_place(messages: Any, error: type[Exception], place: str) -> None:
    with pytest.raises(error, match=place):
        build_spec(messages, {})


def test_an_image_needs_a_user_message_and_an_understandable_source() -> None:
    with pytest.raises(ValueError, match="images: there is no user message"):
        build_spec([{"role": "system", "content": "hi"}], {"images": [URI]})
    with pytest.raises(ValueError, match=r"images\[0\]: a string has to be"):
        build_spec("hi", {"images": ["a.png"]})
    with pytest.raises(TypeError, match=r"images\[0\]: expected"):
        build_spec("hi", {"images": [3]})
