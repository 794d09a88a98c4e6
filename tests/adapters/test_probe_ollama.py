"""What the probe of an Ollama sees on a real one, and that it leaves it as it is."""

import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from puppet import answer
from waiting import eventually

from zoe_grpcd.adapters.ollama import OllamaProbe
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.observation import LoadState, ModelStatus, Observation
from zoe_grpcd.localbackends.gguf import TinyModel, make_gguf
from zoe_grpcd.localbackends.ollama import OllamaModel, create_model
from zoe_grpcd.localbackends.servers import Server


def probe_of(session: aiohttp.ClientSession, url: str) -> OllamaProbe:
    return OllamaProbe(session, Backend("here", "ollama", url))


def model_of(seen: Observation, name: str) -> ModelStatus:
    assert seen.ok, seen.error
    return next(model for model in seen.models or () if model.name == name)


def size_of(file: Path) -> int:
    return file.stat().st_size


def load(server: Server, model: str, keep_alive: Any = "5m") -> None:
    body = {"model": model, "messages": [], "keep_alive": keep_alive, "stream": False}
    assert server.request("POST", "/api/chat", body)[0] == 200


def running(server: Server) -> list[Any]:
    found: list[Any] = json.loads(server.request("GET", "/api/ps")[1])["models"]
    return found


async def test_models_are_known_without_being_loaded(
    session: aiohttp.ClientSession, asked: list[str], ollama_server: Any, quick_gguf: Path, tool_gguf: Path
) -> None:
    server = ollama_server({"quick:1b": quick_gguf, "tool": tool_gguf})
    probe = probe_of(session, server.url)
    *_, seen = [await probe() for _ in range(20)]
    assert {model.name for model in seen.models or ()} == {"quick:1b", "tool:latest"}
    quick = model_of(seen, "quick:1b")
    assert (quick.state, quick.alias, quick.vram_bytes, quick.expire_at) == (
        LoadState.UNLOADED,
        None,
        0,
        None,
    )
    assert quick.capabilities == {"chat", "json_schema"}
    assert quick.context_tokens == 4096
    assert quick.parameters == pytest.approx(0.00114)
    assert quick.size_bytes == pytest.approx(size_of(quick_gguf), rel=0.01)
    assert model_of(seen, "tool:latest").capabilities == {"chat", "json_schema", "tools"}
    assert seen.detail.startswith("Ollama ")
    assert (seen.slots, seen.busy) == (None, None)
    assert running(server) == []
    assert server.runners() == []
    assert asked.count("/api/show") == 2


async def test_a_loaded_model_tells_its_size_and_when_it_will_be_unloaded_which_looking_does_not_put_off(
    session: aiohttp.ClientSession, ollama_server: Any, quick_gguf: Path
) -> None:
    server = ollama_server({"quick:1b": quick_gguf})
    probe = probe_of(session, server.url)
    load(server, "quick:1b")

    async def stays() -> float:
        return max(0.0, (model_of(await probe(), "quick:1b").expire_at or 0.0) - time.time())

    assert await eventually(stays) == pytest.approx(
        300, abs=60
    )  # Ollama writes it down after it has answered
    first = model_of(await probe(), "quick:1b")
    assert first.state == LoadState.LOADED
    assert first.size_bytes > size_of(quick_gguf)
    *_, again = [await probe() for _ in range(20)]
    assert model_of(again, "quick:1b") == first
    load(server, "quick:1b", keep_alive=-1)

    async def stays_for_good() -> bool:
        return model_of(await probe(), "quick:1b").expire_at is None

    await eventually(stays_for_good)
    assert model_of(await probe(), "quick:1b").state == LoadState.LOADED


async def test_a_copy_is_in_memory_with_the_model_that_it_is_a_copy_of_and_needs_no_load(
    session: aiohttp.ClientSession, ollama_server: Any, quick_gguf: Path
) -> None:
    server = ollama_server({"quick:1b": quick_gguf, "other:1b": quick_gguf})
    assert server.request("POST", "/api/copy", {"source": "quick:1b", "destination": "copy"})[0] == 200
    probe = probe_of(session, server.url)
    load(server, "copy")
    [runner] = server.runners()
    seen = await probe()
    copy, quick = model_of(seen, "copy:latest"), model_of(seen, "quick:1b")
    assert (quick.state, quick.digest, quick.expire_at) == (LoadState.LOADED, copy.digest, copy.expire_at)
    load(server, "quick:1b")
    assert (server.runners(), len(running(server))) == ([runner], 1)


async def test_a_model_expires_while_it_is_looked_at(
    session: aiohttp.ClientSession, ollama_server: Any, quick_gguf: Path
) -> None:
    server = ollama_server({"quick:1b": quick_gguf})
    probe = probe_of(session, server.url)
    load(server, "quick:1b", keep_alive="1s")

    async def unloaded() -> bool:
        return model_of(await probe(), "quick:1b").state == LoadState.UNLOADED

    await eventually(unloaded)


