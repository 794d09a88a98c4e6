"""What the probe of a server with OpenAI's interface sees, and backends that are not looked at."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from puppet import answer

from zoe_grpcd.adapters.openai import OpenAIProbe
from zoe_grpcd.adapters.passive import PassiveProbe
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.observation import LoadState, ModelStatus

PYTHON_SERVER = answer({"info": {"title": "🦙 llama.cpp Python API", "version": "0.3.36"}})


def probe_of(
    session: aiohttp.ClientSession, url: str, *, local: bool = True, api_key: str = ""
) -> OpenAIProbe:
    return OpenAIProbe(session, Backend("here", "openai", url, local=local), api_key)


def models(*listed: dict[str, Any]) -> bytes:
    return answer({"object": "list", "data": list(listed)})


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
async def test_real_servers_tell_their_models_whether_the_url_ends_in_v1_or_not(
    session: aiohttp.ClientSession, llama_server: Any, ollama_server: Any, quick_gguf: Path, ending: str
) -> None:
    for server in (llama_server(quick_gguf, alias="quick"), ollama_server({"quick": quick_gguf})):
        seen = await probe_of(session, server.url + ending)()
        assert seen.ok, seen.error
        assert [model.name.removesuffix(":latest") for model in seen.models or ()] == ["quick"]
        assert server.runners() == []


@pytest.mark.parametrize(
    ("listed", "context", "capabilities"),
    [
        ({}, None, {"chat"}),
        ({"max_model_len": 2048, "owned_by": "vllm"}, 2048, {"chat"}),
        ({"context_window": 131072}, 131072, {"chat"}),
        ({"max_context_length": 32768, "capabilities": ["tool_use"]}, 32768, {"chat", "tools"}),
        ({"capabilities": {"vision": True, "function_calling": False}}, None, {"chat", "vision"}),
        ({"capabilities": ["embeddings"]}, None, {"embedding"}),
        ({"capabilities": ["completion", "embeddings"]}, None, {"chat", "embedding"}),
        ({"capabilities": {"completion_chat": False, "vision": True}}, None, {"vision"}),
        (
            {
                "context_length": 8192,
                "architecture": {"input_modalities": ["text", "image"]},
                "supported_parameters": ["tools", "reasoning", "structured_outputs"],
            },
            8192,
            {"chat", "vision", "tools", "reasoning", "json_schema"},
        ),
        ({"max_model_len": -1, "context_length": "8k", "capabilities": 7}, None, {"chat"}),
    ],
)
async def test_what_a_server_tells_of_a_model_is_taken_in(
    session: aiohttp.ClientSession, puppet: Any, listed: dict[str, Any], context: int, capabilities: set[str]
) -> None:
    server = await puppet({"/v1/models": models({"id": "m", **listed})})
    seen = await probe_of(session, server.url)()
    assert seen.models == (
        ModelStatus("m", LoadState.LOADED, context_tokens=context, capabilities=frozenset(capabilities)),
    )


@pytest.mark.parametrize(
    ("name", "told", "chats"),
    [
        ("text-embedding-3-small", {}, False),
        ("text-embedding-nomic-embed-text-v1.5", {}, False),
        ("openai/whisper-large-v3", {}, False),
        ("tts-1-hd", {}, False),
        ("mxbai-embed-large", {}, False),
        ("embedded-c-coder", {}, True),
        ("gpt-4o", {}, True),
        ("mattts-7b", {}, True),
        ("embedder-chat", {"capabilities": ["completion_chat"]}, True),
    ],
)
async def test_what_is_only_named_is_known_by_its_name(
    session: aiohttp.ClientSession, puppet: Any, name: str, told: dict[str, Any], chats: bool
) -> None:
    server = await puppet({"/v1/models": models({"id": name, **told})})
    seen = await probe_of(session, server.url)()
    (model,) = seen.models or ()
    assert ("chat" in model.capabilities) is chats


async def test_a_wrong_key_is_told_as_such(session: aiohttp.ClientSession, puppet: Any) -> None:
    server = await puppet({"/v1/models": answer({"error": {"message": "Incorrect API key: sk-12"}}, 401)})
    seen = await probe_of(session, server.url, local=False, api_key="sk-12")()
    assert (seen.ok, seen.error) == (False, "401: the api_key is wrong")


async def test_llama_cpp_python_is_never_asked_for_its_models(
    session: aiohttp.ClientSession, puppet: Any
) -> None:
    server = await puppet({"/openapi.json": PYTHON_SERVER, "/v1/models": models({"id": "m"})})
    probe = probe_of(session, server.url)
    *_, seen = [await probe() for _ in range(3)]
    assert not seen.ok
    assert "llama-cpp-python" in seen.error
    assert set(server.asked) == {"/openapi.json"}


async def test_a_server_is_recognised_once_and_again_after_it_was_away(
    session: aiohttp.ClientSession, puppet: Any
) -> None:
    server = await puppet({"/v1/models": models({"id": "m"})})
    probe = probe_of(session, server.url)
    assert (await probe()).ok
    assert (await probe()).ok
    assert server.asked == ["/openapi.json", "/v1/models", "/v1/models"]
    server.answers["/v1/models"] = answer({}, 500)
    assert not (await probe()).ok
    server.answers["/openapi.json"] = PYTHON_SERVER
    assert "llama-cpp-python" in (await probe()).error
    assert server.asked[3:] == ["/v1/models", "/openapi.json"]


async def test_a_cloud_is_asked_for_its_list_alone(session: aiohttp.ClientSession, puppet: Any) -> None:
    server = await puppet({"/v1/models": models({"id": "m"})})
    assert (await probe_of(session, server.url, local=False)()).ok
    assert server.asked == ["/v1/models"]


async def test_a_backend_that_is_not_looked_at_has_its_configured_models_and_says_so() -> None:
    seen = await PassiveProbe(["claude", "gpt", "claude"])()
    assert (seen.ok, seen.detail) == (True, "not probed: its health shows in use alone")
    assert seen.models == (ModelStatus("claude"), ModelStatus("gpt"))
