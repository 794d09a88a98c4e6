"""`zoe-grpcd systemd install` and `uninstall`: what they write, leave alone and take away."""

import shlex
from pathlib import Path

import pytest

from zoe_grpcd.cli import main
from zoe_grpcd.config import load
from zoe_grpcd.systemd import Places, install, quoted, uninstall


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and no service manager that could be told anything."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nothing"))
    for name in ("XDG_CONFIG_HOME", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    """Every file and folder below; a folder has no text."""
    paths = sorted(folder.rglob("*"))
    return {str(p.relative_to(folder)): p.read_text() if p.is_file() else "" for p in paths}


def places() -> Places:
    return Places.of({"HOME": str(Path.home())})


def words(steps: object) -> list[str]:
    return [step.word for step in steps]  # type: ignore[attr-defined]


def test_install_writes_units_a_configuration_and_a_folder_for_credentials(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["systemd", "install"]) == 0
    units = home / ".config/systemd/user"
    assert {p.name for p in units.iterdir()} >= {"zoe-grpcd.service", "zoe-grpcd.socket"}
    assert load(home / ".config/zoe-grpcd/config.yaml", {}).warnings == ()
    assert (home / ".config/zoe-grpcd/credentials").stat().st_mode & 0o777 == 0o700
    told = capsys.readouterr().out
    assert "systemctl --user enable --now zoe-grpcd.socket zoe-grpcd.service" in told
    assert "loginctl enable-linger" in told


def test_the_service_starts_this_installation(home: Path) -> None:
    assert main(["systemd", "install"]) == 0
    unit = (home / ".config/systemd/user/zoe-grpcd.service").read_text()
    (line,) = (line for line in unit.splitlines() if line.startswith("ExecStart="))
    program, command = shlex.split(line.removeprefix("ExecStart="))
    assert Path(program).is_file()
    assert (Path(program).name, command) == ("zoe-grpcd", "serve")
    assert f"ExecReload={program} reload" in unit.splitlines()


def test_a_dry_run_says_the_same_and_writes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["systemd", "install", "--dry-run"]) == 0
    planned = capsys.readouterr().out
    assert contents(home) == {}
    main(["systemd", "install"])
    done = capsys.readouterr().out
    assert planned.replace("would write", "wrote").replace("would make", "made") == done
    before = contents(home)
    assert main(["systemd", "uninstall", "--dry-run"]) == 0
    assert "would remove" in capsys.readouterr().out
    assert contents(home) == before


def test_a_second_install_changes_nothing(home: Path) -> None:
    list(install(places(), "zoe-grpcd serve"))
    before = contents(home)
    steps = list(install(places(), "elsewhere serve"))
    assert set(words(steps)) == {"kept"}
    assert [step.path.name for step in steps if "differs" in step.why] == ["zoe-grpcd.service"]
    assert contents(home) == before


def test_uninstall_removes_what_install_wrote(home: Path) -> None:
    (home / ".config/systemd/user").mkdir(parents=True)
    (home / ".local/state").mkdir(parents=True)
    before = contents(home)
    assert main(["systemd", "install"]) == 0
    assert main(["systemd", "uninstall"]) == 0
    assert contents(home) == before


def test_uninstall_leaves_what_somebody_changed_or_wrote(home: Path) -> None:
    list(install(places(), "zoe-grpcd serve"))
    config = home / ".config/zoe-grpcd"
    (config / "config.yaml").write_text("backends: [{name: a, url: 'http://127.0.0.1:1'}]\n")
    (config / "credentials/cloud").write_text("sesame")
    (home / ".local/state/zoe-grpcd/log").write_text("x")
    socket = home / ".config/systemd/user/zoe-grpcd.socket"
    socket.write_text(socket.read_text().replace("50051", "50052"))
    kept = {step.path.name for step in uninstall(places()) if step.word == "kept"}
    assert kept == {"config.yaml", "credentials", "zoe-grpcd.socket", "zoe-grpcd"}
    left = {name for name, text in contents(home).items() if text}
    assert left == {
        ".config/zoe-grpcd/config.yaml",
        ".config/zoe-grpcd/credentials/cloud",
        ".config/systemd/user/zoe-grpcd.socket",
        ".local/state/zoe-grpcd/log",
    }


def test_the_units_of_another_version_are_recognised_too(home: Path) -> None:
    list(install(places(), "/opt/old/bin/zoe-grpcd serve --some-old-option"))
    assert "kept" not in words(uninstall(places()))
    assert [name for name, text in contents(home).items() if text] == []


def test_without_namespaces_the_sandbox_is_left_out(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = home / "bin/unshare"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    assert main(["systemd", "install"]) == 0
    assert "cannot make namespaces" in capsys.readouterr().err
    assert not (home / ".config/systemd/user/zoe-grpcd.service.d").exists()


def test_a_folder_that_cannot_be_written_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / ".config").write_text("a file in the way")
    assert main(["systemd", "install"]) == 1
    assert str(home / ".config") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("/usr/bin/zoe-grpcd", "/usr/bin/zoe-grpcd"),
        ("/home/a b/zoe-grpcd", '"/home/a b/zoe-grpcd"'),
        ("/opt/100%/$x/z", "/opt/100%%/$$x/z"),
        ('/a"b\\c', '"/a\\"b\\\\c"'),
    ],
)
def test_a_path_is_written_as_systemd_reads_it(word: str, written: str) -> None:
    assert quoted(word) == written
