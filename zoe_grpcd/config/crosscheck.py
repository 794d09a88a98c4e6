"""What has to fit together across sections.

Rule: these look at the plain values before validation, so that one mistake hides no other; a value of a wrong type is
passed over here, since validation reports it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from zoe_grpcd.config.address import host_of, is_loopback
from zoe_grpcd.config.backends import CLOUD_URLS, Kind, Params
from zoe_grpcd.config.document import UNREADABLE
from zoe_grpcd.config.model import Config, Reliability
from zoe_grpcd.config.problem import Path, did_you_mean
from zoe_grpcd.config.units import seconds
from zoe_grpcd.core.intents import SHIPPED

_INTENTS = [intent.name for intent in SHIPPED]
_NEEDS_NO_URL = {*CLOUD_URLS, "litellm"}
_NAMES_OF_BACKENDS = (
    "models.[].deployments.[].backend",
    "routing.patterns.[].backends",
    "routing.rules.[].prefer.backends",
    "routing.rules.[].require.backends",
    "routing.fallback_chains.*.[].backends",
    "routing.fallback_chains.*.steps.[].backends",
)
_NOT_IN_A_BUNDLE = {
    "api_key": "api_key of the backend",
    "api_base": "url of the backend",
    "base_url": "url of the backend",
    "model": "model of the deployment",
    "messages": "request",
    "stream": "request",
    "format": "request",
    "response_format": "request",
    "tools": "request",
    "tool_choice": "request",
}
_ALTERNATIVES = (
    ("auth.keys.[]", ("key", "key_sha256")),
    ("routing.patterns.[]", ("backends", "kinds")),
    ("routing.fallback_chains.*.[]", ("kinds", "models", "backends")),
    ("routing.fallback_chains.*.steps.[]", ("kinds", "models", "backends")),
)

_FIRST_TOKEN = ("first_token_least", "first_token_most")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to say about the value at `path`. The value follows `message`, and `hint` the value."""

    path: Path
    message: str
    hint: str = ""
    detail: str = ""  # comes last, and may hold a piece of the value


def find(data: Any, pattern: str) -> Iterator[tuple[Path, Any]]:
    """Every value at `pattern`, like `models.[].name`: `[]` is each entry of a list, `*` each value of a mapping."""
    found: list[tuple[Path, Any]] = [((), data)]
    for part in pattern.split("."):
        found = [((*path, key), value) for path, around in found for key, value in _inside(around, part)]
    yield from found


def _inside(value: Any, part: str) -> Iterator[tuple[str | int, Any]]:
    if part == "[]":
        yield from enumerate(value if isinstance(value, list) else ())
    elif isinstance(value, dict):
        yield from value.items() if part == "*" else [(part, value[part])] if part in value else []


def _texts(data: Any, pattern: str) -> Iterator[tuple[Path, str]]:
    """The texts at `pattern`, which may each be a list of texts."""
    for path, value in find(data, pattern):
        entries = (
            [((*path, index), entry) for index, entry in enumerate(value)] if isinstance(value, list) else []
        )
        yield from ((at, entry) for at, entry in entries or [(path, value)] if isinstance(entry, str))


