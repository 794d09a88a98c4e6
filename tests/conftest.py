"""Real llama-server and Ollama for any test that asks for them, started when first asked for.

The one rule: on CI (`CI=true`) a backend that can't be had is an error; elsewhere its tests are skipped, with what to
install. Every server has one thread and a model of a few MB.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, settings

from zoe_grpcd.localbackends.fetch import BackendUnavailable, Tools, find_tools
from zoe_grpcd.localbackends.gguf import TinyModel, make_gguf
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, llama_server
from zoe_grpcd.localbackends.ollama import OllamaModel, OllamaOptions, create_model, start_ollama
from zoe_grpcd.localbackends.projector import make_projector
from zoe_grpcd.localbackends.servers import Server
from zoe_grpcd.localbackends.templates import (
    OLLAMA_REASONING_TEMPLATE,
    OLLAMA_TOOL_TEMPLATE,
    REASONING_SCRIPT,
    REASONING_TEMPLATE,
    TOOL_SCRIPT,
    TOOL_TEMPLATE,
)
from zoe_grpcd.localbackends.trio import QUICK, SLOW

# Property tests take as long as the machine needs: a busy one is no failure.
settings.register_profile(
    "calm", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("calm")

LlamaServerFactory = Callable[..., Server]
RouterFactory = Callable[..., Server]
OllamaFactory = Callable[..., Server]


@pytest.fixture(autouse=True)
def no_settings_of_the_person_who_runs_this(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("ZOE_", "OLLAMA_", "LLAMA_ARG_", "LITELLM_")) or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _grpc_outlives_all_tests() -> None:
    """Else gRPC's poller ends with the last channel or server, in whatever test the garbage collector finds that.

    It is waited for then, for ever if more events have come since the last event loop was closed than its socket takes:
    a test that had nothing to do with gRPC has hung so (grpcio 1.85).
    """
    grpc.aio.init_grpc_aio()


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_ends_what_tests_start() -> None:
    """A shell without job control lets what it starts in the background ignore it, and so all that is started there."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tools() -> Tools:
    """The programs; from PATH, the cache or the packages."""
    try:
        return find_tools()
    except BackendUnavailable as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model files that all tests share."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def quick_gguf(models: Path) -> Path:
    """4.6 MB, replies of 40 words, thousands of tokens a second."""
    return make_gguf(models / "quick.gguf", QUICK)


@pytest.fixture(scope="session")
def slow_gguf(models: Path) -> Path:
    """70 MB, replies of 40 words, the same text as `quick_gguf` at about 200 tokens a second."""
    return make_gguf(models / "slow.gguf", SLOW)


@pytest.fixture(scope="session")
def endless_gguf(models: Path) -> Path:
    """70 MB and as slow as `slow_gguf`; a reply ends only by max_tokens or the context: for cancelling."""
    return make_gguf(models / "endless.gguf", TinyModel(name="endless", layers=SLOW.layers, ffn=SLOW.ffn))


@pytest.fixture(scope="session")
def tool_gguf(models: Path) -> Path:
    """Every reply is the tool call get_weather(city="Paris")."""
    model = TinyModel(name="tool", script=TOOL_SCRIPT, chat_template=TOOL_TEMPLATE)
    return make_gguf(models / "tool.gguf", model)


@pytest.fixture(scope="session")
def reasoning_gguf(models: Path) -> Path:
    """Every reply is a thought and an answer, as `REASONING_SCRIPT` has them."""
    model = TinyModel(name="reasoning", script=REASONING_SCRIPT, chat_template=REASONING_TEMPLATE)
    return make_gguf(models / "reasoning.gguf", model)


@pytest.fixture(scope="session")
def projector(models: Path) -> Path:
    """With it any of the models sees: a picture is 24 * 24 tokens, and what is said depends on its colours."""
    return make_projector(models / "projector.gguf")


@pytest.fixture(name="llama_server")
def _llama_server(tools: Tools, tmp_path: Path) -> Iterator[LlamaServerFactory]:
    """`llama_server(quick_gguf, alias="quick", slots=2, ...)`: fields of `LlamaServerOptions`, ready.

    With `wait=False` it is returned while it is starting. Stopped at the end of the test.
    """
    with ExitStack() as running:

        def start(model: Path, *, wait: bool = True, **options: Any) -> Server:
            server = running.enter_context(
                llama_server(tools, tmp_path, LlamaServerOptions(model, **options))
            )
            server.start()
            return server.wait_ready() if wait else server

        yield start


@pytest.fixture(name="llama_router")
def _llama_router(llama_server: LlamaServerFactory, tmp_path: Path) -> RouterFactory:
    """`llama_router(quick_gguf, slow_gguf, args=["--models-max", "1"])`: router mode, its models named as the files."""

    def start(*models: Path, **options: Any) -> Server:
        folder = tmp_path / "router-models"
        folder.mkdir(exist_ok=True)
        for model in models:
            (folder / model.name).symlink_to(model)
        return llama_server(folder, **options)

    return start


@pytest.fixture(name="ollama_server")
def _ollama_server(tools: Tools, tmp_path: Path) -> Iterator[OllamaFactory]:
    """`ollama_server({"quick:1b": quick_gguf}, parallel=2, ...)`: fields of `OllamaOptions`, ready, models created.

    A model is a file, or an `OllamaModel` where its template or parameters matter (its name there is not read).
    Stopped at the end of the test.
    """
    with ExitStack() as running:

        def start(models: dict[str, Path | OllamaModel] | None = None, **options: Any) -> Server:
            home = tmp_path / f"ollama-{len(list(tmp_path.glob('ollama-*')))}"
            server = running.enter_context(start_ollama(tools, home, OllamaOptions(**options)))
            for name, model in (models or {}).items():
                create_model(server, _named(name, model))
            return server

        yield start


def _named(name: str, model: Path | OllamaModel) -> OllamaModel:
    if isinstance(model, OllamaModel):
        return replace(model, name=name)
    templates = {"tool": OLLAMA_TOOL_TEMPLATE, "reasoning": OLLAMA_REASONING_TEMPLATE}
    if model.stem in templates:
        return OllamaModel(name, model, templates[model.stem])
    return OllamaModel(name, model)
