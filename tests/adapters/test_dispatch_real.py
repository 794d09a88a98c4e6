"""Dispatch on real llama-server and Ollama: equal texts, freed slots, and every way that they end too early."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from dispatching import HELLO, WEATHER, Heard, call, hear
from waiting import LONG, eventually

from zoe_grpcd.adapters.dialects import DIALECTS
from zoe_grpcd.adapters.litellm_transform import TransformDispatcher, open_session
from zoe_grpcd.core.answer import FinishReason
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Call, Generation
from zoe_grpcd.localbackends.servers import Server

pytestmark = pytest.mark.usefixtures("loaded")

Start = Callable[..., Server]
FREE = 8.0  # seconds in which even a busy machine has freed a slot, and no answer comes to its end: that takes 15 and more
GREEDY = {"temperature": 0.0, "max_output_tokens": 24}


@pytest.fixture
async def connected() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as session:
        yield session


Dispatch = Callable[[str], TransformDispatcher]


@pytest.fixture
def dispatch(connected: aiohttp.ClientSession) -> Dispatch:
    return lambda kind: TransformDispatcher(connected, DIALECTS[kind])


def asking(server: Server, model: str, **options: Any) -> Call:
    own = options.pop("backend_options", {})
    tools = options.pop("tools", ())
    words = options.pop("words", "")
    messages = ({"role": "user", "content": words},) if words else HELLO
    generation = Generation(messages, tools=tools, options=GREEDY | options, backend_options=own)
    return call(server.kind, server.url, generation, model=model)


async def fault_of(dispatcher: TransformDispatcher, asked: Call, heard: Heard | None = None) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await hear(dispatcher, asked, heard)
    return caught.value


async def test_both_kinds_say_the_same_and_tell_what_they_measured(
    llama_server: Start, ollama_server: Start, quick_gguf: Path, dispatch: Dispatch
) -> None:
    llama, ollama = llama_server(quick_gguf, alias="quick"), ollama_server({"quick:1b": quick_gguf})
    first = await hear(dispatch("llamacpp"), asking(llama, "quick"))
    second = await hear(dispatch("ollama"), asking(ollama, "quick:1b"))
    assert first.text == second.text != ""
    for heard in (first, second):
        assert heard.finish.reason is FinishReason.LENGTH
        assert heard.finish.usage is not None
        assert heard.finish.usage.completion_tokens == heard.tokens == 24
        assert heard.finish.measured.decode
    assert first.finish.usage == second.finish.usage
    assert second.finish.measured.load
    again = await hear(dispatch("llamacpp"), asking(llama, "quick"))
    assert again.finish.usage is not None
    assert again.finish.usage.cached_prompt_tokens > 0


async def test_both_kinds_call_tools(
    llama_server: Start, ollama_server: Start, tool_gguf: Path, dispatch: Dispatch
) -> None:
    for server, model in (
        (llama_server(tool_gguf), "tool"),
        (ollama_server({"tool:1b": tool_gguf}), "tool:1b"),
    ):
        heard = await hear(dispatch(server.kind), asking(server, model, tools=(WEATHER,)))
        ((name, arguments),) = heard.tools.values()
        assert (name, json.loads(arguments)) == ("get_weather", {"city": "Paris"})
        assert (heard.finish.reason, heard.done) == (FinishReason.TOOL_CALLS, [0])


async def test_both_kinds_tell_thoughts_from_the_answer(
    llama_server: Start, ollama_server: Start, reasoning_gguf: Path, dispatch: Dispatch
) -> None:
    servers = [
        (llama_server(reasoning_gguf), "r", {}),
        (ollama_server({"r:1b": reasoning_gguf}), "r:1b", {"think": True}),
    ]
    for server, model, own in servers:
        heard = await hear(dispatch(server.kind), asking(server, model, backend_options=own))
        assert heard.reasoning.startswith("First")
        assert heard.text
        assert "<think>" not in heard.text


async def test_a_bundle_reaches_ollama(ollama_server: Start, quick_gguf: Path, dispatch: Dispatch) -> None:
    server = ollama_server({"quick:1b": quick_gguf})
    plain = await hear(dispatch("ollama"), asking(server, "quick:1b", words="river river river"))
    for options in ({"frequency_penalty": 2.0}, {"presence_penalty": 2.0}, {"repetition_penalty": 3.0}):
        heard = await hear(
            dispatch("ollama"), asking(server, "quick:1b", words="river river river", **options)
        )
        assert heard.text != plain.text, options
    short = asking(server, "quick:1b", words="river " * 500, backend_options={"num_ctx": 128})
    usage = (await hear(dispatch("ollama"), short)).finish.usage
    assert usage is not None
    assert usage.prompt_tokens <= 128


async def test_a_connection_is_kept_for_the_next_call(
    llama_server: Start, quick_gguf: Path, dispatch: Dispatch, connected: aiohttp.ClientSession
) -> None:
    server = llama_server(quick_gguf)
    await hear(dispatch("llamacpp"), asking(server, "quick"))
    assert connected.connector is not None
    assert sum(map(len, connected.connector._conns.values())) == 1


async def test_a_closed_stream_frees_the_slot_at_once(
    llama_server: Start, endless_gguf: Path, dispatch: Dispatch, connected: aiohttp.ClientSession
) -> None:
    server = llama_server(endless_gguf)

    async def idle() -> bool:
        async with connected.get(server.url + "/slots") as response:
            return not any(slot["is_processing"] for slot in await response.json())

    async with aclosing(
        dispatch("llamacpp").stream(asking(server, "endless", max_output_tokens=3000))
    ) as stream:
        async for batch in stream:
            if batch:
                break
        assert not await idle()
    await eventually(idle, within=FREE)


async def test_a_cancelled_call_that_waits_for_a_slot_leaves_it_to_others(
    llama_server: Start, endless_gguf: Path, dispatch: Dispatch
) -> None:
    server = llama_server(endless_gguf)
    async with aclosing(
        dispatch("llamacpp").stream(asking(server, "endless", max_output_tokens=3000))
    ) as first:
        assert [await anext(first), await anext(first)]
        waiting = asyncio.ensure_future(
            hear(dispatch("llamacpp"), asking(server, "endless", max_output_tokens=3000))
        )
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
        waiting.cancel()
        await asyncio.wait([waiting])
    async with asyncio.timeout(FREE):
        await hear(dispatch("llamacpp"), asking(server, "endless", max_output_tokens=3))


async def test_ollama_is_free_again_at_once(
    ollama_server: Start, endless_gguf: Path, dispatch: Dispatch
) -> None:
    server = ollama_server({"endless:1b": endless_gguf}, parallel=1)
    asked = asking(server, "endless:1b", max_output_tokens=3000)
    async with aclosing(dispatch("ollama").stream(asked)) as stream:
        async for batch in stream:
            if batch:
                break
    async with asyncio.timeout(FREE):
        await hear(dispatch("ollama"), asking(server, "endless:1b", max_output_tokens=1))


async def test_a_killed_server_cuts_the_answer(
    llama_server: Start, ollama_server: Start, endless_gguf: Path, dispatch: Dispatch
) -> None:
    for server in (llama_server(endless_gguf), ollama_server({"m:1b": endless_gguf})):
        error = await cut_by(server.crash, dispatch(server.kind), server, "m:1b")
        assert error.fault is Fault.CUT


async def test_an_ollama_that_is_stopped_cuts_the_answer(
    ollama_server: Start, endless_gguf: Path, dispatch: Dispatch
) -> None:
    server = ollama_server({"m:1b": endless_gguf})
    assert (await cut_by(server.stop, dispatch("ollama"), server, "m:1b")).fault is Fault.CUT


async def test_a_server_that_starts_says_so_until_it_answers(
    llama_server: Start, endless_gguf: Path, dispatch: Dispatch
) -> None:
    server, faults = llama_server(endless_gguf, wait=False), set()

    async def answered() -> bool:
        try:
            await hear(dispatch("llamacpp"), asking(server, "endless", max_output_tokens=1))
        except UpstreamError as error:
            faults.add(error.fault)
            return False
        return True

    await eventually(answered)
    assert faults <= {Fault.REFUSED, Fault.LOADING}


async def cut_by(
    act: Callable[[], None], dispatcher: TransformDispatcher, server: Server, model: str
) -> UpstreamError:
    async with aclosing(dispatcher.stream(asking(server, model, max_output_tokens=3000))) as stream:
        async for batch in stream:
            if batch:
                break
        await asyncio.to_thread(act)
        try:
            async with asyncio.timeout(LONG):
                async for _ in stream:
                    pass
        except UpstreamError as error:
            return error
    raise AssertionError("the answer went on to its end")


async def test_a_routers_child_that_dies_cuts_the_answer(
    llama_router: Start, endless_gguf: Path, dispatch: Dispatch
) -> None:
    server = llama_router(endless_gguf)
    error = await cut_by(server.crash_runners, dispatch("llamacpp"), server, "endless")
    assert error.fault is Fault.CUT


async def test_ollamas_runner_that_dies_cuts_the_answer(
    ollama_server: Start, endless_gguf: Path, dispatch: Dispatch
) -> None:
    server = ollama_server({"endless:1b": endless_gguf})
    error = await cut_by(server.crash_runners, dispatch("ollama"), server, "endless:1b")
    assert error.fault is Fault.CUT


async def test_what_servers_refuse_is_told_apart(
    llama_server: Start, llama_router: Start, ollama_server: Start, quick_gguf: Path, dispatch: Dispatch
) -> None:
    llama, ollama = llama_server(quick_gguf, context_per_slot=512), ollama_server({"quick:1b": quick_gguf})
    long = await fault_of(dispatch("llamacpp"), asking(llama, "quick", words="river " * 2000))
    assert (long.fault, long.http_status) == (Fault.CONTEXT_TOO_LONG, 400)
    assert (await fault_of(dispatch("ollama"), asking(ollama, "nope"))).fault is Fault.MODEL_MISSING
    router = llama_router(quick_gguf)
    assert (await fault_of(dispatch("llamacpp"), asking(router, "nope"))).fault is Fault.MODEL_MISSING
    tools = await fault_of(dispatch("ollama"), asking(ollama, "quick:1b", tools=(WEATHER,)))
    assert (tools.fault, tools.http_status) == (Fault.REJECTED, 400)
    llama.stop()
    error = await fault_of(dispatch("llamacpp"), asking(llama, "quick"))
    assert (error.fault, error.message) == (Fault.REFUSED, "connection refused")
