"""`zoe-grpcd demo`: real backends, a real daemon, one routed streamed answer. Leaves nothing behind."""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import aiohttp
import grpc

from zoe.admin.v1.admin_service_pb2 import ListBackendsRequest
from zoe_client import Client, Completed, Delta, RouteDecision, ZoeError, from_rpc_error
from zoe_grpcd.adapters.discovery import Found, discover
from zoe_grpcd.cli import tables
from zoe_grpcd.cli.explained import explained
from zoe_grpcd.kinds import KINDS
from zoe_grpcd.localbackends.fetch import BackendUnavailable
from zoe_grpcd.localbackends.trio import start_demo_backends

PROMPT = "Tell me a short story about a river and a clock."
START_LIMIT = 120.0  # seconds: with much other work on the machine the imports alone take half a minute


def run(options: argparse.Namespace) -> int:
    """Shows it; with `--keep` serves on until Ctrl-C. Returns the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends it so wants nothing left, either
    with ExitStack() as open_things, suppress(KeyboardInterrupt):
        folder = Path(open_things.enter_context(tempfile.TemporaryDirectory(prefix="zoe-grpcd-demo-")))
        try:
            backends = _backends(folder, open_things)
        except BackendUnavailable as error:
            print(f"zoe-grpcd: {error}", file=sys.stderr)
            return 1
        target = f"unix:{folder}/grpcd.sock"
        open_things.enter_context(_daemon(folder, backends))
        client = open_things.enter_context(Client(target, admin_target=f"unix:{folder}/admin.sock"))
        try:
            _show(client)
        except ZoeError as error:
            print(f"zoe-grpcd: {error}", file=sys.stderr)
            return 1
        if options.keep:
            print(f"\nserving on {target}; Ctrl-C ends it", flush=True)
            signal.pause()
    return 0


def _backends(folder: Path, open_things: ExitStack) -> str:
    """The section `backends`: empty if servers of the user's own were found, which the daemon then finds too."""
    found, models = asyncio.run(_found())
    for note in found.notes:
        print(f"found: {note}", flush=True)
    if models:
        return ""
    missing = "no model on it" if found.backends else "no model server found on this machine"
    print(f"{missing}: starting two llama-servers and an Ollama with tiny models,", flush=True)
    print("which know 400 words and mean nothing by them", flush=True)
    servers = start_demo_backends(folder)
    for server in servers:
        open_things.callback(server.stop)
    names = ("quick-box", "slow-box", "ollama-box")
    lines = [
        f"  - {{name: {name}, kind: {server.kind}, url: '{server.url}'}}"
        for name, server in zip(names, servers, strict=True)
    ]
    return "\n".join(["backends:", *lines])


async def _found() -> tuple[Found, int]:
    """The servers of this machine, and how many models they have."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        found = await discover(session)
        probes = [probe(session, b, "") for b in found.backends if (probe := KINDS[b.kind].probe)]
        looks = await asyncio.gather(*(probe() for probe in probes))
    return found, sum(len(look.models or ()) for look in looks)


@contextmanager
def _daemon(folder: Path, backends: str) -> Iterator[None]:
    """A daemon of its own on sockets in `folder`, ready."""
    config = folder / "config.yaml"
    listen = f"server: {{listen: ['unix:{folder}/grpcd.sock'], admin_listen: 'unix:{folder}/admin.sock'}}"
    config.write_text(f"{listen}\nstate: {{url: 'memory://'}}\nlog: {{level: warning}}\n{backends}\n")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen([sys.executable, "-m", "zoe_grpcd", "serve", "--config", str(config)], env=env)
    try:
        yield
    finally:
        process.terminate()
        process.wait(START_LIMIT)


def _show(client: Client) -> None:
    try:
        listing = client.admin.ListBackends(ListBackendsRequest(), timeout=START_LIMIT, wait_for_ready=True)
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error
    print(f"\n{tables.backends(listing.backends)}\n\n> {PROMPT}\n", flush=True)
    with client.stream(PROMPT, explain=True, timeout=START_LIMIT) as events:
        for event in events:
            if isinstance(event, RouteDecision):
                print(f"{explained(event)}\n", flush=True)
            elif isinstance(event, Delta):
                print(event.text, end="", flush=True)
            elif isinstance(event, Completed):
                first, total = (
                    tables.seconds(event.timings.time_to_first_token),
                    tables.seconds(event.timings.total),
                )
                tokens = event.usage.completion_tokens
                print(f"\n\n{tokens} tokens in {total:.2f} s, the first after {first:.2f} s", flush=True)
