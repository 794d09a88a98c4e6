"""The command `zoe-grpcd`. Commands import what they need when they run, so that `--help` is instant.

Exit status: 0 ok, 1 the call failed, 2 usage, 78 bad configuration, 130 interrupted.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from zoe_grpcd import __version__
from zoe_grpcd.cli import arguments

BAD_CONFIG = 78  # EX_CONFIG of sysexits(3)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    # else gRPC prints a line when a connection ends as it should
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    parser = arguments.parser(__version__)
    options = parser.parse_args(argv)
    try:
        return _run(options)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left: nothing to tell
        return 0


def _run(options: argparse.Namespace) -> int:
    module = importlib.import_module(f"{__name__}.{MODULES.get(options.command, 'calls')}")
    status: int = module.run(options)
    return status


MODULES = {
    "check": "daemon",
    "completion": "completion",
    "config": "configs",
    "demo": "demo",
    "keys": "keys",
    "replay": "replaying",
    "serve": "daemon",
    "systemd": "units",
    "top": "top",
}
"""Where a command is; `calls` has all others."""
