"""reload, config show: the configuration of a daemon that runs."""

import argparse
import json
import sys

from google.protobuf.json_format import MessageToDict

from zoe.admin.v1 import admin_service_pb2 as pb
from zoe_client import Client, ZoeError

# As long as servers that are new may take to be looked at, and the file to be read.
TIMEOUT = 60.0


def reload(client: Client, options: argparse.Namespace) -> None:
    """Tells what has changed, or would."""
    request = pb.ReloadConfigRequest(validate_only=options.validate_only)
    done = client.admin.ReloadConfig(request, timeout=TIMEOUT, metadata=client.headers)
    if options.json:
        print(json.dumps(MessageToDict(done, always_print_fields_with_no_presence=True)))
        return
    for warning in done.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for change in done.changes:
        print(change)
    if done.restart_required:
        print(f"at the next start only: {', '.join(done.restart_required)}")
    what = "is in force" if not options.validate_only else "stays in force: nothing was changed"
    print(f"configuration {done.generation} {what}")


def show(client: Client, options: argparse.Namespace) -> None:
    """The effective configuration, without secrets."""
    now = client.admin.GetConfig(pb.GetConfigRequest(), timeout=TIMEOUT, metadata=client.headers)
    if options.json:
        print(json.dumps(MessageToDict(now)))
        return
    since = now.load_time.ToJsonString()
    print(f"# configuration {now.generation}, in force since {since}: {now.source_path or 'the defaults'}")
    print(now.effective_yaml, end="")


def told(error: ZoeError) -> None:
    """Says what is wrong with a configuration, a line a mistake."""
    print(f"zoe-grpcd: {error.message}", file=sys.stderr)
    for mistake in error.violations:
        print(": ".join(filter(None, (mistake.field, mistake.description))), file=sys.stderr)
