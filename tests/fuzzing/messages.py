"""Hostile requests: made from the descriptors, so that a new field is attacked as soon as it exists.

The one rule: everything follows from the seed.
"""

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from google.protobuf import duration_pb2, struct_pb2, timestamp_pb2
from google.protobuf.descriptor import FieldDescriptor as F
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

DEEPEST = 6  # messages in one another; further down they are cut by the bytes
INTEGERS = (0, 1, 2, 7, 20, 21, 255, 1 << 15, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 63) - 1)
REALS = (0.0, -0.0, 0.5, 1.0, 2.0, -1.0, 1e-9, 1e30, 1e308, math.nan, math.inf, -math.inf)
DEEP = "[" * 20_000
SCHEMA = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}
DEEP_SCHEMA = '{"properties":{"a":' * 400 + "{}" + "}}" * 400
TEXTS = (
    "",
    " ",
    "hello",
    "tiny",
    "auto",
    "tiny:latest",
    "no-such-model",
    "../../etc/passwd",
    "http://127.0.0.1:9/",
    "data:image/png;base64,iVBORw0KGgo=",
    "data:image/png;base64,====",
    "\x00\x01\x1b[31m",
    "\u202e\u200b\ufeff",
    "\U0001f600" * 50,
    "e\u0301" * 100,
    "a" * 5000,
    "%s%n{0}${HOME}",
    "' OR 1=1 --",
    "{}",
    "[]",
    "null",
    "NaN",
    "1e999",
    '{"type": "object"}',
    '{"type": "object", "properties": {"a": {"type": "string", "pattern": "(a+)+$"}}}',
    '{"$ref": "http://127.0.0.1:9/schema"}',
    json.dumps(SCHEMA),
    DEEP_SCHEMA,
    DEEP,
    '{"a":' * 3000,
    "1" * 10_000,
    'root ::= "a"',
)
USUAL: dict[str, Sequence[str]] = {
    "model": ("tiny", "other", "auto", "tin", "local"),
    "fallback_models": ("tiny", "other", "nobody"),
    "name": ("one", "two", "get_weather", "tiny"),
    "text": ("hello", "What is the capital of France?", "Write a Python function", "x" * 20_000),
    "arguments_json": ("{}", '{"city": "Berlin"}', "{", DEEP),
    "parameters_json_schema": ('{"type": "object"}', json.dumps(SCHEMA), DEEP_SCHEMA),
    "schema_json": ('{"type": "object"}', json.dumps(SCHEMA), DEEP_SCHEMA),
    "required": ("chat", "tools", "vision"),
    "strategy": ("round_robin", "usage_based", "none"),
    "intent": ("code", "chat", "gossip"),
    "allowed_backends": ("one", "two", "three"),
    "backend": ("one", "two", "three"),
    "page_token": ("", "1", "x"),
    "service": ("", "model/tiny", "zoe.inference.v1.InferenceService"),
}
BYTES = (
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"\xff\xd8\xff",
    b"RIFF0000WEBP",
    bytes(range(256)),
    bytes(3000),
)


