"""Backends that nobody configured, or whose kind nobody said: found when they are there, and when they come."""

import socketserver
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from serving import Daemon
from waiting import eventually

from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, llama_server
from zoe_grpcd.localbackends.ollama import OllamaModel, OllamaOptions, create_model, ollama_server
from zoe_grpcd.localbackends.servers import Server, free_port

PROMPT = "tell me of the river and the clock"
SEARCH = 60.0  # seconds in which a daemon has looked around again, whatever else the machine does


def at(daemon: Daemon, server: Server) -> str:
    """The state of the backend that stands for a server, empty if there is none."""
    names = [n for n, b in daemon.backends().items() if b.endpoint == server.url and b.kind == server.kind]
    return daemon.state(names[0]) if names else ""


async def listed(daemon: Daemon, model: str) -> None:
    """Returns when a daemon lists a model."""
    await eventually(lambda: model in daemon.models())


def test_an_ollama_is_found_where_its_own_variable_says(
    ollama_server: Any, quick_gguf: Path, serve: Any
) -> None:
    ollama = ollama_server({"found:1b": quick_gguf})
    daemon: Daemon = serve(env={"OLLAMA_HOST": f"127.0.0.1:{ollama.port}"})
    assert at(daemon, ollama) == "READY"
    answer = daemon.client().complete(PROMPT, model="found:1b", max_output_tokens=3)
    assert len(answer.text.split()) == 3


class Mute(socketserver.ThreadingTCPServer):
    """Takes connections and answers nothing; `peak` is the most that were open at once."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self._lock = threading.Lock()
        self._now = self.peak = 0

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._now += 1
            self.peak = max(self.peak, self._now)
        with request, suppress(ConnectionError):
            while request.recv(4096):
                pass
        with self._lock:
            self._now -= 1


def test_backends_that_answer_nothing_do_not_hold_up_each_other(serve: Any) -> None:
    with Mute() as mute:
        threading.Thread(target=mute.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{mute.server_address[1]}"
        daemon: Daemon = serve(backends=[{"name": f"box-{n}", "kind": "auto", "url": url} for n in range(4)])
        assert {daemon.state(f"box-{n}") for n in range(4)} == {"DOWN"}
        assert mute.peak >= 4
        mute.shutdown()


async def test_servers_that_come_later_are_found_and_followed_when_they_change(
    tools: Tools, tmp_path: Path, quick_gguf: Path, serve: Any
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    searching: Daemon = serve(env={"OLLAMA_HOST": url})
    guessing: Daemon = serve(
        backends=[{"name": "box", "kind": "auto", "url": url, "probe_interval": "100ms"}],
        log={"level": "info"},
    )
    assert guessing.state("box") == "DOWN"
    assert guessing.backends()["box"].state_detail == "nothing answers there"
    with ollama_server(tools, tmp_path / "ollama", OllamaOptions(port=port)).start().wait_ready() as ollama:
        create_model(ollama, OllamaModel("late:1b", quick_gguf))
        await eventually(lambda: at(searching, ollama) == "READY", SEARCH)
        await guessing.becomes("box", "READY", SEARCH)
        for daemon in (searching, guessing):
            await listed(daemon, "late:1b")
            assert daemon.client().complete(PROMPT, model="late:1b", max_output_tokens=3).text
    await guessing.becomes("box", "DOWN")
    with llama_server(tools, tmp_path, LlamaServerOptions(quick_gguf, alias="swapped", port=port)) as llama:
        llama.start().wait_ready()
        await eventually(lambda: at(searching, llama) == "READY", SEARCH)
        await eventually(lambda: guessing.backends()["box"].kind == "llamacpp", SEARCH)
        for daemon in (searching, guessing):
            await listed(daemon, "swapped")
            assert daemon.client().complete(PROMPT, model="swapped", max_output_tokens=3).text
    assert "late:1b" not in guessing.models()
