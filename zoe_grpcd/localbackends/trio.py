"""The three servers of the demo: two llama-servers, a quick and a slow one, and an Ollama that has both models.

The one rule: all three are ready on return, or none is left.
"""

from contextlib import ExitStack
from pathlib import Path

from .fetch import Tools, find_tools
from .gguf import TinyModel, make_gguf
from .llamaserver import LlamaServerOptions, start_llama_server
from .ollama import OllamaModel, OllamaOptions, create_model, start_ollama
from .servers import Server

QUICK = TinyModel(name="quick", reply_tokens=40)  # 4.6 MB, thousands of tokens a second
SLOW = TinyModel(
    name="slow", reply_tokens=40, layers=16, ffn=1024
)  # 70 MB, about 200 (llama-server), 60 (Ollama)


def start_demo_backends(folder: Path, tools: Tools | None = None) -> tuple[Server, Server, Server]:
    """Returns llama-server with `quick`, llama-server with `slow`, and Ollama with `quick:1b` and `slow:1b`.

    Models, logs and Ollama's store go into `folder`. A server ends by its `stop`, or with this process.

    Raises:
        BackendUnavailable: a program can't be had here; the text says what to install.
    """
    tools = tools or find_tools()
    folder.mkdir(parents=True, exist_ok=True)
    models = [make_gguf(folder / f"{model.name}.gguf", model) for model in (QUICK, SLOW)]
    with ExitStack() as started:
        quick, slow = (
            started.enter_context(
                start_llama_server(tools, folder, LlamaServerOptions(model, alias=model.stem, slots=2))
            )
            for model in models
        )
        ollama = started.enter_context(
            start_ollama(tools, folder / "ollama", OllamaOptions(parallel=2, max_loaded=1))
        )
        for model in models:
            create_model(ollama, OllamaModel(f"{model.stem}:1b", model))
        started.pop_all()
    return quick, slow, ollama
