"""Load on an OpenAI-compatible server: aiohttp with connections that stay open."""

import asyncio
import time
from dataclasses import dataclass

import aiohttp

from .load import Answered, Bounds
from .processes import BenchmarkError

TOKEN = b'"content":" t'


@dataclass(frozen=True)
class ChatLoad:
    """Chat completions of one model; each answer must hold exactly `tokens` tokens."""

    url: str
    model: str
    tokens: int
    stream: bool
    prompt: str

    async def __call__(self, bounds: Bounds) -> Answered:
        """Keeps `bounds.concurrency` requests in flight until a bound is reached."""
        end = time.monotonic() + bounds.seconds
        left = iter(range(bounds.requests))
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def worker() -> int:
                done = 0
                while time.monotonic() < end and next(left, None) is not None:
                    await self.ask(session)
                    done += 1
                return done

            requests = sum(await asyncio.gather(*(worker() for _ in range(bounds.concurrency))))
        return Answered(requests, requests * self.tokens)

    async def ask(self, session: aiohttp.ClientSession) -> None:
        """Sends one request and reads its whole answer.

        Raises:
            BenchmarkError: it was refused, or tokens are missing.
        """
        body = {
            "model": self.model,
            "stream": self.stream,
            "messages": [{"role": "user", "content": self.prompt}],
        }
        async with session.post(f"{self.url}/v1/chat/completions", json=body) as response:
            answer = await response.read()
        tokens = answer.count(TOKEN)
        if response.status != 200 or tokens != self.tokens:
            raise BenchmarkError(f"HTTP {response.status} with {tokens} tokens: {answer[:500]!r}")
