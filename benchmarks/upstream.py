"""A backend that costs nothing: nginx with static answers, each kind of answer on a port of its own.

Each port answers like a llama-server with one model, so that a router's probes find what they ask for.
"""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .processes import BenchmarkError, free_port, running, wait_for_port

STREAM_TOKENS = 200
SLOTS = 64  # more than there are requests in flight, so that nothing is ever queued
CREATED = 1_700_000_000
PACKAGES = ("nginx", "nginx-core", "nginx-light")  # which of them holds the program depends on the release
UNPACKED = Path(".cache/nginx")


@dataclass(frozen=True)
class Upstream:
    """Where the static answers are; each is a base URL without `/v1`."""

    plain: str  # one JSON object, for whoever asks without `stream`
    single: str  # a stream of one token
    many: str  # a stream of STREAM_TOKENS tokens


@contextlib.contextmanager
def upstream(folder: Path, core: int) -> Iterator[Upstream]:
    """Runs nginx on the given core until the block ends."""
    answers = {"plain": plain_answer(), "single": stream_answer(1), "many": stream_answer(STREAM_TOKENS)}
    ports = {name: free_port() for name in answers}
    for name, text in answers.items():
        write_files(folder / name, name, text)
    config = folder / "nginx.conf"
    config.write_text(nginx_config(folder, ports))
    log = folder / "nginx.log"
    command = [str(find_nginx()), "-p", str(folder), "-c", str(config), "-e", str(log)]
    with running(command, core, folder / "nginx.out") as server:
        for port in ports.values():
            wait_for_port(port, server, folder / "nginx.out")
        yield Upstream(**{name: f"http://127.0.0.1:{port}" for name, port in ports.items()})


def find_nginx() -> Path:
    """Returns nginx from the search path, else from the distribution's package, unpacked here and not installed.

    Raises:
        BenchmarkError: neither is there.
    """
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found:
        return Path(found)
    program = UNPACKED / "usr/sbin/nginx"
    for package in PACKAGES:
        if program.exists():
            break
        unpack(package)
    if not program.exists():
        raise BenchmarkError(
            "nginx is missing and no apt package of it is at hand; install nginx (apt install nginx-light)"
        )
    return program.resolve()


def unpack(package: str) -> None:
    """Downloads a Debian package and unpacks it beside the project: no service starts, nothing is installed."""
    UNPACKED.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError, subprocess.CalledProcessError):
        if os.geteuid() == 0 and not list(Path("/var/lib/apt/lists").glob("*Packages*")):
            subprocess.run(["apt-get", "update", "-qq"], check=True, capture_output=True)
        subprocess.run(["apt-get", "download", "-qq", package], check=True, capture_output=True, cwd=UNPACKED)
        for deb in UNPACKED.glob(f"{package}_*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(deb), str(UNPACKED)], check=True, capture_output=True)


def nginx_config(folder: Path, ports: dict[str, int]) -> str:
    """Returns a configuration with one server a port, connections kept open for ever, nothing logged."""
    servers = "\n".join(
        f"""  server {{
    listen 127.0.0.1:{port};
    root {folder / name};
    location = /v1/chat/completions {{ default_type {answer_type(name)}; error_page 405 =200 $uri; }}
  }}"""
        for name, port in ports.items()
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    return f"""daemon off;
master_process off;
pid {folder}/nginx.pid;
{user}events {{ worker_connections 1024; }}
http {{
  access_log off;
  default_type application/json;
  open_file_cache max=64 inactive=1h;
  tcp_nodelay on;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{servers}
}}
"""


def answer_type(name: str) -> str:
    """Returns the content type of a kind of answer."""
    return "application/json" if name == "plain" else "text/event-stream"


def write_files(root: Path, name: str, answer: str) -> None:
    """Writes the answer, and what a llama-server tells of itself, each to the file that its path names."""
    files = {path: json.dumps(value) for path, value in probe_answers(name).items()}
    for path, text in (files | {"v1/chat/completions": answer}).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def probe_answers(name: str) -> dict[str, object]:
    """Returns what a llama-server with the one model `static-NAME` and plenty of slots says, by path."""
    model = f"static-{name}"
    meta = {"n_ctx": 8192, "n_ctx_train": 8192, "n_params": 7_000_000_000, "size": 4_000_000_000}
    served = {"id": model, "object": "model", "created": CREATED, "owned_by": "llamacpp", "meta": meta}
    return {
        "health": {"status": "ok"},
        "slots": [
            {"id": n, "n_ctx": 8192, "speculative": False, "is_processing": False} for n in range(SLOTS)
        ],
        "props": {
            "total_slots": SLOTS,
            "model_alias": model,
            "model_path": f"/models/{model}.gguf",
            "modalities": {"vision": False, "audio": False},
            "chat_template": "",
            "chat_template_caps": {"supports_tools": False},
            "build_info": "b10434-static",
            "is_sleeping": False,
            "default_generation_settings": {"n_ctx": 8192},
        },
        "v1/models": {"object": "list", "data": [served]},
    }


def plain_answer() -> str:
    """Returns a chat completion of one token, as llama-server writes it without `stream`."""
    message = {"role": "assistant", "content": " t000"}
    return json.dumps(
        envelope("chat.completion", [{"index": 0, "message": message, "finish_reason": "stop"}])
        | {"usage": usage(1), "timings": timings(1)}
    )


def stream_answer(tokens: int) -> str:
    """Returns a chat completion of so many one-token chunks, as llama-server streams it."""
    return "".join([first_event(), *(token_event(n) for n in range(tokens)), last_events(tokens)])


def first_event() -> str:
    """Returns the event that says who speaks."""
    delta = {"role": "assistant", "content": None}
    return event(envelope("chat.completion.chunk", [{"index": 0, "delta": delta, "finish_reason": None}]))


def token_event(number: int) -> str:
    """Returns the event of one token; no two of an answer are equal, as LiteLLM takes 100 equal ones for a loop."""
    delta = {"content": f" t{number:03}"}
    return event(envelope("chat.completion.chunk", [{"index": 0, "delta": delta, "finish_reason": None}]))


def last_events(tokens: int) -> str:
    """Returns the finish reason, the usage with timings, and the end mark."""
    finish = envelope("chat.completion.chunk", [{"index": 0, "delta": {}, "finish_reason": "stop"}])
    summary = envelope("chat.completion.chunk", []) | {"usage": usage(tokens), "timings": timings(tokens)}
    return event(finish) + event(summary) + "data: [DONE]\n\n"


def event(value: dict[str, object]) -> str:
    """Returns a server-sent event."""
    return f"data: {json.dumps(value, separators=(',', ':'))}\n\n"


def envelope(kind: str, choices: list[object]) -> dict[str, object]:
    """Returns what every object of an answer has."""
    return {
        "choices": choices,
        "created": CREATED,
        "id": "chatcmpl-0123456789abcdef0123456789abcdef",
        "model": "static",
        "system_fingerprint": "b10434-static",
        "object": kind,
    }


def usage(tokens: int) -> dict[str, object]:
    """Returns the usage of an answer of so many tokens."""
    return {"prompt_tokens": 24, "completion_tokens": tokens, "total_tokens": 24 + tokens}


def timings(tokens: int) -> dict[str, object]:
    """Returns llama-server's timings of an answer that was infinitely fast, but for rounding."""
    return {
        "cache_n": 0,
        "prompt_n": 24,
        "prompt_ms": 1.0,
        "predicted_n": tokens,
        "predicted_ms": 1.0,
        "predicted_per_second": 1000.0 * tokens,
    }
