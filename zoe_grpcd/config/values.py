"""The scalar types of the configuration, and how each is spelled in YAML.

Rule: a message says what would be right and never repeats the value; who reports it knows whether it may be shown.
"""

import hashlib
import math
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
)

from zoe_grpcd.config.address import address, state, store, store_text, switchable, url
from zoe_grpcd.core.chains import condition_of
from zoe_grpcd.core.classify import KeywordClassifier
from zoe_grpcd.core.intents import CHAT, Intent
from zoe_grpcd.core.sizes import count_bounds, size_bounds

_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"  # bounded, so that it stays finite
_DURATION = re.compile(
    rf"(?:({_NUMBER})d)?(?:({_NUMBER})h)?(?:({_NUMBER})m(?!s))?(?:({_NUMBER})s)?(?:({_NUMBER})ms)?"
)
_DURATION_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SIZE = re.compile(rf"({_NUMBER}) ?([KMGT]i?|k)?B")
_SIZE_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE_UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_PARAMETERS = re.compile(rf"(?:([0-9]{{1,4}})x)?({_NUMBER})([MBT])")
_BILLIONS = {"M": 0.001, "B": 1.0, "T": 1000.0}
_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


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
    match = _SIZE.fullmatch(str(value))
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
    match = _PARAMETERS.fullmatch(str(value))
    if not match:
        raise ValueError("must be a number of parameters like 7B, 1.5B or 500M")
    return int(match[1] or 1) * float(match[2]) * _BILLIONS[match[3]]


def billions_text(value: float | None) -> str | None:
    """7.0 -> `7B`, 0.5 -> `500M`."""
    if value is None:
        return None
    number, unit = (value, "B") if value >= 1 else (value * 1000, "M")
    return f"{number:.6f}".rstrip("0").rstrip(".") + unit


def whole(value: object) -> int:
    """A whole number, or text from a `${VAR}` that is one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]{1,18}", value):
        return int(value)
    raise ValueError("must be a whole number")


def number(value: object) -> float:
    """A finite number, or text from a `${VAR}` that is one."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            result = float(value)
        except (ValueError, OverflowError):
            result = math.nan
        if math.isfinite(result):
            return result
    raise ValueError("must be a number")


def flag(value: object) -> bool:
    """`true` or `false`; `yes`, `no`, `on` and `off` mean the same where a flag is wanted, and are text elsewhere."""
    result = value if isinstance(value, bool) else _FLAGS.get(str(value).lower())
    if result is None:
        raise ValueError("must be true or false")
    return result


def name(value: str) -> str:
    """A name of a backend, a model, an alias, a key or an intent: printable, without blanks, 1..200 characters."""
    if not re.fullmatch(r"[^\s\x00-\x1f\x7f]{1,200}", value):
        raise ValueError("must be of 1 to 200 characters without blanks")
    return value


def expression(value: str) -> str:
    """A regular expression that compiles."""
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"must be a regular expression: {getattr(error, 'msg', 'too large')}") from None
    return value


def phrase(value: str) -> str:
    """A phrase in the notation of the keyword classifier."""
    try:
        KeywordClassifier((Intent(CHAT, {value.lower(): 1.0}),))
    except ValueError as error:
        raise ValueError(f"must be a word or a phrase like `turn on .. light|lights`: {error}") from None
    return value


def count_comparison(value: object) -> str:
    """`> 4000`, `>= 2`, `4`, `100 - 200`: kept as text."""
    count_bounds(_compared(value))
    return _compared(value)


def size_comparison(value: object) -> str:
    """`< 8B`, `8B - 13B`, `>= 500M`: kept as text."""
    size_bounds(_compared(value))
    return _compared(value)


def _compared(value: object) -> str:
    return str(value).strip()


def conditions(values: tuple[str, ...]) -> tuple[str, ...]:
    """What may stand in `when` of a step of a fallback chain."""
    condition_of(values)
    return values


def keep_alive(value: object) -> int | str:
    """How long a server keeps a model loaded: a duration, 0 for "unload at once", -1 for "for ever"."""
    if str(value) in {"-1", "0"}:
        return int(str(value))
    seconds(value)
    return str(value)


def digest(value: SecretStr) -> SecretStr:
    """A SHA-256 in hexadecimal."""
    text = value.get_secret_value()
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ValueError("must be a SHA-256, which is 64 hexadecimal digits")
    if bytes.fromhex(text) == hashlib.sha256().digest():
        raise ValueError("must be the SHA-256 of a key; this is that of an empty text")
    return value


def sendable(value: SecretStr) -> SecretStr:
    """A key that metadata can carry."""
    if not re.fullmatch(r"[\x21-\x7e]+", value.get_secret_value()):
        raise ValueError(
            "must be of visible ASCII characters without blanks, since metadata carries no others"
        )
    return value


def beside_the_file(path: Path, info: ValidationInfo) -> Path:
    """A relative path starts at the folder of the configuration file."""
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / path


def never(value: object) -> object:
    """`never` -> None."""
    return None if value == "never" else value


