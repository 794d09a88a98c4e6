"""serve, check, config schema: the commands that read the configuration."""

import argparse
import json
import os
import sys
from typing import Any

from zoe_grpcd import config

BAD_CONFIG = 78  # EX_CONFIG of sysexits(3)


def run(options: argparse.Namespace) -> int:
    """Runs one of them; returns the exit status."""
    if options.command == "config":
        print(json.dumps(config.json_schema(), indent=2))
        return 0
    try:
        loaded, warnings, source = _load(options.config)
    except config.ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return BAD_CONFIG
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if options.command == "check":
        print(
            json.dumps(_summary(loaded, source, warnings), indent=2)
            if options.json
            else _told(loaded, source)
        )
        return 0
    return _serve(loaded)


def _load(named: str | None) -> tuple[config.Config, tuple[config.Problem, ...], str]:
    path = config.find(os.environ, named)
    if path is None:
        return config.defaults(), (), ""
    loaded = config.load(path)
    return loaded.config, loaded.warnings, str(loaded.source)


def _serve(loaded: config.Config) -> int:
    from zoe_grpcd.app import serve
    from zoe_grpcd.logs import set_up
    from zoe_grpcd.rpc.server import CannotListen

    set_up(loaded.log.level, loaded.log.format)
    try:
        serve(loaded)
    except CannotListen as error:
        print(f"zoe-grpcd: {error}", file=sys.stderr)
        return 1
    return 0


def _summary(loaded: config.Config, source: str, warnings: tuple[config.Problem, ...]) -> dict[str, Any]:
    return {
        "source": source or None,
        "listen": list(loaded.server.listen),
        "admin_listen": loaded.server.admin_listen,
        "backends": [
            {"name": b.name, "kind": b.kind, "url": b.url, "local": b.local} for b in loaded.backends
        ],
        "models": [
            {"name": m.name, "deployments": [{"backend": d.backend, "model": d.model} for d in m.deployments]}
            for m in loaded.models
        ],
        "aliases": {name: list(members) for name, members in loaded.routing.aliases.items()},
        "warnings": [str(warning) for warning in warnings],
    }


def _told(loaded: config.Config, source: str) -> str:
    lines = [f"{source}: ok" if source else "no configuration file: the defaults hold"]
    lines.append(f"listens on   {', '.join(loaded.server.listen)}")
    lines.append(f"admin on     {loaded.server.admin_listen or 'nothing'}")
    if not loaded.backends:
        lines.append("backends     servers on this machine are looked for")
    lines += [
        f"backend      {b.name}: {b.kind} at {b.url}{'' if b.local else ', not local'}"
        for b in loaded.backends
    ]
    for model in loaded.models:
        places = ", ".join(f"{d.model} @ {d.backend}" for d in model.deployments) or "facts only"
        lines.append(f"model        {model.name}: {places}")
    lines += [
        f"alias        {name}: {', '.join(members)}" for name, members in loaded.routing.aliases.items()
    ]
    return "\n".join(lines)
