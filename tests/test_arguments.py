"""What the command line accepts, says of itself, and says when something is wrong."""

import argparse

import grpc
import pytest

from zoe_client import ZoeError
from zoe_client.errors import Failure
from zoe_grpcd.cli.arguments import parser, seconds
from zoe_grpcd.cli.failures import in_words


@pytest.mark.parametrize(
    ("text", "expected"), [("30s", 30.0), ("500ms", 0.5), ("1.5m", 90.0), ("2h", 7200.0), ("0.25", 0.25)]
)
def test_a_duration(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["0", "0s", "-1", "-5s", "nan", "inf", "infs", "abc", "", "s", "1d", "²s"])
def test_no_duration(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"no duration such as 30s|more than 0"):
        seconds(text)


def test_every_command_says_what_it_does_in_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command, told in (("drain", "Send a backend nothing new"), ("keys new", "Make a key")):
        with pytest.raises(SystemExit):
            parser("1").parse_args([*command.split(), "--help"])
        assert told in capsys.readouterr().out


NOBODY = "connections to all backends failing; last error: UNKNOWN: unix:/x: No such file or directory"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            ZoeError(Failure(grpc.StatusCode.UNAVAILABLE, NOBODY)),
            "no daemon answers, zoe-grpcd serve starts one: UNKNOWN: unix:/x: No such file or directory",
        ),
        (FileNotFoundError(2, "No such file or directory", "/p.png"), "/p.png: No such file or directory"),
        (ValueError("timeout: has to be more than 0 seconds"), "timeout: has to be more than 0 seconds"),
    ],
)
def test_what_went_wrong_is_said_in_one_line(error: Exception, expected: str) -> None:
    assert in_words(error) == expected
