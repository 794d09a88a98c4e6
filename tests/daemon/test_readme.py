"""The README is run: every command, every configuration and every program in it."""

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
README = (ROOT / "README.md").read_text(encoding="utf-8")
LIMIT = 60.0
RECORDING = "decisions.jsonl"
RUNTIME, CONFIG_HOME = "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("console") for line in block.splitlines()]
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
def test_a_command_of_the_readme_works(command: str, world: tuple[dict[str, str], int]) -> None:
    env, port = world
    recording = f"{env[RUNTIME]}/{RECORDING}"
    argv = shlex.split(command.replace("50051", str(port)).replace(RECORDING, recording))
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_a_program_of_the_readme_works(number: int, world: tuple[dict[str, str], int]) -> None:
    env, _ = world
    program = blocks("python")[number]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=env,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("number", range(len(blocks("yaml"))))
def test_a_configuration_of_the_readme_loads(number: int, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(blocks("yaml")[number])
    assert load(file, {}).warnings == ()


def test_the_first_configuration_has_five_lines() -> None:
    assert len(blocks("yaml")[0].splitlines()) == 5
