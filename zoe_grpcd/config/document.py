"""YAML text -> plain values, and the line of each.

Rule: scalars are read as YAML 1.2 does (`on`, `no` and `12:30` are text), keys are always text, nothing is executed,
and a key that comes twice is a mistake.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from zoe_grpcd.config.problem import Path

_TAG = "tag:yaml.org,2002:"
_LIMIT = 50_000  # values after anchors are resolved; a configuration has hundreds
_NESTED_TOO_DEEP = "is nested too deeply"


UNREADABLE = object()
"""Stands for a value that could not be read; the mistake is known, and nothing more is to be said about it."""


class Unreadable(Exception):
    """The text is no YAML at all, so that nothing more can be said about it. `line` is 0 if unknown."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class Document:
    """What a file says. Paths are like ("backends", 0, "url")."""

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    mistakes: list[tuple[Path, int, str]] = field(default_factory=list)
    unusable: set[Path] = field(
        default_factory=set
    )  # values that could not be read; already among the mistakes
    filled: set[Path] = field(default_factory=set)  # values that hold something from outside, not to be shown

    def line(self, path: Path) -> int:
        """The line of `path`, or of the nearest thing around it."""
        return next(
            (self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines), 0
        )

    def below(self, *path: str) -> "Document":
        """The same as if it stood at `path` of another one."""
        data = self.data
        for part in reversed(path):
            data = {part: data}
        lines = {path[:end]: 1 for end in range(len(path))} | {
            (*path, *at): line for at, line in self.lines.items()
        }
        mistakes = [((*path, *at), line, message) for at, line, message in self.mistakes]
        unusable, filled = ({(*path, *at) for at in those} for those in (self.unusable, self.filled))
        return Document(data, lines, mistakes, unusable, filled)

    def is_usable(self, path: Path) -> bool:
        """False if `path`, or something around it, could not be read: there is nothing more to say about it."""
        return not any(path[:end] in self.unusable for end in range(len(path) + 1))


def read(text: str, fill: Callable[[str], str]) -> Document:
    """Reads one document; `fill` replaces the references in a scalar. Raises Unreadable."""
    document = Document()
    try:
        node = _Loader(text).get_single_node()
        if node is not None:
            document.data = _Reader(document, fill).value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unreadable(mark.line + 1 if mark else 0, _syntax(error, text)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Unreadable(line, "holds a character that YAML does not allow") from None
    except (RecursionError, ValueError):
        raise Unreadable(0, _NESTED_TOO_DEEP) from None
    return document


def _syntax(error: yaml.MarkedYAMLError, text: str) -> str:
    message = f"is not YAML: {error.problem or error.context}"
    lines = text.splitlines()
    at = error.problem_mark.line if error.problem_mark else len(lines)
    if at < len(lines) and "${" in lines[at]:
        message += "; inside [...] and {...}, put ${...} in quotes"
    return message


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the scalars of YAML 1.2."""


_Loader.yaml_implicit_resolvers = {}  # not those of YAML 1.1, where `on` is a flag and `12:30` a number
_Loader.add_implicit_resolver(_TAG + "null", re.compile(r"^(~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(
    _TAG + "bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(_TAG + "int", re.compile(r"^[-+]?[0-9]{1,18}$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _TAG + "float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


@dataclass(slots=True)
class _Reader:
    """One walk over the nodes of a document."""

    document: Document
    fill: Callable[[str], str]
    open: set[int] = field(default_factory=set)  # ids of the nodes around the current one
    count: int = 0

    def value(self, node: Node, path: Path) -> Any:
        self.document.lines.setdefault(path, node.start_mark.line + 1)
        self.count += 1
        if self.count > _LIMIT:
            raise Unreadable(
                node.start_mark.line + 1, f"holds more than {_LIMIT} values once aliases are filled in"
            )
        if id(node) in self.open:
            return self._mistake(path, node, "holds itself through a YAML alias")
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        self.open.add(id(node))
        try:
            return self._list(node, path) if isinstance(node, SequenceNode) else self._mapping(node, path)
        finally:
            self.open.discard(id(node))

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        convert = _SCALARS.get(kind)
        if convert is None:
            return self._mistake(path, node, "has a YAML tag that has no meaning here; leave it out")
        try:
            return convert(text) if convert is not str else self._text(text, path)
        except ValueError as error:
            plain = "is not what its YAML tag says" if convert is not str else str(error)
            return self._mistake(path, node, plain)

    def _text(self, text: str, path: Path) -> str:
        if "${" not in text:
            return text
        self.document.filled.add(path)
        return self.fill(text)

    def _list(self, node: SequenceNode, path: Path) -> Any:
        if node.tag != _TAG + "seq":
            return self._mistake(path, node, "has a YAML tag that has no meaning here; leave it out")
        return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: Node, path: Path) -> Any:
        if node.tag != _TAG + "map":
            return self._mistake(path, node, "has a YAML tag that has no meaning here; leave it out")
        result: dict[str, Any] = {}
        merged: list[Node] = []
        for key, item in self._entries(node, path):
            if key.value == "<<" and key.style is None:
                merged.append(item)
                continue
            here = (*path, key.value)
            if key.value in result:
                first = self.document.lines[here]
                self._note(here, key, f"is given twice, first on line {first}; keep one of them")
                continue
            self.document.lines[here] = key.start_mark.line + 1
            result[key.value] = self.value(item, here)
        for item in merged:
            self._merge(result, item, path)
        return result

    def _entries(self, node: Node, path: Path) -> Iterator[tuple[ScalarNode, Node]]:
        for key, item in node.value:
            if isinstance(key, ScalarNode):
                yield key, item
            else:
                self._note(path, key, "has a key that is not plain text")

    def _merge(self, result: dict[str, Any], node: Node, path: Path) -> None:
        """`<<: *anchor` or a list of them: what is there already stays."""
        for source in node.value if isinstance(node, SequenceNode) else [node]:
            if not isinstance(source, MappingNode):
                self._note(path, source, "must have a mapping, or a list of mappings, behind <<")
            elif id(source) in self.open:
                self._note(path, source, "holds itself through a YAML alias")
            else:
                self._adopt(result, source, path)

    def _adopt(self, result: dict[str, Any], source: MappingNode, path: Path) -> None:
        self.open.add(id(source))
        inner: list[Node] = []
        for key, item in self._entries(source, path):
            if key.value == "<<" and key.style is None:
                inner.append(item)
            elif key.value not in result:
                self.document.lines[*path, key.value] = key.start_mark.line + 1
                result[key.value] = self.value(item, (*path, key.value))
        for item in inner:
            self._merge(result, item, path)
        self.open.discard(id(source))

    def _note(self, path: Path, node: Node, message: str) -> None:
        self.document.mistakes.append((path, node.start_mark.line + 1, message))

    def _mistake(self, path: Path, node: Node, message: str) -> object:
        self._note(path, node, message)
        self.document.unusable.add(path)
        return UNREADABLE


_SCALARS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": int,
    "float": float,
}
