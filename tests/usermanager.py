"""A real `systemd --user` on a machine that need not have been booted with systemd.

It runs as an ordinary user, in mount and control group namespaces of its own: there, /run, the journal
and the control groups are its own, and what it starts ends with it. Root is needed to set that up.
"""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from waiting import wait_until

USER = pwd.getpwnam("daemon")  # anybody who is not root
ROOT = Path(__file__).parents[1]
MANAGER = Path("/lib/systemd/systemd")
PROGRAMS = ("systemctl", "systemd-analyze", "journalctl", "unshare", "nsenter", "setpriv")
RUNTIME = f"/run/user/{USER.pw_uid}"
HOME = f"{RUNTIME}/home"
_JOURNAL = r"[Journal]\nStorage=volatile\nAudit=no\nReadKMsg=no\nForwardToSyslog=no\nRateLimitBurst=0\n"
_ENTER = ["unshare", "--mount", "--cgroup", "--propagation", "private", "bash", "-ec"]
_AS_USER = ["setpriv", f"--reuid={USER.pw_uid}", f"--regid={USER.pw_gid}", "--clear-groups"]
# $@: pairs, a folder that nobody but root may enter, and a place in it that the user has to be able to read
_SCRIPT = f"""
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/system /run/systemd/journal /run/systemd/journald.conf.d /run/log/journal /run/user
mkdir -m 700 /run/credentials /run/systemd/unit-root  # as booting does: without, systemd 252 empties /run for a service
printf '{_JOURNAL}' > /run/systemd/journald.conf.d/tests.conf
mkdir /run/user/{USER.pw_uid}
mount -t tmpfs -o mode=700,uid={USER.pw_uid},gid={USER.pw_gid} tmpfs /run/user/{USER.pw_uid}
mkdir {HOME}
chown {USER.pw_uid}:{USER.pw_gid} {HOME}
while [ $# -gt 0 ]; do
  mkdir -p "/run/systemd/lent/$#"
  mount --bind "$2" "/run/systemd/lent/$#"
  mountpoint -q "$1" || mount -t tmpfs -o mode=755 tmpfs "$1"
  mkdir -p "$2"
  mount --bind "/run/systemd/lent/$#" "$2"
  shift 2
done
setpriv --pdeathsig=KILL /lib/systemd/systemd-journald &
until [ -S /run/systemd/journal/socket ]; do sleep 0.02; done  # the manager looks for it once, when it starts
exec {" ".join(_AS_USER)} --pdeathsig=TERM {MANAGER} --user --log-target=journal
"""


def missing() -> str:
    """What this machine lacks for it, in words; empty: nothing."""
    programs = [name for name in PROGRAMS if not shutil.which(name)]
    if not MANAGER.exists() or programs:
        return f"needs systemd and util-linux (missing: {', '.join(programs) or MANAGER})"
    return (
        ""
        if os.geteuid() == 0
        else "needs root, which sets up a user's session apart from this machine's own"
    )


class UserManager:
    """One manager. As a context manager it is up inside."""

    def __init__(self) -> None:
        self._group = _control_group() / f"zoe-{os.getpid()}"
        self.env = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "HOME": HOME,
            "USER": USER.pw_name,
            "XDG_RUNTIME_DIR": RUNTIME,
        }

    def __enter__(self) -> Self:
        delegated = self._group / "user"
        delegated.mkdir(parents=True)
        for path in (
            delegated,
            *(delegated / f"cgroup.{n}" for n in ("procs", "subtree_control", "threads")),
        ):
            os.chown(path, USER.pw_uid, USER.pw_gid)
        here = (sys.base_prefix, sys.prefix, str(ROOT))
        pairs = [word for pair in _unreadable(Path(p) for p in here) for word in map(str, pair)]
        self._process = subprocess.Popen(
            [*_ENTER, _SCRIPT, "bash", *pairs],
            env=self.env,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: (delegated / "cgroup.procs").write_text("0"),  # noqa: PLW1509 - nothing else runs yet
        )
        self.runtime = Path(f"/proc/{self._process.pid}/root{RUNTIME}")  # seen from outside
        self.home = self.runtime / "home"
        try:
            wait_until((self.runtime / "systemd" / "private").exists)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(60)
        (self._group / "cgroup.kill").write_text("1")  # the journal, and whatever should not be left
        self._process.wait()
        wait_until(lambda: "populated 0" in (self._group / "cgroup.events").read_text())
        for group in sorted(self._group.rglob("*/"), reverse=True):
            if group.is_dir():
                group.rmdir()
        self._group.rmdir()

    def run(self, *argv: object, check: bool = True, inside: int | None = None) -> str:
        """Runs a command as the user, in the manager's namespaces; returns what it prints."""
        done = subprocess.run(
            ["nsenter", "--mount", f"--target={inside or self._process.pid}", *_AS_USER, *map(str, argv)],
            env=self.env,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}{self.journal()}"
        return done.stdout

    def systemctl(self, *words: str, check: bool = True) -> str:
        """Runs systemctl --user."""
        return self.run("systemctl", "--user", *words, check=check)

    def show(self, unit: str) -> dict[str, str]:
        """The properties of a unit."""
        lines = self.systemctl("show", unit).splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def journal(self, *words: str) -> str:
        """What the journal has."""
        argv = ["nsenter", "--mount", f"--target={self._process.pid}", "journalctl", "--no-pager", *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False).stdout

    def write(self, path: str, text: str) -> Path:
        """Writes a file below the user's home."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self.own(self.home)
        return file

    def own(self, folder: Path) -> None:
        """Gives a folder and all below to the user."""
        for path in (folder, *folder.rglob("*")):
            os.chown(path, USER.pw_uid, USER.pw_gid, follow_symlinks=False)

    def becomes(self, unit: str, within: float = 100.0, **wanted: str) -> dict[str, str]:
        """Returns the unit's properties as soon as they are these."""
        deadline = time.monotonic() + within
        while True:
            now = self.show(unit)
            if all(now.get(name) == value for name, value in wanted.items()):
                return now
            seen = {name: now.get(name) for name in (*wanted, "SubState", "Result", "StatusText")}
            assert time.monotonic() < deadline, f"{seen}\n{self.journal()}"
            time.sleep(0.05)


def hidden_by_private_tmp() -> list[Path]:
    """What a service with a /tmp of its own would not find."""
    temporary = (Path("/tmp"), Path("/var/tmp"))
    here = {Path(sys.base_prefix), Path(sys.prefix), ROOT}
    return sorted(p for p in here if any(p.is_relative_to(t) for t in temporary))


def _control_group() -> Path:
    """Where the version 2 hierarchy has this process."""
    mounts = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    root = next(words[4] for words in mounts if "cgroup2" in words)
    path = next(p for p in Path("/proc/self/cgroup").read_text().splitlines() if p.startswith("0::"))
    return Path(root + path.removeprefix("0::"))


def _unreadable(places: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """The places that only root gets to: the outermost folder that keeps others out, and the place."""
    for place in places:
        closed = [p for p in (*reversed(place.parents), place) if not p.stat().st_mode & stat.S_IXOTH]
        if closed:
            yield closed[0], place
