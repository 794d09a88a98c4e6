"""serve and check: the commands that read the configuration."""

import argparse
import json
import os
import sys
from dataclasses import asdict

from zoe_grpcd import config
from zoe_grpcd.cli import BAD_CONFIG


def run(options: argparse.Namespace) -> int:
    """Runs one of them; returns the exit status."""
    source = config.Source(os.environ, options.config)
    try:
        loaded = source.read()
    except config.ConfigError as error:
        if options.command == "check" and options.json:
            print(json.dumps({"mistakes": [asdict(problem) for problem in error.problems]}, indent=2))
        else:
            for problem in error.problems:
                print(problem, file=sys.stderr)
        return BAD_CONFIG
    for warning in loaded.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if options.command == "check":
        from zoe_grpcd.cli import checks

        file = "" if loaded.source is None else str(loaded.source)
        print(
            json.dumps(checks.summary(loaded.config, file, loaded.warnings), indent=2)
            if options.json
            else checks.told(loaded.config, file)
        )
        return 0
    return _serve(source, loaded)


def _serve(source: config.Source, loaded: config.Loaded) -> int:
    from zoe_grpcd.logs import set_up
    from zoe_grpcd.process import serve
    from zoe_grpcd.rpc.doors import CannotListen
    from zoe_grpcd.tls import Unusable

    set_up(loaded.config.log.level, loaded.config.log.format)
    try:
        serve(source, loaded)
    except CannotListen as error:
        print(f"zoe-grpcd: {error}", file=sys.stderr)
        return 1
    except Unusable as error:  # it has changed since the configuration was checked
        print(f"zoe-grpcd: server.tls.{error.option} {error}", file=sys.stderr)
        return BAD_CONFIG
    return 0
