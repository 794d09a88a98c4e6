"""A caller who leaves, or whose time is over, frees the backend at once: before and after the first token."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from serving import Daemon, entry, serving
from stuck import answering
from waiting import eventually

from zoe_client import AsyncClient, DeadlineExceeded, Delta
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.gguf import TinyModel, make_gguf
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.ollama import OllamaModel, OllamaOptions, create_model, start_ollama
from zoe_grpcd.localbackends.servers import Server

PROMPT = "tell me of the river and the clock"
LONG: dict[str, Any] = {"max_output_tokens": 3000}  # 15 s and more
LONG_PROMPT = "river " * 400
FREE = 8.0  # seconds in which even a busy machine has freed it, and no answer comes to its end
# While a server reads a prompt it looks at nothing else, llama-server b10434 to the end of a batch, Ollama 0.9.3 to the
# end of the prompt: its slot is free that much later, whatever the daemon does.
IT_READS = 30.0

Ask = Callable[[AsyncClient, str], "asyncio.Task[Any]"]


@dataclass(frozen=True)
class House:
    """A llama-server with one slot and an Ollama that takes one request at a time, both with an endless model."""

    daemon: Daemon
    llama: Server
    ollama: Server

    def queued(self) -> int:
        """Requests that wait for llama-server's slot."""
        return self.daemon.backends()["llama"].load.queued

    async def begun(self, model: str) -> None:
        """Returns when the backend works on something."""
        await eventually(lambda: self.busy(model))

    def busy(self, model: str) -> bool:
        """Whether the backend works on something: the server's own word, or the ticks of its runner."""
        if model == "endless":
            slots = json.loads(self.llama.request("GET", "/slots")[1])
            return any(slot["is_processing"] for slot in slots)
        before = ticks(self.ollama)
        time.sleep(0.04)
        return ticks(self.ollama) - before > 1

    async def freed(self, model: str, within: float = FREE) -> None:
        """The daemon counts nothing any more, and the backend is free, in the time that was promised."""
        await eventually(lambda: self.daemon.in_flight() == 0, FREE)
        await eventually(lambda: not self.busy(model), within)


def ticks(server: Server) -> int:
    """Hundredths of a second that the models' processes have computed."""
    total = 0
    for pid in server.runners():
        with suppress(OSError):  # it has just ended
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total


@pytest.fixture(scope="module")
def _house(tools: Tools, tmp_path_factory: pytest.TempPathFactory, endless_gguf: Path) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("cancel")
    heavy = make_gguf(folder / "heavy.gguf", TinyModel(name="heavy", ffn=65536))
    with ExitStack() as running:
        options = LlamaServerOptions(endless_gguf, alias="endless")
        llama = running.enter_context(start_llama_server(tools, folder, options))
        ollama = running.enter_context(start_ollama(tools, folder / "ollama", OllamaOptions(max_loaded=1)))
        create_model(ollama, OllamaModel("endless:1b", endless_gguf))
        create_model(ollama, OllamaModel("heavy:1b", heavy))
        backends = [entry("llama", llama), entry("ollama", ollama)]
        yield House(running.enter_context(serving(backends=backends)), llama, ollama)


@pytest.fixture
def house(_house: House) -> House:
    """Ollama answers at the start of each test, whoever has left it before."""
    answering(_house.ollama, "endless:1b")
    return _house


async def _unary(client: AsyncClient, model: str, prompt: str = PROMPT, **options: Any) -> None:
    await client.complete(prompt, model=model, **{**LONG, **options})


async def _stream(client: AsyncClient, model: str, prompt: str = PROMPT, **options: Any) -> None:
    async with client.stream(prompt, model=model, **{**LONG, **options}) as stream:
        async for _ in stream:
            pass


@asynccontextmanager
async def asking(house: House, call: Any, model: str, **options: Any) -> AsyncIterator["asyncio.Task[None]"]:
    """A call that runs until it is cancelled, at the latest at the end."""
    async with house.daemon.aclient() as client:
        task = asyncio.create_task(call(client, model, **options))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


both_calls = pytest.mark.parametrize("call", [_unary, _stream], ids=["unary", "stream"])
both_servers = pytest.mark.parametrize("model", ["endless", "endless:1b"], ids=["llama-server", "ollama"])


