"""Streams whose backend is killed (SIGKILL) when so many tokens have arrived, while another one is well.

The one rule: what is killed is started again at once, as a service manager would, and the next stream waits for both.
"""

import asyncio
import json
import random
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.daemon import started
from benchmarks.processes import BenchmarkError, free_port, take_cores
from zoe.inference.v1.decision_pb2 import REASON_CIRCUIT_OPEN
from zoe.inference.v1.routing_pb2 import SEAM_QUALITY_EXACT_TOKENS
from zoe_client import AsyncClient, BackendSwitched, Completed, Delta, RouteDecision, ZoeError
from zoe_grpcd.localbackends.fetch import find_tools
from zoe_grpcd.localbackends.gguf import TinyModel, make_gguf
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.servers import Server

MODEL = "tiny"
NAMES = ("left", "right")
SLOW_ENOUGH = TinyModel(name=MODEL, layers=8, ffn=1024)  # some 400 tokens a second, without an end of its own
TOKENS = 100  # of an answer
LATEST = 70  # of them before the kill, at most: the rest can't be through before it is done
WORDS = "boat clock dark river north half sugar green paper winter house train salt music stone bread".split()
READY_LIMIT = 60.0  # seconds for a killed server to be back in use


@dataclass(frozen=True, slots=True)
class Plan:
    """How many streams; the seed decides their prompts and where they are cut."""

    streams: int = 300
    seed: int = 4


@dataclass(frozen=True, slots=True)
class Fate:
    """What a caller saw of one stream. `silence`: seconds from the last token before the seam to the first after it."""

    killed_after: int
    completed: bool
    switched: bool
    exact_seam: bool
    equal: bool
    silence: float | None
    error: str = ""


async def play(folder: Path, plan: Plan) -> list[Fate]:
    """All streams, one after the other.

    Raises:
        BenchmarkError: a server did not start, or did not come back.
    """
    tools, core = find_tools(), take_cores().server
    options = LlamaServerOptions(make_gguf(folder / "tiny.gguf", SLOW_ENOUGH), alias=MODEL, slots=2)
    chance, port = random.Random(plan.seed), free_port()
    with ExitStack() as running:
        servers = {name: running.enter_context(start_llama_server(tools, folder, options)) for name in NAMES}
        running.enter_context(started(folder, core, _configuration(port, servers)))
        async with AsyncClient(f"127.0.0.1:{port}", timeout=60.0) as client:
            fates = []
            for _ in range(plan.streams):
                prompt = " ".join(chance.choices(WORDS, k=chance.randint(3, 12)))
                await _all_well(client)
                expected = await asyncio.to_thread(_undisturbed, servers["left"], prompt)
                fates.append(await _cut(client, servers, (prompt, expected), chance.randint(1, LATEST)))
            return fates


def _configuration(port: int, servers: Mapping[str, Server]) -> dict[str, object]:
    """Nothing but the defaults, apart from how soon a server that is back is looked at."""
    return {
        "server": {"listen": [f"127.0.0.1:{port}"], "admin_listen": "off", "metrics_listen": "off"},
        "log": {"level": "warning"},
        "backends": [
            {"name": name, "kind": "llamacpp", "url": server.url, "probe_interval": "250ms"}
            for name, server in servers.items()
        ],
    }


async def _all_well(client: AsyncClient) -> None:
    """Waits until the daemon has seen that what was killed is back, even if it does not trust it yet."""
    limit = time.monotonic() + READY_LIMIT
    while time.monotonic() < limit:
        decision = await client.route("anything", model=MODEL, explain=True)
        up = {
            c.backend.backend
            for c in decision.candidates
            if c.eligible or set(c.reasons) == {REASON_CIRCUIT_OPEN}
        }
        if up == set(NAMES):
            return
        await asyncio.sleep(0.02)
    raise BenchmarkError(f"a server was not seen {READY_LIMIT:g} s after it had been killed")


def _undisturbed(server: Server, prompt: str) -> str:
    """The text of a server that is left alone, asked without the daemon."""
    body = {"messages": [{"role": "user", "content": prompt}], "temperature": 0, "max_tokens": TOKENS}
    reply = json.loads(server.request("POST", "/v1/chat/completions", body)[1])
    return str(reply["choices"][0]["message"]["content"])


async def _cut(
    client: AsyncClient, servers: Mapping[str, Server], asked: tuple[str, str], killed_after: int
) -> Fate:
    """One stream; who answers is killed after so many tokens, and started again while the answer goes on."""
    prompt, expected = asked
    seen = Seen()
    restart: asyncio.Future[Server] | None = None
    try:
        async for event in client.stream(prompt, model=MODEL, temperature=0, max_output_tokens=TOKENS):
            seen.take(event, time.perf_counter())
            if restart is None and seen.tokens >= killed_after:
                servers[seen.answering].crash()
                restart = asyncio.ensure_future(asyncio.to_thread(servers[seen.answering].restart))
    except ZoeError as failure:
        seen.error = str(failure)
    if restart is not None:
        await restart
    exact = seen.switched is not None and seen.switched.seam == SEAM_QUALITY_EXACT_TOKENS
    equal = seen.text == expected
    return Fate(
        killed_after, seen.completed, seen.switched is not None, exact, equal, seen.silence, seen.error
    )


@dataclass(slots=True)
class Seen:
    """What has come of a stream so far."""

    text: str = ""
    tokens: int = 0
    answering: str = ""
    last: float = 0.0  # when a token came
    switched: BackendSwitched | None = None
    silence: float | None = None
    completed: bool = False
    error: str = ""

    def take(self, event: object, now: float) -> None:
        """The next event."""
        match event:
            case RouteDecision():
                self.answering = event.chosen.backend
            case BackendSwitched():
                self.switched = event
            case Delta():
                if self.switched is not None and self.silence is None:
                    self.silence = now - self.last
                self.text, self.tokens, self.last = (
                    self.text + event.text,
                    self.tokens + event.token_count,
                    now,
                )
            case Completed():
                self.completed = True
