"""What an answer is asked to look like: a tool that may be called, and a schema that it has to fit."""

from typing import Any, Final

WEATHER: Final[dict[str, Any]] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
VERDICT: Final[dict[str, Any]] = {
    "type": "json_schema",
    "json_schema": {
        "name": "verdict",
        "schema": {
            "type": "object",
            "properties": {"good": {"type": "boolean"}, "colour": {"enum": ["red", "blue"]}},
            "required": ["good", "colour"],
            "additionalProperties": False,
        },
    },
}