def json_lines(path: Path | None) -> Path | None:
    """A file that may hold what was said. Its ending keeps a word that was meant for a switch from becoming one."""
    if path is None or (path.suffix == ".jsonl" and not {"..", "~"} & set(path.parts)):
        return path
    raise ValueError(
        "must be never, or the absolute path of a file NAME.jsonl, or one below the state folder"
    )


def listed(value: object) -> object:
    """One text stands for a list of one."""
    return [value] if isinstance(value, str) else value


def one_or_more(*choices: str) -> tuple[BeforeValidator, WithJsonSchema]:
    """For a list of some of these texts, one of which may stand alone."""
    one = {"enum": list(choices)}
    return BeforeValidator(listed), WithJsonSchema({"anyOf": [one, {"type": "array", "items": one}]})


def _spelled(pattern: str, *more: dict[str, Any]) -> WithJsonSchema:
    text = {"type": "string", "pattern": pattern}
    return WithJsonSchema({"anyOf": [text, *more]} if more else text)


_DURATION_SCHEMA = _spelled(r"^([0-9]+(\.[0-9]+)?(d|h|m|s|ms))+$", {"const": 0})
_DURATION_TEXT = PlainSerializer(duration_text, when_used="json")
_PATTERN_HOST_PORT = r"^(\S+:[0-9]{1,5}|unix:\S+"

Seconds = Annotated[float, Field(ge=0), BeforeValidator(seconds), _DURATION_TEXT, _DURATION_SCHEMA]
PositiveSeconds = Annotated[float, Field(gt=0), BeforeValidator(seconds), _DURATION_TEXT, _DURATION_SCHEMA]
Bytes = Annotated[
    int,
    Field(ge=1),
    BeforeValidator(size_bytes),
    PlainSerializer(size_text, when_used="json"),
    _spelled(_SIZE.pattern.join("^$"), {"type": "integer", "minimum": 1}),
]
Billions = Annotated[
    float,
    Field(gt=0),
    BeforeValidator(billions),
    PlainSerializer(billions_text, when_used="json"),
    _spelled(_PARAMETERS.pattern.join("^$")),
]
Flag = Annotated[
    bool,
    BeforeValidator(flag),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"enum": ["yes", "no", "on", "off"]}]}),
]
Count = Annotated[int, Field(ge=0), BeforeValidator(whole)]
PositiveCount = Annotated[int, Field(ge=1), BeforeValidator(whole)]
Integer = Annotated[int, BeforeValidator(whole)]
Number = Annotated[float, Field(ge=0), BeforeValidator(number)]
PositiveNumber = Annotated[float, Field(gt=0), BeforeValidator(number)]
Share = Annotated[float, Field(ge=0, le=1), BeforeValidator(number)]
Temperature = Annotated[float, Field(ge=0, le=2), BeforeValidator(number)]
Penalty = Annotated[float, Field(ge=-2, le=2), BeforeValidator(number)]
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, AfterValidator(name), WithJsonSchema({"type": "string", "minLength": 1})]
Names = Annotated[
    tuple[Name, ...],
    Field(min_length=1),
    BeforeValidator(listed),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]
Texts = Annotated[
    tuple[Text, ...],
    BeforeValidator(listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Phrase = Annotated[str, Field(min_length=1), AfterValidator(phrase)]
Expression = Annotated[str, AfterValidator(expression)]
CountComparison = Annotated[
    str, BeforeValidator(count_comparison), WithJsonSchema({"type": ["string", "number"]})
]
SizeComparison = Annotated[str, BeforeValidator(size_comparison), WithJsonSchema({"type": "string"})]
Conditions = Annotated[
    tuple[str, ...],
    BeforeValidator(listed),
    AfterValidator(conditions),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
KeepAlive = Annotated[int | str, BeforeValidator(keep_alive), WithJsonSchema({"type": ["string", "integer"]})]
Url = Annotated[str, AfterValidator(url), _spelled(r"^https?://\S+$")]
StoreUrl = Annotated[
    SecretStr,
    AfterValidator(store),
    PlainSerializer(store_text, when_used="json"),
    _spelled(r"^(memory|rediss?|unix)://\S*$"),
]
StateUrl = Annotated[
    SecretStr,
    AfterValidator(state),
    PlainSerializer(store_text, when_used="json"),
    _spelled(r"^(memory|sqlite|rediss?|unix)://\S*$"),
]
Digest = Annotated[SecretStr, AfterValidator(digest), _spelled("^[0-9a-fA-F]{64}$")]
KeyText = Annotated[
    SecretStr,
    Field(min_length=1),
    AfterValidator(sendable),
    WithJsonSchema({"type": "string", "minLength": 1}),
]
FilePath = Annotated[Path, AfterValidator(beside_the_file)]
PromptsFile = Annotated[
    Path | None, BeforeValidator(never), AfterValidator(json_lines), _spelled(r"^(never|.*\.jsonl)$")
]
Secret = Annotated[SecretStr, Field(min_length=1), WithJsonSchema({"type": "string", "minLength": 1})]
Address = Annotated[str, AfterValidator(address), _spelled(_PATTERN_HOST_PORT + ")$")]
SwitchableAddress = Annotated[
    Address | None, BeforeValidator(switchable), _spelled(_PATTERN_HOST_PORT + "|off)$")
]
