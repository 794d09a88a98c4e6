"""Real servers that take long to install: asked for by name (`make test-backends`), each started once for all its tests.

The one rule: what one test does to a shared server is over when it ends; who kills one starts its own.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from zoe_grpcd.localbackends.fetch import BackendUnavailable
from zoe_grpcd.localbackends.llamacpppython import (
    LlamaCppPythonOptions,
    find_llama_cpp_python,
    start_llama_cpp_python,
)
from zoe_grpcd.localbackends.servers import Server
from zoe_grpcd.localbackends.triton import TritonOptions, find_triton, start_triton, sweep

PythonServerFactory = Callable[..., Server]
TritonServerFactory = Callable[..., Server]


@pytest.fixture(scope="session")
def llama_cpp_python() -> Path:
    """The python that has llama-cpp-python."""
    try:
        return find_llama_cpp_python()
    except BackendUnavailable as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def python_server(
    llama_cpp_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PythonServerFactory]:
    """`python_server(quick_gguf, alias="tiny", ...)`: fields of `LlamaCppPythonOptions`, ready."""
    folder = tmp_path_factory.mktemp("llama-cpp-python")
    with ExitStack() as running:

        def start(model: Path, **options: Any) -> Server:
            return running.enter_context(
                start_llama_cpp_python(llama_cpp_python, folder, LlamaCppPythonOptions(model, **options))
            )

        yield start


@pytest.fixture(scope="session")
def triton() -> Path:
    """The folder that has Triton."""
    try:
        return find_triton()
    except BackendUnavailable as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def triton_server(triton: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServerFactory]:
    """`triton_server(models=("text",), ...)`: fields of `TritonOptions`, ready."""
    folder = tmp_path_factory.mktemp("triton")
    with ExitStack() as running:

        def start(**options: Any) -> Server:
            server = start_triton(triton, folder, TritonOptions(**options))
            running.callback(sweep, server)
            return running.enter_context(server)

        yield start
