"""What the process itself uses, and how late its event loop is.

Rule: looked at by whoever asks; only the loop's lag is sampled, twice a second.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

# How often the event loop is looked at (seconds).
INTERVAL = 0.5


def rss_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell."""
    try:
        resident = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(resident) * os.sysconf("SC_PAGE_SIZE")


async def watch_loop(told: Callable[[float], None]) -> None:
    """Tells, for ever, by how many seconds a timer was late."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + INTERVAL
        await asyncio.sleep(INTERVAL)
        told(max(0.0, loop.time() - due))
