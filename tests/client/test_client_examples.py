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
    Refusal,
    answer,
    retry_info,
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
        (["deadline.py", "20", "2+2?"], "", "four\n"),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
async def test_the_examples_run(daemon: Daemon, example: list[str], typed: str, printed: str) -> None:
    name, *arguments = example
    daemon.script.append(spoken(["fo", "ur"]) if name == "chat.py" else answer("four"))
    assert await run([EXAMPLES / name, *arguments], daemon.target, typed) == (printed, "", 0)
    assert daemon.requests[0].spec.max_output_tokens, "a model that never ends would never be done"


async def test_the_example_of_tools_gives_the_model_what_it_asked_for(daemon: Daemon) -> None:
    asked = answer("")
    asked.message.parts[0].tool_call.id = "c-1"
    asked.message.parts[0].tool_call.name = "time_in"
    asked.message.parts[0].tool_call.arguments_json = '{"zone": "Nowhere/None"}'
    daemon.script += [asked, answer("I do not know.")]
    printed, told, status = await run([EXAMPLES / "tools.py", "What time is it?"], daemon.target)
    assert (printed, status) == ("I do not know.\n", 0)
    assert "that did not work" in told
    assert all(request.spec.max_output_tokens for request in daemon.requests)
    result = daemon.requests[1].spec.messages[-1].parts[0].tool_result
    assert (result.tool_call_id, result.text[:18]) == ("c-1", "that did not work:")


async def test_the_example_of_a_deadline_says_when_to_come_back(daemon: Daemon) -> None:
    full = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", details=(retry_info(90.0),))
    daemon.script.append(full)
    printed, told, status = await run([EXAMPLES / "deadline.py", "20", "2+2?"], daemon.target)
    assert (printed, told, status) == ("", "too much to do; come back in 90.0 s\n", 1)


async def test_the_example_of_replicas_goes_round(daemon: Daemon) -> None:
    daemon.script += [answer("one")] * 6
    printed, _, status = await run([EXAMPLES / "replicas.py", daemon.target, "127.0.0.1:1"], "unix:/none")
    assert (printed.splitlines(), status) == ([f"{number}: tiny on left" for number in range(6)], 0)


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
