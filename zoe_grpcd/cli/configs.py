"""config show, schema, import-litellm, example: the commands that print configurations."""

import argparse
import json
import sys
from pathlib import Path

from zoe_grpcd import config, examples
from zoe_grpcd.cli import BAD_CONFIG


def run(options: argparse.Namespace) -> int:
    """Runs one of them; returns the exit status."""
    match options.tool:
        case "schema":
            print(json.dumps(config.json_schema(), indent=2))
        case "example":
            print(examples.text(options.name), end="")
        case "show":
            from zoe_grpcd.cli import calls

            return calls.run(options)
        case _:
            return _import(Path(options.file))
    return 0


def _import(file: Path) -> int:
    try:
        text, notes = config.imported(file)
    except config.ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return BAD_CONFIG
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(text, end="")
    return 0
