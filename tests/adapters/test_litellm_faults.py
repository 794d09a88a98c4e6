"""What LiteLLM 1.106.2 does by itself when it is called as usual, and must not do here: its own calls, to servers on loopback."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from dispatching import HELLO, Playback, call, hear, playing

from zoe_grpcd.adapters.dialects import CLOUD
from zoe_grpcd.adapters.litellm_full import FullDispatcher, _translated
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Generation

pytestmark = [
    pytest.mark.usefixtures("loaded"),
    pytest.mark.filterwarnings("ignore:Item .* on TypedDict class:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
HERE = Path(__file__).parent / "recordings"
REPLY = {
    "openai": HERE / "openai-no-usage.sse",
    "vllm": HERE / "vllm-text.sse",
    "ollama": HERE / "ollama-text.ndjson",
}
PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"again "}}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


@pytest.fixture
async def full() -> AsyncIterator[FullDispatcher]:
    dispatcher = FullDispatcher()
    yield dispatcher
    await dispatcher.close()


@pytest.mark.parametrize("kind", ["openai", "vllm", "llamacpp"])
async def test_a_model_may_say_the_same_a_hundred_times(full: FullDispatcher, kind: str) -> None:
    async with playing(Playback(PIECE * 150 + STOP)) as server:
        assert (await hear(full, call(kind, server.url))).text == "again " * 150


@pytest.mark.parametrize("kind", list(REPLY))
@pytest.mark.parametrize("model", ["meta/llama-2", "llama-3", "gpt-4o", "claude-sonnet-4-5"])
async def test_a_name_that_it_has_rules_for_goes_where_it_is_served(
    full: FullDispatcher, kind: str, model: str
) -> None:
    async with playing(Playback(REPLY[kind].read_bytes())) as server:
        assert (await hear(full, call(kind, server.url, model=model))).text
    assert [body["model"] for body in server.bodies] == [model]


@pytest.mark.parametrize(
    ("kind", "model"), [("ollama", "my-replicate:7b"), ("ollama", "replicate"), ("openai", "replicate")]
)
async def test_what_it_would_send_to_another_service_is_not_sent(
    full: FullDispatcher, kind: str, model: str
) -> None:
    async with playing(Playback(REPLY[kind].read_bytes())) as server:
        with pytest.raises(UpstreamError, match="Replicate") as refused:
            await hear(full, call(kind, server.url, model=model))
    assert refused.value.fault is Fault.MODEL_MISSING
    assert server.paths == []


async def test_ollama_is_not_asked_what_a_model_is_before_each_call(
    full: FullDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with playing(Playback(REPLY["ollama"].read_bytes())) as server:
        monkeypatch.setenv("OLLAMA_API_BASE", server.url)  # where it asks, whatever address the call has
        await hear(full, call("ollama", server.url, model="unheard-of:1b"))
    assert server.paths == ["/api/chat"]


@pytest.mark.parametrize("kind", list(REPLY))
async def test_no_key_of_the_environment_goes_to_a_server_that_has_none(
    full: FullDispatcher, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "HOSTED_VLLM_API_KEY", "OLLAMA_API_KEY"):
        monkeypatch.setenv(name, "sk-of-somebody-else")
    async with playing(Playback(REPLY[kind].read_bytes())) as server:
        await hear(full, call(kind, server.url, Generation(HELLO)))
    assert "sk-of-somebody-else" not in str(server.seen)


@pytest.mark.parametrize("kind", list(REPLY))
async def test_a_failure_is_not_tried_again_behind_our_back(full: FullDispatcher, kind: str) -> None:
    async with playing(Playback(b'{"error": "no"}', status=500)) as server:
        with pytest.raises(Exception, match="no"):
            await hear(full, call(kind, server.url))
    assert len(server.paths) == 1


def test_an_answer_counts_more_than_the_connection_that_broke_before_it() -> None:
    import httpx
    import litellm

    def tried_twice() -> None:
        try:
            raise httpx.RemoteProtocolError("Server disconnected")
        except httpx.RemoteProtocolError:
            raise litellm.AuthenticationError("no such key", "gemini", "m")  # noqa: B904 - as LiteLLM does

    with pytest.raises(litellm.AuthenticationError) as raised:
        tried_twice()
    told = _translated(raised.value, CLOUD["litellm"], begun=False)
    assert (told.fault, told.http_status) == (Fault.UNAUTHORIZED, 401)
