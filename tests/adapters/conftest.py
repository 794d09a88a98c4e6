"""A session that remembers what was asked, and servers that answer whatever a test wants."""

import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from puppet import Puppet, answer, listening

from zoe_grpcd.adapters import litellm_setup
from zoe_grpcd.adapters.dialects import DIALECTS

PuppetFactory = Callable[..., Awaitable[Puppet]]


@pytest.fixture(scope="session")
def loaded() -> dict[str, str]:
    """LiteLLM, loaded once for all tests that ask for it: it takes seconds. Its value is what `load` found wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of modules that it imports
        return litellm_setup.load(DIALECTS)


@pytest.fixture(name="puppet")
async def _puppet() -> AsyncIterator[PuppetFactory]:
    """`await puppet({"/health": answer({})}, otherwise=answer({}, 404))`."""
    async with AsyncExitStack() as running:

        async def start(
            answers: Mapping[str, bytes | None], otherwise: bytes | None = answer({}, 404)
        ) -> Puppet:
            return await running.enter_async_context(listening(Puppet(answers, otherwise)))

        yield start


@pytest.fixture
def asked() -> list[str]:
    """The paths that `session` asked for, without their queries."""
    return []


@pytest.fixture
async def session(asked: list[str]) -> AsyncIterator[aiohttp.ClientSession]:
    async def note(_: Any, __: Any, request: aiohttp.TraceRequestStartParams) -> None:
        asked.append(request.url.path)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(note)
    async with aiohttp.ClientSession(trace_configs=[trace]) as opened:
        yield opened
