"""What servers have in memory: asked for where a choice hangs on it, and changed where an operator says so."""

import json
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from serving import Daemon, entry, serving
from waiting import wait_until

from zoe.admin.v1 import admin_service_pb2 as pb
from zoe.admin.v1.backend_pb2 import LOAD_STATE_LOADED, LOAD_STATE_LOADING
from zoe_client import from_rpc_error
from zoe_grpcd.core.warmth import FRESH
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.ollama import OllamaModel, OllamaOptions, create_model, start_ollama
from zoe_grpcd.localbackends.servers import Server

SELDOM = {"probe_interval": "10m", "probe_timeout": "20s"}


@dataclass(frozen=True)
class House:
    """Two Ollamas with `slow:1b`, the second with `kept:1b`, too; a router with `quick`, and `broken`, which is no model."""

    daemon: Daemon
    second: Server

    def warm(self, model: str, backend: str = "", *, wait: bool = True, **how: Any) -> pb.WarmModelResponse:
        """Until it is in memory."""
        request = pb.WarmModelRequest(model=model, backend=backend, wait=wait, **how)
        return self.daemon.client().admin.WarmModel(request, timeout=60)


@pytest.fixture(scope="module")
def house(
    tools: Tools, quick_gguf: Path, slow_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("warm")
    (folder / "shelf").mkdir()
    (folder / "shelf" / "quick.gguf").symlink_to(quick_gguf)
    (folder / "shelf" / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    with ExitStack() as running:
        first, second = (
            running.enter_context(start_ollama(tools, folder / name, OllamaOptions()))
            for name in ("first", "second")
        )
        for server in (first, second):
            create_model(server, OllamaModel("slow:1b", slow_gguf))
        create_model(second, OllamaModel("kept:1b", quick_gguf))
        router = running.enter_context(
            start_llama_server(tools, folder, LlamaServerOptions(folder / "shelf"))
        )
        backends = [
            entry(name, server, **SELDOM)
            for name, server in (("first", first), ("second", second), ("router", router))
        ]
        daemon = running.enter_context(
            serving(
                backends=backends,
                routing={"warm": {"check_timeout": "20s"}, "aliases": {"small": ["quick"]}},
            )
        )
        yield House(daemon, second)


def loads_for_somebody_else(server: Server, model: str) -> None:
    """Without the daemon, which therefore does not know."""
    body = json.dumps({"model": model, "keep_alive": -1}).encode()
    with urllib.request.urlopen(f"{server.url}/api/generate", body, timeout=60) as answer:
        answer.read()


def test_a_model_that_somebody_else_has_loaded_is_found_before_it_is_loaded_twice(house: House) -> None:
    daemon, client = house.daemon, house.daemon.client()
    assert client.route("hello", model="slow:1b").chosen.backend == "first", "both would load it"

    loads_for_somebody_else(house.second, "slow:1b")
    looked_at = max(b.last_probe.time.ToNanoseconds() / 1e9 for b in daemon.backends().values())
    wait_until(lambda: time.time() - looked_at > FRESH)
    answer = client.complete("hello", model="slow:1b", max_output_tokens=3)
    assert answer.decision.chosen.backend == "second"
    assert daemon.load_state("first", "slow:1b") == "UNLOADED"


def test_a_model_is_warmed_where_it_is_in_memory_already(house: House) -> None:
    told = house.warm("slow:1b")
    assert told == pb.WarmModelResponse(backend="second", load_state=LOAD_STATE_LOADED, already_loaded=True)


def test_a_model_is_warmed_once_for_all_who_want_it_and_kept_as_long_as_wished(house: House) -> None:
    with ThreadPoolExecutor() as pool:
        wishes = [pool.submit(house.warm, "kept:1b", keep_alive=Duration(seconds=7200)) for _ in range(3)]
        told = [wish.result() for wish in wishes]
    assert {(t.backend, t.load_state) for t in told} == {("second", LOAD_STATE_LOADED)}
    assert len({t.load_duration.ToNanoseconds() for t in told if not t.already_loaded}) == 1
    served = house.daemon.served("second", "kept:1b")
    assert served is not None
    assert served.expire_time.ToSeconds() - time.time() > 7000
    runners = house.second.runners()
    assert house.daemon.client().complete("hello", model="kept:1b", max_output_tokens=3).text
    assert house.second.runners() == runners


def test_a_router_loads_while_nobody_waits(house: House) -> None:
    told = house.warm("small", "router", wait=False)
    assert told == pb.WarmModelResponse(backend="router", load_state=LOAD_STATE_LOADING)
    wait_until(lambda: house.daemon.load_state("router", "quick") == "LOADED")
    assert house.warm("small").already_loaded
    wait_until(lambda: house.daemon.in_flight() == 0)


def test_a_load_that_fails_says_what_the_server_said(house: House) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        house.warm("broken")
    error = from_rpc_error(caught.value, "")
    assert (error.reason, error.message) == ("MODEL_LOAD_FAILED", "router: model name=broken failed to load")
    assert house.daemon.state("router") == "READY"


def test_a_server_that_dies_while_it_loads_is_told_of_at_once(house: House) -> None:
    """The last test: it kills a server that the others share."""
    house.second.freeze()  # it loads for ever
    with ThreadPoolExecutor() as pool:
        wish = pool.submit(house.warm, "kept:1b", "second", keep_alive=Duration(seconds=60))
        wait_until(lambda: wish.done() or house.daemon.backends()["second"].load.in_flight)
        house.second.crash()
        with pytest.raises(grpc.RpcError) as caught:
            wish.result()
    # BACKEND_FAILED: on a busy machine it may be dead when the daemon, which counts the load already, connects
    assert from_rpc_error(caught.value, "").reason in ("MODEL_LOAD_FAILED", "BACKEND_FAILED")
    wait_until(lambda: house.daemon.state("second") == "DOWN")
    wait_until(lambda: house.daemon.in_flight() == 0)
