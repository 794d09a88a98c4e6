"""The Containerfile, as far as it can be tested where there is no engine: what it copies is there, and who runs it."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "Containerfile").read_text().replace("\\\n", " ").splitlines()


def said(word: str) -> list[str]:
    return [line.removeprefix(word).strip() for line in LINES if line.startswith(f"{word} ")]


def test_everything_that_it_copies_is_in_the_repository() -> None:
    copied = [name for line in said("COPY") if not line.startswith("--from") for name in line.split()[:-1]]
    assert {"pyproject.toml", "hatch_build.py", "requirements.lock", "zoe_grpcd"} <= set(copied)
    for name in copied:
        tracked = subprocess.run(["git", "ls-files", name], cwd=ROOT, capture_output=True, check=True)
        assert tracked.stdout, name


def test_a_build_has_every_file_that_the_wheels_are_made_of() -> None:
    copied = {name for line in said("COPY") if not line.startswith("--from") for name in line.split()[:-1]}
    project = (ROOT / "pyproject.toml").read_text()
    for place in re.findall(r'force-include = \{ "([\w/]+)"', project):
        assert place in copied
    assert (ROOT / "clients" / "python" / "protos").resolve().is_relative_to(ROOT / "protos")


def test_it_runs_as_a_user_without_rights_with_the_locked_versions() -> None:
    assert said("USER") == ["zoe"]
    (pattern,) = re.findall(r"grep -oE '([^']+)' requirements.lock", " ".join(said("RUN")))
    lock = (ROOT / "requirements.lock").read_text()
    locked = re.findall(pattern, lock, re.MULTILINE)
    assert {"grpcio", "litellm", "uvloop"} <= {line.partition("==")[0] for line in locked}
    assert len(locked) == len(re.findall(r"^[\w.-]+==", lock, re.MULTILINE))
