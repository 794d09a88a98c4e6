"""The man page tells of every command and option."""

import argparse
import os
import re
import shutil
import subprocess

import pytest

from zoe_grpcd.cli import arguments, manual
from zoe_grpcd.cli.completion import Place, places

PARSER = arguments.parser("1.2.3")
PAGE = manual.page(PARSER, "1.2.3")


@pytest.mark.parametrize("place", [each for each in places(PARSER) if each.path], ids=lambda each: each.path)
def test_it_has_each_command_with_its_options(place: Place) -> None:
    sections = dict(
        re.findall(r"^\.SS zoe\\-grpcd ([^[{A-Z\n]+)(.*?)(?=^\.S|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    )
    told = {name.strip().replace("\\-", "-"): text.replace("\\-", "-") for name, text in sections.items()}
    words = {word for word in place.words if word.startswith("--")} - {"--help"}
    assert words <= set(re.findall(r"--[a-z-]+", told[place.path]))


def test_what_roff_would_take_for_a_command_is_shown() -> None:
    parser = argparse.ArgumentParser(prog="x", description="'quoted' and .dotted\\", add_help=False)
    parser.add_argument("--at", help=".hidden")
    page = manual.page(parser, "0")
    assert "\\&.hidden" in page
    assert "'quoted' and .dotted\\e" in page


@pytest.mark.skipif(
    os.environ.get("CI") != "true" and not shutil.which("groff"), reason="groff is not installed"
)
def test_groff_has_nothing_to_say_against_it() -> None:
    shown = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8"], input=PAGE, capture_output=True, text=True, timeout=60, check=True
    )
    assert shown.stderr == ""
    assert "ZOE-GRPCD(1)" in re.sub(r"\x1b\[[0-9;]*m", "", shown.stdout)
