"""Numbers with a unit: durations, sizes in bytes, and sizes of models, read and written as in YAML.

Rule: what is written is the shortest spelling that is read back as the same.
"""

import math
import re

_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"  # bounded, so that it stays finite
_DURATION = re.compile(
    rf"(?:({_NUMBER})d)?(?:({_NUMBER})h)?(?:({_NUMBER})m(?!s))?(?:({_NUMBER})s)?(?:({_NUMBER})ms)?"
)
_DURATION_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
SIZE = re.compile(rf"({_NUMBER}) ?([KMGT]i?|k)?B")
_SIZE_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE_UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
PARAMETERS = re.compile(rf"(?:([0-9]{{1,4}})x)?({_NUMBER})([MBT])")
_BILLIONS = {"M": 0.001, "B": 1.0, "T": 1000.0}


def seconds(value: object) -> float:
    """`30s`, `500ms`, `1h30m`, `0` -> seconds. Raises ValueError for the rest, bare numbers included."""
    text = str(value)
    if text in {"0", "0.0"}:
        return 0.0
    if re.fullmatch(r"[-+]?[0-9.]+", text):
        raise ValueError("needs a unit, like 30s, 500ms or 1h30m")
    match = _DURATION.fullmatch(text)
    if not match or not text:
        raise ValueError("must be a duration like 30s, 500ms or 1h30m")
    parts = zip(match.groups(), _DURATION_UNITS.values(), strict=True)
    return math.fsum(float(number) * unit for number, unit in parts if number)


def duration_text(value: float | None) -> str | None:
    """Seconds -> the shortest spelling that `seconds` reads back as the same: 90.0 -> `90s`, 0.1 -> `100ms`."""
    if value is None:
        return None
    milliseconds = round(value * 1000, 6)
    if 0 < value < 1 or milliseconds % 1000:
        return f"{milliseconds:.6f}".rstrip("0").rstrip(".") + "ms"
    return f"{value:.0f}s"


def size_bytes(value: object) -> int:
    """`8GiB`, `64MiB`, `500MB`, `1024B` or a whole number -> bytes."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = SIZE.fullmatch(str(value))
    if not match:
        raise ValueError("must be a size like 64MiB, 500MB or 8GiB")
    return round(float(match[1]) * _SIZE_UNITS[match[2] or ""])


def size_text(value: int) -> str:
    """Bytes -> the shortest exact spelling: 67108864 -> `64MiB`."""
    for unit in ("Ti", "Gi", "Mi", "Ki"):
        if value and value % _SIZE_UNITS[unit] == 0:
            return f"{value // _SIZE_UNITS[unit]}{unit}B"
    return f"{value}B"


def billions(value: object) -> float:
    """`7B`, `500M`, `1.5B`, `8x7B` -> parameters in billions (all experts of a mixture counted)."""
    match = PARAMETERS.fullmatch(str(value))
    if not match:
        raise ValueError("must be a number of parameters like 7B, 1.5B or 500M")
    return int(match[1] or 1) * float(match[2]) * _BILLIONS[match[3]]


def billions_text(value: float | None) -> str | None:
    """7.0 -> `7B`, 0.5 -> `500M`."""
    if value is None:
        return None
    number, unit = (value, "B") if value >= 1 else (value * 1000, "M")
    return f"{number:.6f}".rstrip("0").rstrip(".") + unit
