"""One daemon for all that looks at its screens."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from top.world import World, world


@pytest.fixture(scope="session", name="world")
def _world(tools: Any, quick_gguf: Path) -> Iterator[World]:
    with world(tools, quick_gguf) as it:
        yield it
