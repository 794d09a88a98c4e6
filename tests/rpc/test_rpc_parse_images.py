"""Images: data, data: URIs, and addresses if the config allows them. None is ever fetched."""

from typing import Any

import pytest
from rpc.specs import PNG, image, violations

from zoe.inference.v1 import message_pb2 as msg
from zoe_grpcd.rpc.parse import ask_of

TYPES = "image/png, image/jpeg, image/webp, image/gif"


IMAGES = [
    ({"data": b""}, "data", "must not be empty"),
    ({"data": b"what?"}, "data", f"must begin as {TYPES} does, or media_type must say which it is"),
    ({"data": PNG, "media_type": "image/tiff"}, "media_type", f"must be one of {TYPES}"),
    ({"uri": ""}, "uri", "must be a data: URI, or an http(s) address if the config allows it"),
    (
        {"uri": "file:///etc/passwd"},
        "uri",
        "must be a data: URI, or an http(s) address if the config allows it",
    ),
    ({"uri": "data:image/png;base64,"}, "uri", "must carry valid base64"),
    ({"uri": "data:image/png;base64,@@"}, "uri", "must carry valid base64"),
    ({"uri": "data:image/png,raw"}, "uri", f"must be data:TYPE;base64,... with TYPE of {TYPES}"),
    ({"uri": "data:text/html;base64,AAAA"}, "uri", f"must be data:TYPE;base64,... with TYPE of {TYPES}"),
    (
        {"uri": "http://x.invalid/a.png"},
        "uri",
        "must be a data: URI; the config does not allow http(s) addresses",
    ),
    ({"data": PNG, "detail": 9}, "detail", "must be AUTO, LOW or HIGH"),
]


@pytest.mark.parametrize(("fields", "name", "rule"), IMAGES)
def test_an_image_that_is_none_is_named(fields: dict[str, Any], name: str, rule: str) -> None:
    assert violations(image(**fields)) == [(f"spec.messages[0].parts[0].image.{name}", rule)]


def test_an_image_without_a_source_is_named() -> None:
    assert violations(image(detail=1)) == [("spec.messages[0].parts[0].image", "must have data or a uri")]


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image/webp"),
    ],
)
def test_an_image_is_recognised_by_its_first_bytes(data: bytes, media_type: str) -> None:
    [message] = ask_of(image(data=data, detail=msg.IMAGE_DETAIL_HIGH)).generation.messages

    [part] = message["content"]
    assert part["image_url"]["url"].startswith(f"data:{media_type};base64,")
    assert part["image_url"]["detail"] == "high"


def test_a_media_type_that_is_given_is_believed() -> None:
    [message] = ask_of(image(data=b"abc", media_type="image/webp")).generation.messages

    assert message["content"][0]["image_url"] == {"url": "data:image/webp;base64,YWJj"}


def test_an_address_goes_on_if_the_config_allows_it_and_needs_a_backend_that_fetches() -> None:
    ask = ask_of(image(uri="https://x.invalid/a.png"), allow_http_images=True)

    assert ask.generation.messages[0]["content"][0]["image_url"] == {"url": "https://x.invalid/a.png"}
    assert ask.features == {"images", "images.uri"}
    assert ask.needs == {"vision"}
    assert ask.images == 1
