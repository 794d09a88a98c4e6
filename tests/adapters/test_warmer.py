"""What brings a model into memory, on real servers; and what it says when that fails."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from puppet import answer
from waiting import eventually

from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Call, Generation
from zoe_grpcd.kinds import KINDS, warmer_of
from zoe_grpcd.localbackends.servers import Server


async def warm(session: aiohttp.ClientSession, kind: str, url: str, model: str, **how: Any) -> None:
    """`how`: `keep_alive`, and `options` as the backend spells them."""
    backend = Backend("here", kind, url)
    warmer = warmer_of(session, backend)
    assert warmer is not None
    generation = Generation((), backend_options=how.get("options", {}))
    await warmer(Call(backend, model, generation), how.get("keep_alive"))


async def refused(*where: Any) -> tuple[Fault, str]:
    with pytest.raises(UpstreamError) as caught:
        await warm(*where)
    return caught.value.fault, caught.value.message


def garbage(folder: Path) -> Path:
    """A file that looks like a model, and is none."""
    folder.mkdir(exist_ok=True)
    file = folder / "garbage.gguf"
    file.write_bytes(b"GGUF" + bytes(100))
    return file


def half_of(model: Path, folder: Path) -> Path:
    """A download that was broken off."""
    file = folder / "half.gguf"
    file.write_bytes(model.read_bytes()[: model.stat().st_size // 2])
    return file


def states(router: Server) -> dict[str, str]:
    listed = json.loads(router.request("GET", "/models")[1])["data"]
    return {model["id"]: model["status"]["value"] for model in listed}


def log_of(server: Server) -> str:
    return server.log.read_text(errors="replace")


def is_sleeping(server: Server) -> bool:
    return json.loads(server.request("GET", "/props")[1])["is_sleeping"] is True


# ----------------------------------------------------------------------------------------------------- llama-server


@pytest.mark.parametrize("args", [[], ["--no-models-autoload"]])
async def test_a_router_loads_what_it_is_told_to_whether_requests_may_do_that_or_not(
    session: aiohttp.ClientSession, llama_router: Any, quick_gguf: Path, tmp_path: Path, args: list[str]
) -> None:
    router = llama_router(quick_gguf, garbage(tmp_path / "bin"), args=args)
    await warm(session, "llamacpp", router.url, "quick")
    assert states(router)["quick"] == "loaded"
    assert await refused(session, "llamacpp", router.url, "garbage") == (
        Fault.LOAD_FAILED,
        "model name=garbage failed to load",
    )
    fault, text = await refused(session, "llamacpp", router.url, "nobody")
    assert (fault, text) == (Fault.MODEL_MISSING, "model 'nobody' not found")


async def test_one_that_sleeps_is_woken_and_says_nothing(
    session: aiohttp.ClientSession, llama_server: Any, quick_gguf: Path
) -> None:
    server = llama_server(quick_gguf, args=["--sleep-idle-seconds", "1"])
    await eventually(lambda: is_sleeping(server), 30)
    await warm(session, "llamacpp", server.url, "whatever")
    assert "exiting sleeping state" in log_of(server)
    assert "llamacpp:tokens_predicted_total 0" in server.request("GET", "/metrics")[1]


# ----------------------------------------------------------------------------------------------------------- Ollama


async def test_an_ollama_loads_with_the_options_of_the_requests_and_keeps_it_as_long_as_wished(
    session: aiohttp.ClientSession, ollama_server: Any, quick_gguf: Path, tmp_path: Path
) -> None:
    ollama = ollama_server({"quick:1b": quick_gguf, "half:1b": half_of(quick_gguf, tmp_path)})
    options = {"num_ctx": 512, "keep_alive": "1m"}
    await warm(session, "ollama", ollama.url, "quick:1b", options=options)
    runners = ollama.runners()
    assert runners
    await eventually(lambda: 0 < stays(ollama) < 90)  # which Ollama writes down after it has answered

    await warm(session, "ollama", ollama.url, "quick:1b", keep_alive=7200.0, options=options)
    await eventually(lambda: 7000 < stays(ollama) < 7300)
    await warm(session, "ollama", ollama.url, "quick:1b", keep_alive=-1.0, options=options)
    await eventually(lambda: stays(ollama) > 10 * 365 * 86400)
    said = {"model": "quick:1b", "messages": [{"role": "user", "content": "hi"}], "stream": False}
    assert ollama.request("POST", "/api/chat", said | {"options": {"num_ctx": 512}})[0] == 200
    assert ollama.runners() == runners, "it was loaded anew for the first request"

    fault, text = await refused(session, "ollama", ollama.url, "half:1b")
    assert fault is Fault.LOAD_FAILED
    assert "unable to load model" in text
    fault, text = await refused(session, "ollama", ollama.url, "nobody")
    assert (fault, text) == (Fault.MODEL_MISSING, 'model "nobody" not found, try pulling it first')


def stays(ollama: Server) -> float:
    """Seconds until it unloads its only model."""
    [model] = json.loads(ollama.request("GET", "/api/ps")[1])["models"]
    return (datetime.fromisoformat(model["expires_at"]) - datetime.now(UTC)).total_seconds()


# ------------------------------------------------------------------------------------------- what servers may answer


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("llamacpp", "/tokenize"),
        ("ollama", "/api/chat"),
        ("triton", "/v2/repository/models/a%2Fb/load"),
        ("vllm", "/wake_up"),
    ],
)
async def test_each_kind_has_one_request_for_it(
    session: aiohttp.ClientSession, puppet: Any, kind: str, path: str
) -> None:
    server = await puppet({path: answer({})})
    await warm(session, kind, server.url, "a/b")
    assert server.asked == [path]


def test_those_are_all_that_have_one() -> None:
    assert {name for name, kind in KINDS.items() if kind.loading} == {"llamacpp", "ollama", "triton", "vllm"}
    assert {name for name, kind in KINDS.items() if kind.keeps} == {"ollama"}
    assert not KINDS["openai"].loading


@pytest.mark.parametrize(
    ("said", "fault", "words"),
    [
        (answer({"error": "explicit model load is not allowed"}, 400), Fault.REJECTED, "explicit model load"),
        (answer({"error": "out of memory"}, 500), Fault.LOAD_FAILED, "out of memory"),
        (answer({}, 401), Fault.LOAD_FAILED, "it wants an api_key"),
        (b"", Fault.LOAD_FAILED, "it closed the connection without an answer"),
    ],
)
async def test_what_a_server_says_to_it_is_told(
    session: aiohttp.ClientSession, puppet: Any, said: bytes, fault: Fault, words: str
) -> None:
    server = await puppet({}, otherwise=said)
    found, text = await refused(session, "triton", server.url, "m")
    assert found is fault
    assert words in text


async def test_no_connection_says_something_of_the_server(
    session: aiohttp.ClientSession, unused_tcp_port: int
) -> None:
    assert await refused(session, "ollama", f"http://127.0.0.1:{unused_tcp_port}", "m") == (
        Fault.REFUSED,
        "connection refused",
    )


async def test_whoever_stops_waiting_closes_the_connection(
    session: aiohttp.ClientSession, puppet: Any
) -> None:
    server = await puppet({}, otherwise=None)
    waiting = asyncio.create_task(warm(session, "vllm", server.url, "m"))
    await eventually(lambda: server.asked)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
