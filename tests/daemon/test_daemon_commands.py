"""The commands, as a user types them."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from serving import Daemon, entry, environment, serving, short_folder
from waiting import wait_until

from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.servers import Server, _processes

PROMPT = "tell me of the river and the clock"
COMMAND = (sys.executable, "-m", "zoe_grpcd")
FREED = 8.0  # seconds: an answer to its end would take 15 and more


@dataclass(frozen=True)
class House:
    """A daemon in front of a llama-server, and an environment in which the commands find it."""

    daemon: Daemon
    llama: Server
    env: dict[str, str]

    def run(self, *argv: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        return typed(*argv, env=self.env, given=given)


def typed(*argv: str, env: dict[str, str], given: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, *argv], env=env, input=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def house(tools: Tools, tmp_path_factory: pytest.TempPathFactory, endless_gguf: Path) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("commands")
    with ExitStack() as running:
        options = LlamaServerOptions(endless_gguf, alias="endless", slots=2)
        llama = running.enter_context(start_llama_server(tools, folder, options))
        daemon = running.enter_context(
            serving(backends=[entry("llama", llama)], routing={"aliases": {"assistant": "endless"}})
        )
        runtime = daemon.folder / "run"
        (runtime / "zoe-grpcd").mkdir(parents=True)
        for name in ("grpcd.sock", "admin.sock"):  # where they are by default
            (runtime / "zoe-grpcd" / name).symlink_to(daemon.folder / name)
        yield House(daemon, llama, environment(XDG_RUNTIME_DIR=str(runtime)))


# ------------------------------------------------------------------------------------------------ of the daemon


def test_route_says_where_and_why(house: House) -> None:
    done = house.run("route", PROMPT, "--model", "assistant", "--explain")
    assert done.returncode == 0
    assert re.search(r"\[ROUTER\] model: assistant -> endless @ llama \(alias, ", done.stdout)
    assert "SCORE" in done.stdout


def test_route_as_json(house: House) -> None:
    decision = json.loads(house.run("route", PROMPT, "--json", "--explain").stdout)
    assert decision["chosen"]["backend"] == "llama"
    assert decision["candidates"][0]["terms"]


def test_complete_prints_the_answer_alone_on_standard_output(house: House) -> None:
    done = house.run("complete", PROMPT, "--max-tokens", "5", "--temperature", "0")
    assert done.returncode == 0
    assert len(done.stdout.split()) == 5
    assert "[ROUTER]" in done.stderr
    again = json.loads(
        house.run("complete", PROMPT, "--max-tokens", "5", "--temperature", "0", "--json").stdout
    )
    assert again["message"]["parts"][0]["text"].strip() == done.stdout.strip()
    assert again["finishReason"] == "FINISH_REASON_LENGTH"


def test_a_prompt_comes_from_standard_input(house: House) -> None:
    options = ("--max-tokens", "5", "--temperature", "0")
    assert (
        house.run("complete", "-", *options, given=PROMPT).stdout
        == house.run("complete", PROMPT, *options).stdout
    )


def test_stream_prints_what_complete_does(house: House) -> None:
    options = ("--max-tokens", "9", "--temperature", "0")
    streamed = house.run("stream", PROMPT, *options)
    assert streamed.stdout.strip() == house.run("complete", PROMPT, *options).stdout.strip()
    assert "9 tokens" in streamed.stderr
    lines = [json.loads(line) for line in house.run("stream", PROMPT, *options, "--json").stdout.splitlines()]
    assert [next(iter(line)) for line in (lines[0], lines[-1])] == ["RouteDecision", "Completed"]


def test_backends_and_models_are_tables(house: House) -> None:
    backends, models = house.run("backends"), house.run("models")
    assert re.search(r"^llama +llamacpp +ready ", backends.stdout, re.MULTILINE)
    assert re.search(r"^endless +llama +ready +loaded +4096 ", models.stdout, re.MULTILINE)
    assert json.loads(house.run("backends", "--json").stdout)["backends"][0]["name"] == "llama"
    assert json.loads(house.run("models", "--json").stdout)["models"][0]["model"] == "endless"


def test_warm_says_where_a_model_is_in_memory(house: House) -> None:
    assert house.run("warm", "assistant").stdout == "assistant @ llama: in memory already\n"
    told = json.loads(house.run("warm", "endless", "--backend", "llama", "--json").stdout)
    assert told == {"backend": "llama", "loadState": "LOAD_STATE_LOADED", "alreadyLoaded": True}
    refused = house.run("warm", "endless", "--keep-alive", "1h")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "cannot be told how long to keep a model" in refused.stderr


def test_a_refused_call_ends_with_1_and_its_reason(house: House) -> None:
    done = house.run("complete", PROMPT, "--model", "endles")
    assert done.returncode == 1
    assert "MODEL_NOT_FOUND" in done.stderr
    assert "endless" in done.stderr
    told = json.loads(house.run("complete", PROMPT, "--model", "endles", "--json").stderr)
    assert told["error"]["reason"] == "MODEL_NOT_FOUND"


def test_a_deadline_ends_with_1(house: House) -> None:
    done = house.run("complete", PROMPT, "--deadline", "300ms", "--max-tokens", "3000")
    assert done.returncode == 1
    assert "DEADLINE_" in done.stderr  # UNREACHABLE, once answers were timed, else EXCEEDED


def test_drain_and_undrain(house: House) -> None:
    done = house.run("drain", "llama", "--reason", "new disk", "--wait")
    assert (done.returncode, done.stdout) == (0, "llama: draining, empty. new disk\n")
    refused = house.run("complete", PROMPT, "--max-tokens", "5")
    assert refused.returncode == 1
    assert "NO_HEALTHY_BACKEND" in refused.stderr
    assert "llama (DRAINING)" in refused.stderr
    assert json.loads(house.run("undrain", "llama", "--json").stdout)["name"] == "llama"
    wait_until(lambda: house.daemon.state("llama") == "READY")
    assert house.run("complete", PROMPT, "--max-tokens", "5").returncode == 0


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("compleet",),
        ("complete",),
        ("complete", "a", "--deadline", "soon"),
        ("complete", "a", "--image", "/no"),
    ],
    ids=["nothing", "unknown", "no text", "bad duration", "no file"],
)
def test_a_wrong_command_line_ends_with_2(house: House, argv: tuple[str, ...]) -> None:
    done = house.run(*argv)
    assert done.returncode == 2
    assert done.stderr


@contextmanager
def streaming(house: House, tokens: int) -> Iterator[subprocess.Popen[str]]:
    """The command while it prints an answer of that many."""
    argv = [*COMMAND, "stream", PROMPT, "--max-tokens", str(tokens)]
    with subprocess.Popen(
        argv, env=house.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(1)
        yield process


def test_ctrl_c_cancels_a_stream(house: House) -> None:
    with streaming(house, 3000) as process:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    wait_until(lambda: not busy(house.llama), FREED)


def busy(server: Server) -> bool:
    return any(slot["is_processing"] for slot in json.loads(server.request("GET", "/slots")[1]))


def test_watch_prints_changes_until_ctrl_c(house: House) -> None:
    with subprocess.Popen(
        [*COMMAND, "backends", "--watch", "--json"], env=house.env, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["backends"]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_a_reader_that_leaves_is_no_error(house: House) -> None:
    with streaming(house, 200) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    wait_until(lambda: not busy(house.llama), FREED)


# -------------------------------------------------------------------------------------------- without a daemon


@pytest.mark.parametrize("command", ["complete", "stream", "route", "backends", "models"])
def test_without_a_daemon_a_call_says_so(command: str) -> None:
    with short_folder() as folder:
        text = [PROMPT, "--deadline", "5s"] if command in ("complete", "stream", "route") else []
        env = environment(XDG_RUNTIME_DIR=str(folder), ZOE_GRPCD_TARGET=f"unix:{folder}/none.sock")
        done = typed(command, *text, env=env)
    assert done.returncode == 1
    assert "none.sock" in done.stderr or "admin.sock" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_check_says_what_would_be_served(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("backends:\n  - {name: box, kind: ollama, url: 'http://127.0.0.1:11434'}\n")
    done = typed("check", "--config", str(config), env=environment())
    assert done.returncode == 0
    assert "box: ollama at http://127.0.0.1:11434" in done.stdout
    assert json.loads(typed("check", "--config", str(config), "--json", env=environment()).stdout)["backends"]


def test_check_reports_every_mistake_with_its_line(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "server:\n  drain_timeout: soon\nbackends:\n  - {name: box, kind: olama, url: 'http://127.0.0.1:11434'}\n"
        "models:\n  - name: small\n    deployments: [{backend: bax}]\nrooting: {}\n"
    )
    for command in ("check", "serve"):
        done = typed(command, "--config", str(config), env=environment())
        assert done.returncode == 78
        lines = [int(number) for number in re.findall(rf"^{config}:(\d+)", done.stderr, re.MULTILINE)]
        assert lines == [2, 4, 7, 8]


def test_without_a_configuration_check_shows_the_defaults(tmp_path: Path) -> None:
    env = environment(XDG_CONFIG_HOME=str(tmp_path), XDG_RUNTIME_DIR=str(tmp_path))
    done = typed("check", env=env)
    assert done.returncode == 0
    assert "127.0.0.1:50051" in done.stdout


def test_the_demo_runs_to_its_end_and_leaves_nothing(tools: Tools) -> None:
    with subprocess.Popen(
        [*COMMAND, "demo"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        children = descendants(process)
        out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "[ROUTER] model: auto ->" in out
    assert re.search(r"\d+ tokens in [\d.]+ s, the first after", out)
    assert "Traceback" not in said
    assert children
    wait_until(lambda: not children & {p.pid for p in _processes()})


def descendants(process: subprocess.Popen[str]) -> set[int]:
    """What a process has started by the time that its first servers run."""

    def found() -> set[int]:
        family = {process.pid}
        everybody = list(_processes())
        for _ in range(3):
            family |= {p.pid for p in everybody if p.parent in family}
        return family - {process.pid}

    wait_until(lambda: len(found()) >= 6 or process.poll() is not None)
    return found()


def test_the_demo_shows_a_model_that_is_there(ollama_server: Any, quick_gguf: Path) -> None:
    ollama = ollama_server({"mine:1b": quick_gguf})
    done = typed("demo", env=environment(OLLAMA_HOST=f"127.0.0.1:{ollama.port}"))
    assert done.returncode == 0
    assert f"found: {ollama.url}" in done.stdout
    assert "mine:1b" in done.stdout


@pytest.mark.parametrize("whole_group", [True, False], ids=["ctrl-c", "sigterm"])
def test_the_demo_ends_when_told_and_needs_no_model_of_yours(ollama_server: Any, whole_group: bool) -> None:
    empty = ollama_server()
    with subprocess.Popen(
        [*COMMAND, "demo", "--keep"],
        env=environment(OLLAMA_HOST=f"127.0.0.1:{empty.port}"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        children = descendants(process)
        assert any("serving on unix:" in line for line in process.stdout)
        os.killpg(process.pid, signal.SIGINT) if whole_group else process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in said
    wait_until(lambda: not children & {p.pid for p in _processes()})
