"""NVIDIA's Triton Inference Server on the CPU, from one package, with a small model in Python that makes text.

The one rule: what is taken out of the package is the server, its libraries and its Python backend, and nothing of the rest.
"""

import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from .fetch import BackendUnavailable, Package, cache_folder, download, only_one, require_platform
from .servers import Command, Server, free_port

TRITON = Package(  # tritonserver 2.51.0, 55 MB
    "nvidia-pytriton==0.7.0",
    "21f063ff93bb426d0c06b7a55e7eb9efcfe62c0dddd9a908e9877e18710128df",
    "pytriton/tritonserver/",
    "tritonserver",
)
LIBRARIES = "nvidia_pytriton.libs/"
NUMPY = "numpy==1.26.4"  # with numpy 2 its model process reads every text wrong and dies
CONFIG = """name: "%s"
backend: "python"
max_batch_size: 0
model_transaction_policy { decoupled: true }
input [ { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] },
        { name: "max_tokens" data_type: TYPE_INT32 dims: [ 1 ] optional: true },
        { name: "stream" data_type: TYPE_BOOL dims: [ 1 ] optional: true } ]
output [ { name: "text_output" data_type: TYPE_STRING dims: [ 1 ] },
         { name: "stop_reason" data_type: TYPE_STRING dims: [ 1 ] },
         { name: "is_finished" data_type: TYPE_BOOL dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU count: 1 } ]
"""


@dataclass(frozen=True, slots=True)
class TritonOptions:
    """Which models to serve, by name; all are the same small one. `args` are further arguments of tritonserver."""

    models: tuple[str, ...] = ("text",)
    port: int = 0
    args: tuple[str, ...] = ()


def find_triton(folder: Path | None = None) -> Path:
    """Returns the folder that has it, fetching it (55 MB and numpy; 214 MB, once) into `folder`.

    Raises:
        BackendUnavailable: it doesn't run here or can't be fetched; the text says why.
    """
    folder = folder or cache_folder()
    target = folder / f"{TRITON.folder}-{'.'.join(map(str, sys.version_info[:2]))}"
    if not (target / "whole").exists():
        require_platform(TRITON)
        folder.mkdir(parents=True, exist_ok=True)
        with only_one(folder / f"{target.name}.lock"):
            if not (target / "whole").exists():
                _install(target)
    return target


def _install(target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(download(TRITON, Path(scratch))) as wheel:
        wanted = [name for name in wheel.namelist() if name.startswith((TRITON.inside, LIBRARIES))]
        wheel.extractall(target, wanted)
    server = target / TRITON.inside
    (server / "bin" / TRITON.program).chmod(0o755)
    stub = server / "backends" / "python" / "triton_python_backend_stub"
    shutil.copy(server / "python_backend_stubs" / "{}.{}".format(*sys.version_info) / stub.name, stub)
    stub.chmod(0o755)
    venv.create(
        target / "venv", clear=True
    )  # whose packages the model's process sees, by the first python on PATH
    (site,) = (target / "venv").glob("lib/python*/site-packages")
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*argv, "--only-binary", ":all:", "--target", str(site), NUMPY],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise BackendUnavailable(f"pip could not install {NUMPY}: {done.stderr.strip()[-800:]}")
    (target / "whole").touch()


def start_triton(tools: Path, folder: Path, options: TritonOptions) -> Server:
    """Returns a server that has its models loaded; models and log are written into `folder`."""
    port = options.port or free_port()
    repository = folder / f"triton-{port}"
    code = (resources.files(__package__) / "triton-model.py.txt").read_text()
    for name in options.models:
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "1" / "model.py").write_text(code)
        (repository / name / "config.pbtxt").write_text(CONFIG % name)
    server = tools / TRITON.inside
    python = "--backend-config=python,"
    argv = [
        str(server / "bin" / TRITON.program),
        f"--model-repository={repository}",
        f"--backend-directory={server / 'backends'}",
        f"{python}shm-region-prefix-name=zoe{port}_",
        f"{python}shm-default-byte-size=1048576",
        f"{python}shm-growth-byte-size=1048576",
        "--http-address=127.0.0.1",
        f"--http-port={port}",
        "--allow-grpc=false",
        "--allow-metrics=false",
        "--exit-timeout-secs=2",
        *options.args,
    ]
    libraries = [str(tools / LIBRARIES), str(sysconfig.get_config_var("LIBDIR") or "")]
    env = {"LD_LIBRARY_PATH": ":".join(libraries), "PATH": f"{tools / 'venv' / 'bin'}:/usr/bin:/bin"}
    command = Command("triton", tuple(argv), port, folder / f"triton-{port}.log", env)
    return Server(command).start().wait_ready()


def sweep(server: Server) -> None:
    """Removes the shared memory that a killed one has left behind."""
    for file in Path("/dev/shm").glob(f"zoe{server.port}_*"):  # noqa: S108
        file.unlink(missing_ok=True)
