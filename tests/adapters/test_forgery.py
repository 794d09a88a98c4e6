"""Nothing that a caller sends makes the daemon call another address than the backend's (server-side request forgery).

A hook of the interpreter sees each connection and each name that is looked up, so that no library is trusted here. A
listening trap on loopback is where the forged addresses lead.
"""

import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dispatching import HELLO, Playback, call, hear, playing

from zoe_grpcd.adapters.litellm_full import FullDispatcher
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Call, Generation
from zoe_grpcd.core.options import forbidden

pytestmark = [
    pytest.mark.usefixtures("loaded"),
    pytest.mark.filterwarnings("ignore:Item .* on TypedDict class:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

REPLY = (Path(__file__).parent / "recordings" / "openai-no-usage.sse").read_bytes()
PARAMS = {"litellm": {"model": "openai/gpt-4o", "api_key": "k"}}
ELSEWHERE = (  # some that its providers look for
    "anthropic_issuer_url",
    "anthropic_keycloak_token_url",
    "aws_bedrock_runtime_endpoint",
    "aws_sts_endpoint",
    "azure_ad_token_provider",
    "context_window_fallback_dict",
    "model_list",
    "provider_specific_header",
    "proxy",
    "s3_endpoint_url",
    "shared_session",
    "use_litellm_proxy",
    "verify",
)
_seen: list[Any] = []
_watching = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in ("socket.connect", "socket.getaddrinfo"):
        _seen.append(arguments[1] if event == "socket.connect" else arguments[:2])


@pytest.fixture(scope="module", autouse=True)
def hooked() -> None:
    sys.addaudithook(_hook)  # for the rest of the process; it does nothing while nobody watches


@contextmanager
def connections() -> Iterator[set[tuple[str, int]]]:
    """Where the process goes meanwhile; complete behind the block."""
    global _watching  # noqa: PLW0603 - the interpreter has no other way
    found: set[tuple[str, int]] = set()
    _seen.clear()
    _watching = True
    try:
        yield found
    finally:
        _watching = False
        found |= {(str(place[0]), int(place[1] or 0)) for place in _seen if isinstance(place, tuple)}


@pytest.fixture
def trap() -> Iterator[str]:
    """An address that listens, and that nobody has a reason to call."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x.png"


@pytest.fixture
async def backend() -> AsyncIterator[Playback]:
    async with playing(Playback(REPLY, headers={"Content-Type": "text/event-stream"})) as playback:
        yield playback


def place_of(backend: Playback) -> tuple[str, int]:
    return "127.0.0.1", int(backend.url.rpartition(":")[2])


async def asked(made: Call, params: dict[str, Any] | None = None) -> UpstreamError | None:
    """What the call ended with."""
    dispatcher = FullDispatcher({"b": params or {}})
    try:
        await hear(dispatcher, made)
    except UpstreamError as error:
        return error
    finally:
        await dispatcher.close()
    return None


def names_of_litellm() -> list[str]:
    """What LiteLLM understands as an argument of its own, addresses and credentials among it."""
    from litellm.types.utils import StandardCallbackDynamicParams, all_litellm_params

    names = {*all_litellm_params, *StandardCallbackDynamicParams.__annotations__, *ELSEWHERE}
    return sorted(name for name in names if not forbidden({name: 1}))


def is_address(name: str) -> bool:
    return any(sign in name for sign in ("url", "host", "endpoint", "site", "list", "fallback", "token"))


@pytest.mark.parametrize("kind", ["anthropic", "litellm"])
async def test_options_of_a_backend_are_no_arguments_of_litellm(
    kind: str, backend: Playback, trap: str
) -> None:
    names = [name for name in names_of_litellm() if is_address(name) or name in ELSEWHERE]
    assert len(names) > 20
    with connections() as found:
        for name in names:
            made = call(kind, backend.url, Generation(HELLO, backend_options={name: trap}))
            error = await asked(made, PARAMS.get(kind))
            assert error is not None, name
            assert error.fault is Fault.REJECTED
            assert f"backend_options.{name} " in str(error)
    assert found == set()


@pytest.mark.parametrize("kind", ["openai", "ollama", "llamacpp"])
async def test_for_a_local_kind_they_are_fields_of_the_body(kind: str, backend: Playback, trap: str) -> None:
    options = dict.fromkeys([name for name in names_of_litellm() if is_address(name)], trap)
    with connections() as found:
        await asked(call(kind, backend.url, Generation(HELLO, backend_options=options)))
    assert found == {place_of(backend)}


@pytest.mark.parametrize("kind", ["openai", "anthropic", "litellm", "ollama", "llamacpp"])
@pytest.mark.parametrize(
    "model",
    [
        "ollama/llama3",
        "openai/http://TRAP",
        "http://TRAP/v1",
        "litellm_proxy/x",
        "responses/gpt-4o",
        "huggingface/TRAP",
        "azure_ai/http://TRAP",
        "../../admin",
        "x@TRAP",
        "custom_openai/x",
    ],
)
async def test_the_name_of_a_model_is_only_a_name(
    kind: str, model: str, backend: Playback, trap: str
) -> None:
    named = model.replace("TRAP", trap.removeprefix("http://"))
    made = call(kind, backend.url, Generation(HELLO), model=named)
    with connections() as found:
        await asked(made, PARAMS.get(kind))
    assert found <= {place_of(backend)}
    assert found or kind == "anthropic" or model == "responses/gpt-4o"  # or it was refused before


@pytest.mark.parametrize("kind", ["openai", "anthropic", "litellm", "ollama", "llamacpp"])
async def test_the_address_of_an_image_is_never_fetched_by_the_daemon(
    kind: str, backend: Playback, trap: str
) -> None:
    for uri in (
        trap,
        trap.replace("127.0.0.1", "localhost"),
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
    ):
        parts = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": uri}}]
        made = call(kind, backend.url, Generation(({"role": "user", "content": parts},)))
        with connections() as found:
            await asked(made, PARAMS.get(kind))
        assert found <= {place_of(backend)}, uri


def test_kinds_that_would_fetch_it_refuse_the_address_of_an_image() -> None:
    from zoe_grpcd.adapters.dialects import CLOUD, DIALECTS

    for dialect in (CLOUD["anthropic"], CLOUD["litellm"], DIALECTS["ollama"]):
        assert "images.uri" in dialect.refuses


async def test_what_a_cloud_service_understands_is_passed_on(backend: Playback) -> None:
    made = call("litellm", backend.url, Generation(HELLO))
    options = {"service_tier": "flex", "user": "u"}
    made = replace(made, generation=replace(made.generation, backend_options=options))
    await asked(made, PARAMS["litellm"])
    assert {name: backend.bodies[-1].get(name) for name in options} == options


async def test_a_backend_that_sends_us_elsewhere_is_not_followed(backend: Playback, trap: str) -> None:
    from zoe_grpcd.adapters.dialects import DIALECTS
    from zoe_grpcd.adapters.litellm_transform import TransformDispatcher, open_session

    backend.status, backend.headers = 307, {"Location": trap}
    async with open_session() as session:
        with connections() as found, pytest.raises(UpstreamError):
            await hear(TransformDispatcher(session, DIALECTS["llamacpp"]), call("llamacpp", backend.url))
    assert found == {place_of(backend)}
