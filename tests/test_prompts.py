"""The one file that may hold what was said: what is in it, when it is written, and that it harms no request."""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import an_ask
from waiting import wait_until

from zoe_grpcd.core.answer import Delta, FinishReason, Seam, ToolDelta, Usage
from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.decision import Candidate
from zoe_grpcd.core.generation import Generation, Json
from zoe_grpcd.core.outcome import Attempt, Completed, Outcome, Switched, Timings
from zoe_grpcd.core.progress import Progress
from zoe_grpcd.decisions import Entry
from zoe_grpcd.recording.prompts import Prompts
from zoe_grpcd.stores import prompts_file

ROOM = 1 << 20
END = Completed("quick", FinishReason.STOP, Usage(1, 1), Timings(), (), 0.0)


def asked(*messages: Json) -> Ask:
    return an_ask("zebra", generation=Generation(messages or ({"role": "user", "content": "zebra"},)))


def entry() -> Entry:
    found = Entry(1, "Complete", 1_800_000_000.25)
    found.request_id, found.key_name, found.model, found.backend = "r1", "app", "quick", "pi"
    return found


def answered(prompts: Prompts, *items: Any, ask: Ask | None = None) -> list[Any]:
    """One request that is answered with this; returns what its caller was given."""
    delivered: list[Any] = []

    async def deliver(item: Any) -> None:
        delivered.append(item)

    async def run() -> None:
        with prompts.overhear(ask or asked(), entry(), deliver) as heard:
            for item in items:
                await heard(item)

    asyncio.run(run())
    return delivered


def lines(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(name="open_to")
def _open_to() -> Iterator[Callable[..., Prompts]]:
    """Prompts that are written to a file."""
    made = Prompts()

    def change(path: Path | None, max_bytes: int = ROOM) -> Prompts:
        made.change(path, max_bytes)
        return made

    yield change
    made.close()


def test_a_request_is_there_with_its_messages_and_its_answer(open_to: Any, tmp_path: Path) -> None:
    prompts = open_to(tmp_path / "said.jsonl")
    items = [
        Progress("QUEUED", None),
        [Delta("Hel", tokens=1), Delta("lo", tokens=1)],
        [Delta(reasoning="hm")],
        END,
    ]
    assert answered(prompts, *items) == items
    prompts.close()
    assert lines(tmp_path / "said.jsonl") == [
        {
            "time": 1_800_000_000.25,
            "request_id": "r1",
            "caller": "app",
            "method": "Complete",
            "model": "quick",
            "backend": "pi",
            "messages": [{"role": "user", "content": "zebra"}],
            "answer": {"text": "Hello", "reasoning": "hm"},
            "finish_reason": "STOP",
        }
    ]


def test_an_answer_that_was_broken_off_is_there_as_far_as_it_came(open_to: Any, tmp_path: Path) -> None:
    prompts = open_to(tmp_path / "said.jsonl")
    answered(prompts, [Delta("Hel", tokens=1)])
    prompts.close()
    (line,) = lines(tmp_path / "said.jsonl")
    assert (line["answer"], line["finish_reason"]) == ({"text": "Hel"}, None)


def test_of_an_answer_that_began_anew_the_last_one_counts(open_to: Any, tmp_path: Path) -> None:
    prompts = open_to(tmp_path / "said.jsonl")
    place = Candidate(Deployment("m", "b", "m"), "llamacpp", local=True, eligible=True)
    lost = Attempt(1, place.deployment, place.kind, place.local, Outcome.LOST, 0.0, 1.0)
    anew = Switched(place, place, lost, Seam.RESTART)
    answered(prompts, [Delta("Hel", tokens=1)], anew, [Delta("Hello", tokens=1)], END)
    prompts.close()
    assert lines(tmp_path / "said.jsonl")[0]["answer"] == {"text": "Hello"}


def test_tool_calls_are_whole_and_pictures_are_no_more_than_their_size(open_to: Any, tmp_path: Path) -> None:
    picture: Json = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5000}}
    ask = asked({"role": "user", "content": [{"type": "text", "text": "what is it?"}, picture]})
    prompts = open_to(tmp_path / "said.jsonl")
    pieces = [ToolDelta(0, "c1", "look", '{"at"'), ToolDelta(0, arguments=': "it"}', done=True)]
    answered(prompts, pieces, END, ask=ask)
    prompts.close()
    (line,) = lines(tmp_path / "said.jsonl")
    assert line["answer"]["tool_calls"] == [{"id": "c1", "name": "look", "arguments": '{"at": "it"}'}]
    shown = line["messages"][0]["content"]
    assert shown[0]["text"] == "what is it?"
    assert shown[1]["image_url"]["url"] == "data:image/png;base64,... (5022 characters)"
    assert picture["image_url"]["url"].endswith("AAA")  # what goes to the backend


