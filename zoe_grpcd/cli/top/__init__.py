"""`zoe-grpcd top`: a live view of the daemon in the terminal.

What the daemon tells (`daemon`) becomes a picture (`picture`), the picture and where the person looks (`look`) become
lines (`drawing`, `columns`, `details`), and those go to the terminal (`terminal`). Only the first and the last of them do
anything but compute.
"""

import argparse
import asyncio
import sys

import grpc

from zoe_client import AsyncClient, from_rpc_error
from zoe_grpcd.cli import keys
from zoe_grpcd.cli.failures import in_words
from zoe_grpcd.cli.top.daemon import Feed
from zoe_grpcd.cli.top.session import Session
from zoe_grpcd.cli.top.terminal import NoTerminal, opened


def run(options: argparse.Namespace) -> int:
    """Runs it until the person leaves; returns the exit status."""
    try:
        asyncio.run(_top(options))
    except (NoTerminal, ValueError, OSError) as error:
        print(f"zoe-grpcd: {in_words(error)}", file=sys.stderr)
        return 2
    except grpc.RpcError as error:
        print(f"zoe-grpcd: {in_words(from_rpc_error(error, ''))}", file=sys.stderr)
        return 1
    return 0


async def _top(options: argparse.Namespace) -> None:
    wake = asyncio.Event()
    async with AsyncClient(admin_target=options.admin_target, api_key=keys.given(options)) as client:
        feed = Feed(client, options.interval, wake.set)
        await feed.first()
        with opened() as terminal:
            following = asyncio.create_task(feed.follow())
            session = asyncio.create_task(Session(terminal, feed, wake).run())
            try:
                await asyncio.wait((following, session), return_when=asyncio.FIRST_COMPLETED)
            finally:
                following.cancel()
                session.cancel()
                ended = await asyncio.gather(following, session, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, Exception):
            raise outcome
