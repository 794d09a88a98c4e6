"""The commands that ask for an answer, as a user types them, while the daemon says: later."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from client.recording import Daemon, Refusal, answer, retry_info
from waiting import LONG

LATER = "the key has used up its requests of this minute"
ADVICE = [
    (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"),
    (grpc.StatusCode.UNAVAILABLE, "NO_HEALTHY_BACKEND"),
]


def refusal(code: grpc.StatusCode, reason: str, seconds: float) -> Refusal:
    pushback = (("grpc-retry-pushback-ms", str(round(seconds * 1000))),)
    return Refusal(code, reason, LATER, details=(retry_info(seconds),), trailers=pushback)


@asynccontextmanager
async def typed(daemon: Daemon, *argv: str) -> AsyncIterator[Process]:
    """A command that goes on until the end of the block."""
    command = (sys.executable, "-m", "zoe_grpcd", *argv, "2+2?", "--target", daemon.target)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(process: Process) -> str:
    """The next that it tells beside its answer."""
    assert process.stderr is not None
    return (await asyncio.wait_for(process.stderr.readline(), LONG)).decode().rstrip()


@pytest.mark.parametrize("command", ["complete", "stream", "route"])
@pytest.mark.parametrize(("code", "reason"), ADVICE)
async def test_a_wait_is_told_and_ctrl_c_ends_it_at_once(
    daemon: Daemon, command: str, code: grpc.StatusCode, reason: str
) -> None:
    daemon.script += [refusal(code, reason, 300.0)] * 9
    async with typed(daemon, command) as process:
        told = await line(process)
        assert told == f"zoe-grpcd: {reason}: {LATER}; trying again in 300 s, unless you press Ctrl-C"
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), LONG) == 130
        assert await line(process) == ""
    assert len(daemon.requests) == 1


async def test_a_wait_is_an_object_of_its_own_where_json_is_wanted(daemon: Daemon) -> None:
    daemon.script += [refusal(*ADVICE[0], 300.0)]
    async with typed(daemon, "complete", "--json") as process:
        told = json.loads(await line(process))
    assert told == {"waiting": {"reason": "RATE_LIMITED", "message": LATER, "seconds": 300.0}}


async def test_a_wait_that_nobody_notices_is_not_told(daemon: Daemon) -> None:
    daemon.script += [refusal(*ADVICE[0], 0.01), answer("four")]
    async with typed(daemon, "complete") as process:
        said, told = await asyncio.wait_for(process.communicate(), LONG)
    assert said.decode() == "four\n"
    assert "trying again" not in told.decode()


async def test_where_no_daemon_answers_it_is_told_how_to_start_one(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "zoe_grpcd", "route", "2+2?", "--target", f"unix:{tmp_path}/none")
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    _, told = await asyncio.wait_for(process.communicate(), LONG)

    assert process.returncode == 1
    assert told.decode().startswith("zoe-grpcd: no daemon answers, zoe-grpcd serve starts one: ")
    assert f"{tmp_path}/none" in told.decode()
    assert "backends" not in told.decode()
