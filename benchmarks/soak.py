"""Holds thousands of idle streams open beside hundreds of running ones, and prints what that takes and what is left of it.

python -m benchmarks.soak                                         2,000 idle, 500 running, for 60 s
python -m benchmarks.soak --seconds 3600 --pace 2 --idle-pace 20  an hour of 350 tokens a second, in place of 2,700
python -m benchmarks.soak --idle 200 --running 50 --seconds 10

A running stream that has ended is followed by another, and one in ten is cancelled in the middle.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from zoe.admin.v1 import admin_service_pb2
from zoe.admin.v1.admin_service_pb2_grpc import AdminServiceStub

if TYPE_CHECKING:
    from zoe.admin.v1.admin_service_pb2_grpc import AdminServiceAsyncStub
from zoe.inference.v1 import inference_service_pb2 as pb
from zoe.inference.v1 import message_pb2
from zoe.inference.v1.inference_service_pb2_grpc import InferenceServiceStub

from .daemon import configuration, started
from .processes import BenchmarkError, Server, free_port, running, take_cores, wait_for_port

IDLE, BUSY = "idle", "busy"
TOKENS = {IDLE: 999, BUSY: 50}
# Streams on one connection; the daemon allows 512.
ON_ONE = 250
SETTLED_S = 5.0
# Streams that are opened at the same time.
OPENING = 50
BACKEND = {
    "kind": "llamacpp",
    "max_in_flight": 4000,
    "connect_timeout": "10s",
    "probe_timeout": "10s",
    "idle_timeout": "10m",
}


@dataclass(frozen=True)
class Plan:
    """How many streams, for how long, and how many seconds each of their tokens takes. `every`: seconds between two looks."""

    idle: int = 2000
    running: int = 500
    seconds: float = 60.0
    pace: float = 0.2
    idle_pace: float = 10.0
    every: float = 60.0


@dataclass
class Tally:
    """What came of it for the callers."""

    completed: int = 0
    cancelled: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    open: int = 0

    def fail(self, error: grpc.aio.AioRpcError) -> None:
        """A call has failed."""
        what = f"{error.code().name}: {error.details()}"
        self.failed[what] = self.failed.get(what, 0) + 1


# ---------------------------------------------------------------------------------------------------------- the looks


class Watch:
    """Looks at the daemon from outside and prints a line each time."""

    def __init__(self, server: Server, admin: "AdminServiceAsyncStub", tally: Tally) -> None:
        self._server, self._admin, self._tally = server, admin, tally
        self._began, self._spent, self._looked = time.monotonic(), server.cpu_seconds(), time.monotonic()
        print(
            f"{'WHEN':>12} {'MEMORY MB':>10} {'FILES':>6} {'CALLS':>6} {'FLYING':>7} {'QUEUED':>7} "
            f"{'DONE':>7} {'LEFT':>6} {'FAILED':>7} {'CPU':>5} {'LAG P50':>8} {'LAG P99':>8}"
        )

    async def look(self, when: str = "") -> None:
        """Prints a line; `when`: in place of the seconds since it began."""
        process = (await self._admin.GetStats(admin_service_pb2.GetStatsRequest())).process
        p50, p99 = (getattr(process.loop_lag, name).ToMilliseconds() for name in ("p50", "p99"))
        flying, queued = await self.under_way()
        files, tally = self._server.open_files(), self._tally
        print(
            f"{when or f'{time.monotonic() - self._began:.0f} s':>12} {self._server.resident_mb():>10.1f} {files:>6} "
            f"{process.active_calls:>6} {flying:>7} {queued:>7} {tally.completed:>7} {tally.cancelled:>6} "
            f"{sum(tally.failed.values()):>7} {self._cpu():>5.0%} {p50:>5} ms {p99:>5} ms",
            flush=True,
        )

    async def under_way(self) -> tuple[int, int]:
        """Requests in flight and queued, as the daemon has it."""
        backends = (await self._admin.ListBackends(admin_service_pb2.ListBackendsRequest())).backends
        return sum(b.load.in_flight for b in backends), sum(b.load.queued for b in backends)

    async def until_over(self) -> None:
        """Returns when nothing is in flight or queued, or after 30 s."""
        limit = time.monotonic() + 30
        while True:
            if not any(await self.under_way()) or time.monotonic() > limit:
                return
            await asyncio.sleep(0.1)

    def _cpu(self) -> float:
        """Part of a core since the last look."""
        now, spent = time.monotonic(), self._server.cpu_seconds()
        part = (spent - self._spent) / max(now - self._looked, 0.001)
        self._looked, self._spent = now, spent
        return part


# --------------------------------------------------------------------------------------------------------- the load


def request_for(name: str) -> pb.StreamCompleteRequest:
    """A stream of one of the models."""
    request = pb.StreamCompleteRequest()
    request.spec.target.model = f"static-{name}"
    request.spec.max_output_tokens = TOKENS[name]
    message = request.spec.messages.add(role=message_pb2.ROLE_USER)
    message.parts.add(text="tell me")
    return request


class Load:
    """All callers."""

    def __init__(self, plan: Plan, channels: Sequence[grpc.aio.Channel], tally: Tally) -> None:
        self._plan = plan
        self._stubs = [InferenceServiceStub(channel) for channel in channels]
        self._tally = tally
        self._over = asyncio.Event()
        self._opened, self._tried, self._door = asyncio.Event(), 0, asyncio.Semaphore(OPENING)

    async def run(self, watch: Watch) -> None:
        """Opens everything, lets it run, and closes it."""
        idle = [asyncio.create_task(self._hold(n)) for n in range(self._plan.idle)]
        await self._opened.wait()
        busy = [asyncio.create_task(self._repeat(n)) for n in range(self._plan.running)]
        end = time.monotonic() + self._plan.seconds
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, self._plan.every))
            await watch.look()
        self._over.set()
        for task in idle:
            task.cancel()
        await asyncio.gather(*idle, *busy, return_exceptions=True)

    async def _hold(self, number: int) -> None:
        """One stream that hardly moves, until all is over."""
        await self._door.acquire()
        call = self._stubs[number // ON_ONE].StreamComplete(
            request_for(IDLE), timeout=self._plan.seconds + 3600
        )
        opened = False
        try:
            async for event_ in call:
                if event_.HasField("delta") and not opened:
                    opened = True
                    self._tally.open += 1
                    self._try()
        except grpc.aio.AioRpcError as error:
            self._tally.fail(error)
            if not opened:
                self._try()
        finally:
            call.cancel()

    def _try(self) -> None:
        self._tried += 1
        self._door.release()
        if self._tried >= self._plan.idle:
            self._opened.set()

    async def _repeat(self, number: int) -> None:
        """One stream after the other."""
        stub = self._stubs[(self._plan.idle + number) // ON_ONE]
        while not self._over.is_set():
            call = stub.StreamComplete(request_for(BUSY), timeout=600)
            leaves = random.random() < 0.1
            try:
                async for event_ in call:
                    if leaves and event_.sequence > 20:
                        call.cancel()
                        self._tally.cancelled += 1
                        break
                else:
                    self._tally.completed += 1
            except grpc.aio.AioRpcError as error:
                self._tally.fail(error)


# ------------------------------------------------------------------------------------------------------------ the run


async def soak(folder: Path, plan: Plan) -> Tally:
    """Runs it; raises BenchmarkError where something does not start."""
    cores, tally, port = take_cores(), Tally(), free_port()
    with contextlib.ExitStack() as stack:
        urls = {}
        for name, pace in ((IDLE, plan.idle_pace), (BUSY, plan.pace)):
            theirs, log = free_port(), folder / f"{name}.log"
            command = [
                sys.executable,
                "-m",
                "benchmarks.paced",
                name,
                str(pace),
                str(TOKENS[name]),
                str(theirs),
            ]
            wait_for_port(theirs, stack.enter_context(running(command, cores.load, log)), log)
            urls[name] = f"http://127.0.0.1:{theirs}"
        config = configuration(port, urls)
        config["server"] = {
            "listen": [f"127.0.0.1:{port}"],
            "admin_listen": f"unix:{folder}/a",
            "metrics_listen": "off",
        }
        config["backends"] = [{"name": name, "url": url, **BACKEND} for name, url in urls.items()]
        server, _ = stack.enter_context(started(folder, cores.server, config))
        async with grpc.aio.insecure_channel(f"unix:{folder}/a") as admin:
            watch = Watch(server, AdminServiceStub(admin), tally)
            await watch.look("at first")
            await under_load(plan, port, tally, watch)
            await watch.until_over()
            await asyncio.sleep(SETTLED_S)  # until connections that nobody needs are closed
            await watch.look("afterwards")
        print((folder / "zoe-grpcd.log").read_text(), end="")  # warnings and errors alone
    return tally


async def under_load(plan: Plan, port: int, tally: Tally, watch: Watch) -> None:
    """All streams, on as many connections as they need."""
    count = -(-(plan.idle + plan.running) // ON_ONE)
    apart = (("grpc.use_local_subchannel_pool", 1),)
    async with contextlib.AsyncExitStack() as connections:
        channels = [
            await connections.enter_async_context(
                grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=apart)
            )
            for _ in range(count)
        ]
        await Load(plan, channels, tally).run(watch)


def summary_of(tally: Tally, plan: Plan) -> str:
    """What came of it, for people."""
    lines = [
        f"{tally.open} idle streams of {plan.idle} open beside {plan.running} running ones for {plan.seconds:g} s:",
        f"{tally.completed} completed, {tally.cancelled} cancelled, {sum(tally.failed.values())} failed",
        *(f"  {count} x {what}" for what, count in sorted(tally.failed.items())),
    ]
    return "\n".join(lines)


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Many streams, for long.")
    parser.add_argument("--idle", type=int, default=Plan.idle, help="streams that hardly move")
    parser.add_argument("--running", type=int, default=Plan.running, help="streams that run")
    parser.add_argument("--seconds", type=float, default=Plan.seconds, help="for how long")
    parser.add_argument("--pace", type=float, default=Plan.pace, help="seconds a token of those that run")
    parser.add_argument("--idle-pace", type=float, default=Plan.idle_pace, help="and of the others")
    parser.add_argument("--every", type=float, default=Plan.every, help="seconds between two looks")
    plan = Plan(**vars(parser.parse_args()))
    try:
        with tempfile.TemporaryDirectory(prefix="zoe-soak-") as folder:
            print(summary_of(asyncio.run(soak(Path(folder), plan)), plan))
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
