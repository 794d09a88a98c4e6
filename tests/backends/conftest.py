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

PythonServerFactory = Callable[..., Server]


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
