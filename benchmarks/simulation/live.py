"""The same comparison, small, on real servers: two llama-servers, a router and an Ollama that keep one model in memory.

The rule: each policy gets fresh servers, a fresh daemon that knows nothing yet, and the same requests at the same
times. The rivals are the daemon's own strategies of these names, with no regard to what is in memory.

python -m benchmarks.simulation --live    a few minutes
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.daemon import started
from benchmarks.processes import free_port, take_cores
from benchmarks.simulation.measures import quantile
from zoe_client import AsyncClient, ZoeError
from zoe_grpcd.localbackends.fetch import Tools, find_tools
from zoe_grpcd.localbackends.gguf import TinyModel, make_gguf
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.ollama import OllamaModel, OllamaOptions, create_model, start_ollama
from zoe_grpcd.localbackends.servers import Server

STRATEGIES = {
    "round robin": "round_robin",
    "random": "simple_shuffle",
    "least in flight": "least_loaded",
    "ours": "usage_based",
}
SMALL = TinyModel(name="small", layers=4, ffn=512)
LARGE = TinyModel(name="large", layers=8, ffn=1024)
LIMIT = 120.0  # seconds for one request


@dataclass(frozen=True, slots=True)
class Wish:
    """One request: seconds from the beginning, a model, words of prompt, tokens of answer."""

    at: float
    model: str
    words: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds that a request took, and that the daemon expected; None: it failed."""

    seconds: float
    expected: float | None


def wishes(seed: int, count: int = 60) -> list[Wish]:
    """People one by one, and now and then several at once."""
    draw = random.Random(seed)
    found: list[Wish] = []
    at = 0.0
    while len(found) < count:
        at += draw.expovariate(0.7)
        for _ in range(draw.choice((1, 1, 1, 3))):
            model = draw.choices((SMALL.name, LARGE.name), (3, 2))[0]
            tokens = min(200, max(5, round(draw.lognormvariate(3.7, 0.7))))
            found.append(Wish(at, model, draw.randint(10, 200), tokens))
    return found[:count]


def compared(seed: int) -> dict[str, list[Took]]:
    """Plays the trace with each policy, one after the other."""
    tools, core = find_tools(), take_cores().server
    results = {}
    for policy, strategy in STRATEGIES.items():
        with tempfile.TemporaryDirectory(prefix="zoe-live-") as name, house(tools, Path(name)) as servers:
            port = free_port()
            with started(Path(name), core, _configuration(port, servers, strategy)):
                results[policy] = asyncio.run(_played(f"127.0.0.1:{port}", wishes(seed)))
    return results


@contextmanager
def house(tools: Tools, folder: Path) -> Iterator[dict[str, Server]]:
    """The servers by name; each has both models, but for the two that have one each, always loaded."""
    models = folder / "gguf"
    models.mkdir()
    small, large = (make_gguf(models / f"{model.name}.gguf", model) for model in (SMALL, LARGE))
    with ExitStack() as running:
        servers = {
            f"single-{path.stem}": running.enter_context(
                start_llama_server(tools, folder, LlamaServerOptions(path, alias=path.stem, slots=2))
            )
            for path in (small, large)
        }
        one = LlamaServerOptions(models, slots=2, args=("--models-max", "1"))
        servers["router"] = running.enter_context(start_llama_server(tools, folder, one))
        ollama = running.enter_context(start_ollama(tools, folder / "ollama", OllamaOptions(max_loaded=1)))
        for path in (small, large):
            create_model(ollama, OllamaModel(path.stem, path))
        yield {**servers, "ollama": ollama}


def _configuration(port: int, servers: dict[str, Server], strategy: str) -> dict[str, object]:
    plain = strategy != STRATEGIES["ours"]
    return {
        "server": {"listen": [f"127.0.0.1:{port}"], "admin_listen": "off", "metrics_listen": "off"},
        "log": {"level": "warning"},
        "backends": [
            {"name": name, "kind": server.kind, "url": server.url, "probe_interval": "1s"}
            for name, server in servers.items()
        ],
        "models": [
            {"name": model.name, "deployments": [{"backend": "ollama", "model": f"{model.name}:latest"}]}
            for model in (SMALL, LARGE)
        ],
        "routing": {"strategy": strategy, "warm": {"prefer": not plain}},
    }


async def _played(target: str, trace: list[Wish]) -> list[Took]:
    began = time.perf_counter()
    async with AsyncClient(target) as client:
        return await asyncio.gather(*(_asked(client, wish, began) for wish in trace))


async def _asked(client: AsyncClient, wish: Wish, began: float) -> Took:
    await asyncio.sleep(began + wish.at - time.perf_counter())
    start = time.perf_counter()
    prompt = " ".join(["river"] * wish.words)
    try:
        answer = await client.complete(prompt, model=wish.model, max_output_tokens=wish.tokens, timeout=LIMIT)
    except ZoeError:
        return Took(time.perf_counter() - start, None)
    expected = answer.decision.estimate.total.ToTimedelta().total_seconds()
    return Took(time.perf_counter() - start, expected)


def as_text(results: dict[str, list[Took]]) -> str:
    """The table."""
    lines = [f"{'policy':18}{'mean':>8}{'p50':>8}{'p95':>8}{'p99':>8}{'failed':>8}{'error':>8}"]
    for policy, took in results.items():
        good = sorted(one.seconds for one in took if one.expected is not None)
        errors = sorted(abs(one.seconds - one.expected) / one.seconds for one in took if one.expected)
        values = (sum(good) / len(good), *(quantile(good, q) for q in (0.5, 0.95, 0.99)))
        figures = "".join(f"{value:8.2f}" for value in values)
        lines.append(f"{policy:18}{figures}{len(took) - len(good):8}{quantile(errors, 0.5):8.0%}")
    return "\n".join(lines)
