"""The stage that the page is played on: one server, one backend that can do everything."""

from collections.abc import AsyncIterator

import pytest
from rpc.stage import Stage, staged


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as stage:
        yield stage
