"""llama-cpp-python's server: the Python package, over the llama.cpp that llama-server comes with.

The one rule: nothing is compiled. 0.3.35 was made for the llama.cpp of build 10434, so that it takes the libraries of
that build as its own; and it is the pinned llama-server's, whatever llama-server is on PATH.
"""

import os
import subprocess
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

from .fetch import LLAMA_SERVER, BackendUnavailable, cache_folder, fetched, only_one
from .servers import Command, Server, free_port

VERSION = "0.3.35"
REQUIREMENT = f"llama-cpp-python[server]=={VERSION}"
WITHOUT_LLAMA_CPP = "-DLLAMA_BUILD=OFF -DLLAVA_BUILD=OFF"


@dataclass(frozen=True, slots=True)
class LlamaCppPythonOptions:
    """What to serve and how. `interrupts`: whether a newcomer cuts a running answer, as it does unless told otherwise."""

    model: Path
    alias: str = "tiny"
    port: int = 0
    context: int = 2048
    interrupts: bool = True
    api_key: str | None = None


def find_llama_cpp_python(folder: Path | None = None) -> Path:
    """Returns the python that has it, installing it (74 MB to fetch, 125 MB, 20 s, once) into `folder`.

    Raises:
        BackendUnavailable: it can't be installed here; the text says why.
    """
    folder = folder or cache_folder()
    libraries = fetched(LLAMA_SERVER, folder).parent
    target = folder / f"llama-cpp-python-{VERSION}"
    with only_one(folder / f"{target.name}.lock"):
        if not (target / "whole").exists():
            _install(target, libraries)
    return target / "bin" / "python"


def _install(target: Path, libraries: Path) -> None:
    venv.create(target, clear=True, with_pip=True)  # in its place: a venv can't be moved
    argv = [str(target / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as scratch:
        env = {**os.environ, "CMAKE_ARGS": WITHOUT_LLAMA_CPP, "TMPDIR": scratch}
        done = subprocess.run(
            [*argv, "--no-binary", "llama-cpp-python", REQUIREMENT],
            env=env,
            check=False,
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise BackendUnavailable(f"pip could not install {REQUIREMENT}: {done.stderr.strip()[-800:]}")
    (target / "libraries").mkdir()
    for library in libraries.glob("lib*.so*"):
        (target / "libraries" / library.name).symlink_to(library)
    (target / "libraries" / "libllama.so").symlink_to(libraries / "libllama.so.0")
    (target / "whole").touch()


def start_llama_cpp_python(python: Path, folder: Path, options: LlamaCppPythonOptions) -> Server:
    """Returns a server that has its model loaded; its log is written into `folder`."""
    port = options.port or free_port()
    settings: dict[str, str | int | None] = {
        "--model": str(options.model),
        "--model_alias": options.alias,
        "--host": "127.0.0.1",
        "--port": port,
        "--n_ctx": options.context,
        "--n_threads": 1,
        "--n_threads_batch": 1,
        "--interrupt_requests": str(options.interrupts).lower(),
        "--api_key": options.api_key,
    }
    argv = [str(python), "-m", "llama_cpp.server"]
    for name, value in settings.items():
        argv += [] if value is None else [name, str(value)]
    log = folder / f"llama-cpp-python-{port}.log"
    env = {"LLAMA_CPP_LIB_PATH": str(python.parents[1] / "libraries")}
    return Server(Command("llama-cpp-python", tuple(argv), port, log, env)).start().wait_ready()
