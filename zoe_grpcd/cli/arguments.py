"""What the command line accepts."""

import argparse
import math
import re

from zoe_grpcd import examples

DURATIONS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """`30s`, `500ms`, `2m`, or plain seconds."""
    unit = next((unit for unit in DURATIONS if text.endswith(unit)), "")
    try:
        value = float(text.removesuffix(unit)) * DURATIONS.get(unit, 1.0)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 30s or 500ms")
    if value <= 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def stay(text: str) -> float:
    """A duration, or `forever`: less than 0."""
    return -1.0 if text == "forever" else seconds(text)


def key_name(text: str) -> str:
    """A name that a configuration may have for a key."""
    if not re.fullmatch(r"[^\s\x00-\x1f\x7f]{1,200}", text):
        raise argparse.ArgumentTypeError("must be of 1 to 200 characters without blanks")
    return text


def parser(version: str) -> argparse.ArgumentParser:
    """The whole parser."""
    root = argparse.ArgumentParser(
        prog="zoe-grpcd",
        description="Routes inference requests to the language models on your own machines.",
        epilog="Exit status: 0 ok, 1 the call failed, 2 usage, 78 bad configuration.",
    )
    root.add_argument("--version", action="version", version=f"%(prog)s {version}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _daemon(commands)
    _tools(commands)
    _calls(commands)
    _tables(commands)
    _top(commands)
    _warm(commands)
    _drains(commands)
    _describe(root)
    return root


def _describe(parser: argparse.ArgumentParser) -> None:
    """Has each command say in its own help what it does, as the list of them says it."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to look inside
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for choice in action._choices_actions:  # noqa: SLF001
                inner, told = action.choices[choice.dest], choice.help or ""
                inner.description = f"{told[:1].upper()}{told[1:]}."
                _describe(inner)


def _daemon(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument(
        "--config",
        metavar="FILE",
        help="default: $ZOE_GRPCD_CONFIG, else ~/.config/zoe-grpcd/config.yaml if it is there",
    )
    commands.add_parser("serve", parents=[config], help="run the daemon")
    check = commands.add_parser(
        "check",
        parents=[config],
        help="validate the configuration and print what would be served; no network",
    )
    check.add_argument("--json", action="store_true", help="print JSON")
    again = commands.add_parser(
        "replay",
        parents=[config],
        help="decide recorded requests anew with a configuration, and show what would change; no network",
    )
    again.add_argument("file", metavar="FILE", help="a recording, as log.decisions writes it")
    again.add_argument("--json", action="store_true", help="print JSON")
    demo = commands.add_parser(
        "demo", help="start real local backends if none is found, serve, and show one routed streamed answer"
    )
    demo.add_argument("--keep", action="store_true", help="go on serving until Ctrl-C")


def _tools(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    tools = commands.add_parser("config", help="work with configurations").add_subparsers(
        dest="tool", required=True, metavar="TOOL"
    )
    tools.add_parser("schema", help="print the JSON Schema of the configuration, for editors")
    shown = tools.add_parser(
        "show", help="print the configuration that a daemon has in force, without secrets"
    )
    shown.add_argument("--json", action="store_true", help="print JSON")
    _administration(shown)
    imported = tools.add_parser(
        "import-litellm", help="print a LiteLLM proxy file as a configuration; notes go to standard error"
    )
    imported.add_argument("file", metavar="FILE", help="a config.yaml of LiteLLM Proxy")
    example = tools.add_parser("example", help="print a configuration to begin with")
    example.add_argument("name", choices=examples.NAMES, help="what it is for")
    keys = commands.add_parser("keys", help="work with the keys of callers").add_subparsers(
        dest="tool", required=True, metavar="TOOL"
    )
    new = keys.add_parser("new", help="make a key, and the line of the configuration that knows it")
    new.add_argument("--name", type=key_name, default="caller", help="whose it is; default: caller")
    new.add_argument("--json", action="store_true", help="print JSON")
    shells = commands.add_parser(
        "completion",
        help="print a script that completes commands and options; bash: source <(zoe-grpcd completion bash)",
    )
    shells.add_argument("shell", choices=("bash", "zsh"), help="which one reads it")
    units = commands.add_parser("systemd", help="work with the user units").add_subparsers(
        dest="tool", required=True, metavar="TOOL"
    )
    changes = argparse.ArgumentParser(add_help=False)
    changes.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    units.add_parser(
        "install",
        parents=[changes],
        help="write user units, a first configuration and a folder for credentials; nothing is overwritten",
    )
    units.add_parser(
        "uninstall",
        parents=[changes],
        help="stop the service and remove what install wrote and nobody changed",
    )


def _calls(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    call = argparse.ArgumentParser(add_help=False)
    call.add_argument("text", metavar="TEXT", help="the prompt; - reads it from standard input")
    call.add_argument("--model", help="model, alias or group; default: auto")
    call.add_argument("--intent", help="the intent, in place of reading it from the prompt")
    call.add_argument("--capability", action="append", help="what the model must be able to do; repeatable")
    call.add_argument("--system", help="the system prompt")
    call.add_argument("--context", metavar="FILE", help="a document that the answer shall rest on")
    call.add_argument("--image", action="append", metavar="FILE", help="a picture to go along; repeatable")
    call.add_argument("--temperature", type=float, metavar="T", help="0 to 2; default: the intent's")
    call.add_argument("--max-tokens", type=int, metavar="N", help="longest answer")
    call.add_argument(
        "--priority",
        choices=("batch", "low", "normal", "high", "critical"),
        help="who waits for whom; default: normal",
    )
    call.add_argument(
        "--locality",
        choices=("local_only", "prefer_local", "any"),
        help="whether it may leave the house; default: as the key says, else any",
    )
    call.add_argument("--deadline", type=seconds, metavar="DURATION", help="as 30s or 500ms; default: 600s")
    call.add_argument("--explain", action="store_true", help="show every deployment that was considered")
    call.add_argument("--json", action="store_true", help="print JSON")
    _connection(call)
    commands.add_parser("route", parents=[call], help="show where a request would go, and why")
    commands.add_parser("complete", parents=[call], help="print an answer")
    commands.add_parser(
        "stream", parents=[call], help="print an answer as it is generated; Ctrl-C cancels it"
    )


def _tables(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    table = argparse.ArgumentParser(add_help=False)
    table.add_argument("--json", action="store_true", help="print JSON")
    table.add_argument(
        "--watch", action="store_true", help="go on printing at each change, or every 2 s, until Ctrl-C"
    )
    _administration(table)
    commands.add_parser(
        "backends", parents=[table], help="the backends, their state and what they have loaded"
    )
    commands.add_parser("models", parents=[table], help="the models by the names that callers use")
    stats = commands.add_parser(
        "stats", parents=[table], help="requests, tokens, times and errors, and how they were routed"
    )
    stats.add_argument(
        "--window",
        type=seconds,
        metavar="DURATION",
        help="how far to look back, up to 1h; default: to the start",
    )


def _top(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    top = commands.add_parser(
        "top", help="watch backends and decisions live in the terminal; ? there has the keys"
    )
    top.add_argument(
        "--interval",
        type=seconds,
        default=2.0,
        metavar="DURATION",
        help="between two looks at decisions and totals; backends are told of as they change; default: 2s",
    )
    _administration(top)


def _warm(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    warm = commands.add_parser("warm", help="load a model, or wake it, before anybody asks for it")
    warm.add_argument("model", metavar="MODEL", help="a model, alias or group, as callers name it")
    warm.add_argument(
        "--backend", default="", metavar="BACKEND", help="where; default: where requests for it would go"
    )
    warm.add_argument(
        "--keep-alive",
        type=stay,
        metavar="DURATION",
        help="how long it stays in memory without requests, as 30m or forever; default: as its deployment says",
    )
    warm.add_argument("--no-wait", action="store_true", help="return when the load has begun")
    warm.add_argument("--json", action="store_true", help="print JSON")
    _administration(warm)


def _drains(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("name", metavar="BACKEND", help="its name, as backends shows it")
    named.add_argument("--reason", default="", metavar="TEXT", help="why, for whoever looks at it")
    named.add_argument("--json", action="store_true", help="print JSON")
    _administration(named)
    drain = commands.add_parser(
        "drain", parents=[named], help="send a backend nothing new; what runs there goes on"
    )
    drain.add_argument("--wait", action="store_true", help="return when nothing runs there any more")
    commands.add_parser("undrain", parents=[named], help="take a drained backend back")
    reloaded = commands.add_parser(
        "reload",
        help="have the daemon read its configuration again; a wrong one changes nothing, and is status 78",
    )
    reloaded.add_argument(
        "--validate-only", action="store_true", help="tell what would change, and change nothing"
    )
    reloaded.add_argument("--json", action="store_true", help="print JSON")
    _administration(reloaded)


def _administration(to: argparse.ArgumentParser) -> None:
    to.add_argument("--admin-target", metavar="TARGET", help="default: the admin socket in $XDG_RUNTIME_DIR")
    _key(to)


def _connection(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--target", help="default: $ZOE_GRPCD_TARGET, else the daemon's socket, else 127.0.0.1:50051"
    )
    _key(to)
    _encryption(to)


def _key(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--api-key-file", metavar="FILE", help="holds the key; default: $ZOE_GRPCD_API_KEY, else none"
    )


def _encryption(to: argparse.ArgumentParser) -> None:
    to.add_argument("--tls", action="store_true", help="speak TLS to a host; implied by these files")
    to.add_argument(
        "--ca-file",
        metavar="FILE",
        help="authorities that the daemon's certificate may be signed by; default: $ZOE_GRPCD_CA_FILE, else gRPC's",
    )
    to.add_argument(
        "--cert-file", metavar="FILE", help="certificate to show; default: $ZOE_GRPCD_CERT_FILE, else none"
    )
    to.add_argument("--key-file", metavar="FILE", help="its private key; default: $ZOE_GRPCD_KEY_FILE")
