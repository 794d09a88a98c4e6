"""Where log lines go, and the one line a call."""

import io
import json
import logging
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zoe_grpcd import calllog
from zoe_grpcd.adapters.journal import JournalHandler, encoded
from zoe_grpcd.core.answer import FinishReason, Usage
from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.decision import Candidate, Decision, Estimate, Reason
from zoe_grpcd.core.outcome import Attempt, Completed, Outcome, Timings
from zoe_grpcd.decisions import DecisionLog, Entry
from zoe_grpcd.logs import JsonFormatter, set_level, set_up

PLACE = Deployment("llama3.2:3b", "jetson", "")
CHOSEN = Candidate(PLACE, "ollama", True, True, 0.81, estimate=Estimate(0.0, 0.0, 0.4, 1.5, 20.0, 0.0))
SENTENCE = "[ROUTER] model: auto -> llama3.2:3b @ jetson (intent chat, 0.81, est 1.9 s)"


def decision(requested: str = "", intent: str = "chat") -> Decision:
    return Decision(CHOSEN, (CHOSEN,), requested, intent, "usage_based", Reason.INTENT, "because")


def attempt(number: int, outcome: Outcome) -> Attempt:
    return Attempt(number, PLACE, "ollama", True, outcome, 0.0, 1.5, output_tokens=42)


def answered(**fields: Any) -> Entry:
    entry = DecisionLog().begin("Complete")
    entry.request_id = fields.get("request_id", "r1")
    entry.key_name = "alice"
    entry.hear(decision(fields.get("requested", "")))
    timings = Timings(queue=0.2, time_to_first_token=0.5, total=1.75, tokens_per_second=28.0)
    tried = tuple(attempt(n + 1, Outcome.OK) for n in range(fields.get("attempts", 1)))
    entry.completed(Completed("llama3.2:3b", FinishReason.STOP, Usage(100, 42, 10), timings, tried, 0.001))
    entry.ended("OK")
    return entry


def failed(code: str, reason: str) -> Entry:
    entry = DecisionLog().begin("StreamComplete")
    entry.request_id = "r2"
    entry.hear(decision("llama3.2:3b", ""))
    entry.ended(code, reason, (attempt(1, Outcome.FAILED), attempt(2, Outcome.TIMEOUT)))
    return entry


@pytest.fixture(name="root")
def _root() -> Iterator[logging.Logger]:
    root, ours = logging.getLogger(), logging.getLogger("zoe_grpcd")
    before = root.handlers[:], root.level, ours.level
    yield root
    for handler in root.handlers:
        if handler not in before[0]:
            handler.close()
    root.handlers[:], root.level = before[0], before[1]
    ours.setLevel(before[2])


@pytest.fixture(name="journal")
def _journal(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "journal"))
        journal.settimeout(10)
        yield journal, str(tmp_path / "journal")


def read(data: bytes) -> dict[str, str]:
    """A record of the journal's native protocol, read as its documentation says."""
    fields = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, given, value = line.partition(b"=")
        if not given:
            (size,) = struct.unpack_from("<Q", data)
            value, data = data[8 : 8 + size], data[8 + size + 1 :]
        fields[name.decode()] = value.decode()
    return fields


