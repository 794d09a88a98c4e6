"""Asks several questions at once over one connection: python ask_many.py "What is 2+2?" "Name a river."."""

import asyncio
import sys

from zoe_client import AsyncClient, ZoeError


async def main(questions: list[str]) -> None:
    """Prints each answer as soon as it is whole."""
    async with AsyncClient() as client:

        async def ask(question: str) -> str:
            try:
                answer = await client.complete(question, priority="batch", max_output_tokens=200, timeout=120)
            except ZoeError as error:
                return f"{question}\n  failed: {error}"
            return f"{question}\n  {answer.text}"

        for finished in asyncio.as_completed([ask(question) for question in questions]):
            print(await finished)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or ["What is 2+2?", "Name a river."]))
