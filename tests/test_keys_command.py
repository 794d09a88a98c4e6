"""`zoe-grpcd keys new`, as a user types it: what it prints opens the daemon that it is configured for."""

import json
import re
from pathlib import Path

import pytest
import yaml

from zoe_grpcd.access import digest_of
from zoe_grpcd.cli import main
from zoe_grpcd.config import load

Capture = pytest.CaptureFixture[str]


def printed(capsys: Capture, *options: str) -> str:
    assert main(["keys", "new", *options]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ["app", "true", "12", "a:b", "é#", '"quoted"', "{x}"])
def test_the_line_is_one_of_a_configuration_that_knows_the_key(
    capsys: Capture, tmp_path: Path, name: str
) -> None:
    key, line = printed(capsys, "--name", name).splitlines()
    file = tmp_path / "config.yaml"
    file.write_text(f"auth:\n  keys:\n    {line}\n", encoding="utf-8")
    (known,) = load(file, {}).config.auth.everyone
    assert (known.name, known.digest) == (name, digest_of(key))
    assert key not in file.read_text(encoding="utf-8")


def test_the_lines_make_a_file_of_keys(capsys: Capture) -> None:
    lines = [printed(capsys, "--name", name).splitlines()[1] for name in ("a", "b")]
    assert [entry["name"] for entry in yaml.safe_load("\n".join(lines))] == ["a", "b"]


def test_no_key_is_like_another_and_each_can_be_sent_as_metadata(capsys: Capture) -> None:
    keys = {json.loads(printed(capsys, "--json"))["key"] for _ in range(50)}
    assert len(keys) == 50
    assert all(re.fullmatch(r"zoe-[A-Za-z0-9_-]{43}", key) for key in keys)


def test_as_json_it_has_the_key_and_what_knows_it(capsys: Capture) -> None:
    made = json.loads(printed(capsys, "--json", "--name", "app"))
    assert made == {"name": "app", "key": made["key"], "key_sha256": digest_of(made["key"]).hex()}


@pytest.mark.parametrize("name", ["", "a b", "a\n", "x" * 201])
def test_a_name_that_no_configuration_may_have_is_refused(capsys: Capture, name: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["keys", "new", "--name", name])
    assert caught.value.code == 2
    assert "must be of 1 to 200 characters without blanks" in capsys.readouterr().err
