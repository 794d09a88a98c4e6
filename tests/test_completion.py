"""The script that completes the command, in a real bash."""

import argparse
import subprocess

import pytest

from zoe_grpcd.cli import arguments
from zoe_grpcd.cli.completion import places, script

FOUND = list(places(arguments.parser("0")))


def completed(*words: str) -> set[str]:
    """What bash offers for the last word."""
    typed = " ".join(f"'{word}'" for word in words)
    ask = (
        f"COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _zoe_grpcd; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(
        ["bash", "-c", script("bash", FOUND) + ask], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ser", {"serve"}),
        ("config s", {"schema", "show"}),
        ("config example ", {"--help", "-h", "four-models", "home-assistant"}),
        ("stream --pri", {"--priority"}),
        ("stream hello --priority c", {"critical"}),
        ("systemd uninstall --d", {"--dry-run"}),
        ("nonsense --", {"--help", "--version"}),
    ],
)
def test_what_may_come_next_is_offered(typed: str, offered: set[str]) -> None:
    assert completed("zoe-grpcd", *typed.split(" ")) == offered


def test_files_are_offered_where_one_is_wanted() -> None:
    assert completed("zoe-grpcd", "serve", "--config", "/etc/pass") >= {"/etc/passwd"}


def test_every_option_of_every_command_has_its_help() -> None:
    def bare(parser: argparse.ArgumentParser, path: str) -> list[str]:
        found = []
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                found += [
                    f"{path} {name}"
                    for name in action.choices
                    if name not in {a.dest for a in action._choices_actions}
                ]
                found += [
                    each for name, inner in action.choices.items() for each in bare(inner, f"{path} {name}")
                ]
            elif not action.help and not action.choices:
                found.append(f"{path} {'/'.join(action.option_strings) or action.dest}")
        return found

    assert bare(arguments.parser("0"), "zoe-grpcd") == []


def test_zsh_reads_it_through_its_bash_completion() -> None:
    first, second, third, *_ = script("zsh", FOUND).splitlines()
    assert first == "whence compdef >/dev/null || { autoload -U compinit && compinit; }"
    assert second == "autoload -U +X bashcompinit && bashcompinit"
    assert third == "_zoe_grpcd() {"
