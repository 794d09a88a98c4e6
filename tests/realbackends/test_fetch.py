"""Where the programs come from, and what a person reads when they can't be had."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoe_grpcd.localbackends import fetch
from zoe_grpcd.localbackends.fetch import BackendUnavailable, find_tools


@pytest.fixture
def only_these_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put_program(folder: Path, name: str) -> Path:
    program = folder / name
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


def test_programs_on_path_are_used_and_nothing_is_fetched(only_these_programs: Path, tmp_path: Path) -> None:
    llama, ollama = (put_program(only_these_programs, name) for name in ("llama-server", "ollama"))
    found = find_tools(tmp_path / "cache")
    assert (found.llama_server, found.ollama, found.library_path) == (llama, ollama, None)
    assert not (tmp_path / "cache").exists()


def test_a_platform_without_packages_is_told_what_to_install(
    only_these_programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_program(only_these_programs, "llama-server")
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(BackendUnavailable, match=r"ollama is not on PATH.*riscv64.*ollama\.com/download"):
        find_tools(tmp_path / "cache")


def test_a_failed_download_leaves_nothing_that_looks_complete(
    only_these_programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_program(only_these_programs, "ollama")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    cache = tmp_path / "cache"
    with pytest.raises(BackendUnavailable, match="pip could not fetch"):
        find_tools(cache)
    assert [path.name for path in cache.iterdir() if path.is_dir()] == []


def test_processes_that_fetch_at_once_install_once(only_these_programs: Path, tmp_path: Path) -> None:
    put_program(only_these_programs, "ollama")
    script = (
        "import sys; from pathlib import Path; from zoe_grpcd.localbackends import fetch\n"
        "def install(package, target):\n"
        "    with open(sys.argv[1] + '/installs', 'a') as log: log.write('x')\n"
        "    target.mkdir()\n"
        "fetch._install = install\n"
        "print(fetch.find_tools(Path(sys.argv[1]) / 'cache').llama_server)\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path)]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    found = {process.communicate()[0].strip() for process in running}
    assert found == {str(tmp_path / "cache" / fetch.LLAMA_SERVER.folder / "llama-server")}
    assert (tmp_path / "installs").read_text() == "x"


def test_the_cache_is_where_xdg_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert fetch.cache_folder() == tmp_path / "zoe-grpcd" / "backends"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert fetch.cache_folder() == Path.home() / ".cache" / "zoe-grpcd" / "backends"


def test_the_command_exits_with_1_and_the_reason(only_these_programs: Path, tmp_path: Path) -> None:
    env = {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path),
    }
    argv = [sys.executable, "-m", "zoe_grpcd.localbackends"]
    done = subprocess.run(argv, env=env, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip could not fetch" in done.stderr
    assert "Traceback" not in done.stderr
