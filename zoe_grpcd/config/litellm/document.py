"""A LiteLLM file in place of ours: read as one, checked as one of ours, with its own lines."""

from collections.abc import Callable
from typing import Any

from zoe_grpcd.config.document import UNREADABLE, Document
from zoe_grpcd.config.litellm.translate import Translation
from zoe_grpcd.config.problem import Path

_ITS_OWN = {"model_list", "router_settings", "litellm_settings", "general_settings"}
_OURS = {"server", "auth", "backends", "models", "routing", "reliability", "admission"}

Fill = Callable[[str], str]


def is_litellm(data: Any) -> bool:
    """A file with LiteLLM's sections and none of ours."""
    return isinstance(data, dict) and bool(data.keys() & _ITS_OWN) and not data.keys() & _OURS


def as_ours(theirs: Document, translation: Translation, fill: Fill) -> Document:
    """The translation as if it had been read: references filled in, lines those of the LiteLLM file."""
    made = Document(lines={(): 1})
    made.mistakes += theirs.mistakes
    made.mistakes += [(note.path, theirs.line(note.path), note.message) for note in translation.mistakes]
    for path, origin in translation.origins.items():
        made.lines[path] = theirs.line(origin)
    made.data = _filled(translation.data, (), made, fill)
    return made


def _filled(value: Any, path: Path, document: Document, fill: Fill) -> Any:
    document.lines.setdefault(path, document.line(path))
    if isinstance(value, dict):
        return {key: _filled(item, (*path, key), document, fill) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, (*path, index), document, fill) for index, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    document.filled.add(path)
    try:
        return fill(value)
    except ValueError as error:
        document.mistakes.append((path, document.line(path), str(error)))
        document.unusable.add(path)
        return UNREADABLE
