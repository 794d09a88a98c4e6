"""serve and check: the commands that read the configuration."""

import argparse
import json
import os
import sys

from zoe_grpcd import config
from zoe_grpcd.cli.configs import BAD_CONFIG


def run(options: argparse.Namespace) -> int:
    """Runs one of them; returns the exit status."""
    try:
        loaded, warnings, source = _load(options.config)
    except config.ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return BAD_CONFIG
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if options.command == "check":
        from zoe_grpcd.cli import checks

        print(
            json.dumps(checks.summary(loaded, source, warnings), indent=2)
            if options.json
            else checks.told(loaded, source)
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
    from zoe_grpcd.rpc.doors import CannotListen

    set_up(loaded.log.level, loaded.log.format)
    try:
        serve(loaded)
    except CannotListen as error:
        print(f"zoe-grpcd: {error}", file=sys.stderr)
        return 1
    return 0