@both_calls
@both_servers
async def test_cancelled_after_the_first_token(house: House, call: Any, model: str) -> None:
    async with asking(house, call, model) as task:
        await house.begun(model)
        task.cancel()
        await house.freed(model)


@both_calls
@both_servers
async def test_cancelled_while_the_prompt_is_read(house: House, call: Any, model: str) -> None:
    async with asking(house, call, model, prompt=LONG_PROMPT) as task:
        await house.begun(model)
        task.cancel()
        await house.freed(model, IT_READS)


@both_calls
async def test_cancelled_while_it_waits_for_the_only_slot(house: House, call: Any) -> None:
    async with asking(house, _stream, "endless"):
        await house.begun("endless")
        async with asking(house, call, "endless", temperature=0.1) as waiting:
            await eventually(lambda: house.queued() == 1)
            waiting.cancel()
            await eventually(lambda: house.queued() == 0, FREE)
        assert house.daemon.in_flight() == 1
    await house.freed("endless")


@both_calls
async def test_cancelled_while_the_model_loads(house: House, call: Any) -> None:
    async with house.daemon.aclient() as client:
        await client.complete(PROMPT, model="endless:1b", max_output_tokens=1)
    await eventually(lambda: house.daemon.in_flight() == 0)  # the daemon tries out how it goes on with a text
    async with asking(house, call, "heavy:1b") as task:
        await eventually(lambda: house.daemon.in_flight() == 1)
        task.cancel()
        await eventually(lambda: house.daemon.in_flight() == 0, FREE)
    body = {
        "model": "endless:1b",
        "messages": [{"role": "user", "content": "a"}],
        "options": {"num_predict": 1},
    }
    begin = time.monotonic()
    assert (await asyncio.to_thread(house.ollama.request, "POST", "/api/chat", body))[0] == 200
    assert time.monotonic() - begin < 20  # a load or two; the answer would have taken a minute
    await house.freed("endless:1b")


@both_calls
@both_servers
async def test_a_deadline_in_the_middle_of_an_answer(house: House, call: Any, model: str) -> None:
    async with house.daemon.aclient() as client:
        await client.complete(PROMPT, model=model, max_output_tokens=1)
        begin = time.monotonic()
        with pytest.raises(DeadlineExceeded) as over:
            await call(client, model, timeout=0.3)
        assert 0.25 < time.monotonic() - begin < FREE
        assert over.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        await house.freed(model)


async def test_a_deadline_while_the_server_is_busy_with_a_schema(house: House) -> None:
    """Its grammar takes llama-server b10434 seconds, in which it looks at nobody; others are answered meanwhile."""
    optional = {"type": "object", "properties": {f"p{n}": {"type": "integer"} for n in range(1000)}}
    form = {"type": "json_schema", "json_schema": {"name": "form", "schema": optional}}
    async with house.daemon.aclient() as client:
        with pytest.raises(DeadlineExceeded):
            await client.complete(
                PROMPT, model="endless", response_format=form, max_output_tokens=1, timeout=0.6
            )
        answer = await client.complete(PROMPT, model="endless", max_output_tokens=1)
    assert answer.usage.completion_tokens == 1
    await house.freed("endless")


@both_servers
async def test_leaving_a_stream_early_cancels_it(house: House, model: str) -> None:
    async with house.daemon.aclient() as client:
        async with client.stream(PROMPT, model=model, **LONG) as stream:
            async for event in stream:
                if isinstance(event, Delta):
                    break
        await house.freed(model)


def test_a_thread_that_leaves_a_stream_early_cancels_it(house: House) -> None:
    with house.daemon.client().stream(PROMPT, model="endless", **LONG) as stream:
        next(event for event in stream if isinstance(event, Delta))
    asyncio.run(house.freed("endless"))


@both_servers
async def test_a_client_that_is_killed_frees_the_backend(house: House, model: str) -> None:
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "zoe_grpcd", "stream", PROMPT, "--model", model, "--max-tokens", "3000"),
        *("--target", house.daemon.target),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert client.stdout is not None
    assert await client.stdout.read(1)
    client.kill()
    await client.wait()
    await house.freed(model)
