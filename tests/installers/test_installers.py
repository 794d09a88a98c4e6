"""pipx and uv install the wheels that the README's line builds from a folder of wheels, without a network.

The one rule: the folder holds the versions of requirements.lock. To fill it takes an index, hence a target of its own.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from zoe_grpcd import __version__

ROOT = Path(__file__).parents[2]
TOOLS = ("uv==0.13.8", "pipx==1.18.4")


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our two wheels, and all that they need."""
    folder = tmp_path_factory.mktemp("wheelhouse")
    module, *words = shlex.split(as_the_readme_builds())
    python(module, *(folder if word == "dist" else word for word in words), "--no-build-isolation")
    locked = re.findall(r"^[A-Za-z0-9._-]+==[^ ;]+", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    versions = folder / "versions.txt"
    versions.write_text("\n".join(locked))
    kinds = ("--only-binary", ":all:", "--constraint", versions)
    python("pip", "download", "--quiet", "--dest", folder, *kinds, "--find-links", folder, "zoe-grpcd")
    return folder


def as_the_readme_builds() -> str:
    """A module of Python with its arguments, to be run in the folder of the project."""
    (line,) = re.findall(
        r"^python3 -m (.* --wheel-dir dist .*)$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    return str(line)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installers, in a folder of their own."""
    folder = tmp_path_factory.mktemp("tools")
    python("venv", "--without-pip", folder)
    python("pip", "--python", folder / "bin" / "python", "install", "--quiet", *TOOLS)
    return folder / "bin"


def python(module: str, *arguments: object) -> None:
    run([sys.executable, "-m", module, *arguments])


def run(words: list[object], env: dict[str, str] | None = None) -> str:
    argv = [str(word) for word in words]
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def without_network(home: Path, **more: object) -> dict[str, str]:
    """The environment of a person whose every connection is refused."""
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        **nowhere,
        **{name: str(value) for name, value in more.items()},
    }


def works(command: Path, home: Path) -> None:
    env = without_network(home)
    assert run([command, "--version"], env) == f"zoe-grpcd {__version__}\n"
    assert "servers on this machine are looked for" in run([command, "check"], env)


def test_uv_installs_the_tool(wheelhouse: Path, tools: Path, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("UV_TOOL_DIR", "UV_TOOL_BIN_DIR", "UV_CACHE_DIR")}
    given = ("--offline", "--no-index", "--find-links", wheelhouse, "--python", sys.executable)
    run([tools / "uv", "tool", "install", *given, "zoe-grpcd"], without_network(tmp_path, **places))
    works(places["UV_TOOL_BIN_DIR"] / "zoe-grpcd", tmp_path)


def test_pipx_installs_the_tool_with_its_man_page(wheelhouse: Path, tools: Path, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("PIPX_HOME", "PIPX_BIN_DIR", "PIPX_MAN_DIR")}
    given = f"--no-index --find-links {wheelhouse}"
    env = without_network(tmp_path, **places)
    run([tools / "pipx", "install", "--python", sys.executable, f"--pip-args={given}", "zoe-grpcd"], env)
    works(places["PIPX_BIN_DIR"] / "zoe-grpcd", tmp_path)
    assert "undrain" in (places["PIPX_MAN_DIR"] / "man1" / "zoe-grpcd.1").read_text()
