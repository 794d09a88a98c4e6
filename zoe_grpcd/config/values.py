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
from zoe_grpcd.config.units import (
    PARAMETERS,
    SIZE,
    billions,
    billions_text,
    duration_text,
    seconds,
    size_bytes,
    size_text,
)
from zoe_grpcd.core.chains import condition_of
from zoe_grpcd.core.classify import KeywordClassifier
from zoe_grpcd.core.intents import CHAT, Intent
from zoe_grpcd.core.sizes import count_bounds, size_bounds

_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


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
    _spelled(SIZE.pattern.join("^$"), {"type": "integer", "minimum": 1}),
]
Billions = Annotated[
    float,
    Field(gt=0),
    BeforeValidator(billions),
    PlainSerializer(billions_text, when_used="json"),
    _spelled(PARAMETERS.pattern.join("^$")),
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
