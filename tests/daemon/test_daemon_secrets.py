"""What a daemon tells nobody: the keys of its backends, and a word of what was said, but in the file that is named for it."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from serving import Daemon, config_of, entry, environment, short_folder
from waiting import wait_until

from zoe.admin.v1 import admin_service_pb2 as pb
from zoe_client import ZoeError

NEVER = {"level": "debug"}
WORDS = re.compile("sesame|basil|zebra", re.IGNORECASE)


@pytest.fixture
def daemon(llama_server: Any, quick_gguf: Path) -> Iterator[Daemon]:
    """In front of a server that asks for a key, known twice: with the right one, and with a wrong one."""
    llama = llama_server(quick_gguf, alias="quick", api_key="sesame-4711")
    backends = [
        entry("right", llama, api_key="sesame-4711"),
        entry("wrong", llama, api_key="basil-0815"),
    ]
    with short_folder() as folder:
        config = config_of(
            folder,
            backends=backends,
            server={"metrics_listen": "127.0.0.1:0"},
            state={"url": f"sqlite://{folder}/state.db"},
            log={**NEVER, "decisions": f"{folder}/decisions.jsonl"},
        )
        with Daemon(folder, config, environment()) as daemon:
            yield daemon


def ask(daemon: Daemon, sentence: str) -> None:
    """In every way, and so that it fails."""
    client = daemon.client()
    assert client.complete(sentence, model="quick", explain=True, max_output_tokens=5).text
    assert client.stream(sentence, model="quick", max_output_tokens=5).final().text
    client.route(sentence, explain=True)
    with pytest.raises(ZoeError) as failed:
        client.complete(sentence, model="quick", allowed_backends=["wrong"])
    assert not WORDS.search(str(failed.value))


def told(daemon: Daemon, besides: Path) -> Iterator[tuple[str, str]]:
    """All that it says or writes, but one file."""
    page = re.search(r"http://127\.0\.0\.1:[0-9]+", daemon.log)
    assert page is not None
    for path in ("/metrics", "/status.json", "/"):
        with urlopen(page[0] + path, timeout=30) as answer:
            yield path, answer.read().decode()
    admin = daemon.client().admin
    yield "config", str(admin.GetConfig(pb.GetConfigRequest()))
    yield "stats", str(admin.GetStats(pb.GetStatsRequest()))
    yield "decisions", str(admin.ListDecisions(pb.ListDecisionsRequest()))
    for file in daemon.folder.iterdir():
        if file.is_file() and file not in (besides, daemon.folder / "config.yaml"):
            yield file.name, file.read_bytes().decode(errors="replace")


def reload(daemon: Daemon, log: dict[str, str], word: str) -> None:
    """Another section of the log is put in force, which is told with this word."""
    file = daemon.folder / "config.yaml"
    file.write_text(json.dumps({**json.loads(file.read_text()), "log": log}))
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: word in daemon.log)


def test_no_key_is_told_and_prompts_are_nowhere_but_in_the_file_that_is_named(daemon: Daemon) -> None:
    file = daemon.folder / "said.jsonl"

    def talkative() -> list[str]:
        return [place for place, text in told(daemon, file) if WORDS.search(text)]

    ask(daemon, "zebra clock valley")
    written = [daemon.folder / name for name in ("log", "state.db", "decisions.jsonl")]
    wait_until(lambda: all(path.exists() and path.stat().st_size for path in written))
    assert talkative() == []
    assert not file.exists()
    reload(daemon, {**NEVER, "prompts": str(file)}, "prompts and answers are written to")
    ask(daemon, "zebra river valley")
    wait_until(lambda: file.exists() and file.read_text().count("\n") == 3)
    said = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["messages"][-1]["content"] for line in said] == ["zebra river valley"] * 3
    assert [bool(line["answer"].get("text")) for line in said] == [True, True, False]
    assert file.stat().st_mode & 0o777 == 0o600
    assert talkative() == []
    reload(daemon, NEVER, "prompts are not written")
    ask(daemon, "zebra stone valley")
    assert talkative() == []
    assert "stone" not in file.read_text()
    limits = Path(f"/proc/{daemon.process.pid}/limits").read_text()
    assert re.search(r"Max core file size +0 +0 ", limits), "a dump of its memory would have all of it"
