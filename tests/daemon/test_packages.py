"""The two distributions as wheels, in environments of their own and away from this folder."""

import email
import os
import subprocess
import sys
import zipfile
from email.message import Message
from importlib import metadata
from pathlib import Path

import pytest
from serving import environment

from zoe_grpcd.localbackends.fetch import Tools

ROOT = Path(__file__).parents[2]
CLIENT_NEEDS = {"grpcio", "protobuf", "googleapis-common-protos"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for project in (ROOT, ROOT / "clients" / "python"):
        run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, project)
    return folder


def run(*argv: object, cwd: Path | None = None) -> str:
    env = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in argv],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wheel_of(wheels: Path, name: str) -> Path:
    (found,) = wheels.glob(f"{name}-*.whl")
    return found


def told(wheel: Path) -> Message:
    """What the wheel says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def needed(wheel: Path) -> set[str]:
    """The names of what it needs without extras."""
    lines = told(wheel).get_all("Requires-Dist", [])
    bare = (line for line in lines if "extra ==" not in line)
    return {line.partition(";")[0].strip("<>=!~,.0123456789 ") for line in bare}


def test_the_wheel_has_the_user_units(wheels: Path) -> None:
    with zipfile.ZipFile(wheel_of(wheels, "zoe_grpcd")) as archive:
        packed = {name for name in archive.namelist() if name.startswith("zoe_grpcd/systemd/units/")}
        assert {Path(name).name for name in packed} == {p.name for p in (ROOT / "systemd").iterdir()}


def test_the_wheel_has_the_man_page(wheels: Path) -> None:
    with zipfile.ZipFile(wheel_of(wheels, "zoe_grpcd")) as archive:
        (page,) = (
            name for name in archive.namelist() if name.endswith(".data/data/share/man/man1/zoe-grpcd.1")
        )
        assert b".SS zoe\\-grpcd systemd install" in archive.read(page)
    assert {path.suffix for path in wheels.iterdir()} == {".whl"}


def bare_environment(folder: Path) -> Path:
    """An environment with nothing in it, not even pip; returns its Python."""
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    return folder / "bin" / "python"


def site_packages(python: Path) -> Path:
    return Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())


def install(python: Path, *wheels: Path) -> None:
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", *wheels)


def lend(name: str, to: Path) -> None:
    """Puts an installed distribution into another environment."""
    for file in metadata.distribution(name).files or ():
        source = Path(str(file.locate()))
        if ".." not in file.parts and source.exists():
            (to / file).parent.mkdir(parents=True, exist_ok=True)
            (to / file).symlink_to(source)


def test_the_client_needs_three_packages(wheels: Path) -> None:
    assert needed(wheel_of(wheels, "zoe_grpc_client")) == CLIENT_NEEDS


def test_the_client_brings_the_protos_and_the_examples(wheels: Path) -> None:
    with zipfile.ZipFile(wheel_of(wheels, "zoe_grpc_client")) as archive:
        packed = {Path(name) for name in archive.namelist()}
    for folder, kind, place in (
        ("protos/zoe", "*.proto", "protos/zoe"),
        ("clients/python/examples", "*.py", "examples"),
    ):
        there = {
            Path("zoe_client") / place / each.relative_to(ROOT / folder)
            for each in (ROOT / folder).rglob(kind)
        }
        assert there
        assert {each for each in packed if each.is_relative_to(Path("zoe_client") / place)} == there


def test_the_client_works_with_those_three_alone(wheels: Path, tmp_path: Path) -> None:
    python = bare_environment(tmp_path / "venv")
    install(python, wheel_of(wheels, "zoe_grpc_client"))
    for name in (*CLIENT_NEEDS, "typing_extensions"):  # grpcio's own need
        lend(name, site_packages(python))
    code = (
        "import sys, zoe_client\n"
        "from zoe.admin.v1 import admin_service_pb2_grpc\n"
        "client = zoe_client.Client('unix:/nowhere.sock', max_retries=0)\n"
        "try:\n"
        "    client.complete('hello', timeout=1)\n"
        "except zoe_client.ZoeError as error:\n"
        "    print(type(error).__name__, sorted({'litellm', 'zoe_grpcd', 'aiohttp'} & set(sys.modules)))\n"
    )
    assert run(python, "-c", code, cwd=tmp_path).strip() in ("Unavailable []", "DeadlineExceeded []")


def test_the_wheels_have_types_licences_and_one_version(wheels: Path) -> None:
    daemon, client = wheel_of(wheels, "zoe_grpcd"), wheel_of(wheels, "zoe_grpc_client")
    assert told(daemon)["Version"] == told(client)["Version"]
    assert f"zoe-grpc-client=={told(client)['Version']}" in told(daemon).get_all("Requires-Dist", [])
    for wheel, typed in ((daemon, "zoe_grpcd/py.typed"), (client, "zoe_client/py.typed")):
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
        assert typed in names
        assert any(name.endswith("licenses/LICENSE") for name in names)
        assert not [name for name in names if name.startswith(("tests", "benchmarks"))]


@pytest.fixture
def installed(wheels: Path, tmp_path: Path) -> Path:
    """The command of the daemon's wheel; other packages are those of this environment."""
    python = bare_environment(tmp_path / "venv")
    install(python, *wheels.glob("*.whl"))
    others = Path(metadata.distribution("litellm").locate_file("")).resolve()  # type: ignore[arg-type]
    (site_packages(python) / "others.pth").write_text(f"{others}\n")
    return python.parent / "zoe-grpcd"


def test_the_installed_daemon_runs_its_demo(installed: Path, tmp_path: Path, tools: Tools) -> None:
    code = "import zoe_grpcd, zoe_client; print(zoe_grpcd.__file__, zoe_client.__file__)"
    places = run(installed.with_name("python"), "-c", code, cwd=tmp_path)
    assert places.count(str(tmp_path)) == 2
    assert "zoe-grpcd 0." in run(installed, "--version", cwd=tmp_path)
    assert "[ROUTER] model: auto ->" in run(installed, "demo", cwd=tmp_path)
    assert os.access(installed, os.X_OK)


def test_the_installed_command_writes_its_user_units(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    run(installed, "systemd", "install", cwd=tmp_path)
    unit = tmp_path / ".config/systemd/user/zoe-grpcd.service"
    assert f"ExecStart={installed} serve" in unit.read_text()
