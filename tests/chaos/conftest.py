"""The stage of the faults: its servers are started once.

The one rule: after each test nothing is left: no request, no connection, no slot that is taken.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.stage import MODELS, Stage, troubled
from stuck import answering
from waiting import wait_until

from zoe_grpcd.localbackends.fetch import Tools


@pytest.fixture(scope="package")
def _stage(tools: Tools, tmp_path_factory: pytest.TempPathFactory, quick_gguf: Path) -> Iterator[Stage]:
    with troubled(tools, tmp_path_factory.mktemp("chaos"), quick_gguf) as stage:
        yield stage


@pytest.fixture
def stage(_stage: Stage) -> Iterator[Stage]:
    """All well before each test, and nothing left behind after it."""
    wait_until(lambda: not _stage.left_behind())
    answering(_stage.servers["ollama"], MODELS["ollama"])
    yield _stage
    try:
        wait_until(lambda: not _stage.left_behind())
    except AssertionError:
        pytest.fail(f"left behind: {_stage.left_behind()}")
    finally:
        for proxy in _stage.proxies.values():
            proxy.heal()
