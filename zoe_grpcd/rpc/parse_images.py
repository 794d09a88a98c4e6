"""Images: from the contract's part to the address that OpenAI's chat shape carries. Nothing is ever fetched."""

import base64
import binascii

from zoe.inference.v1 import message_pb2 as pb
from zoe_grpcd.rpc.fields import Violations

IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif")
DETAILS = {
    pb.IMAGE_DETAIL_UNSPECIFIED: "",
    pb.IMAGE_DETAIL_AUTO: "auto",
    pb.IMAGE_DETAIL_LOW: "low",
    pb.IMAGE_DETAIL_HIGH: "high",
}
_ADDRESS = ("http://", "https://")
_TYPES = ", ".join(IMAGE_TYPES)


def image_of(path: str, image: pb.ImagePart, notes: Violations, *, allow_http: bool) -> dict[str, str]:
    """`url` and, if the caller said how closely to look, `detail`."""
    shown = {"url": _url(path, image, notes, allow_http=allow_http)}
    if image.detail not in DETAILS:
        notes.add(f"{path}.detail", "must be AUTO, LOW or HIGH")
    elif detail := DETAILS[image.detail]:
        shown["detail"] = detail
    return shown


def is_address(image: pb.ImagePart) -> bool:
    """The backend would have to fetch it."""
    return image.uri.startswith(_ADDRESS)


def _url(path: str, image: pb.ImagePart, notes: Violations, *, allow_http: bool) -> str:
    source = image.WhichOneof("source")
    if source == "data":
        return _data_url(path, image, notes)
    if source is None:
        notes.add(path, "must have data or a uri")
    elif problem := _uri_problem(image, allow_http=allow_http):
        notes.add(f"{path}.uri", problem)
    return image.uri


def _data_url(path: str, image: pb.ImagePart, notes: Violations) -> str:
    media_type = image.media_type or _recognised(image.data)
    if not image.data:
        notes.add(f"{path}.data", "must not be empty")
    elif not media_type:
        notes.add(f"{path}.data", f"must begin as {_TYPES} does, or media_type must say which it is")
    if image.media_type and image.media_type not in IMAGE_TYPES:
        notes.add(f"{path}.media_type", f"must be one of {_TYPES}")
    return f"data:{media_type};base64,{base64.b64encode(image.data).decode()}"


def _recognised(data: bytes) -> str:
    """The media type by the first bytes, or ""."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


def _uri_problem(image: pb.ImagePart, *, allow_http: bool) -> str:
    """What is wrong with the address, or ""."""
    if is_address(image):
        return "" if allow_http else "must be a data: URI; the config does not allow http(s) addresses"
    if not image.uri.startswith("data:"):
        return "must be a data: URI, or an http(s) address if the config allows it"
    head, _, payload = image.uri.removeprefix("data:").partition(",")
    if not head.endswith(";base64") or head.removesuffix(";base64") not in IMAGE_TYPES:
        return f"must be data:TYPE;base64,... with TYPE of {_TYPES}"
    return "" if _is_base64(payload) else "must carry valid base64"


def _is_base64(payload: str) -> bool:
    try:
        return bool(base64.b64decode(payload, validate=True))
    except (binascii.Error, ValueError):
        return False
