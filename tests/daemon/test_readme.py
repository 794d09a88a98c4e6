"""The README and the pages of docs/ are run: every command, every configuration and every program in them."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Daemon, environment, short_folder
from waiting import wait_until

from zoe_client import Client
from zoe_grpcd.config import load
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.servers import free_port

ROOT = Path(__file__).parents[2]
FOLLOWED = "adding-a-kind.md"
"""Steps rather than programs: test_adding_a_kind.py takes them."""
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name != FOLLOWED),
]
LIMIT = 60.0
RECORDING = "decisions.jsonl"
RUNTIME, CONFIG_HOME = "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"


def blocks(language: str) -> dict[str, str]:
    """The fenced blocks of one language: a page and a number -> what is in it."""
    fenced = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return {
        f"{page.stem} {number}": block
        for page in PAGES
        for number, block in enumerate(fenced.findall(page.read_text(encoding="utf-8")), 1)
    }


COMMANDS = list(dict.fromkeys(line for block in blocks("console").values() for line in block.splitlines()))
PROGRAMS, CONFIGURATIONS = blocks("python"), blocks("yaml")
MAKE = [line for line in COMMANDS if line.startswith("make ")]
CALLS = [line for line in COMMANDS if line not in (*MAKE, "zoe-grpcd serve")]


@pytest.fixture(scope="module", name="world")
def _world(tools: Any, quick_gguf: Path, slow_gguf: Path) -> Iterator[tuple[dict[str, str], int]]:
    """A user's session with the daemon running as the README starts it: its environment, and the port in use."""
    port = free_port()
    with (
        short_folder() as folder,
        start_llama_server(tools, folder, LlamaServerOptions(quick_gguf, alias="quick")) as quick,
        start_llama_server(tools, folder, LlamaServerOptions(slow_gguf, alias="slow")) as slow,
    ):
        settings = folder / "zoe-grpcd" / "config.yaml"
        settings.parent.mkdir()
        listen = f"server: {{listen: ['127.0.0.1:{port}', 'unix:{folder}/zoe-grpcd/grpcd.sock']}}"
        entries = [f"  - {{name: {n}, url: '{s.url}'}}" for n, s in (("one", quick), ("two", slow))]
        log = f"log: {{decisions: {folder}/{RECORDING}}}"
        settings.write_text("\n".join([listen, log, "backends:", *entries]))
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        env = environment(
            **{RUNTIME: str(folder), CONFIG_HOME: str(folder), "PATH": path, "HOME": str(folder)}
        )
        daemon = Daemon(folder, None, env)
        with daemon:
            with Client(f"127.0.0.1:{port}") as client:  # so that there is a decision to show, and to replay
                client.complete("Hello", max_output_tokens=1, timeout=LIMIT)
            wait_until((folder / RECORDING).exists, LIMIT)
            yield env, port


def test_what_make_is_asked_for_is_what_ci_runs() -> None:
    """`make test` runs this very test, so CI is where the two commands are run as they stand."""
    steps = (ROOT / ".ci" / "run").read_text().splitlines()
    assert MAKE == ["make demo", "make test"]
    assert set(MAKE) <= set(steps)


@pytest.mark.parametrize("command", CALLS)
def test_a_command_that_is_shown_works(command: str, world: tuple[dict[str, str], int]) -> None:
    env, port = world
    recording = f"{env[RUNTIME]}/{RECORDING}"
    argv = shlex.split(command.replace("50051", str(port)).replace(RECORDING, recording))
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_that_is_shown_works(program: str, world: tuple[dict[str, str], int]) -> None:
    env, _ = world
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAMS[program]],
        env=env,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_a_configuration_that_is_shown_loads(configuration: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIGURATIONS[configuration])
    assert load(file, {}).warnings == ()


def test_the_first_configuration_of_the_readme_has_five_lines() -> None:
    assert len(CONFIGURATIONS["README 1"].splitlines()) == 5
