"""Small pictures of one colour, made here: PNG and GIF of any colour, JPEG of a grey that is exact when it is unpacked."""

import struct
import zlib

Colour = tuple[int, int, int]
RED, BLUE, BLACK = (250, 0, 0), (0, 0, 250), (0, 0, 0)


def png(colour: Colour = BLACK, width: int = 8, height: int = 8) -> bytes:
    """A PNG with all pixels of the colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress((b"\0" + bytes(colour) * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def gif(colour: Colour = BLACK) -> bytes:
    """A GIF of one pixel."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(colour) + bytes(3)
    # Three codes of 3 bits: forget all, the first colour, the end.
    codes = (0b101_000_100).to_bytes(2, "little")
    return screen + struct.pack("<cHHHHB", b",", 0, 0, 1, 1, 0) + b"\x02\x02" + codes + b"\0;"


def grey_jpeg(level: int = 228) -> bytes:
    """A baseline JPEG of 8 x 8 pixels of a grey from 192 to 255: one block, which has nothing but its mean."""

    def segment(marker: int, data: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data

    quantiser = segment(0xDB, b"\0" + b"\x08" * 64)
    frame = segment(0xC0, struct.pack(">BHHB", 8, 8, 8, 1) + b"\x01\x11\0")
    # Each table has one code, the bit 0: for the mean "a number of 7 bits follows", for the rest "nothing follows".
    mean, rest = (
        segment(0xC4, bytes([table, 1, *[0] * 15, value])) for table, value in ((0x00, 7), (0x10, 0))
    )
    bits = f"0{level - 128:07b}0".ljust(16, "1")
    scan = segment(0xDA, b"\x01\x01\0\0\x3f\0") + int(bits, 2).to_bytes(2, "big").replace(b"\xff", b"\xff\0")
    return b"\xff\xd8" + quantiser + frame + mean + rest + scan + b"\xff\xd9"
