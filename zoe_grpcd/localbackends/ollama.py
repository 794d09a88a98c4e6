"""Ollama, with its models and its HOME in a folder of its own.

The one rule: greedy text is what llama-server says: no repeat penalty, which Ollama would set to 1.1.
"""

import contextlib
import hashlib
import http.client
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from .fetch import Tools
from .servers import Command, Server, free_port
from .templates import OLLAMA_TEMPLATE

PARAMETERS = {"num_thread": 1, "temperature": 0, "repeat_penalty": 1.0}


@dataclass(frozen=True, slots=True)
class OllamaOptions:
    """`port` 0 takes a free one; the rest are Ollama's settings, by their OLLAMA_ names in `env` if not here.

    `parallel`: requests at once for a model. `max_loaded`: models in memory, 0 is Ollama's own choice. `max_queue`:
    requests that may wait for a load. `keep_alive`: how long an idle model stays loaded.
    """

    port: int = 0
    parallel: int = 1
    max_loaded: int = 0
    max_queue: int = 512
    keep_alive: str = "5m"
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OllamaModel:
    """A model by the name that Ollama gives it: its file, template and parameters (over `PARAMETERS`).

    `projector` is the file by which it sees.
    """

    name: str
    gguf: Path
    template: str = OLLAMA_TEMPLATE
    parameters: Mapping[str, Any] = field(default_factory=dict)
    projector: Path | None = None


def ollama_server(tools: Tools, folder: Path, options: OllamaOptions | None = None) -> Server:
    """Returns a server that is not started yet; models, HOME and log are in `folder`."""
    options = options or OllamaOptions()
    port = options.port or free_port()
    env = {
        "HOME": str(folder),
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(folder / "models"),
        "OLLAMA_NOHISTORY": "1",
        "OLLAMA_KEEP_ALIVE": options.keep_alive,
        "OLLAMA_NUM_PARALLEL": str(options.parallel),
        "OLLAMA_MAX_QUEUE": str(options.max_queue),
        "OLLAMA_MAX_LOADED_MODELS": str(options.max_loaded),
    }
    if tools.library_path:
        env["LD_LIBRARY_PATH"] = str(tools.library_path)
    log = folder / f"ollama-{port}.log"
    return Server(Command("ollama", (str(tools.ollama), "serve"), port, log, {**env, **options.env}))


def start_ollama(tools: Tools, folder: Path, options: OllamaOptions | None = None) -> Server:
    """Returns a server that answers; it has the models that were created in `folder` before."""
    folder.mkdir(parents=True, exist_ok=True)
    return ollama_server(tools, folder, options).start().wait_ready()


def create_model(server: Server, model: OllamaModel) -> None:
    """Gives Ollama a model file under a name; it is not loaded by that.

    Raises:
        RuntimeError: Ollama refused, with what it said.
    """
    body = {
        "model": model.name,
        "files": {file.name: _given(server, file) for file in (model.gguf, model.projector) if file},
        "template": model.template,
        "parameters": {**PARAMETERS, **model.parameters},
        "stream": False,
    }
    status, reply = server.request("POST", "/api/create", body, within=300.0)
    if status != 200 or '"success"' not in reply:
        raise RuntimeError(f"Ollama did not create {model.name}: {status} {reply}")


def _given(server: Server, path: Path) -> str:
    """The digest by which Ollama knows the file, which it has after this."""
    with path.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        if server.request("HEAD", f"/api/blobs/{digest}")[0] != 200:
            file.seek(0)
            _upload(server, digest, file)
    return digest


def _upload(server: Server, digest: str, file: BinaryIO) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300.0)
    with contextlib.closing(connection):
        headers = {"Content-Length": str(os.fstat(file.fileno()).st_size)}
        connection.request("POST", f"/api/blobs/{digest}", file, headers)
        status = connection.getresponse().status
    if status not in (200, 201):
        raise RuntimeError(f"Ollama did not take the file: {status}")
