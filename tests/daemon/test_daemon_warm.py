"""What servers have in memory changes between two looks at them: it is asked for where a choice hangs on it."""

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

from serving import entry
from waiting import wait_until

from zoe_grpcd.core.warmth import FRESH
from zoe_grpcd.localbackends.servers import Server

SELDOM = {"probe_interval": "10m", "probe_timeout": "20s"}


def loads_for_somebody_else(server: Server, model: str) -> None:
    """Without the daemon, which therefore does not know."""
    body = json.dumps({"model": model, "keep_alive": -1}).encode()
    with urllib.request.urlopen(f"{server.url}/api/generate", body, timeout=60) as answer:
        answer.read()


def test_a_model_that_somebody_else_has_loaded_is_found_before_it_is_loaded_twice(
    ollama_server: Any, slow_gguf: Path, serve: Any
) -> None:
    first, second = ollama_server({"slow:1b": slow_gguf}), ollama_server({"slow:1b": slow_gguf})
    backends = [entry("first", first, **SELDOM), entry("second", second, **SELDOM)]
    daemon = serve(backends=backends, routing={"warm": {"check_timeout": "20s"}})
    client = daemon.client()
    assert client.route("hello", model="slow:1b").chosen.backend == "first", "both would load it"

    loads_for_somebody_else(second, "slow:1b")
    looked_at = max(b.last_probe.time.ToNanoseconds() / 1e9 for b in daemon.backends().values())
    wait_until(lambda: time.time() - looked_at > FRESH, 30)
    answer = client.complete("hello", model="slow:1b", max_output_tokens=3)
    assert answer.decision.chosen.backend == "second"
    assert daemon.load_state("first", "slow:1b") == "UNLOADED"
