"""Real servers with something wrong between them and the daemon, and one that is always well: what a caller is told.

The one rule: the server with the fault is asked first, every time.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from faultproxy import Fault, FaultProxy
from serving import Daemon, entry, serving
from waiting import eventually

from zoe.inference.v1 import inference_service_pb2 as pb
from zoe.inference.v1.decision_pb2 import Attempt
from zoe.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from zoe_client import (
    Answer,
    BackendSwitched,
    Completed,
    Delta,
    RouteDecision,
    ZoeError,
    build_spec,
    from_rpc_error,
)
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.ollama import OllamaModel, OllamaOptions, create_model, start_ollama
from zoe_grpcd.localbackends.servers import Server

PROMPT = "tell me of the river and the clock"
WORDS = 40  # of the answer; its end is one more token
SILENCE = 2.0  # seconds without a token until a backend is given up
MODELS = {"single": "quick", "router": "quick", "ollama": "quick:1b"}
FAST = {"probe_interval": "100ms", "probe_timeout": "10s"}


@dataclass(frozen=True)
class Heard:
    """What a caller was told of one request, whole or in pieces."""

    text: str
    tokens: int  # counted with the pieces
    attempts: list[tuple[str, str]]
    usage: tuple[int, int]
    switches: tuple[BackendSwitched, ...] = ()


@dataclass(frozen=True)
class Stage:
    """The models `single`, `router` and `ollama` are on the server of that name, behind its proxy, and on `spare`.

    `alone` is on `single` only. The server is asked first as long as it may be.
    """

    daemon: Daemon
    proxies: dict[str, FaultProxy]
    servers: dict[str, Server]
    text: str
    usage: tuple[int, int]  # tokens of the prompt and of the answer

    async def strike(self, name: str, fault: Fault, model: str = "") -> None:
        """Once the server is what would be asked, all requests to it meet the fault."""
        async with self.daemon.aclient() as client:

            async def is_first() -> bool:
                try:
                    return (await client.route(PROMPT, model=model or name)).chosen.backend == name
                except ZoeError:
                    return False

            await eventually(is_first)
        self.proxies[name].strike(fault)

    async def ask(self, model: str, *, streamed: bool, **options: Any) -> Heard:
        """One request, greedy."""
        options = {"model": model, "temperature": 0, **options}
        async with self.daemon.aclient() as client:
            if streamed:
                return _in_pieces([event async for event in client.stream(PROMPT, **options)])
            return _whole(await client.complete(PROMPT, **options))

    async def refused(self, model: str, *, streamed: bool) -> tuple[ZoeError, int]:
        """The error of a request for two attempts, made once by its caller, and the tokens that came before it."""
        spec, sent = build_spec(PROMPT, {"model": model, "temperature": 0, "max_attempts": 2}), 0
        async with grpc.aio.insecure_channel(self.daemon.target) as channel:
            stub = InferenceServiceStub(channel)
            try:
                if streamed:
                    async for reply in stub.StreamComplete(pb.StreamCompleteRequest(spec=spec), timeout=30):
                        sent += reply.delta.token_count
                else:
                    await stub.Complete(pb.CompleteRequest(spec=spec), timeout=30)
            except grpc.RpcError as error:
                return from_rpc_error(error, ""), sent
        raise AssertionError("it was answered")

    def left_behind(self) -> str:
        """What still goes on, in words."""
        for backend in self.daemon.backends().values():
            if backend.load.in_flight or backend.load.queued:
                return f"{backend.name} has {backend.load.in_flight} and {backend.load.queued} waiting"
        for name, proxy in self.proxies.items():
            if proxy.open:
                return f"{proxy.open} connections to {name}"
        return next((f"a slot of {name}" for name in ("single", "spare") if _is_busy(self.servers[name])), "")


def tried(attempts: Any) -> list[tuple[str, str]]:
    """Backend and outcome of each attempt."""
    return [(a.backend.backend, Attempt.Outcome.Name(a.outcome).removeprefix("OUTCOME_")) for a in attempts]


def _whole(answer: Answer) -> Heard:
    usage, attempts = answer.response.usage, tried(answer.response.attempts)
    return Heard(answer.text, 0, attempts, (usage.prompt_tokens, usage.completion_tokens))


def _in_pieces(events: list[Any]) -> Heard:
    """What a stream said; it has to begin with the decision and end with the end, and neither comes twice."""
    kinds = [type(event) for event in events]
    assert (kinds[0], kinds[-1]) == (RouteDecision, Completed)
    assert set(kinds[1:-1]) <= {Delta, BackendSwitched}
    deltas, end = [event for event in events if isinstance(event, Delta)], events[-1]
    return Heard(
        "".join(delta.text for delta in deltas),
        sum(delta.token_count for delta in deltas),
        tried(end.attempts),
        (end.usage.prompt_tokens, end.usage.completion_tokens),
        tuple(event for event in events if isinstance(event, BackendSwitched)),
    )


def _is_busy(server: Server) -> bool:
    return any(slot["is_processing"] for slot in json.loads(server.request("GET", "/slots")[1]))


@contextmanager
def troubled(tools: Tools, folder: Path, model: Path) -> Iterator[Stage]:
    (shelf := folder / "shelf").mkdir()
    (shelf / "quick.gguf").symlink_to(model)
    with ExitStack() as running:
        one = LlamaServerOptions(model, alias="quick", slots=2)
        servers = {
            name: running.enter_context(start_llama_server(tools, folder, options))
            for name, options in (("single", one), ("router", LlamaServerOptions(shelf)), ("spare", one))
        }
        servers["ollama"] = running.enter_context(start_ollama(tools, folder / "ollama", OllamaOptions()))
        create_model(servers["ollama"], OllamaModel("quick:1b", model))
        proxies = {name: running.enter_context(FaultProxy(servers[name].port)) for name in MODELS}
        limits = {"first_token_timeout": f"{SILENCE:g}s", "idle_timeout": f"{SILENCE:g}s"}
        backends = [entry(n, servers[n], url=proxies[n].url, **limits, **FAST) for n in MODELS]
        models = [_preferred(name, its) for name, its in MODELS.items()]
        daemon = running.enter_context(
            serving(
                backends=[*backends, entry("spare", servers["spare"])],
                models=[*models, {"name": "alone", "deployments": [{"backend": "single", "model": "quick"}]}],
                reliability={"retry_delay": "20ms", "cooldown": "100ms", "rate_limit_cooldown": "100ms"},
            )
        )
        stage = Stage(daemon, proxies, servers, *_said_by(servers["spare"]))
        for name in MODELS:  # loaded, and known in what they do with an answer that has begun
            assert asyncio.run(stage.ask(name, streamed=False)).text == stage.text
        yield stage


def _preferred(name: str, model: str) -> dict[str, Any]:
    """A model whose every request goes to one server, for as long as that is well."""
    own = {"backend": name, "model": model, "weight": 100_000.0}
    return {
        "name": name,
        "strategy": "weighted",
        "deployments": [own, {"backend": "spare", "model": "quick"}],
    }


def _said_by(server: Server) -> tuple[str, tuple[int, int]]:
    body = {"messages": [{"role": "user", "content": PROMPT}], "temperature": 0, "max_tokens": 100}
    reply = json.loads(server.request("POST", "/v1/chat/completions", body)[1])
    usage = reply["usage"]
    return reply["choices"][0]["message"]["content"], (usage["prompt_tokens"], usage["completion_tokens"])
