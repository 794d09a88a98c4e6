"""The JSON Schema for editors, made from the model that validates.

Rule: the schema accepts whatever `load` accepts; what only `load` can know (names, files) it does not judge.
"""

from typing import Any

from zoe_grpcd.config.model import Config
from zoe_grpcd.config.section import options

_REFERENCE = {"type": "string", "pattern": r"\$\{.*\}"}
_SCALARS = {"integer", "number", "boolean"}
_MAPS = {"properties", "$defs"}  # name -> schema
_NO_SCHEMAS = _MAPS | {"default", "enum", "const", "required"}


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the configuration file."""
    plain = Config.model_json_schema(mode="validation")
    for name, key in {(section.__name__, section.LIST) for _, section, _ in options(Config) if section.LIST}:
        plain["$defs"][name] = _or(plain["$defs"][name], plain["$defs"][name]["properties"][key])
    schema: dict[str, Any] = _open(plain)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "zoe-grpcd configuration"
    return schema


def _open(node: Any) -> Any:
    """Lets a reference such as `${PORT}` stand for every scalar, and an empty value for every option."""
    if isinstance(node, list):
        return [_open(item) for item in node]
    if not isinstance(node, dict):
        return node
    opened = {key: value if key in _NO_SCHEMAS else _open(value) for key, value in node.items()}
    for names in _MAPS & node.keys():
        opened[names] = {name: _open(value) for name, value in node[names].items()}
    for name, value in opened.get("properties", {}).items():
        if name not in node.get("required", ()):
            opened["properties"][name] = _or(value, {"type": "null"})
    restricted = "enum" in node or "pattern" in node or str(node.get("type")) in _SCALARS
    return _or(opened, _REFERENCE) if restricted else opened


def _or(schema: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """`schema` or `other`; what is said about the whole stays outside, where editors look for it."""
    outside = {key: schema[key] for key in ("title", "description", "default") if key in schema}
    inside = {key: value for key, value in schema.items() if key not in outside}
    if list(inside) == ["anyOf"]:
        return outside | {"anyOf": [*inside["anyOf"], *([] if other in inside["anyOf"] else [other])]}
    return outside | {"anyOf": [inside, other]}
