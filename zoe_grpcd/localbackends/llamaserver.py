"""llama.cpp's llama-server: one model a process, or as a router with a folder of models.

The one rule: one thread a server unless asked, so that several of them share a small machine with what they test.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .fetch import Tools
from .servers import Command, Server, free_port


@dataclass(frozen=True, slots=True)
class LlamaServerOptions:
    """What to serve and how. `model` is a file, or a folder of files for router mode (models are named as the files).

    `port` 0 takes a free one. `projector` is the file by which the model sees. `args` are further arguments of llama-server, as it spells them.
    """

    model: Path
    alias: str | None = None
    port: int = 0
    slots: int = 1
    context_per_slot: int = 4096
    threads: int = 1
    api_key: str | None = None
    projector: Path | None = None
    args: Sequence[str] = ()


def llama_server(tools: Tools, folder: Path, options: LlamaServerOptions) -> Server:
    """Returns a server that is not started yet; its log is written into `folder`."""
    port = options.port or free_port()
    settings: dict[str, str | int | None] = {
        "--host": "127.0.0.1",
        "--port": port,
        "--threads": options.threads,
        "--parallel": options.slots,
        "--ctx-size": options.slots * options.context_per_slot,
        "--models-dir" if options.model.is_dir() else "--model": str(options.model),
        "--mmproj": str(options.projector) if options.projector else None,
        "--alias": options.alias,
        "--api-key": options.api_key,
    }
    argv = [str(tools.llama_server), "--metrics", "--slots"]
    for name, value in settings.items():
        argv += [] if value is None else [name, str(value)]
    return Server(Command("llamacpp", (*argv, *options.args), port, folder / f"llama-server-{port}.log"))


def start_llama_server(tools: Tools, folder: Path, options: LlamaServerOptions) -> Server:
    """Returns a server that has its model loaded, or a router that is listening."""
    return llama_server(tools, folder, options).start().wait_ready()
