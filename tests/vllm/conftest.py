"""Two real vLLMs with the same model, asked for by name (`make test-vllm`): each takes half a minute to start.

The one rule: what a test does to a server is undone when it ends, but for the last, which kills one.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from zoe_grpcd.localbackends.fetch import BackendUnavailable
from zoe_grpcd.localbackends.servers import Server
from zoe_grpcd.localbackends.tinyllama import TinyLlama, make_llama
from zoe_grpcd.localbackends.vllm import READY_WITHIN, VLLMOptions, find_vllm, start_vllm

SECOND = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--scheduling-policy", "priority")


@pytest.fixture(scope="session")
def vllm() -> Path:
    """The python that has vLLM."""
    try:
        return find_vllm()
    except BackendUnavailable as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def pair(vllm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Both ready; the first can be put to sleep, the second calls tools, and the more urgent comes first there."""
    folder = tmp_path_factory.mktemp("vllm")
    model = make_llama(folder / "model", TinyLlama(layers=12))  # slow enough for its front to keep up
    with ExitStack() as running:
        first, second = (
            running.enter_context(start_vllm(vllm, folder, options))
            for options in (VLLMOptions(model, developer=True), VLLMOptions(model, args=SECOND))
        )
        yield first.wait_ready(READY_WITHIN), second.wait_ready(READY_WITHIN)