async def test_the_window_is_num_ctx_and_no_more_than_the_model_was_made_for(
    session: aiohttp.ClientSession, ollama_server: Any, quick_gguf: Path, tmp_path: Path
) -> None:
    short = make_gguf(tmp_path / "short.gguf", TinyModel(name="short", context=2048))
    server = ollama_server(
        {"wide": OllamaModel("", quick_gguf, parameters={"num_ctx": 8192}), "short": short}
    )
    seen = await probe_of(session, server.url)()
    assert model_of(seen, "wide:latest").context_tokens == 8192
    assert model_of(seen, "short:latest").context_tokens == 2048


async def test_a_model_that_was_made_anew_is_asked_about_again(
    session: aiohttp.ClientSession, asked: list[str], ollama_server: Any, quick_gguf: Path
) -> None:
    server = ollama_server({"quick:1b": quick_gguf})
    probe = probe_of(session, server.url)
    assert model_of(await probe(), "quick:1b").context_tokens == 4096
    create_model(server, OllamaModel("quick:1b", quick_gguf, parameters={"num_ctx": 1024}))
    assert model_of(await probe(), "quick:1b").context_tokens == 1024
    assert asked.count("/api/show") == 2


async def test_a_url_may_name_localhost_and_end_in_a_slash_or_v1(
    session: aiohttp.ClientSession, ollama_server: Any
) -> None:
    port = ollama_server().port
    for url in (f"http://localhost:{port}", f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{port}/v1"):
        seen = await probe_of(session, url)()
        assert (seen.ok, seen.models) == (True, ()), seen.error


# ------------------------------------------------------------------------- what this machine's Ollama does not do

TAGS = {"models": [{"name": "a:1b", "digest": "d", "size": 5, "details": {"parameter_size": "3.2B"}}]}
DATE = "Sat, 21 Nov 2026 10:00:00 GMT"


def an_ollama(ps: dict[str, Any], show: bytes, tags: dict[str, Any] = TAGS) -> dict[str, bytes]:
    return {
        "/api/version": answer({"version": "0.13.0"}),
        "/api/tags": answer(tags),
        "/api/ps": answer({"models": [{"name": "a:1b", **ps}]}, Date=DATE),
        "/api/show": show,
    }


async def test_a_version_that_tells_the_real_window_is_believed(
    session: aiohttp.ClientSession, puppet: Any
) -> None:
    show = answer({"capabilities": ["completion", "vision", "thinking"], "parameters": "num_ctx    512"})
    ps = {"context_length": 16384, "expires_at": "2026-11-21T12:00:01.123456789+02:00", "size_vram": 7}
    server = await puppet(an_ollama(ps, show))
    model = model_of(await probe_of(session, server.url)(), "a:1b")
    assert (model.state, model.context_tokens, model.vram_bytes) == (LoadState.LOADED, 16384, 7)
    assert model.capabilities == {"chat", "vision", "reasoning", "json_schema"}
    assert model.parameters == 3.2
    assert model.expire_at == pytest.approx(1795255201.123456)


@pytest.mark.parametrize(
    ("expires_at", "state"),
    [
        ("2026-11-21T09:59:59Z", LoadState.UNLOADED),
        ("2026-11-21T10:00:01Z", LoadState.LOADED),
        ("0001-01-01T00:00:00Z", LoadState.LOADED),
        ("soon", LoadState.LOADED),
    ],
)
async def test_a_model_is_loaded_until_it_expires_by_the_clock_of_the_server(
    session: aiohttp.ClientSession, puppet: Any, expires_at: str, state: LoadState
) -> None:
    server = await puppet(an_ollama({"expires_at": expires_at}, answer({})))
    assert model_of(await probe_of(session, server.url)(), "a:1b").state == state


async def test_models_that_run_elsewhere_are_left_out(session: aiohttp.ClientSession, puppet: Any) -> None:
    cloud = {"name": "big:cloud", "digest": "c", "remote_host": "https://ollama.com:443"}
    server = await puppet(an_ollama({}, answer({}), {"models": [cloud, *TAGS["models"]]}))
    seen = await probe_of(session, server.url)()
    assert [model.name for model in seen.models or ()] == ["a:1b"]
    assert seen.detail == "Ollama 0.13.0; left out: 1 that run elsewhere"


async def test_a_model_that_cannot_be_shown_is_asked_about_again(
    session: aiohttp.ClientSession, puppet: Any
) -> None:
    server = await puppet(an_ollama({}, answer({"error": "damaged"}, 500)))
    probe = probe_of(session, server.url)
    assert model_of(await probe(), "a:1b").capabilities == {"chat", "json_schema"}
    server.answers["/api/show"] = answer({"capabilities": ["embedding"]})
    assert model_of(await probe(), "a:1b").capabilities == {"embedding", "json_schema"}


async def test_a_refused_host_name_is_explained(session: aiohttp.ClientSession, puppet: Any) -> None:
    server = await puppet({}, otherwise=answer(b"", 403))
    seen = await probe_of(session, server.url)()
    assert (seen.ok, seen.error[:26]) == (False, "403: it refuses the url's ")
