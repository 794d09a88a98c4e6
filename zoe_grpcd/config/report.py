"""Validation errors -> problems in the operator's words, at their line and path.

Rule: a value is repeated only if it is a short literal of the file that is not at a place for secrets.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from zoe_grpcd.config.crosscheck import Finding
from zoe_grpcd.config.document import Document
from zoe_grpcd.config.model import Config
from zoe_grpcd.config.problem import Path, Problem, did_you_mean, path_text
from zoe_grpcd.config.section import Section, named_freely, section_of

_SECRET = re.compile(r"(key|secret|token|password|credentials?|sha256)$|^litellm_params$", re.IGNORECASE)
_MAY_HOLD_A_PASSWORD: set[Path] = {("cache", "url"), ("state", "url")}
_SHORT = re.compile(r"[^\s@]{1,40}")
_Context = Mapping[str, Any]

_MESSAGES: dict[str, Callable[[_Context], str]] = {
    "value_error": lambda ctx: str(ctx["error"]),
    "literal_error": lambda ctx: f"must be one of {_choices(ctx)}",
    "string_type": lambda _: "must be text; put it in quotes if it is meant as text",
    "string_too_short": lambda _: "must not be empty",
    "too_short": lambda _: "must not be empty",
    "greater_than": lambda ctx: f"must be more than {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"must be at least {ctx['ge']:g}",
    "less_than": lambda ctx: f"must be less than {ctx['lt']:g}",
    "less_than_equal": lambda ctx: f"must be at most {ctx['le']:g}",
}
_SHAPES = {
    "tuple_type": "a list",
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
}


def findings(error: ValidationError, document: Document) -> Iterator[Finding]:
    """The mistakes that validation found."""
    details = (detail for detail in error.errors(include_url=False) if not _is_echo(detail))
    return (_finding(_existing(detail, document), detail) for detail in details)


def _is_echo(detail: ErrorDetails) -> bool:
    """A list is called too short for its entries that are wrong, which are told themselves."""
    return detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]


def problem(finding: Finding, document: Document, file: str) -> Problem:
    """The finding with its line, and with the value and the detail if they may be shown."""
    message = finding.message + finding.hint
    if not _is_secret(finding.path, document):
        shown = _shown(finding.path, document) if message.startswith("must") else ""
        message = finding.message + shown + finding.hint + finding.detail
    return Problem(file, document.line(finding.path), path_text(finding.path), message)


def _is_secret(path: Path, document: Document) -> bool:
    return path in _MAY_HOLD_A_PASSWORD | document.filled or any(_SECRET.search(str(part)) for part in path)


def _existing(detail: ErrorDetails, document: Document) -> Path:
    """The error's place in the file: validation adds parts of its own, such as the option that a list stands for."""
    path = detail["loc"]
    if detail["type"] == "missing":
        return path
    found: Path = ()
    for part in path:
        found = (*found, part) if (*found, part) in document.lines else found
    return found


def _finding(path: Path, detail: ErrorDetails) -> Finding:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return Finding(path, "is missing")
    if kind == "extra_forbidden":
        return Finding(path, f"is not known here{_nearest_key(path)}")
    if kind in _SHAPES:
        return Finding(path, f"has to be {_SHAPES[kind]}, not {_shape(detail['input'])}")
    message = (
        _MESSAGES[kind](context) if kind in _MESSAGES else detail["msg"].replace("Input should be", "must be")
    )
    given = detail["input"]
    if detail["loc"][-1:] == ("[key]",):
        return Finding(path, f"the name {message}")
    if kind == "value_error":
        message, colon, detail_text = message.partition(": ")
        return Finding(path, message, detail=colon + detail_text)
    hint = (
        did_you_mean(given, _choices(context).split(", "))
        if kind == "literal_error" and isinstance(given, str)
        else ""
    )
    return Finding(path, message, hint)


def _choices(context: _Context) -> str:
    return str(context["expected"]).replace(" or ", ", ").replace("'", "")


def _shape(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "empty"}
    return names.get(type(value), "a number")


def _nearest_key(path: Path) -> str:
    known = list(_section_at(path[:-1]).model_fields)
    return did_you_mean(str(path[-1]), known) or f"; known are {', '.join(known)}"


def _section_at(path: Path) -> type[Section]:
    section: type[Section] = Config
    free = False
    for part in path:
        if isinstance(part, int):
            if section.LIST:
                section = section_of(section.model_fields[section.LIST].annotation) or section
            continue
        if free:
            free = False
            continue
        annotation = section.model_fields[part].annotation if part in section.model_fields else None
        section = section_of(annotation) or section
        free = named_freely(annotation)
    return section


def _shown(path: Path, document: Document) -> str:
    value: Any = document.data
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return ""
    plain = isinstance(value, bool | int | float) or (isinstance(value, str) and _SHORT.fullmatch(value))
    if not plain:
        return ""
    return f", not {str(value).lower() if isinstance(value, bool) else repr(value)}"
