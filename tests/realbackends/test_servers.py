"""Servers start, hang, crash and stop as asked, and nothing is left of them."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from zoe_grpcd.localbackends.servers import Server, _processes
from zoe_grpcd.localbackends.trio import start_demo_backends

LOAD = {"model": "quick:1b", "messages": []}
ASK = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}


def alive(*groups: int) -> list[int]:
    return [process.pid for process in _processes() if process.group in groups]


def refuses(server: Server) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", server.port)) != 0


def test_stop_leaves_no_process_behind(llama_server: Any, ollama_server: Any, quick_gguf: Path) -> None:
    llama, ollama = llama_server(quick_gguf), ollama_server({"quick:1b": quick_gguf})
    assert ollama.request("POST", "/api/chat", LOAD)[0] == 200
    groups = llama.pid, ollama.pid
    assert len(ollama.runners()) == 1
    assert len(alive(*groups)) == 3
    llama.stop()
    ollama.stop()
    assert alive(*groups) == []
    assert refuses(llama)
    assert refuses(ollama)


def test_a_crashed_ollama_leaves_its_runner_until_it_is_stopped(ollama_server: Any, quick_gguf: Path) -> None:
    ollama = ollama_server({"quick:1b": quick_gguf})
    assert ollama.request("POST", "/api/chat", LOAD)[0] == 200
    group, runners = ollama.pid, ollama.runners()
    ollama.crash()
    assert not ollama.is_running
    assert alive(group) == runners
    ollama.stop()
    assert alive(group) == []


def test_a_server_restarts_on_its_port(llama_server: Any, quick_gguf: Path) -> None:
    server = llama_server(quick_gguf)
    port, pid = server.port, server.pid
    server.crash()
    assert refuses(server)
    assert server.restart().port == port
    assert server.pid != pid
    assert server.request("POST", "/v1/chat/completions", ASK)[0] == 200


def test_a_frozen_server_accepts_and_says_nothing_until_it_is_thawed(
    llama_server: Any, quick_gguf: Path
) -> None:
    server = llama_server(quick_gguf)
    server.freeze()
    assert server.is_running
    with pytest.raises(TimeoutError):
        server.request("GET", "/health", within=0.3)
    server.thaw()
    assert server.request("GET", "/health")[0] == 200


def test_a_frozen_server_can_be_stopped(llama_server: Any, quick_gguf: Path) -> None:
    server = llama_server(quick_gguf)
    group = server.pid
    server.freeze()
    server.stop()
    assert alive(group) == []


def test_a_router_lists_its_models_and_runs_each_in_a_process_that_can_crash(
    llama_router: Any, quick_gguf: Path, tool_gguf: Path
) -> None:
    router = llama_router(quick_gguf, tool_gguf)
    listed = json.loads(router.request("GET", "/models")[1])["data"]
    assert {model["id"] for model in listed} == {"quick", "tool"}
    assert router.runners() == []
    assert router.request("POST", "/v1/chat/completions", {**ASK, "model": "quick"})[0] == 200
    assert len(router.runners()) == 1
    router.crash_runners()
    wait_until(lambda: not router.runners())
    assert router.is_running


def test_a_server_that_can_not_start_says_why(llama_server: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"missing\.gguf"):
        llama_server(tmp_path / "missing.gguf")


def test_a_port_in_use_is_refused_before_another_server_answers_for_this_one(
    llama_server: Any, quick_gguf: Path
) -> None:
    first = llama_server(quick_gguf)
    with pytest.raises(OSError, match="in use"):
        llama_server(quick_gguf, port=first.port)


def test_the_demo_has_three_servers_with_four_models(tools: Any, tmp_path: Path) -> None:
    servers = start_demo_backends(tmp_path, tools)
    groups = [server.pid for server in servers]
    try:
        quick, slow, ollama = servers
        assert [server.kind for server in servers] == ["llamacpp", "llamacpp", "ollama"]
        for server, name in ((quick, "quick"), (slow, "slow")):
            assert json.loads(server.request("GET", "/v1/models")[1])["data"][0]["id"] == name
        models = json.loads(ollama.request("GET", "/api/tags")[1])["models"]
        assert {model["name"] for model in models} == {"quick:1b", "slow:1b"}
    finally:
        for server in servers:
            server.stop()
    assert alive(*groups) == []


START_AND_WAIT = """
import sys, signal
from pathlib import Path
from zoe_grpcd.localbackends.fetch import find_tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
signal.signal(signal.SIGINT, signal.default_int_handler)  # which whoever runs the tests may have had ignored
folder = Path(sys.argv[1])
server = start_llama_server(find_tools(), folder, LlamaServerOptions(folder / "quick.gguf"))
print(server.pid, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_servers_end_with_the_process_that_started_them_however_it_ends(
    end: signal.Signals, tools: Any, models: Path, quick_gguf: Path
) -> None:
    argv = [sys.executable, "-c", START_AND_WAIT, str(models)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as starter:
        assert starter.stdout
        group = int(starter.stdout.readline())
        assert alive(group)
        os.kill(starter.pid, end)
    wait_until(lambda: not alive(group))