class Maker:
    """Makes requests. The same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def requests(self, kinds: Sequence[tuple[str, type[Message]]]) -> Iterator[tuple[str, bytes]]:
        """(method, request) for ever, each method as often as it stands in `kinds`."""
        while True:
            method, kind = self._chance.choice(kinds)
            yield method, self.request(kind)

    def request(self, kind: type[Message]) -> bytes:
        """One request: a message that the descriptors allow, and in every third case damaged bytes of one."""
        likely = "spec" in kind.DESCRIPTOR.fields_by_name and self._chance.random() < 0.6
        data = (self._likely(kind()) if likely else self._filled(kind(), 0)).SerializePartialToString()
        return self._damaged(data) if self._chance.random() < 0.2 else data

    def _likely(self, message: Any) -> Any:
        """A request that a backend would answer, but for a few fields."""
        said = message.spec.messages.add(role="ROLE_USER")
        said.parts.add(text=self._chance.choice(USUAL["text"]))
        fields = message.spec.DESCRIPTOR.fields
        for field in self._chance.sample(list(fields), self._chance.choice((0, 1, 1, 2, 3))):
            self._set(message.spec, field, DEEPEST - 2)
        return message

    def _filled(self, message: Message, depth: int) -> Message:
        share = self._chance.choice((0.15, 0.4, 0.8)) if depth else 0.9
        for field in message.DESCRIPTOR.fields:
            if self._chance.random() < share:
                self._set(message, field, depth)
        return message

    def _set(self, message: Message, field: Any, depth: int) -> None:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            self._map(getattr(message, field.name), field, depth)
        elif field.is_repeated:
            values = getattr(message, field.name)
            for _ in range(self._count()):
                if field.message_type is not None:
                    self._message(values.add(), depth)
                else:
                    values.append(self._scalar(field))
        elif field.message_type is not None:
            if depth < DEEPEST:
                own = getattr(message, field.name)
                own.SetInParent()
                self._message(own, depth)
        else:
            setattr(message, field.name, self._scalar(field))

    def _map(self, values: Any, field: Any, depth: int) -> None:
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        for _ in range(self._count()):
            if value.message_type is not None:
                self._message(values[self._scalar(key)], depth)
            else:
                values[self._scalar(key)] = self._scalar(value)

    def _count(self) -> int:
        return self._chance.choice((0, 1, 1, 1, 2, 3, 3, 200)) if self._chance.random() < 0.2 else 1

    def _message(self, message: Message, depth: int) -> None:
        if isinstance(message, struct_pb2.Struct | struct_pb2.Value | struct_pb2.ListValue):
            if depth < DEEPEST:
                self._filled(message, depth + 2)
        elif isinstance(message, duration_pb2.Duration | timestamp_pb2.Timestamp):
            message.seconds = self._chance.choice(
                (0, 0, 1, 30, -1, 315_576_000_000, -(1 << 63), (1 << 63) - 1)
            )
            message.nanos = self._chance.choice((0, 0, 1, 999_999_999, -1, 1 << 30, -(1 << 31)))
        elif depth < DEEPEST:
            self._filled(message, depth + 1)

    def _scalar(self, field: Any) -> Any:
        chance = self._chance
        match field.cpp_type:
            case F.CPPTYPE_STRING if field.type == F.TYPE_BYTES:
                return chance.choice(BYTES)
            case F.CPPTYPE_STRING:
                usual = USUAL.get(field.name, TEXTS)
                return chance.choice(usual if chance.random() < 0.8 else TEXTS)
            case F.CPPTYPE_BOOL:
                return chance.random() < 0.5
            case F.CPPTYPE_ENUM:
                known = [value.number for value in field.enum_type.values]
                return chance.choice((*known, *known, 99, -1, (1 << 31) - 1))
            case F.CPPTYPE_FLOAT | F.CPPTYPE_DOUBLE:
                return chance.choice(REALS)
        return self._integer(field)

    def _integer(self, field: Any) -> int:
        signed = field.cpp_type in (F.CPPTYPE_INT32, F.CPPTYPE_INT64)
        bits = (32 if field.cpp_type in (F.CPPTYPE_INT32, F.CPPTYPE_UINT32) else 64) - signed
        value = self._chance.choice([n for n in INTEGERS if n < 1 << bits])
        return -value - 1 if signed and self._chance.random() < 0.2 else value

    def _damaged(self, data: bytes) -> bytes:
        chance, place = self._chance, self._chance.randrange(len(data) + 1)
        ways: tuple[Callable[[], bytes], ...] = (
            lambda: data[:place],
            lambda: data[:place] + chance.randbytes(chance.randrange(1, 9)) + data[place:],
            lambda: self._flipped(data),
            lambda: data + data,  # every field twice
            lambda: data.replace(b"e", b"\xff").replace(b"a", b"\xc0\x80"),  # strings that are no UTF-8
            lambda: _nested(chance.choice((2, 50, 101, 5000)), chance.choice((10, 18, 90, 130))),
            lambda: chance.randbytes(chance.randrange(200)),
        )
        return chance.choice(ways)()

    def _flipped(self, data: bytes) -> bytes:
        flipped = bytearray(data)
        for _ in range(self._chance.randrange(1, 9) if data else 0):
            flipped[self._chance.randrange(len(data))] ^= 1 << self._chance.randrange(8)
        return bytes(flipped)


def _nested(depth: int, tag: int) -> bytes:
    """A field of messages in one another, as deep as that."""
    data = b""
    for _ in range(depth):
        data = _varint(tag) + _varint(len(data)) + data
    return data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def methods() -> list[tuple[str, type[Message], bool]]:
    """Every method of the protos and of the health service: path, request, whether it answers with a stream."""
    from grpc_health.v1 import health_pb2

    from zoe.admin.v1 import admin_service_pb2
    from zoe.inference.v1 import inference_service_pb2

    files = (inference_service_pb2, admin_service_pb2, health_pb2)
    services = [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    return [
        (f"/{service.full_name}/{method.name}", GetMessageClass(method.input_type), method.server_streaming)
        for service in services
        for method in service.methods
    ]
