"""The daemon as a process of its own, in front of real servers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from serving import Daemon, serving

Serve = Callable[..., Daemon]


@pytest.fixture(name="serve")
def _serve(llama_server: Any, ollama_server: Any) -> Iterator[Serve]:
    """`serve(backends=[entry("a", server)], models=[...], server={...})`: ready. Ended before its backends are."""
    with ExitStack() as running:
        yield lambda **sections: running.enter_context(serving(**sections))
