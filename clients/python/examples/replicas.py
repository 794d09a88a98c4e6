"""Several daemons as one: python replicas.py 10.0.0.5:50051 10.0.0.6:50051.

The client's service config does the rest: calls go round, a replica that says it is not serving gets none, and a call
whose connection breaks before an answer has begun goes to another one. With a DNS name that has an address for each,
`dns:///routers.lan:50051` says the same.
"""

import asyncio
import sys

from zoe_client import AsyncClient, ZoeError


def target(addresses: list[str]) -> str:
    """A list of IPv4 addresses as gRPC writes it."""
    return f"ipv4:{','.join(addresses)}" if addresses else "dns:///localhost:50051"


async def main(addresses: list[str]) -> None:
    """Asks six times, and prints which daemon's backend answered."""
    async with AsyncClient(target(addresses)) as client:
        for number in range(6):
            try:
                answer = await client.complete(f"Count to {number + 1}.", max_output_tokens=20, timeout=30)
            except ZoeError as error:
                print(f"{number}: {error}")
            else:
                print(f"{number}: {answer.model} on {answer.decision.chosen.backend}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
