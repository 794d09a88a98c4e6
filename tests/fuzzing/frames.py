"""Hostile bytes on a port of HTTP/2: what no gRPC client would ever send."""

import random
import struct
from collections.abc import Callable, Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
METHOD = b"/zoe.inference.v1.InferenceService/Route"


def frame(kind: int, flags: int, stream: int, payload: bytes, *, length: int | None = None) -> bytes:
    """A frame, which may lie about its length."""
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A header without compression, shorter than 127 bytes each."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def call(stream: int, *, end: bool = False) -> bytes:
    """The headers of a call of Route."""
    names = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": METHOD,
        b":authority": b"x",
        b"te": b"trailers",
    }
    block = b"".join(literal(name, value) for name, value in names.items())
    return frame(1, 4 | end, stream, block + literal(b"content-type", b"application/grpc"))


def attacks(seed: int) -> Iterator[bytes]:
    """Whole conversations of one who attacks, for ever."""
    chance = random.Random(seed)
    kinds: list[Callable[[random.Random], bytes]] = [
        lambda c: c.randbytes(c.randrange(1, 4000)),
        lambda c: PREFACE[: c.randrange(len(PREFACE))],
        lambda c: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * c.randrange(1, 50),
        lambda c: b"\x16\x03\x01" + c.randbytes(300),
        lambda c: PREFACE + c.randbytes(c.randrange(1, 4000)),
        lambda c: PREFACE + SETTINGS + b"".join(_any_frame(c) for _ in range(c.randrange(1, 60))),
        lambda c: PREFACE + SETTINGS + frame(1, 0, 1, b"", length=16_384) + b"\x00" * c.randrange(100),
        lambda c: PREFACE + SETTINGS + frame(1, 4, 1, b"\x3f\xe1\xff\xff\xff\x0f" + c.randbytes(50)),
        lambda _: PREFACE + SETTINGS + frame(1, 0, 1, b"") + frame(9, 0, 1, b"") * 500,
        lambda _: PREFACE + SETTINGS * 2000,
        lambda _: PREFACE + SETTINGS + frame(6, 0, 0, bytes(8)) * 2000,
        lambda _: (
            PREFACE + SETTINGS + b"".join(call(n) + frame(3, 0, n, bytes(4)) for n in range(1, 1001, 2))
        ),
        lambda _: PREFACE + SETTINGS + b"".join(call(n) for n in range(1, 2001, 2)),
        lambda c: PREFACE + SETTINGS + call(1) + frame(0, 0, 1, b"\x00\xff\xff\xff\xff" + c.randbytes(100)),
        lambda c: (
            PREFACE + SETTINGS + call(1) + frame(0, 1, 1, b"\x02" + struct.pack(">I", 8) + c.randbytes(8))
        ),
        lambda c: PREFACE + SETTINGS + call(1) + frame(8, 0, 1, struct.pack(">I", c.choice((0, 1 << 31)))),
    ]
    while True:
        yield chance.choice(kinds)(chance)


def _any_frame(chance: random.Random) -> bytes:
    payload = chance.randbytes(chance.choice((0, 1, 4, 8, 100)))
    wrong = chance.choice((None, None, None, 0, len(payload) + 1, (1 << 24) - 1))
    stream = chance.choice((0, 1, 2, 3, (1 << 31) - 1, 1 << 31))
    return frame(chance.randrange(14), chance.randrange(256), stream, payload, length=wrong)
