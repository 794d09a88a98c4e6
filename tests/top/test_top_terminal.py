"""`zoe-grpcd top` in a terminal, before a real daemon and a real server."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from serving import environment
from top.pseudoterminal import LIMIT, PseudoTerminal
from top.world import TOP, World
from waiting import wait_until

BROKEN = """
import sys
from zoe_grpcd.cli import main
from zoe_grpcd.cli.top import session

def broken(*seen):
    raise RuntimeError("this cannot be drawn")

session.screen = broken
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
def test_the_fleet_and_its_decisions_are_seen(world: World, size: tuple[int, int]) -> None:
    with world.top(size=size) as top:
        text = top.shows(
            "2 of 3 backends ready", "attic", "quick @ jetson", "creative", "no healthy backend", "q quit"
        )
    assert "● ready" in next(line for line in text.splitlines() if "jetson" in line)
    assert "connection refused"[:12] in next(line for line in text.splitlines() if "attic" in line)
    assert ("ENDPOINT" in text) is (size == (200, 50))


@pytest.mark.parametrize("kind", ["screen", "linux", "vt100", "xterm-that-nobody-knows"])
def test_any_terminal_that_can_move_its_cursor_will_do(world: World, kind: str) -> None:
    with world.top(term=kind) as top:
        top.shows("backends ready", "quick @ jetson")
        top.press("q")
        assert top.ended() == 0


def test_a_terminal_without_unicode_gets_other_signs(world: World) -> None:
    with world.top("--interval", "1s", argv=["env", "LC_ALL=POSIX", "PYTHONCOERCECLOCALE=0", *TOP]) as top:
        text = top.shows("* ready", "jetson")
    assert text.isascii()


def test_the_screen_follows_the_size_of_the_window(world: World) -> None:
    with world.top() as top:
        top.shows("quick @ jetson")
        top.resize(200, 50)
        top.shows("ENDPOINT", "quit")
        assert len(top.lines) == 50
        top.resize(70, 12)
        wait_until(lambda: "quit" in top.lines[-1] and "ENDPOINT" not in top.text, LIMIT)
        top.resize(30, 5)
        top.shows("top needs 60x10")


def test_a_clock_that_moves_on_costs_a_few_bytes(world: World) -> None:
    with world.top(size=(200, 50)) as top:
        top.shows("quick @ jetson")
        clock = top.lines[0][-10:]
        wait_until(lambda: top.lines[0][-10:] != clock, LIMIT)
        before, clock = top.bytes, top.lines[0][-10:]
        wait_until(lambda: top.lines[0][-10:] != clock, LIMIT)
        assert top.bytes - before < 400


def test_what_is_typed_filters(world: World) -> None:
    with world.top() as top:
        top.shows("attic", "quick @ jetson")
        top.press("/jetson\r")
        top.shows_no_more("attic")
        top.press("\x1b")
        top.shows("attic")


def test_details_and_help_are_a_key_away(world: World) -> None:
    with world.top() as top:
        top.shows("quick @ jetson")
        top.press("j\r")
        top.shows("endpoint", "last probe", "CONTEXT")
        top.press("\r\t\x1bOB\x1bOB\r")
        top.shows("CANDIDATE", "why", "creative")
        top.press("?")
        top.shows("take a drained backend back")


def test_a_backend_is_drained_and_taken_back(world: World) -> None:
    with world.top() as top:
        top.shows("quick @ jetson")
        top.press("jd")
        top.shows("drain jetson, because:")
        top.press("new disk\r")
        top.shows("jetson drains", "● draining", "new disk")
        assert world.daemon.state("jetson") == "DRAINING"
        top.press("u")
        top.shows_no_more("● draining")
        wait_until(lambda: world.daemon.state("jetson") == "READY", LIMIT)


def test_a_model_is_warmed(world: World) -> None:
    with world.top() as top:
        top.shows("quick @ jetson")
        top.press("jw")
        top.shows("warm quick (loaded) on jetson?")
        top.press("\r")
        top.shows("quick @ jetson: in memory already")


def test_it_ends_when_nobody_is_at_the_other_end_any_more(world: World) -> None:
    with world.top() as top:
        top.shows("quick @ jetson")
        top.hang_up()
        assert top.ended() == 0


@pytest.mark.parametrize(
    ("by", "status"), [("q", 0), (signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0)]
)
def test_it_leaves_the_terminal_as_it_was(world: World, by: str | signal.Signals, status: int) -> None:
    with world.top() as top:
        top.shows("quick @ jetson")
        assert top.attributes != top.before
        if isinstance(by, str):
            top.press(by)
        else:
            top.process.send_signal(by)
        assert top.ended() == status
        assert top.attributes == top.before
        wait_until(lambda: top.left, LIMIT)
        assert "Traceback" not in top.text


def test_it_leaves_the_terminal_as_it_was_when_it_breaks(world: World) -> None:
    with world.top(argv=[sys.executable, "-c", BROKEN, "top"]) as top:
        assert top.ended() == 1
        top.shows("RuntimeError: this cannot be drawn")
        assert top.attributes == top.before
        assert top.left


def test_a_terminal_that_cannot_move_its_cursor_is_told_so(world: World) -> None:
    with world.top(term="dumb") as top:
        assert top.ended() == 2
        top.shows("cannot move the cursor", "backends --watch")


def test_what_is_no_terminal_is_told_so(world: World) -> None:
    done = subprocess.run(
        [*TOP, "--admin-target", world.daemon.admin_target],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "zoe-grpcd: top needs a terminal; `zoe-grpcd backends --watch` does without one\n"


def test_without_a_daemon_it_says_so_and_ends(tmp_path: Path) -> None:
    with PseudoTerminal([*TOP, "--admin-target", f"unix:{tmp_path}/none"], environment()) as top:
        assert top.ended() == 1
        top.shows("zoe-grpcd: ")
        assert top.attributes == top.before


def test_a_key_that_cannot_be_read_is_told_in_words(tmp_path: Path) -> None:
    with PseudoTerminal([*TOP, "--api-key-file", f"{tmp_path}/none"], environment()) as top:
        assert top.ended() == 2
        top.shows("zoe-grpcd: ", "none")
        assert "Traceback" not in top.text


def test_a_daemon_that_goes_is_told_of_and_its_successor_is_found(world: World) -> None:
    with world.top() as top:
        top.shows("quick @ jetson")
        world.daemon.stop()
        top.shows("the daemon is gone", "trying again", "jetson")
        world.restart()
        top.shows_no_more("the daemon is gone")
        top.shows("2 of 3 backends ready", "quick @ jetson")
        top.press("q")
        assert top.ended() == 0
