"""The man page zoe-grpcd(1). It is made from the parser when a wheel is built, so that it never lags behind.

The rule: the standard library alone, since a build has nothing else.
"""

import argparse
from collections.abc import Iterator

_END = """.SH EXIT STATUS
0: ok. 1: the call failed. 2: usage. 78: bad configuration. 130: interrupted.
.SH ENVIRONMENT
.TP
.B ZOE_GRPCD_CONFIG
the configuration, unless \\fB\\-\\-config\\fR names one
.TP
.B ZOE_GRPCD_TARGET
where the daemon is, unless \\fB\\-\\-target\\fR says it
.TP
.B ZOE_GRPCD_API_KEY
the key that is shown to the daemon
.TP
.BR ZOE_GRPCD_CA_FILE ", " ZOE_GRPCD_CERT_FILE ", " ZOE_GRPCD_KEY_FILE
TLS: whom to trust, and what to show
.SH FILES
.TP
.I $XDG_CONFIG_HOME/zoe\\-grpcd/config.yaml
the configuration; without it backends on this machine are found
.TP
.I $XDG_RUNTIME_DIR/zoe\\-grpcd/grpcd.sock
the daemon's socket, and admin.sock beside it
.TP
.I $XDG_STATE_HOME/zoe\\-grpcd
what survives a restart
.SH SEE ALSO
.BR systemctl (1),
.BR journalctl (1)
"""


def page(parser: argparse.ArgumentParser, version: str) -> str:
    """The page in roff."""
    head = [
        f'.TH ZOE\\-GRPCD 1 "" "zoe\\-grpcd {_plain(version)}"',
        ".SH NAME",
        f"{_plain(parser.prog)} \\- {_plain((parser.description or '').rstrip('.'))}",
        ".SH SYNOPSIS",
        ".B zoe\\-grpcd",
        "[\\-h] [\\-\\-version] \\fICOMMAND\\fR ...",
        ".SH OPTIONS",
    ]
    return "\n".join([*head, *_arguments(parser), ".SH COMMANDS", *_commands(parser), _END])


def _commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Each command below the parser, with what it does, its usage and its arguments."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to look inside
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            told = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001
            for name, inner in action.choices.items():
                usage = " ".join(inner.format_usage().split()).removeprefix("usage: ")
                yield from (f".SS {_plain(usage)}", _plain(told.get(name, "")))
                yield from _arguments(inner)
                yield from _commands(inner)


def _arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Each argument that there is something to say about, except --help."""
    formatter = parser._get_formatter()  # noqa: SLF001 - it fills in defaults and choices
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction) or not action.help:  # noqa: SLF001
            continue
        called = formatter._format_action_invocation(action)  # noqa: SLF001
        yield from (".TP", f".B {_plain(called)}", _plain(formatter._expand_help(action)))  # noqa: SLF001


def _plain(text: str) -> str:
    """The text as roff shows it unchanged."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
