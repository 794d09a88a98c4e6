"""The user units: what is written where, by whom, and how it is taken away again.

Rule: nothing that is there is overwritten, and nothing that somebody has changed is removed. Each file that is written
says in its first line what its other lines were, so that any version knows whether they still are.
"""

import hashlib
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

SERVICE, SOCKET, SANDBOX = "zoe-grpcd.service", "zoe-grpcd.socket", "sandbox.conf"
UNITS = (SERVICE, SOCKET)

_EXEC_START = re.compile(r"^ExecStart=.*$", re.MULTILINE)
_EXEC_RELOAD = re.compile(r"^ExecReload=.*$", re.MULTILINE)
_MARK = "# written by `zoe-grpcd systemd install` with the SHA-256 "
_FIRST_CONFIG = """\
# `zoe-grpcd config schema` has every key, `zoe-grpcd check` says what this file means.
# Without backends, the model servers of this machine are looked for.
#
# backends:
#   - {name: desk, url: "http://192.168.1.30:8080"}
#   - {name: cloud, kind: openai, url: "https://llm.example.com/v1", api_key: "${file:cloud}"}
#
# ${file:cloud} is the file `cloud` in the folder `credentials` beside this one.
{}
"""


@dataclass(frozen=True, slots=True)
class Places:
    """Where things go: `units`, `config` and `state` are folders."""

    units: Path
    config: Path
    state: Path

    @classmethod
    def of(cls, env: Mapping[str, str]) -> "Places":
        """Those of the user, as the XDG variables and $HOME have them."""
        home = Path(env.get("HOME") or Path.home())
        config = Path(env.get("XDG_CONFIG_HOME") or home / ".config")
        return cls(config / "systemd" / "user", config / "zoe-grpcd", home / ".local/state/zoe-grpcd")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done, or to do: a word for it, what it was done to, and why."""

    word: str
    path: Path
    why: str = ""


def install(places: Places, command: str, *, sandbox: bool = True, dry_run: bool = False) -> Iterator[Step]:
    """Writes units, a first configuration and the folder for credentials. `command` starts the daemon."""
    for folder in (places.config / "credentials", places.state):
        if folder.is_dir():
            yield Step("kept", folder)
            continue
        if not dry_run:
            folder.mkdir(mode=0o700, parents=True)
        yield Step("made", folder)
    for path, text in _files(places, command, sandbox=sandbox).items():
        yield _write(path, _marked(text), dry_run=dry_run)


def uninstall(places: Places, *, dry_run: bool = False) -> Iterator[Step]:
    """Removes what `install` wrote and nobody has changed, and folders that are empty then."""
    for path in _files(places, "", sandbox=True):
        if path.is_file():
            yield _remove(path, dry_run=dry_run)
    drop_ins = places.units / f"{SERVICE}.d"
    for folder in (drop_ins, places.config / "credentials", places.config, places.state):
        if folder.is_dir() and not any(folder.iterdir()):
            if not dry_run:
                folder.rmdir()
            yield Step("removed", folder)
        elif folder.is_dir() and folder != places.config and not dry_run:
            yield Step("kept", folder, "it is not empty")


def can_sandbox() -> bool:
    """Whether this user can make the namespaces that the sandbox consists of; systemd refuses the service otherwise."""
    try:
        done = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--mount", "true"], capture_output=True, check=False
        )
    except FileNotFoundError:
        return True
    return done.returncode == 0


def quoted(word: str) -> str:
    """A word of a command line, as systemd reads it."""
    plain = word.replace("%", "%%").replace("$", "$$")
    if not re.search(r"[\s\"'\\;]", plain):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _files(places: Places, command: str, *, sandbox: bool) -> dict[Path, str]:
    service = _EXEC_START.sub(lambda _: f"ExecStart={command}", _shipped(SERVICE))
    service = _EXEC_RELOAD.sub(lambda _: f"ExecReload={command.removesuffix('serve')}reload", service)
    texts = {
        places.units / SERVICE: service,
        places.units / SOCKET: _shipped(SOCKET),
        places.config / "config.yaml": _FIRST_CONFIG,
    }
    if sandbox:
        texts[places.units / f"{SERVICE}.d" / SANDBOX] = _shipped(SANDBOX)
    return texts


def _shipped(name: str) -> str:
    packaged = resources.files(__name__) / "units"
    folder = packaged if packaged.is_dir() else Path(__file__).parents[2] / "systemd"  # a checkout
    return (folder / name).read_text(encoding="utf-8")


def _marked(text: str) -> str:
    return f"{_MARK}{_digest(text)}\n{text}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path: Path, text: str, *, dry_run: bool) -> Step:
    if path.exists():
        same = path.is_file() and path.read_text(encoding="utf-8", errors="replace") == text
        return Step("kept", path, "" if same else "it is there, and differs from what this version writes")
    if not dry_run:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Step("wrote", path)


def _remove(path: Path, *, dry_run: bool) -> Step:
    mark, _, text = path.read_text(encoding="utf-8", errors="replace").partition("\n")
    if mark != f"{_MARK}{_digest(text)}":
        return Step("kept", path, "it was changed, or is not ours")
    if not dry_run:
        path.unlink()
    return Step("removed", path)
