"""route, complete, stream, backends, models, stats, warm and others: the commands that talk to a daemon, through the client package."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict, MessageToJson
from google.protobuf.message import Message

from zoe.admin.v1 import admin_service_pb2
from zoe.inference.v1.decision_pb2 import Attempt
from zoe_client import Client, Completed, Delta, RouteDecision, ZoeError, from_rpc_error
from zoe_grpcd.cli import BAD_CONFIG, keys, tables
from zoe_grpcd.cli.draining import drain, undrain
from zoe_grpcd.cli.explained import decided, explained, tried
from zoe_grpcd.cli.failures import in_words
from zoe_grpcd.cli.figures import stats
from zoe_grpcd.cli.reloading import reload, show, told
from zoe_grpcd.cli.waiting import tell_as
from zoe_grpcd.cli.warming import warm

ADMIN_TIMEOUT = 10.0
RETRIES = 4  # as gRPC does where nobody wants to hear of it


def run(options: argparse.Namespace) -> int:
    """Runs one of them; returns the exit status."""
    commands: dict[str, Callable[[Client, argparse.Namespace], None]] = {
        "route": _route,
        "complete": _complete,
        "stream": _stream,
        "backends": _backends,
        "models": _models,
        "drain": drain,
        "undrain": undrain,
        "warm": warm,
        "stats": stats,
        "reload": reload,
        "config": show,
    }
    try:
        with _client(options) as client:
            commands[options.command](client, options)
    except ZoeError as error:
        return _failed(error, options)
    except grpc.RpcError as error:
        return _failed(from_rpc_error(error, ""), options)
    except BrokenPipeError:
        raise
    except (ValueError, TypeError, OSError) as error:
        print(f"zoe-grpcd: {in_words(error)}", file=sys.stderr)
        return 2
    return 0


def _client(options: argparse.Namespace) -> Client:
    given = {
        name: value
        for name in ("admin_target", "tls", "ca_file", "cert_file", "key_file")
        if (value := getattr(options, name, None))
    }
    return Client(
        getattr(options, "target", None),
        api_key=keys.given(options),
        max_retries=RETRIES,
        on_wait=tell_as(json_wanted=options.json),
        **given,
    )


def _failed(error: ZoeError, options: argparse.Namespace) -> int:
    is_bad_config = options.command == "reload" and error.code is grpc.StatusCode.INVALID_ARGUMENT
    if options.json:
        shown: dict[str, Any] = {
            "code": error.code.name,
            "reason": error.reason,
            "message": error.message,
            "retry_after": error.retry_after,
            "request_id": error.request_id,
            "violations": [{"field": v.field, "description": v.description} for v in error.violations],
            "attempts": [MessageToDict(attempt) for attempt in error.attempts],
        }
        print(json.dumps({"error": shown}), file=sys.stderr)
    elif is_bad_config:
        told(error)
    else:
        print(f"zoe-grpcd: {in_words(error)}", file=sys.stderr)
    return BAD_CONFIG if is_bad_config else 1


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    """The options of a call, as the client names them."""
    asked = {
        "model": options.model,
        "intent": options.intent,
        "capability": options.capability,
        "system": options.system,
        "context": Path(options.context).read_text(encoding="utf-8") if options.context else None,
        "images": [Path(image) for image in options.image] if options.image else None,
        "temperature": options.temperature,
        "max_output_tokens": options.max_tokens,
        "priority": options.priority,
        "locality": options.locality,
        "timeout": options.deadline,
        "explain": options.explain,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _text(options: argparse.Namespace) -> str:
    return sys.stdin.read() if options.text == "-" else str(options.text)


def _route(client: Client, options: argparse.Namespace) -> None:
    decision = client.route(_text(options), **_asked(options))
    if options.json:
        _print_json(decision)
        return
    if options.explain:
        print(explained(decision))
    else:
        print(f"{decided(decision)}\n{decision.explanation}")


def _complete(client: Client, options: argparse.Namespace) -> None:
    answer = client.complete(_text(options), **_asked(options))
    if options.json:
        _print_json(answer.response)
        return
    _tell(answer.decision, options)
    print(answer.text)
    for call in answer.tool_calls:
        print(f"{call.name}({call.arguments_json})")
    for line in _tries(answer.response.attempts):
        print(line, file=sys.stderr)


def _stream(client: Client, options: argparse.Namespace) -> None:
    """Tokens as they come; leaving the block, by Ctrl-C say, cancels the call."""
    with client.stream(_text(options), **_asked(options)) as events:
        for event in events:
            if options.json:
                print(json.dumps({type(event).__name__: MessageToDict(event)}), flush=True)
            elif isinstance(event, RouteDecision):
                _tell(event, options)
            elif isinstance(event, Delta):
                print(event.text, end="", flush=True)
            elif isinstance(event, Completed):
                print(flush=True)
                print(_summary(event), file=sys.stderr)


def _tell(decision: RouteDecision, options: argparse.Namespace) -> None:
    """What was decided goes to standard error: standard output is the answer alone."""
    told = explained(decision) if options.explain else decided(decision)
    print(told, file=sys.stderr, flush=True)


def _summary(end: Completed) -> str:
    first, total = tables.seconds(end.timings.time_to_first_token), tables.seconds(end.timings.total)
    line = (
        f"[{end.model}: {end.usage.completion_tokens} tokens in {total:.2f} s, first after {first:.2f} s,"
        f" {end.timings.tokens_per_second:.0f} tokens/s, attempts {len(end.attempts)}]"
    )
    return "\n".join((line, *_tries(end.attempts)))


def _tries(attempts: Sequence[Attempt]) -> list[str]:
    """Who was asked and failed, and who answered; nothing if one did so at once."""
    return [f"  {tried(attempt)}" for attempt in attempts] if len(attempts) > 1 else []


def _backends(client: Client, options: argparse.Namespace) -> None:
    def show() -> None:
        reply = client.admin.ListBackends(
            admin_service_pb2.ListBackendsRequest(), timeout=ADMIN_TIMEOUT, metadata=client.headers
        )
        _print_rows(reply, options, lambda: tables.backends(reply.backends))

    _show(client, options, show)


def _models(client: Client, options: argparse.Namespace) -> None:
    def show() -> None:
        reply = client.admin.ListModels(
            admin_service_pb2.ListModelsRequest(), timeout=ADMIN_TIMEOUT, metadata=client.headers
        )
        _print_rows(reply, options, lambda: tables.models(reply.models))

    _show(client, options, show)


def _show(client: Client, options: argparse.Namespace, show: Callable[[], None]) -> None:
    """Once, or with --watch at each change of a backend."""
    if not options.watch:
        show()
        return
    changes: Iterable[Message] = client.admin.WatchBackends(
        admin_service_pb2.WatchBackendsRequest(), metadata=client.headers
    )
    for _ in changes:
        show()


def _print_rows(reply: Message, options: argparse.Namespace, text: Callable[[], str]) -> None:
    if options.json:
        print(json.dumps(MessageToDict(reply)), flush=True)
    else:
        print(text(), end="\n\n" if options.watch else "\n", flush=True)


def _print_json(message: Message) -> None:
    print(MessageToJson(message))
