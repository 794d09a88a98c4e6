"""What each kind can do behind the daemon, seen on real servers: the README's table."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from faultproxy import FaultProxy
from featuretable import PROMPT, Subject, compare, examined
from serving import Daemon, entry, serving
from waiting import wait_until

from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.gguf import TinyModel, make_gguf
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.ollama import OllamaModel, OllamaOptions, create_model, start_ollama
from zoe_grpcd.localbackends.projector import make_projector
from zoe_grpcd.localbackends.servers import Server
from zoe_grpcd.localbackends.templates import OLLAMA_TOOL_TEMPLATE

CHAT = {"model": "m", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 300}


@pytest.fixture(scope="module")
def started(
    models: Path, python_server: Callable[..., Server], triton_server: Callable[..., Server]
) -> tuple[Server, Server]:
    """A llama-cpp-python, and a Triton that has loaded one of its two models."""
    model = make_gguf(models / "forever.gguf", TinyModel(name="forever"))
    explicit = ("--model-control-mode=explicit", "--load-model=text")
    return python_server(model), triton_server(models=("text", "cold"), args=explicit)


@pytest.fixture(scope="module")
def subjects(
    tools: Tools,
    models: Path,
    tool_gguf: Path,
    started: tuple[Server, Server],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Subject]]:
    folder = tmp_path_factory.mktemp("table")
    model = make_gguf(models / "forever.gguf", TinyModel(name="forever"))
    eye = make_projector(folder / "eye.gguf", 8)
    with ExitStack() as running:
        options = LlamaServerOptions(model, alias="forever", slots=2, projector=eye)
        llama = running.enter_context(start_llama_server(tools, folder, options))
        calls = running.enter_context(
            start_llama_server(tools, folder, LlamaServerOptions(tool_gguf, args=["--jinja"]))
        )
        shelf = folder / "shelf"
        shelf.mkdir()
        (shelf / "asleep.gguf").symlink_to(model)
        router = running.enter_context(start_llama_server(tools, folder, LlamaServerOptions(shelf)))
        ollama = running.enter_context(start_ollama(tools, folder / "ollama", OllamaOptions(parallel=2)))
        create_model(ollama, OllamaModel("forever:1b", model))
        create_model(ollama, OllamaModel("eye:1b", model, projector=eye))
        create_model(ollama, OllamaModel("tool:1b", tool_gguf, OLLAMA_TOOL_TEMPLATE))
        other = make_gguf(folder / "other.gguf", TinyModel(name="other", reply_tokens=5))
        create_model(
            ollama, OllamaModel("cold:1b", other)
        )  # the same file would be in memory with the first name
        python, triton = started
        servers = {"llamacpp": llama, "ollama": ollama, "llama-cpp-python": python, "triton": triton}
        names = {"llamacpp": "forever", "ollama": "forever:1b", "llama-cpp-python": "any", "triton": "text"}
        cuts = {kind: running.enter_context(FaultProxy(server.port)) for kind, server in servers.items()}
        backends = [entry("tools", calls), entry("router", router)]
        for kind, server in servers.items():
            backends += [entry(kind, server), entry(f"{kind}-cut", server, url=cuts[kind].url)]
        python_tools = {"name": "python-tools", "capabilities": ["chat", "tools"]}
        daemon = running.enter_context(
            serving(
                backends=backends,
                models=[
                    *(_main(kind, name) for kind, name in names.items()),
                    {"name": "calls", "deployments": [{"backend": "tools", "any_name": True}]},
                    {**python_tools, "deployments": [{"backend": "llama-cpp-python"}]},
                ],
                reliability={"cooldown": "100ms"},
            )
        )
        wait_until(lambda: all(daemon.state(kind) == "READY" for kind in servers), 30)
        yield {kind: _subject(kind, daemon, servers[kind], cuts[kind]) for kind in servers}


def _main(kind: str, name: str) -> dict[str, Any]:
    cut = {"backend": f"{kind}-cut", "model": name, "weight": 100_000.0}
    return {
        "name": f"main-{kind}",
        "strategy": "weighted",
        "deployments": [cut, {"backend": kind, "model": name}],
    }


def _subject(kind: str, daemon: Daemon, server: Server, cut: FaultProxy) -> Subject:
    versions = {
        "llamacpp": "b10434",
        "ollama": "0.9.3",
        "llama-cpp-python": "0.3.35",
        "triton": "2.51.0",
    }
    foreign: dict[str, tuple[str, dict[str, Any]]] = {
        # it tells no more than when it will forget a model, which has to move by more than a second
        "ollama": ("/v1/chat/completions", {**CHAT, "model": "forever:1b", "max_tokens": 3000}),
        "triton": (
            "/v2/models/text/generate_stream",
            {"text_input": PROMPT, "parameters": {"max_tokens": 100}, "stream": True},
        ),
    }
    others = {
        "llamacpp": {"tools": "calls"},
        "ollama": {"tools": "tool:1b", "images": "eye:1b"},
        "llama-cpp-python": {"tools": "python-tools"},
    }
    cold = {"llamacpp": ("router", "asleep"), "ollama": ("ollama", "cold:1b"), "triton": ("triton", "cold")}

    def tells_memory() -> bool:
        return kind in cold and daemon.load_state(*cold[kind]) == "UNLOADED"

    def cancelled() -> bool:
        return "a caller has left" in server.log.read_text(errors="replace")

    return Subject(
        kind,
        versions[kind],
        daemon,
        server,
        cut,
        f"main-{kind}",
        foreign.get(kind, ("/v1/chat/completions", CHAT)),
        tells_memory,
        others.get(kind, {}),
        cancelled if kind == "triton" else None,
        (lambda: cold[kind]) if kind in cold else None,
    )


@pytest.mark.parametrize("kind", ["llamacpp", "ollama", "llama-cpp-python", "triton"])
async def test_a_kind_does_what_the_table_says(subjects: dict[str, Subject], kind: str) -> None:
    compare(kind, await examined(subjects[kind]))
