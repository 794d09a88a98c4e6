"""Collects what is wrong with a request: every violation, by the field's proto path, before anything is refused."""

import json
import math
from functools import lru_cache
from typing import Any

from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

from zoe_grpcd.core.domain import Json
from zoe_grpcd.core.errors import InvalidRequest, Violation


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
        if math.isnan(value) or not low <= value <= high:
            self.add(field, f"must be between {low:g} and {high:g}")

    def parsed(self, field: str, text: str) -> Json | None:
        """The JSON object in a string; None, and a note, if it is none."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
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
        """The JSON Schema in a string; None, and a note, if it is none."""
        schema, problem = _schema(text)
        if problem:
            self.add(field, problem)
            return None
        return schema


@lru_cache(maxsize=256)
def _schema(text: str) -> tuple[Json | None, str]:
    """A parsed schema, or what is wrong with it. Remembered: services send the same few again and again."""
    notes = Violations()
    schema = notes.parsed("", text)
    if schema is None:
        return None, notes.found[0].description
    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        path = "".join(f"[{part!r}]" for part in error.absolute_path)
        return None, f"must be a valid JSON Schema: {path} {error.message[:200]}".replace(":  ", ": ")
    except (RecursionError, ValueError, TypeError):
        return None, "must be a valid JSON Schema"
    return schema, ""


def plain(value: Any) -> Any:
    """A google.protobuf.Struct as plain values; its numbers are floats, so whole ones become integers again."""
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) < 2**53 else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return {key: plain(item) for key, item in value.struct_value.fields.items()}
        case "list_value":
            return [plain(item) for item in value.list_value.values]
    return None
