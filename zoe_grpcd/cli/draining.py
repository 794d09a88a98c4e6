"""drain, undrain: a backend gets nothing new, or is taken back."""

import argparse
import json

from google.protobuf.json_format import MessageToDict

from zoe.admin.v1 import admin_service_pb2 as pb
from zoe.admin.v1 import backend_pb2
from zoe_client import Client

ADMIN_TIMEOUT = 10.0
_DRAINING = backend_pb2.Backend.STATE_DRAINING


def drain(client: Client, options: argparse.Namespace) -> None:
    """Tells how many requests still run there; with --wait, goes on until there are none."""
    request = pb.DrainBackendRequest(name=options.name, reason=options.reason)
    changes = (
        client.admin.WatchBackends(pb.WatchBackendsRequest(), metadata=client.headers)
        if options.wait
        else None
    )
    backend = client.admin.DrainBackend(request, timeout=ADMIN_TIMEOUT, metadata=client.headers).backend
    _print(backend, options)
    if changes is None or not backend.load.in_flight:
        return
    for change in changes:
        backend = change.updated
        if backend.name == options.name and not (backend.load.in_flight and backend.state == _DRAINING):
            _print(backend, options)
            break
    changes.cancel()


def undrain(client: Client, options: argparse.Namespace) -> None:
    """Tells in which state it is, before it is probed."""
    request = pb.UndrainBackendRequest(name=options.name, reason=options.reason)
    _print(
        client.admin.UndrainBackend(request, timeout=ADMIN_TIMEOUT, metadata=client.headers).backend, options
    )


def _print(backend: backend_pb2.Backend, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(MessageToDict(backend)), flush=True)
        return
    state = backend_pb2.Backend.State.Name(backend.state).removeprefix("STATE_").lower().replace("_", " ")
    print(
        f"{backend.name}: {state}" + (f", {backend.state_detail}" if backend.state_detail else ""), flush=True
    )
