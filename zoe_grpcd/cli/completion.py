"""completion: a script that completes the command in a shell. It is made from the parser, so that it never lags behind,
and is static, so that a shell starts no Python at each key.
"""

import argparse
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from zoe_grpcd import __version__

# a zsh that nobody has set up has no compdef, which bashcompinit needs
_ZSH = """\
whence compdef >/dev/null || { autoload -U compinit && compinit; }
autoload -U +X bashcompinit && bashcompinit
"""

_BASH = """_zoe_grpcd() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" at="" words="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "${{at:+$at }}${{COMP_WORDS[i]}}" in
      {paths}) at="${{at:+$at }}${{COMP_WORDS[i]}}" ;;
    esac
  done
  case "$at:$previous" in
{values}  esac
  case "$at" in
{words}  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _zoe_grpcd zoe-grpcd
"""


@dataclass
class Place:
    """What may be typed behind some words of the command: its path, options, and what stands behind an option."""

    path: str
    words: list[str] = field(default_factory=list)
    values: dict[str, list[str]] = field(
        default_factory=dict
    )  # by option; an empty list is a file or free text


def run(options: argparse.Namespace) -> int:
    """Prints the script; returns the exit status."""
    from zoe_grpcd.cli import arguments

    print(script(options.shell, list(places(arguments.parser(__version__)))), end="")
    return 0


def places(parser: argparse.ArgumentParser, path: str = "") -> Iterator[Place]:
    """The parser's own place, and those below it."""
    here, below = Place(path), {}
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to look inside
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            below = dict(action.choices)
            here.words += below
        elif action.option_strings:
            here.words += action.option_strings
            if action.nargs != 0:
                here.values |= {name: [*map(str, action.choices or ())] for name in action.option_strings}
        else:
            here.words += [*map(str, action.choices or ())]
    yield here
    for name, inner in below.items():
        yield from places(inner, f"{path} {name}".strip())


def script(shell: str, found: list[Place]) -> str:
    """The script for bash or zsh, which reads bash's."""
    values = "".join(
        f'    "{place.path}:{option}") COMPREPLY=($(compgen {_kind(choices)} -- "$current")); return ;;\n'
        for place in found
        for option, choices in place.values.items()
    )
    words = "".join(f'    "{place.path}") words={shlex.quote(" ".join(place.words))} ;;\n' for place in found)
    paths = "|".join(f'"{place.path}"' for place in found if place.path)
    return (_ZSH if shell == "zsh" else "") + _BASH.format(paths=paths, values=values, words=words)


def _kind(choices: list[str]) -> str:
    return f"-W {shlex.quote(' '.join(choices))}" if choices else "-f"
