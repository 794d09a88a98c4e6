"""The README's pictures of `zoe-grpcd top` and of the status page: of a real daemon before three real servers, at work.

`make screenshots` makes them anew, in twenty minutes unless `--minutes` says otherwise: so much of the charts is filled.
"""

import argparse
import asyncio
import html
import math
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from browser import browsing
from serving import Daemon, config_of, entry, environment
from waiting import eventually

from zoe_client import AsyncClient, ZoeError
from zoe_grpcd.cli.top.cells import width
from zoe_grpcd.cli.top.columns import Line
from zoe_grpcd.cli.top.daemon import Feed
from zoe_grpcd.cli.top.drawing import Size, screen
from zoe_grpcd.cli.top.look import Look
from zoe_grpcd.cli.top.reading import picture
from zoe_grpcd.localbackends.trio import start_demo_backends

HERE = Path(__file__).parent
NAMES = ("quick-box", "slow-box", "ollama-box")
DOWN = {"name": "attic", "kind": "llamacpp", "url": "http://127.0.0.1:9"}
PROMPTS = (
    "Tell me a short story about a river and a clock.",
    "What is the capital of France?",
    "Write a Python function that reverses a list.",
    "Translate to French: good morning.",
    "Summarise in one line: the cat sat on the mat and looked at the clock.",
    "Is the kitchen light on, yes or no?",
)
CALLERS = 4
TERMINAL, WINDOW = Size(120, 28), (1180, 830)
LARGEST = 150_000  # bytes of a picture

# ------------------------------------------------------------------------------------------------------ people at work


async def work(client: AsyncClient, number: int, until: float) -> None:
    """One caller, who asks more at some times than at others, and sometimes for what nobody has."""
    chance = random.Random(number)
    while time.monotonic() < until:
        model = chance.choice(("quick:1b", "slow:1b")) if chance.random() < 0.2 else "auto"
        if chance.random() < 0.02:
            model = "llama4:behemoth"
        with suppress(ZoeError):
            await client.complete(
                chance.choice(PROMPTS), model=model, max_output_tokens=chance.randint(8, 60), explain=True
            )
        eager = 1.1 + math.sin(time.monotonic() / 150)
        await asyncio.sleep(chance.expovariate(eager / 2))


# ------------------------------------------------------------------------------------------------------------ pictures

CELL, LINE, MARGIN = 8.4, 19, 16
COLOURS = {
    "plain": "#d5dae1",
    "dim": "#838d99",
    "bold": "#ffffff",
    "head": "#838d99",
    "good": "#4cc38a",
    "warn": "#e0a63a",
    "bad": "#ff7b72",
    "active": "#4cc2d6",
    "idle": "#838d99",
}


def as_svg(lines: Sequence[Line]) -> str:
    """The lines of a terminal as a picture, each piece of text at the cell where it begins."""
    wide, high = TERMINAL.width * CELL + 2 * MARGIN, TERMINAL.height * LINE + 2 * MARGIN
    texts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {high:g}" width="{wide:g}" height="{high:g}">',
        f"<style>{''.join(f'.{style}{{fill:{colour}}}' for style, colour in COLOURS.items())}",
        ".bold{font-weight:600}</style>",
        '<rect width="100%" height="100%" rx="8" fill="#12161b"/>',
        '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="14">',
    ]
    for number, line in enumerate(lines):
        cell = 0
        for text, style in line:
            if text.strip():
                blank = len(text) - len(text.lstrip())
                at, said = MARGIN + (cell + blank) * CELL, text.strip()
                texts.append(
                    f'<text x="{at:g}" y="{MARGIN + number * LINE + 14}" class="{style}" xml:space="preserve"'
                    f' textLength="{width(said) * CELL:g}">{html.escape(said)}</text>'
                )
            cell += width(text)
    return "\n".join([*texts, "</g>", "</svg>", ""])


def keep(name: str, data: bytes) -> None:
    """Writes it, if it is no larger than a README should have."""
    assert len(data) <= LARGEST, f"{name}: {len(data)} bytes"
    (HERE / name).write_bytes(data)
    print(f"{name}: {len(data):,} bytes")


async def shoot(client: AsyncClient, url: str) -> None:
    """All pictures of this moment."""
    feed = Feed(client, 1.0, lambda: None)
    await feed.first()
    lines = screen(picture(feed.seen, time.time()), Look(backend="slow-box"), TERMINAL)
    keep("top.svg", as_svg(lines).encode())
    async with browsing() as browser:
        for scheme in ("light", "dark"):
            page = await browser.open(url, scheme=scheme, size=WINDOW)
            await page.until("document.querySelectorAll('#charts svg').length === 4")
            keep(f"status-{scheme}.png", await page.picture())


def busy(daemon: Daemon) -> bool:
    """Somebody waits, and the servers do not all have the same to do: a moment worth a picture."""
    loads = [backend.load for backend in daemon.backends().values()]
    return sum(load.in_flight for load in loads) >= 3 and any(load.queued for load in loads)


async def pictured(daemon: Daemon, seconds: float) -> None:
    """Lets people work for so long, and then takes the pictures."""
    url = daemon.log.partition("status page on ")[2].partition(",")[0]
    async with daemon.aclient() as client:
        until = time.monotonic() + seconds
        working = [asyncio.create_task(work(client, number, until + 120)) for number in range(CALLERS)]
        await asyncio.sleep(seconds)
        with suppress(AssertionError):  # a quiet minute is worth a picture, too
            await eventually(lambda: busy(daemon), 60.0)
        await shoot(client, url)
        for one in working:
            one.cancel()
        await asyncio.gather(*working, return_exceptions=True)


def main() -> None:
    """Makes all of them."""
    arguments = argparse.ArgumentParser(description="makes the README's pictures anew")
    arguments.add_argument("--minutes", type=float, default=20.0, help="of work before them; default: 20")
    minutes = arguments.parse_args().minutes
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="zoe-")))
        servers = start_demo_backends(folder / "backends")
        for server in servers:
            running.callback(server.stop)
        backends = [entry(name, server) for name, server in zip(NAMES, servers, strict=True)]
        port = {"metrics_listen": "127.0.0.1:0"}
        config = config_of(folder, server=port, backends=[*backends, DOWN])
        daemon = running.enter_context(Daemon(folder, config, environment()))
        asyncio.run(pictured(daemon, minutes * 60))


if __name__ == "__main__":
    main()
