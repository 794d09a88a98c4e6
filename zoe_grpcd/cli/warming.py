"""warm: a model is loaded before anybody asks for it."""

import argparse
import json
import sys

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict

from zoe.admin.v1 import admin_service_pb2 as pb
from zoe.admin.v1 import backend_pb2
from zoe_client import Client
from zoe_grpcd.cli import tables


def warm(client: Client, options: argparse.Namespace) -> None:
    """Tells where the model is in memory, or is loaded to, once that is so; the daemon bounds the wait."""
    request = pb.WarmModelRequest(
        model=options.model,
        backend=options.backend,
        keep_alive=stay(options.keep_alive),
        wait=not options.no_wait,
    )
    try:
        warmed = client.admin.WarmModel(request, metadata=client.headers)
    except KeyboardInterrupt:
        print("zoe-grpcd: not waited for; the daemon goes on loading it", file=sys.stderr)
        raise
    if options.json:
        print(json.dumps(MessageToDict(warmed)))
    else:
        print(told(options.model, warmed))


def stay(seconds: float | None) -> Duration | None:
    """As the request has it."""
    return None if seconds is None else Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))


def told(model: str, warmed: pb.WarmModelResponse) -> str:
    """What came of it, in a line."""
    place = f"{model} @ {warmed.backend}"
    if warmed.load_state == backend_pb2.LOAD_STATE_UNLOADED:
        return f"{place}: out of memory again: it is kept for too short a time, or others needed the room"
    if warmed.load_state != backend_pb2.LOAD_STATE_LOADED:
        return f"{place}: loading"
    if warmed.already_loaded:
        return f"{place}: in memory already"
    return f"{place}: loaded in {tables.seconds(warmed.load_duration):.2f} s"
