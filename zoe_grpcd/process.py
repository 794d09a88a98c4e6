"""The process around a daemon: what it may leave behind, which signals it hears before it is ready, and its event loop."""

import asyncio
import resource
import signal

from zoe_grpcd.app import Daemon
from zoe_grpcd.config import Loaded, Source


def serve(source: Source, loaded: Loaded) -> None:
    """Runs a daemon to its end, on uvloop if that is installed. Raises as `Daemon.run` does."""

    async def main() -> None:
        await Daemon(source, loaded).run()

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would have keys and prompts in it
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        uvloop.run(main())
