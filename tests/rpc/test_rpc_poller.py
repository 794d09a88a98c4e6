"""gRPC's own threads beside the event loop."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import asyncio, os
from zoe_grpcd.rpc.server import make_server

async def main():
    server = make_server((), max_streams=10, max_receive_bytes=1000)
    policies = {int(thread): os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")}
    assert policies.pop(os.getpid()) == os.SCHED_OTHER
    assert set(policies.values()) == {os.SCHED_BATCH}, policies
    assert len(policies) > 1  # the poller and the event engine
    del server  # its end is that of the poller

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="only Linux has batch threads")
def test_its_threads_wait_for_the_loop_and_the_loop_for_nobody() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