def test_it_is_for_its_owner_alone_whoever_made_it(open_to: Any, tmp_path: Path) -> None:
    path = tmp_path / "state" / "said.jsonl"
    answered(open_to(path), END)
    wait_until(path.exists)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    other = tmp_path / "other.jsonl"
    other.touch(0o644)
    answered(open_to(other), END)
    wait_until(lambda: other.stat().st_size)
    assert [p.stat().st_mode & 0o777 for p in (path, other)] == [0o600, 0o600]


def test_nothing_is_written_from_the_moment_on_that_nothing_is_named(
    open_to: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prompts = open_to(None)
    answered(prompts, END)
    assert caplog.text == ""
    open_to(tmp_path / "said.jsonl")
    with prompts.overhear(asked(), entry(), _nowhere):
        open_to(None)
    answered(prompts, END)
    prompts.close()
    assert list(tmp_path.iterdir()) == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "zebra" not in caplog.text


async def _nowhere(_item: Any) -> None:
    """Takes everything."""


def test_files_stay_below_the_size_that_is_allowed(
    open_to: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prompts = open_to(tmp_path / "said.jsonl", 4000)
    for number in range(40):
        answered(prompts, [Delta(f"{number}", tokens=1)], END)
    answered(prompts, [Delta("x" * 3000, tokens=1)], END)
    answered(prompts, [Delta("last", tokens=1)], END)
    prompts.close()
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert (len(sizes), max(sizes) <= 2000) == (2, True)
    assert lines(tmp_path / "said.jsonl")[-1]["answer"]["text"] == "last"
    assert "longer than log.prompts_max_bytes allows" in caplog.text
    assert "xxx" not in caplog.text


def test_a_full_disk_harms_no_request_and_is_told_once_without_a_word_of_them(
    open_to: Any, caplog: pytest.LogCaptureFixture
) -> None:
    prompts = open_to(Path("/dev/full"))
    for _ in range(20):
        assert answered(prompts, END) == [END]
    prompts.close()
    assert caplog.text.count("prompts are not recorded: [Errno 28]") == 1
    assert "zebra" not in caplog.text


def test_a_disk_that_hangs_holds_up_nobody_and_takes_a_bounded_part_of_the_memory(
    open_to: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoe_grpcd.recording.writer.WAITING_BYTES", 100_000)
    os.mkfifo(tmp_path / "said.jsonl")
    reader = os.open(tmp_path / "said.jsonl", os.O_RDONLY | os.O_NONBLOCK)
    prompts = open_to(tmp_path / "said.jsonl")
    ask = asked({"role": "user", "content": "x" * 9000})
    ask.prompt_bytes = 9000
    for _ in range(100):
        assert answered(prompts, END, ask=ask) == [END]
    assert 0 < prompts.waiting <= 100_000 // 9000
    while prompts.waiting:
        try:
            os.read(reader, 1 << 20)
        except BlockingIOError:
            continue
    os.close(reader)


@pytest.mark.parametrize(
    ("named", "env", "path"),
    [
        ("/srv/said.jsonl", {}, "/srv/said.jsonl"),
        ("said.jsonl", {"STATE_DIRECTORY": "/var/lib/zoe:/x", "HOME": "/home/me"}, "/var/lib/zoe/said.jsonl"),
        ("a/said.jsonl", {"HOME": "/home/me"}, "/home/me/.local/state/zoe-grpcd/a/said.jsonl"),
    ],
)
def test_a_name_is_one_below_the_state_folder(named: str, env: dict[str, str], path: str) -> None:
    assert prompts_file(Path(named), env) == Path(path)


def test_without_a_state_folder_nothing_is_written_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert prompts_file(None, {}) is None
    assert caplog.text == ""
    assert prompts_file(Path("said.jsonl"), {}) is None
    assert "give an absolute path" in caplog.text
