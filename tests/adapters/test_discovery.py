"""Servers of this machine are found and told apart, and none of them is disturbed by it."""

import socket
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from puppet import HANG, answer
from waiting import LONG

from zoe_grpcd.adapters import discovery
from zoe_grpcd.adapters.discovery import PORTS, ComparedProbe, discover
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.observation import Observation
from zoe_grpcd.localbackends.servers import free_port

MODELS = answer({"object": "list", "data": [{"id": "m", "owned_by": "vllm"}]})
PLAIN = answer({"object": "list", "data": [{"id": "m"}]})
PYTHON_SERVER = answer({"info": {"title": "🦙 llama.cpp Python API", "version": "0.3.36"}})
LOADING = answer({"error": {"message": "Loading model", "code": 503}}, 503, Server="llama.cpp")


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine answers late."""
    monkeypatch.setattr(discovery, "PATIENCE", LONG)


def named(backends: tuple[Backend, ...]) -> dict[str, str]:
    return {backend.name: backend.url for backend in backends}


async def test_real_servers_are_found_by_kind_and_nothing_is_loaded(
    session: aiohttp.ClientSession, llama_server: Any, llama_router: Any, ollama_server: Any, quick_gguf: Path
) -> None:
    ollama, router = ollama_server({"quick": quick_gguf}), llama_router(quick_gguf)
    keyed = llama_server(quick_gguf, api_key="k")
    found = await discover(session, [ollama.port, router.port, keyed.port, free_port()], environ={})
    assert named(found.backends) == {
        "ollama": ollama.url,
        f"llamacpp-{router.port}": router.url,
        f"llamacpp-{keyed.port}": keyed.url,
    }
    assert {backend.kind for backend in found.backends} == {"ollama", "llamacpp"}
    assert all(backend.local for backend in found.backends)
    assert len(found.notes) == 3
    assert ollama.runners() == router.runners() == []


async def test_a_sleeping_server_is_found_and_sleeps_on(
    session: aiohttp.ClientSession, llama_server: Any, quick_gguf: Path
) -> None:
    server = llama_server(quick_gguf, args=["--sleep-idle-seconds", "1"])
    log = server.log
    deadline = time.monotonic() + LONG
    while "entering sleeping state" not in log.read_text(errors="replace"):
        assert time.monotonic() < deadline
        await discover(session, [server.port], environ={})  # looking does not keep it awake either
    *_, found = [await discover(session, [server.port], environ={}) for _ in range(20)]
    assert named(found.backends) == {"llamacpp": server.url}
    assert "exiting sleeping state" not in log.read_text(errors="replace")


async def test_a_server_that_loads_its_model_is_found(session: aiohttp.ClientSession, puppet: Any) -> None:
    server = await puppet({}, otherwise=LOADING)
    assert named((await discover(session, [server.port], environ={})).backends) == {"llamacpp": server.url}


async def test_a_vllm_is_found_after_everything_else(session: aiohttp.ClientSession, puppet: Any) -> None:
    server = await puppet({"/v1/models": MODELS, "/version": answer({"version": "0.32.0"})})
    found = await discover(session, [server.port], environ={})
    assert named(found.backends) == {"vllm": server.url}
    assert found.notes == (f"{server.url} is a vLLM",)
    assert server.asked[-1] == "/v1/models"


async def test_a_vllm_that_has_just_started_is_not_held_up_by_its_first_schema(
    session: aiohttp.ClientSession, puppet: Any
) -> None:
    """0.32.0 takes two seconds to write it, on a machine that has other work."""
    told = {"/v1/models": MODELS, "/version": answer({"version": "0.32.0"}), "/openapi.json": HANG}
    server = await puppet(told)
    assert named((await discover(session, [server.port], environ={})).backends) == {"vllm": server.url}


async def test_a_triton_is_found_by_its_description(session: aiohttp.ClientSession, puppet: Any) -> None:
    server = await puppet({"/v2": answer({"name": "triton", "version": "2.51.0", "extensions": []})})
    assert named((await discover(session, [server.port], environ={})).backends) == {"triton": server.url}


async def test_llama_cpp_python_is_found_and_never_asked_for_its_models(
    session: aiohttp.ClientSession, puppet: Any
) -> None:
    server = await puppet({"/openapi.json": PYTHON_SERVER, "/v1/models": MODELS})
    found = await discover(session, [server.port], environ={})
    assert named(found.backends) == {"llama-cpp-python": server.url}
    assert found.notes == (f"{server.url} is a llama-cpp-python",)
    assert "/v1/models" not in server.asked


async def test_a_server_that_wants_a_key_is_noted(session: aiohttp.ClientSession, puppet: Any) -> None:
    server = await puppet({}, otherwise=answer({"error": "key"}, 401))
    found = await discover(session, [server.port], environ={})
    assert found.backends == ()
    assert found.notes == (f"{server.url} wants an api_key: configure it as a backend",)


@pytest.mark.parametrize(
    "reply",
    [
        answer(b"<html>It works!</html>"),
        answer({}),
        answer({}, 404),
        b"",
        b"220 mail ESMTP\r\n",
        answer([], 302),
    ],
    ids=["a page", "an object", "nothing there", "silence", "no HTTP", "a redirect"],
)
async def test_what_is_no_model_server_is_passed_over(
    session: aiohttp.ClientSession, puppet: Any, reply: bytes
) -> None:
    server = await puppet({}, otherwise=reply)
    found = await discover(session, [server.port], environ={})
    assert (found.backends, found.notes) == ((), ())


async def test_one_that_only_speaks_ollamas_interface_is_no_ollama(
    session: aiohttp.ClientSession, puppet: Any
) -> None:
    server = await puppet({"/api/version": answer({"version": "0.7.0"}), "/v1/models": PLAIN})
    assert named((await discover(session, [server.port], environ={})).backends) == {"openai": server.url}


async def test_a_server_that_hangs_holds_up_nothing(
    session: aiohttp.ClientSession,
    puppet: Any,
    llama_server: Any,
    quick_gguf: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(discovery, "PATIENCE", 2.0)
    stuck, server = await puppet({}, otherwise=HANG), llama_server(quick_gguf)
    begin = time.monotonic()
    found = await discover(session, [stuck.port, server.port], environ={})
    assert time.monotonic() - begin < LONG
    assert named(found.backends) == {"llamacpp": server.url}
    assert f"{stuck.url} answers too slowly to be recognised" in found.notes


async def test_our_own_ports_are_left_alone(session: aiohttp.ClientSession, puppet: Any) -> None:
    server = await puppet({"/v1/models": MODELS})
    assert (await discover(session, [server.port], own_ports=[server.port], environ={})).backends == ()
    assert server.asked == []


@pytest.mark.parametrize(
    "form", ["127.0.0.1:{}", "http://localhost:{}", "0.0.0.0:{}", ":{}", "http://[::1]:{}/"]
)
async def test_the_port_in_ollama_host_is_looked_at_too_and_once(
    session: aiohttp.ClientSession, puppet: Any, form: str
) -> None:
    greeting = answer(b"Ollama is running")
    server = await puppet({"/": greeting, "/api/version": answer({"version": "0.9.3"})})
    for ports in ([], [server.port]):
        found = await discover(session, ports, environ={"OLLAMA_HOST": form.format(server.port)})
        assert named(found.backends) == {"ollama": server.url}


@pytest.mark.parametrize("host", ["192.0.2.1:{}", "http://ollama.example:{}", "127.0.0.1:port", "[", ""])
async def test_an_ollama_host_that_is_no_port_of_this_machine_is_not_looked_at(
    session: aiohttp.ClientSession, puppet: Any, asked: list[str], host: str
) -> None:
    server = await puppet({})
    assert (await discover(session, [], environ={"OLLAMA_HOST": host.format(server.port)})).notes == ()
    assert asked == []


async def test_a_machine_with_nothing_on_it_is_looked_at_at_once(session: aiohttp.ClientSession) -> None:
    with socket.socket() as held:  # a port that is certainly closed: bound, not listening
        held.bind(("127.0.0.1", 0))
        begin = time.monotonic()
        found = await discover(session, [held.getsockname()[1]], environ={})
    assert (found.backends, found.notes) == ((), ())
    assert time.monotonic() - begin < LONG
    assert {11434, 8080} < set(PORTS)
    assert len(set(PORTS)) == len(PORTS)


# --------------------------------------------------------------------------------------------- what an operator said


class Seen:
    """A probe that sees what it is told."""

    def __init__(self, seen: Observation) -> None:
        self.seen = seen

    async def __call__(self) -> Observation:
        return self.seen


@pytest.mark.parametrize("kind", ["vllm", "ollama", "llamacpp", "triton"])
async def test_a_kind_that_the_server_contradicts_is_a_warning_with_what_was_seen(
    session: aiohttp.ClientSession, puppet: Any, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    server = await puppet({"/openapi.json": PYTHON_SERVER})
    inner = Seen(Observation(ok=True, detail="well"))
    probe = ComparedProbe(inner, session, Backend("box", kind, server.url))
    note = f"configured as kind {kind}, but {server.url} is a llama-cpp-python (kind llama-cpp-python)"
    for _ in range(3):
        assert (await probe()).detail == f"well; {note}"
    assert [record.getMessage() for record in caplog.records] == [f"backend box: {note}"]
    inner.seen = Observation(ok=False, error="404")
    for _ in range(3):
        assert (await probe()).error == f"404; {note}"
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("kind", "found"), [("openai", "vllm"), ("vllm", "vllm")])
async def test_a_kind_that_fits_is_none(
    session: aiohttp.ClientSession, puppet: Any, caplog: pytest.LogCaptureFixture, kind: str, found: str
) -> None:
    server = await puppet({"/v1/models": MODELS})
    probe = ComparedProbe(Seen(Observation(ok=True)), session, Backend("box", kind, server.url))
    assert (await probe()).detail == ""
    assert caplog.records == []
    asked = len(server.asked)
    assert (await probe()).ok
    assert len(server.asked) == asked, "it is looked at once"


async def test_a_server_that_is_not_there_yet_is_compared_when_it_comes(
    session: aiohttp.ClientSession, puppet: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = await puppet({})
    inner = Seen(Observation(ok=False, error="connection refused"))
    probe = ComparedProbe(inner, session, Backend("box", "ollama", server.url))
    assert (await probe()).error == "connection refused"
    server.answers["/v1/models"], inner.seen = MODELS, Observation(ok=True)
    assert (await probe()).detail.endswith("is a vLLM (kind vllm)")
    assert len(caplog.records) == 1
