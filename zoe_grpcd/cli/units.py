"""systemd install and uninstall: the user units."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from zoe_grpcd import systemd

_NEXT = """\

next:
  systemctl --user daemon-reload
  systemctl --user enable --now zoe-grpcd.socket zoe-grpcd.service
  systemctl --user status zoe-grpcd
  loginctl enable-linger          # keeps it running while you are not logged in"""
_PLAN = {"made": "make", "wrote": "write", "removed": "remove", "kept": "keep"}
_NO_SANDBOX = """\
warning: this user cannot make namespaces here, so that the service would not start in its sandbox: left out"""


def run(options: argparse.Namespace) -> int:
    """Runs one of them; returns the exit status."""
    places = systemd.Places.of(os.environ)
    try:
        if options.tool == "install":
            _install(places, dry_run=options.dry_run)
        else:
            _uninstall(places, dry_run=options.dry_run)
    except OSError as error:
        print(f"zoe-grpcd: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _install(places: systemd.Places, *, dry_run: bool) -> None:
    sandbox = systemd.can_sandbox()
    if not sandbox:
        print(_NO_SANDBOX, file=sys.stderr)
    for step in systemd.install(places, f"{_command()} serve", sandbox=sandbox, dry_run=dry_run):
        _tell(step, dry_run=dry_run)
    print(_NEXT)


def _uninstall(places: systemd.Places, *, dry_run: bool) -> None:
    if not dry_run:
        _systemctl("disable", "--now", *reversed(systemd.UNITS))
    for step in systemd.uninstall(places, dry_run=dry_run):
        _tell(step, dry_run=dry_run)
    if not dry_run:
        _systemctl("daemon-reload")


def _tell(step: systemd.Step, *, dry_run: bool) -> None:
    word = f"would {_PLAN[step.word]}" if dry_run else step.word
    print(f"{word} {step.path}{': ' if step.why else ''}{step.why}")


def _systemctl(*words: str) -> None:
    """Where no user manager runs, there is nothing to stop."""
    if shutil.which("systemctl"):
        subprocess.run(["systemctl", "--user", *words], capture_output=True, check=False)


def _command() -> str:
    """How the daemon is started: by the name on PATH where that is this very installation, since it outlives upgrades."""
    ours = Path(sys.executable).with_name("zoe-grpcd")
    if not ours.exists():
        return f"{systemd.quoted(sys.executable)} -m zoe_grpcd"
    known = shutil.which("zoe-grpcd")
    same = known is not None and Path(known).resolve() == ours.resolve()
    return systemd.quoted(str(Path(known).absolute()) if known and same else str(ours))
