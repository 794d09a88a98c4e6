"""What every section of the configuration has in common.

Rule: an option is declared with the default as one would write it in YAML and with its documentation; the JSON
Schema and the messages are made from that.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, model_validator

ON, OFF = True, False  # defaults of flags


class Section(BaseModel):
    """A mapping with fixed keys. An empty value (`key:` and nothing behind it) means the default.

    LIST: the option that a list in place of the mapping stands for; empty: none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    LIST: ClassVar[str] = ""

    @model_validator(mode="before")
    @classmethod
    def _empty_means_default(cls, data: Any) -> Any:
        if cls.LIST and isinstance(data, list):
            return {cls.LIST: data}
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}


def option(default: Any, doc: str) -> Any:
    """An option that may be left out; `default` is spelled as in YAML and goes through the same validation."""
    return Field(default, description=doc, validate_default=True)


def needed(doc: str) -> Any:
    """An option that has to be given."""
    return Field(description=doc)


def section_of(annotation: Any) -> type[Section] | None:
    """The section inside an annotation such as `tuple[Backend, ...]` or `Tls | None`; None: there is none."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(section_of, get_args(annotation))), None)


def named_freely(annotation: Any) -> bool:
    """Whether the keys of this value are names that the operator chooses."""
    return get_origin(annotation) is Mapping or any(map(named_freely, get_args(annotation)))


def options(section: type[Section], path: str = "") -> Iterator[tuple[str, type[Section], str]]:
    """Every option below `section` as (path, the section it stands in, its key); `[]` and `*` stand for entries."""
    for key, field in section.model_fields.items():
        here = f"{path}.{key}" if path else key
        yield here, section, key
        if inner := section_of(field.annotation):
            entry = ".*" if named_freely(field.annotation) else ""
            entry += "[]" if _is_list(field.annotation) else ""
            yield from options(inner, here + entry)


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(map(_is_list, get_args(annotation)))