def record(entry: Entry, caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    with caplog.at_level(logging.DEBUG, "zoe_grpcd.calls"):
        calllog.tell(entry)
    return caplog.records[-1]


def test_an_answer_is_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    line = record(answered(), caplog)
    assert line.getMessage() == f"{SENTENCE} 42 tokens in 1.8 s r1"
    assert line.levelno == logging.INFO
    assert record(answered(attempts=3), caplog).getMessage().endswith(" 42 tokens in 1.8 s, 3 attempts r1")


def test_a_failure_says_how_and_after_how_many_attempts(caplog: pytest.LogCaptureFixture) -> None:
    line = record(failed("UNAVAILABLE", "BACKEND_FAILED"), caplog)
    assert line.levelno == logging.WARNING
    assert "model: llama3.2:3b -> llama3.2:3b @ jetson (intent, 0.81, est 1.9 s)" in line.getMessage()
    assert line.getMessage().endswith("UNAVAILABLE BACKEND_FAILED after 0.0 s, 2 attempts r2")


def test_a_bad_request_is_no_alarm(caplog: pytest.LogCaptureFixture) -> None:
    entry = DecisionLog().begin("Complete")
    entry.ended("INVALID_ARGUMENT", "BAD_REQUEST")
    line = record(entry, caplog)
    assert line.levelno == logging.INFO
    assert line.getMessage() == "[ROUTER] Complete INVALID_ARGUMENT BAD_REQUEST after 0.0 s"


def test_a_route_is_a_decision_only(caplog: pytest.LogCaptureFixture) -> None:
    entry = DecisionLog().begin("Route")
    entry.hear(decision())
    entry.ended("OK")
    line = record(entry, caplog)
    assert (line.levelno, line.getMessage()) == (logging.DEBUG, f"{SENTENCE} decided only")


def test_what_a_caller_names_stays_on_its_line(caplog: pytest.LogCaptureFixture) -> None:
    line = record(answered(request_id="a\nb\x1b[31m" + "x" * 500, requested="m\r\n<0>fake"), caplog)
    assert line.getMessage().isprintable()
    assert len(line.getMessage()) < 500
    assert "model: m??<0>fake -> " in line.getMessage()


def test_as_json_it_has_the_decision_the_attempts_the_times_and_the_tokens(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = json.loads(JsonFormatter().format(record(answered(attempts=2), caplog)))
    assert told["message"].startswith(SENTENCE)
    assert (told["method"], told["code"], told["request_id"], told["key"]) == (
        "Complete",
        "OK",
        "r1",
        "alice",
    )
    assert (told["model"], told["backend"], told["reason"]) == ("llama3.2:3b", "jetson", "INTENT")
    assert (told["score"], told["expected_seconds"]) == (0.81, 1.9)
    assert [a["outcome"] for a in told["attempts"]] == ["OK", "OK"]
    assert (told["prompt_tokens"], told["completion_tokens"], told["cached_prompt_tokens"]) == (100, 42, 10)
    assert (told["queue_seconds"], told["first_token_seconds"], told["total_seconds"]) == (0.2, 0.5, 1.75)
    assert told["cost_usd"] == 0.001
    assert "error_reason" not in told


def test_nothing_is_made_of_a_line_that_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "zoe_grpcd.calls"):
        calllog.tell(answered())
    assert not caplog.records


def test_the_journal_gets_fields_of_its_own(root: logging.Logger, journal: tuple[socket.socket, str]) -> None:
    listening, path = journal
    set_up("info", "journal", {}, path)
    calllog.tell(answered())
    fields = read(listening.recv(65536))
    assert fields["MESSAGE"].startswith(SENTENCE)
    assert (fields["PRIORITY"], fields["SYSLOG_IDENTIFIER"]) == ("6", "zoe-grpcd")
    assert (fields["ZOE_BACKEND"], fields["ZOE_REASON"], fields["ZOE_CODE"]) == ("jetson", "INTENT", "OK")
    assert json.loads(fields["ZOE_ATTEMPTS"])[0]["outcome"] == "OK"
    assert all(name.replace("_", "").isalnum() and name.isupper() for name in fields)


def test_a_trace_is_one_record_of_the_journal(
    root: logging.Logger, journal: tuple[socket.socket, str]
) -> None:
    listening, path = journal
    set_up("info", "journal", {}, path)
    try:
        raise ValueError("line one\nline two")
    except ValueError:
        logging.getLogger("zoe_grpcd.test").exception("a bug")
    fields = read(listening.recv(65536))
    assert fields["MESSAGE"].startswith("a bug\nTraceback")
    assert fields["MESSAGE"].endswith("line two")
    assert fields["PRIORITY"] == "3"


def test_a_record_that_is_too_long_for_a_datagram_goes_in_a_file(
    root: logging.Logger, journal: tuple[socket.socket, str]
) -> None:
    listening, path = journal
    set_up("info", "journal", {}, path)
    logging.getLogger("zoe_grpcd.test").info("x" * 1_000_000)
    _, files, _, _ = socket.recv_fds(listening, 100, 1)
    with os.fdopen(files[0], "rb") as file:
        file.seek(0)
        assert len(read(file.read())["MESSAGE"]) == 1_000_000


def test_what_the_journal_does_not_take_goes_to_standard_error(
    root: logging.Logger, journal: tuple[socket.socket, str], capsys: pytest.CaptureFixture[str]
) -> None:
    listening, path = journal
    set_up("info", "journal", {}, path)
    listening.close()
    logging.getLogger("zoe_grpcd.test").warning("still here")
    assert capsys.readouterr().err == "<4>still here\n"


def test_without_a_journal_lines_have_their_priority_in_front(
    root: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up("info", "journal", {}, str(tmp_path / "none"))
    logging.getLogger("zoe_grpcd.test").info("hello")
    assert capsys.readouterr().err == "<6>hello\n"


def test_auto_is_the_journal_where_standard_error_is_its_stream(
    root: logging.Logger, journal: tuple[socket.socket, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "stream").open("w") as stream:
        monkeypatch.setattr("sys.stderr", stream)
        status = os.fstat(stream.fileno())
        set_up("info", "auto", {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}, journal[1])
        assert isinstance(root.handlers[0], JournalHandler)
        root.handlers[0].close()
        set_up("info", "auto", {"JOURNAL_STREAM": f"{status.st_dev}:0"}, journal[1])
        assert isinstance(root.handlers[0].formatter, JsonFormatter)


def test_auto_on_a_terminal_is_text_for_people(root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    set_up("info", "auto", {})
    calllog.tell(answered())
    assert SENTENCE in terminal.getvalue()
    assert "{" not in terminal.getvalue()


def test_the_level_can_be_changed_while_it_runs(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up("warning", "json", {})
    calllog.tell(answered())
    set_level("info")
    calllog.tell(answered())
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_value_with_lines_is_sent_with_its_length() -> None:
    assert encoded([("A", "1"), ("B", "x\ny")]) == b"A=1\nB\n\x03\0\0\0\0\0\0\0x\ny\n"
