"""What another configuration would change, in words.

Rule: a value is shown if it is short and plain, and nothing in its path sounds like a secret.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import SecretStr

from zoe_grpcd.config.keys import Auth
from zoe_grpcd.config.model import Config
from zoe_grpcd.config.section import Section

# What only a start can change: sockets are bound, files are opened, rooms are built.
AT_START = (
    "server.listen",
    "server.admin_listen",
    "server.metrics_listen",
    "server.tls",
    "server.max_concurrent_streams",
    "server.max_receive_bytes",
    "state.url",
    "log.format",
    "log.decisions",
    "log.decisions_max_bytes",
    "cache",
    "telemetry",
)
_SECRET = re.compile(r"key|secret|token$|password|credential|auth|sha256", re.IGNORECASE)
_LONGEST = 60


def changes(before: Config, after: Config) -> list[str]:
    """One sentence a key's path; a list of named entries is told entry by entry."""
    return list(_changes("", before, after))


def at_start(before: Config, after: Config) -> list[str]:
    """The paths that differ and take effect at the next start only."""
    return [path for path in AT_START if _at(before, path) != _at(after, path)]


def without_restart(before: Config, after: Config) -> Config:
    """What can be put in force now: the other configuration, but for what only a start can change."""
    sections: dict[str, Any] = {}
    for path in AT_START:
        name, _, key = path.partition(".")
        if not key:
            sections[name] = getattr(before, name)
            continue
        section = sections.get(name, getattr(after, name))
        sections[name] = section.model_copy(update={key: getattr(getattr(before, name), key)})
    return after.model_copy(update=sections)


def _at(config: Config, path: str) -> Any:
    found: Any = config
    for part in path.split("."):
        found = getattr(found, part)
    return found


def _changes(path: str, before: Any, after: Any) -> Iterator[str]:
    if before == after:
        return
    if isinstance(before, Section) and isinstance(after, Section):
        pairs = [(key, getattr(before, key), getattr(after, key)) for key in type(after).model_fields]
        if isinstance(before, Auth) and isinstance(after, Auth):
            pairs.append(("keys_file", before.filed, after.filed))
        extra = before.model_extra or {}, after.model_extra or {}
        pairs += [(key, extra[0].get(key), extra[1].get(key)) for key in {**extra[0], **extra[1]}]
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        pairs = [(key, before.get(key), after.get(key)) for key in {**before, **after}]
    elif _are_named(before) and _are_named(after):
        yield from _entries(path, {e.name: e for e in before}, {e.name: e for e in after})
        return
    else:
        yield f"{path}{_shown(path, before, after)}"
        return
    for key, was, now in pairs:
        yield from _changes(f"{path}.{key}" if path else str(key), was, now)


def _are_named(value: Any) -> bool:
    return isinstance(value, tuple) and all(hasattr(entry, "name") for entry in value)


def _entries(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in before.keys() - after.keys():
        yield f"{path}[{name}]: removed"
    for name, entry in after.items():
        if name not in before:
            yield f"{path}[{name}]: added"
        else:
            yield from _changes(f"{path}[{name}]", before[name], entry)
    if before.keys() == after.keys() and list(before) != list(after):
        yield f"{path}: another order"


def _shown(path: str, before: Any, after: Any) -> str:
    if before is None:
        return f": set{_value(path, after, ' to ')}"
    if after is None:
        return ": no longer set"
    was, now = _value(path, before), _value(path, after)
    return f": {was} -> {now}" if was and now else ": changed"


def _value(path: str, value: Any, before: str = "") -> str:
    """Empty: it is not shown."""
    if _SECRET.search(path) or isinstance(value, SecretStr | Section | Mapping):
        return ""
    if isinstance(value, tuple):
        text = f"[{', '.join(map(str, value))}]"
        plain = all(isinstance(item, str | int | float) for item in value)
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        plain = True
    return f"{before}{text}" if plain and 0 < len(text) <= _LONGEST and text.isprintable() else ""
