"""The whole of a LiteLLM file -> the sections of ours.

Rule: a master key is never let go.
"""

from dataclasses import dataclass, field
from typing import Any

from zoe_grpcd.config.litellm.entries import Entry, Reader
from zoe_grpcd.config.litellm.models import catalogue
from zoe_grpcd.config.litellm.references import References, in_use, seconds
from zoe_grpcd.config.litellm.routes import Settings, reliability_of, routing_of, strategy_of
from zoe_grpcd.config.litellm.source import Findings, Note, Part
from zoe_grpcd.config.model import Reliability
from zoe_grpcd.config.problem import Path


@dataclass(slots=True)
class Translation:
    """Our sections, in our notation. `values`: what the environment has to hold besides, by name; secrets among it.

    `notes` and `mistakes` are about places of the LiteLLM file; `origins` leads from our paths to those. `written`:
    secrets in the file, which have to move for the text to do the same.
    """

    data: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    written: list[Note] = field(default_factory=list)
    mistakes: list[Note] = field(default_factory=list)
    origins: dict[Path, Path] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)


def translate(data: dict[str, Any]) -> Translation:
    """The configuration that does the same; `data` is the file's content, references and all."""
    findings = Findings()
    references = References(findings, frozenset(in_use(data)))
    whole = Part((), dict(data))
    made = Translation(
        notes=findings.notes, mistakes=findings.mistakes, values=references.values, written=references.written
    )
    router, module, general = (
        whole.part(name) for name in ("router_settings", "litellm_settings", "general_settings")
    )
    settings = Settings((router, module, general), findings, references)
    _environment(whole, made, findings)
    entries = _entries(whole, settings, references)
    strategy = strategy_of(settings)
    found = catalogue(entries, findings, strategy, seconds(settings.first("stream_timeout")[0]))
    made.origins |= found.origins
    _server(made, settings, general, references)
    sections: dict[str, Any] = {
        "backends": found.backends,
        "models": found.models,
        "routing": routing_of(settings, found, strategy),
        "reliability": reliability_of(settings),
        "cache": _cache(settings, references),
        "state": _state(settings, references),
        "log": _log(settings),
        "drop_params": settings.first("drop_params")[0],
    }
    _attempts(sections["routing"].get("fallback_chains", {}), sections["reliability"])
    made.data |= {name: section for name, section in sections.items() if section not in ({}, [], None)}
    _origins(made.origins)
    for part in (whole, router, module, general):
        findings.notes += part.left()
    return made


def _attempts(chains: dict[str, Any], reliability: dict[str, Any]) -> None:
    """LiteLLM's retries are those of one model: each of its fallbacks is tried besides."""
    retried = reliability.get("max_attempts", Reliability().max_attempts)
    for name, steps in chains.items():
        chains[name] = {"steps": steps, "max_attempts": retried + len(steps)}


def _entries(whole: Part, settings: Settings, references: References) -> list[Entry]:
    listed = whole.take("model_list", [])
    if not isinstance(listed, list):
        references.findings.mistake(("model_list",), "has to be a list")
        return []
    defaults, _ = settings.first("default_litellm_params")
    reader = Reader(references, _credentials(whole), defaults if isinstance(defaults, dict) else {})
    read = (reader.read(("model_list", index), given) for index, given in enumerate(listed))
    return [entry for entry in read if entry is not None]


def _credentials(whole: Part) -> dict[str, Any]:
    listed = whole.take("credential_list", [])
    named = (entry for entry in listed if isinstance(entry, dict)) if isinstance(listed, list) else ()
    return {
        str(entry.get("credential_name")): dict(entry.get("credential_values") or {})
        for entry in named
        if isinstance(entry.get("credential_values") or {}, dict)
    }


def _environment(whole: Part, made: Translation, findings: Findings) -> None:
    """What the file puts into the environment."""
    given = whole.take("environment_variables", {})
    for name, value in given.items() if isinstance(given, dict) else ():
        if isinstance(value, str) and value.startswith("os.environ/"):
            continue
        made.values[name] = str(value)
        findings.note(("environment_variables", name), "has to be set in the environment of the daemon")


def _server(made: Translation, settings: Settings, general: Part, references: References) -> None:
    """How long a request may take, and who may ask."""
    server: dict[str, Any] = {}
    limit, path = settings.first("timeout", "request_timeout")
    if limit is not None:
        server["max_request_time"] = seconds(limit)
        made.origins["server", "max_request_time"] = path
    key = general.take("master_key")
    if key is not None:
        where = ("general_settings", "master_key")
        secret = references.secret(key, where, "master_key")
        master = {"name": "master", "key": secret, "priority": "critical", "admin": True}
        made.data["auth"] = {"keys": [master]}
        made.origins["auth",] = where
    if server:
        made.data["server"] = server


def _cache(settings: Settings, references: References) -> dict[str, Any]:
    wanted, path = settings.first("cache")
    given, at = settings.first("cache_params")
    params = Part(at, dict(given) if isinstance(given, dict) else {})
    kind = params.take("type", "redis" if wanted is True else "")
    if wanted is False or not (wanted or given):
        return {}
    section: dict[str, Any] = {}
    if kind == "redis":
        section["url"] = _redis(params, "", references) or "${REDIS_URL:-redis://127.0.0.1:6379}"
    elif kind == "local":
        section["url"] = "memory://"
    else:
        references.findings.note(at or path, "is a cache of a kind that has no counterpart: nothing is kept")
    if (ttl := params.take("ttl")) is not None and section:
        section["ttl"] = seconds(ttl)
    references.findings.notes += params.left()
    return section


def _state(settings: Settings, references: References) -> dict[str, Any]:
    router = settings.parts[0]
    url = _redis(router, "redis_", references)
    return {"url": url} if url else {}


def _redis(part: Part, prefix: str, references: References) -> str:
    """The address of a Redis that is given in parts; empty: it is not given."""
    url, host = part.take(f"{prefix}url"), part.take(f"{prefix}host")
    port, password = part.take(f"{prefix}port", 6379), part.take(f"{prefix}password")
    if url is not None:
        return str(references.secret(url, (*part.path, f"{prefix}url"), "redis_url"))
    if host is None:
        return ""
    hidden = (
        references.secret(password, (*part.path, f"{prefix}password"), "redis_password") if password else ""
    )
    entry = f":{hidden}@" if hidden else ""
    return f"redis://{entry}{references.text(str(host))}:{references.text(str(port))}"


def _log(settings: Settings) -> dict[str, Any]:
    section: dict[str, Any] = {}
    if settings.first("set_verbose", "debug", "detailed_debug")[0] is True:
        section["level"] = "debug"
    if settings.first("json_logs")[0] is True:
        section["format"] = "json"
    return section


def _origins(origins: dict[Path, Path]) -> None:
    """Where the sections come from that are not made of entries."""
    for section in ("routing", "reliability", "state"):
        origins.setdefault((section,), ("router_settings",))
    for section in ("cache", "log", "drop_params"):
        origins.setdefault((section,), ("litellm_settings",))
    origins.setdefault(("server",), ("general_settings",))
