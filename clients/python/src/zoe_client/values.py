"""Checks of single values. The rule: every error begins with the name of what is wrong and says what would be right."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.duration_pb2 import Duration

EnumValue_co = TypeVar("EnumValue_co", covariant=True)


class Enum(Protocol[EnumValue_co]):
    """A generated enum."""

    DESCRIPTOR: EnumDescriptor

    def Value(self, name: str) -> EnumValue_co:  # noqa: N802  -- the generated name
        """Returns the value of a name."""


def expect(value: Any, kind: Any, place: str, what: str) -> Any:
    """Returns the value if it is of that kind."""
    if not isinstance(value, kind):
        raise TypeError(f"{place}: expected {what}, not {type(value).__name__}")
    return value


def text(value: Any, place: str) -> str:
    """Returns the value if it is a string, of whole characters."""
    checked: str = expect(value, str, place, "a string")
    try:
        checked.isascii() or checked.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{place}: half of a surrogate pair, at {error.start}, is no character") from None
    return checked


def texts(value: Any, place: str) -> list[str]:
    """Returns a list of strings; a single string is a list of one."""
    if isinstance(value, str):
        return [value]
    return [
        text(each, f"{place}[{i}]")
        for i, each in enumerate(expect(value, list | tuple, place, "a list of strings"))
    ]


def allow_keys(value: Mapping[str, Any], allowed: Iterable[str], place: str) -> None:
    """Refuses keys that would be dropped."""
    unknown = sorted(value.keys() - set(allowed))
    if unknown:
        raise ValueError(f"{place}.{unknown[0]}: unknown; known are {', '.join(sorted(allowed))}")


def choice(enum: Enum[EnumValue_co], name: Any, place: str) -> EnumValue_co:
    """Returns the value of a generated enum by its name in lower case, without the prefix."""
    prefix = enum.DESCRIPTOR.values[0].name.removesuffix("UNSPECIFIED")
    names = [value.name.removeprefix(prefix).lower() for value in enum.DESCRIPTOR.values[1:]]
    if name not in names:
        raise ValueError(f"{place}: {name!r} is not one of {', '.join(names)}")
    return enum.Value(prefix + name.upper())


def seconds(value: Any, place: str) -> float:
    """Returns a number of seconds, 0 or more."""
    number: float = expect(value, int | float, place, "a number of seconds")
    if isinstance(value, bool) or not 0 <= number < math.inf:
        raise ValueError(f"{place}: {value!r} is not a number of seconds, 0 or more")
    return number


def duration(value: Any, place: str) -> Duration:
    """Returns a number of seconds, 0 or more, as a message."""
    result = Duration()
    result.FromNanoseconds(round(seconds(value, place) * 1e9))
    return result
