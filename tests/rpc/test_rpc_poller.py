"""gRPC's own thread beside the event loop."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import asyncio, os, threading
from zoe_grpcd.rpc.server import make_server

async def main():
    server = make_server((), max_streams=10, max_receive_bytes=1000)
    policies = {thread.name: os.sched_getscheduler(thread.native_id) for thread in threading.enumerate()}
    assert policies.pop("MainThread") == os.SCHED_OTHER
    assert list(policies.values()) == [os.SCHED_BATCH], policies
    del server  # its end is that of the thread

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="only Linux has batch threads")
def test_the_poller_waits_for_the_loop_and_the_loop_for_nobody() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
