"""`make fuzz`: a real daemon under 100,000 hostile requests and a thousand hostile conversations."""

import argparse
import asyncio
import os
import sys
import time

from fuzzing.attack import besieged, say_nothing, send_bytes, send_messages
from serving import Daemon


async def attacked(options: argparse.Namespace) -> bool:
    """Whether all went well; prints what was seen."""
    async with besieged() as daemon:
        before, began = _memory(daemon), time.monotonic()
        found = await send_messages(daemon, options.seed, options.messages)
        took = time.monotonic() - began
        print(
            f"seed {options.seed}: {options.messages} requests in {took:.0f} s, the slowest answer {found.slowest:.1f} s"
        )
        print(", ".join(f"{name} {count}" for name, count in found.statuses.most_common()))
        print("OK:", ", ".join(f"{name} {count}" for name, count in found.answered.most_common() if count))
        raw = await send_bytes(daemon, options.seed, options.conversations)
        print(f"{options.conversations} conversations; good calls between them: {sum(raw.statuses.values())}")
        print(f"200 callers who say nothing were let go within {await say_nothing(daemon, 200):.0f} s")
        print(f"memory: {before} MB before, {_memory(daemon)} MB after")
        for wrong in found.wrong[:20]:
            print("WRONG", wrong)
        print(f"{len(found.wrong)} wrong answers, {len(daemon.complaints())} complaints in the log")
        for line in daemon.complaints()[:20]:
            print("LOG", line[:2000])
        return not found.wrong and not daemon.complaints()


def _memory(daemon: Daemon) -> int:
    with open(f"/proc/{daemon.process.pid}/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def main() -> int:
    """Exit status 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--conversations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    return 0 if asyncio.run(attacked(parser.parse_args())) else 1


if __name__ == "__main__":
    sys.exit(main())