def _sections(data: Any, pattern: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    return ((path, value) for path, value in find(data, pattern) if isinstance(value, dict))


def findings(data: Any) -> Iterator[Finding]:
    """Every mistake that spans more than one option."""
    for check in (
        _names,
        _urls,
        _litellm,
        _backends,
        _models,
        _circles,
        _alternatives,
        _doors,
        _bundles,
        _chat,
        _bounds,
    ):
        yield from check(data)


def _bounds(data: Any) -> Iterator[Finding]:
    for path, section in _sections(data, "reliability"):
        try:
            least, most = (
                seconds(section.get(name, Reliability.model_fields[name].default)) for name in _FIRST_TOKEN
            )
        except ValueError:  # told where the value is
            continue
        if least > most:
            named = next(name for name in _FIRST_TOKEN if name in section)
            yield Finding((*path, named), "first_token_least must be at most first_token_most")


def advice(data: Any) -> Iterator[Finding]:
    """What is allowed but looks like a mistake."""
    yield from _in_clear(data)
    for path, params in _sections(data, "models.[].deployments.[].params"):
        for key in params.keys() - Params.model_fields.keys() - _NOT_IN_A_BUNDLE.keys():
            if near := did_you_mean(key, list(Params.model_fields)):
                yield Finding((*path, key), f"is not known here and goes to the server as it is{near}")
    signs = ("keywords", "patterns", "examples")
    for path, intent in _sections(data, "routing.intents.*"):
        if path[-1] not in _INTENTS and not any(intent.get(key) for key in signs):
            hint = did_you_mean(str(path[-1]), _INTENTS)
            yield Finding(
                path, f"is a new intent without {', '.join(signs)}, so that only callers choose it{hint}"
            )


def _in_clear(data: Any) -> Iterator[Finding]:
    """Keys that everybody on the way can read."""
    if any(value for _, value in find(data, "server.tls")):
        return
    for pattern in ("server.listen", "server.admin_listen"):
        for path, value in _texts(data, pattern):
            host = None if value.startswith("unix:") else host_of(value)
            if host and not is_loopback(host):
                yield Finding(
                    path, "is reached by others without TLS, so that keys and prompts can be read on the way"
                )


def _names(data: Any) -> Iterator[Finding]:
    for section in ("backends", "models", "auth.keys"):
        seen: set[str] = set()
        for path, name in _texts(data, f"{section}.[].name"):
            if name in seen:
                yield Finding(path, "is the name of an earlier entry too; each needs its own")
            seen.add(name)


def _urls(data: Any) -> Iterator[Finding]:
    for path, backend in _sections(data, "backends.[]"):
        kind = backend.get("kind") or "auto"
        if backend.get("url") is None and kind in get_args(Kind) and kind not in _NEEDS_NO_URL:
            yield Finding((*path, "url"), f"is missing; kind {kind} needs one, like http://127.0.0.1:8080")


def _litellm(data: Any) -> Iterator[Finding]:
    for path, backend in _sections(data, "backends.[]"):
        here, params = (*path, "litellm_params"), backend.get("litellm_params")
        if backend.get("kind") != "litellm":
            if params is not None:
                yield Finding(here, "is for kind litellm only")
        elif params is None or (isinstance(params, dict) and not _is_text(params.get("model"))):
            yield Finding(here, "is missing; kind litellm needs at least {model: provider/name}")


def _is_text(value: object) -> bool:
    return value is UNREADABLE or isinstance(value, str)


def _backends(data: Any) -> Iterator[Finding]:
    if any(name is UNREADABLE for _, name in find(data, "backends.[].name")):
        return
    known = [name for _, name in _texts(data, "backends.[].name")]
    for pattern in _NAMES_OF_BACKENDS:
        for path, name in _texts(data, pattern):
            if name not in known:
                hint = did_you_mean(name, known) or ("" if known else "; `backends` has none")
                yield Finding(path, "must be the name of one of `backends`", hint)


def _models(data: Any) -> Iterator[Finding]:
    models = {name for _, name in _texts(data, "models.[].name")}
    for path, name in _texts(data, "models.[].name"):
        if name == "auto":
            yield Finding(path, "is taken: it asks the daemon to choose; use another name")
    for path, _ in find(data, "routing.aliases.*"):
        if path[-1] == "auto":
            yield Finding(path, "is taken: it asks the daemon to choose; use another name")
        if path[-1] in models:
            yield Finding(path, "is the name of one of `models` too, which comes first; use another name")


def _circles(data: Any) -> Iterator[Finding]:
    """An alias may stand for another alias, but not for itself."""
    aliases: dict[str, list[str]] = {}
    for path, name in _texts(data, "routing.aliases.*"):
        aliases.setdefault(str(path[2]), []).append(name)
    for alias, members in aliases.items():
        reached: set[str] = set()
        ahead = list(members)
        while ahead:
            name = ahead.pop()
            if name not in reached:
                reached.add(name)
                ahead += aliases.get(name, [])
        if alias in reached:
            yield Finding(
                ("routing", "aliases", alias), "stands for itself in the end; it has to lead to a model"
            )


def _alternatives(data: Any) -> Iterator[Finding]:
    for pattern, keys in _ALTERNATIVES:
        for path, section in _sections(data, pattern):
            given = [key for key in keys if section.get(key) is not None]
            if len(given) != 1:
                yield Finding(path, f"needs exactly one of {', '.join(keys)}, and has {len(given) or 'none'}")
    for path, rule in _sections(data, "routing.rules.[]"):
        given = [key for key in ("prefer", "require", "fallback") if rule.get(key) is not None]
        if not given or {"prefer", "require"} <= set(given):
            yield Finding(path, "needs prefer, require or fallback, and not both of prefer and require")


def _doors(data: Any) -> Iterator[Finding]:
    filed = next((value for _, value in find(data, "auth.keys_file")), None) is not None
    keys = filed or any(find(data, "auth.keys.[]"))
    for pattern in ("server.listen", "server.metrics_listen"):
        for path, value in _texts(data, pattern):
            host = None if value.startswith("unix:") else host_of(value)
            if host and not is_loopback(host) and not keys:
                yield Finding(
                    path,
                    "must be a loopback address like 127.0.0.1:50051, or a unix socket",
                    "; without auth.keys, anyone who reaches it could use your models and your cloud keys",
                )
    if not filed and not any(_is_on(value) for _, value in find(data, "auth.keys.[].admin")):
        yield from _open_admin_doors(data)


def _open_admin_doors(data: Any) -> Iterator[Finding]:
    for path, value in _texts(data, "server.admin_listen"):
        if not value.startswith("unix:") and host_of(value):
            yield Finding(
                path,
                "must be a unix socket, or there has to be a key with admin: true in auth.keys",
                "; anyone on this machine reaches a port",
            )


def _is_on(value: object) -> bool:
    return value is True or str(value).lower() in ("true", "yes", "on")


def filed(config: Config) -> Iterator[Finding]:
    """What is wrong with the keys of a file beside those of the configuration; paths are those of the file."""
    auth = config.auth
    keys, names = auth.filed, {key.name for key in auth.keys}
    digests = {key.digest for key in auth.keys}
    if not keys:
        yield Finding(("auth", "keys"), "is empty; zoe-grpcd keys new makes a key")
    for index, key in enumerate(keys):
        if key.name in names:
            text = "is the name of a key in the configuration too; each needs its own"
            yield Finding(("auth", "keys", index, "name"), text)
        if key.digest in digests:
            yield Finding(
                ("auth", "keys", index), "is a key that the configuration has too, under another name"
            )
    address = config.server.admin_listen
    if address and not address.startswith("unix:") and not any(key.admin for key in auth.everyone):
        yield Finding(
            ("auth", "keys"), "has no key with admin: true, which server.admin_listen needs; or use a socket"
        )


def _bundles(data: Any) -> Iterator[Finding]:
    for path, params in _sections(data, "models.[].deployments.[].params"):
        for key in params.keys() & _NOT_IN_A_BUNDLE.keys():
            yield Finding(
                (*path, key), f"has no place in a bundle: it belongs to the {_NOT_IN_A_BUNDLE[key]}"
            )


def _chat(data: Any) -> Iterator[Finding]:
    for path, value in find(data, "routing.intents.chat.enabled"):
        if value is False:
            yield Finding(path, "must be true; chat is what a request is when it is nothing else")
