"""The programs of the documentation do what they say."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from client.recording import (
    Daemon,
    answer,
    spoken,
)

EXAMPLES = Path(__file__).parents[2] / "clients" / "python" / "examples"
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("example", "typed", "printed"),
    [
        (["ask.py", "2+2?"], "", "four\n-- tiny on left, 2 tokens\n"),
        (["ask_many.py", "2+2?"], "", "2+2?\n  four\n"),
        (["chat.py", "tiny"], "2+2?\n", "> four\n> "),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
async def test_the_examples_run(daemon: Daemon, example: list[str], typed: str, printed: str) -> None:
    name, *arguments = example
    daemon.script.append(spoken(["fo", "ur"]) if name == "chat.py" else answer("four"))
    assert await run([EXAMPLES / name, *arguments], daemon.target, typed) == (printed, "", 0)


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        (0, "four\ntiny on left because \n"),
        (1, "four\n2 tokens\n"),
        (2, "four\n"),
    ],
)
async def test_the_code_of_the_readme_runs(daemon: Daemon, number: int, printed: str) -> None:
    code = re.findall(r"```python\n(.*?)```", (EXAMPLES.parent / "README.md").read_text(), re.DOTALL)[number]
    daemon.script.append(spoken(["fo", "ur"]) if "client.stream" in code else answer("four"))
    assert await run(["-c", code], daemon.target) == (printed, "", 0)


async def run(arguments: list[Any], target: str, typed: str = "") -> tuple[str, str, int | None]:
    pipe = asyncio.subprocess.PIPE
    environment = {**os.environ, "ZOE_GRPCD_TARGET": target}
    program = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=environment
    )
    output, complaints = await asyncio.wait_for(program.communicate(typed.encode()), 30)
    return output.decode(), complaints.decode(), program.returncode
