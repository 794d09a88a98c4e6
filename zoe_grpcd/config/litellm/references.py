"""`os.environ/NAME` -> `${NAME}`, and secrets that stand in the file -> `${A_NAME_FOR_IT}`.

Rule: what is written in the file stays in `values`, for a daemon that reads the file itself; the text never has it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from zoe_grpcd.config.litellm.source import Findings, Note
from zoe_grpcd.config.problem import Path

_ENVIRON = "os.environ/"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_HEADER = re.compile(r"key|secret|token|auth|cookie", re.IGNORECASE)
_SECRET = re.compile(r"(key|secret|token|password|credentials?|key_id)$", re.IGNORECASE)
# What people write where a server wants no key.
_NO_SECRETS = {
    "",
    "none",
    "null",
    "dummy",
    "empty",
    "fake",
    "fake-key",
    "not-needed",
    "no-key",
    "no-key-required",
}
_NO_SECRETS |= {"sk-no-key-required", "anything", "ollama", "local", "test", "unused", "xxx"}
_OF_PLAIN_NAMES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")  # of a model without a provider's prefix


def in_use(data: Any) -> Iterator[str]:
    """The variables that a file refers to, and those that entries without a key take theirs from: they hold something
    else than a secret that stands in the file.
    """
    if isinstance(data, str) and data.startswith(_ENVIRON):
        yield data.removeprefix(_ENVIRON)
    elif isinstance(data, list):
        for item in data:
            yield from in_use(item)
    elif isinstance(data, dict):
        if isinstance(model := data.get("model"), str) and data.get("api_key") is None:
            provider, slash, _ = model.partition("/")
            yield from (_variable(f"{provider}_api_key"),) if slash else _OF_PLAIN_NAMES
        for item in data.values():
            yield from in_use(item)


def _variable(name: str) -> str:
    return re.sub(r"\W+", "_", name).upper().strip("_")


@dataclass(slots=True)
class References:
    """`values`: what the environment has to hold besides what it holds already, by name. `written`: what of it is secret.

    `taken`: variables that hold something else.
    """

    findings: Findings
    taken: frozenset[str] = frozenset()
    values: dict[str, str] = field(default_factory=dict)
    written: list[Note] = field(default_factory=list)

    def text(self, value: str) -> str:
        """A text of the file as ours spells it."""
        name = value.removeprefix(_ENVIRON)
        if value.startswith(_ENVIRON) and _VARIABLE.fullmatch(name):
            return f"${{{name}}}"
        return value.replace("${", "$${")

    def plain(self, value: Any) -> Any:
        """Any value of the file as ours spells it."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.plain(item) for item in value]
        if isinstance(value, dict):
            return {key: self.plain(item) for key, item in value.items()}
        return value

    def hidden(self, value: Any, path: Path, owner: str) -> Any:
        """The same with every secret in it replaced by a reference; `owner` is whose it is, for its name."""
        key = str(path[-1])
        if isinstance(value, dict):
            return {name: self.hidden(item, (*path, name), owner) for name, item in value.items()}
        in_header = len(path) > 1 and "headers" in str(path[-2]) and _SECRET_HEADER.search(key)
        if _SECRET.search(key) or in_header:
            return self.secret(value, path, f"{owner}_{key}")
        return self.plain(value)

    def secret(self, value: Any, path: Path, name: str) -> Any:
        """A reference to a secret that stands in the file; what is no secret, or is a reference already, stays."""
        if not isinstance(value, str) or value.startswith(_ENVIRON) or value.lower() in _NO_SECRETS:
            return self.plain(value)
        known = next((known for known, kept in self.values.items() if kept == value), None)
        if known is None:
            known = self._unused(_variable(name))
            self.values[known] = value
            said = f"is a secret, written in the file: put it into the environment as {known}"
            self.written.append(Note(path, said))
        return f"${{{known}}}"

    def _unused(self, name: str) -> str:
        name = name if _VARIABLE.fullmatch(name) else f"SECRET_{name}"
        taken = self.values.keys() | self.taken
        return next(n for n in (name, *(f"{name}_{i}" for i in range(2, 10_000))) if n not in taken)


def seconds(value: Any) -> Any:
    """A number of seconds, or a reference to one, as a duration of ours."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    if isinstance(value, str) and not value.startswith(_ENVIRON):
        return value if re.search(r"[a-z]", value) else f"{value}s"
    if isinstance(value, str):
        return f"${{{value.removeprefix(_ENVIRON)}}}s"
    return f"{value:g}s" if value >= 1 or value == 0 else f"{value * 1000:g}ms"
