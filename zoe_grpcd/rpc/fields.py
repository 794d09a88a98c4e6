"""Collects what is wrong with a request: every violation, by the field's proto path, before anything is refused."""

import json
import math
from functools import lru_cache
from typing import Any

from google.protobuf.duration_pb2 import Duration
from jsonschema.exceptions import SchemaError
from jsonschema.validators import Draft202012Validator, validator_for

from zoe_grpcd.core.errors import InvalidRequest, Violation
from zoe_grpcd.core.generation import Json
from zoe_grpcd.rpc import endless

# A check takes 2 us a character, and holds up everybody.
LARGEST_CHECKED = 16 * 1024
TOO_DEEP = "must not be nested so deeply"


class Violations:
    """The mistakes found so far."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[Violation] = []

    def add(self, field: str, description: str) -> None:
        """Notes one mistake; `description` says what would be right."""
        self.found.append(Violation(field, description))

    def refuse(self) -> None:
        """Raises InvalidRequest if there is any."""
        if self.found:
            first = self.found[0]
            more = f" (and {len(self.found) - 1} more)" if len(self.found) > 1 else ""
            text = f"{first.field}: {first.description}{more}"
            raise InvalidRequest(text, violations=tuple(self.found))

    def between(self, field: str, value: float, low: float, high: float) -> None:
        """Notes a number outside of low..high, or none at all (NaN)."""
        if not low <= value <= high:
            self.add(field, f"must be between {low:.10g} and {high:.10g}")

    def above(self, field: str, value: float, low: float, high: float) -> None:
        """The same, without `low` itself."""
        if not low < value <= high:
            self.add(field, f"must be above {low:g} and at most {high:g}")

    def parsed(self, field: str, text: str) -> Json | None:
        """The JSON object in a string; None, and a note, if it is none."""
        try:
            value = json.loads(text, parse_constant=_no_number)
        except RecursionError:
            self.add(field, TOO_DEEP)
            return None
        except ValueError as error:
            where = (
                f" ({error.msg} at character {error.pos})" if isinstance(error, json.JSONDecodeError) else ""
            )
            self.add(field, f"must be valid JSON{where}")
            return None
        if not isinstance(value, dict):
            self.add(field, "must be a JSON object")
            return None
        return value

    def schema(self, field: str, text: str) -> Json | None:
        """The JSON Schema in a string; None, and a note, if it is none. Backends judge those that are very large."""
        schema = self.parsed(field, text)
        if schema is not None:
            problem = _problem(text) if len(text) <= LARGEST_CHECKED else endless.of_schema(schema)
            if problem:
                self.add(field, problem)
        return schema


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


@lru_cache(maxsize=256)
def _problem(text: str) -> str:
    """What is wrong with a schema, or "". Remembered: services send the same few again and again."""
    schema = json.loads(text)
    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        path = "".join(f"[{part!r}]" for part in error.absolute_path)
        return f"must be a valid JSON Schema: {path} {error.message}".replace(":  ", ": ")[:200]
    except RecursionError:
        return TOO_DEEP
    except (ValueError, TypeError, AttributeError):
        return "must be a valid JSON Schema"
    return endless.of_schema(schema)


def plain(path: str, value: Any, notes: Violations) -> Any:
    """A google.protobuf.Value as a plain one; its numbers are floats, so whole ones become integers again."""
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            if not math.isfinite(number):
                notes.add(path, "must be a finite number")
            return int(number) if number.is_integer() and abs(number) < 2**53 else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            fields = value.struct_value.fields
            return {key: plain(f"{path}.{key}", item, notes) for key, item in fields.items()}
        case "list_value":
            items = enumerate(value.list_value.values)
            return [plain(f"{path}[{index}]", item, notes) for index, item in items]
    return None


def seconds_of(path: str, message: Any, field: str, notes: Violations) -> float | None:
    """A duration field in seconds; None if it is not set, or noted as negative or no duration at all."""
    if not message.HasField(field):
        return None
    duration: Duration = getattr(message, field)
    if duration.seconds < 0 or not 0 <= duration.nanos < 1_000_000_000:
        notes.add(path, "must be a duration, and not negative")
        return None
    return duration.seconds + duration.nanos / 1e9
