"""Every option of the contract is on the wire of each kind, or refused by name: what a small server was really sent."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from dispatching import HELLO, WEATHER, Playback, call, hear, playing
from waiting import eventually

from zoe_grpcd.adapters.dialects import DIALECTS
from zoe_grpcd.adapters.litellm_full import FullDispatcher
from zoe_grpcd.adapters.litellm_transform import TransformDispatcher, open_session
from zoe_grpcd.adapters.triton import TritonProvider
from zoe_grpcd.core.answer import Delta
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Generation, Json
from zoe_grpcd.ports import Dispatcher

pytestmark = [
    pytest.mark.usefixtures("loaded"),
    pytest.mark.filterwarnings("ignore:Item .* on TypedDict class:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

HERE = Path(__file__).parent / "recordings"
REPLY = {
    "llamacpp": HERE / "llamacpp-stop.sse",
    "llama-cpp-python": HERE / "llama-cpp-python-text.sse",
    "openai": HERE / "openai-no-usage.sse",
    "vllm": HERE / "vllm-text.sse",
    "triton": HERE / "triton-text.sse",
    "ollama": HERE / "ollama-stop.ndjson",
}
CHATS = [kind for kind in DIALECTS if kind != "triton"]  # which takes one text
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
NAMED = {"type": "function", "function": {"name": "get_weather"}}
OTHER = {
    "type": "function",
    "function": {"name": "other", "description": "", "parameters": {"type": "object"}},
}
PNG = "data:image/png;base64,QUJD"

STOP = (
    b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)

Way = Callable[[str], Dispatcher]


@pytest.fixture
async def sent() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as session:
        yield session


@pytest.fixture(params=["transform", "full"])
async def way(request: pytest.FixtureRequest, sent: aiohttp.ClientSession) -> AsyncIterator[Way]:
    full = FullDispatcher()
    yield lambda kind: TransformDispatcher(sent, DIALECTS[kind]) if request.param == "transform" else full
    await full.close()


async def body_of(way: Way, kind: str, generation: Generation) -> Json:
    async with playing(Playback(REPLY[kind].read_bytes())) as server:
        await hear(way(kind), call(kind, server.url, generation))
        (body,) = server.bodies
        assert isinstance(body, dict)
        return body


def at(body: Json, path: str) -> Any:
    found: Any = body
    for name in path.split("."):
        found = found[name]
    return found


# contract's option, its value, the feature that may be refused, and where it is found by kind
OPTIONS: list[tuple[str, Any, str, dict[str, tuple[str, Any]]]] = [
    (
        "temperature",
        0.25,
        "sampling.temperature",
        {"*": ("temperature", 0.25), "ollama": ("options.temperature", 0.25)},
    ),
    ("top_p", 0.5, "sampling.top_p", {"*": ("top_p", 0.5), "ollama": ("options.top_p", 0.5)}),
    ("min_p", 0.125, "sampling.min_p", {"*": ("min_p", 0.125), "ollama": ("options.min_p", 0.125)}),
    ("top_k", 7, "sampling.top_k", {"*": ("top_k", 7), "ollama": ("options.top_k", 7)}),
    (
        "frequency_penalty",
        0.5,
        "sampling.frequency_penalty",
        {"*": ("frequency_penalty", 0.5), "ollama": ("options.frequency_penalty", 0.5)},
    ),
    (
        "presence_penalty",
        0.5,
        "sampling.presence_penalty",
        {"*": ("presence_penalty", 0.5), "ollama": ("options.presence_penalty", 0.5)},
    ),
    (
        "repetition_penalty",
        1.5,
        "sampling.repetition_penalty",
        {
            "*": ("repeat_penalty", 1.5),
            "vllm": ("repetition_penalty", 1.5),
            "ollama": ("options.repeat_penalty", 1.5),
        },
    ),
    ("seed", 11, "sampling.seed", {"*": ("seed", 11), "ollama": ("options.seed", 11)}),
    ("logit_bias", {5: -1.0}, "sampling.logit_bias", {"*": ("logit_bias", {"5": -1.0})}),
    ("stop", ["END"], "stop", {"*": ("stop", ["END"]), "ollama": ("options.stop", ["END"])}),
    (
        "max_output_tokens",
        9,
        "max_output_tokens",
        {
            "*": ("max_tokens", 9),
            "ollama": ("options.num_predict", 9),
            "triton": ("parameters.max_tokens", 9),
        },
    ),
    ("top_logprobs", 3, "top_logprobs", {"*": ("top_logprobs", 3)}),
    (
        "reasoning_effort",
        "none",
        "reasoning.effort",
        {
            "llamacpp": ("chat_template_kwargs", {"enable_thinking": False}),
            "*": ("reasoning_effort", "none"),
            "vllm": ("chat_template_kwargs", {"enable_thinking": False}),
            "ollama": ("think", False),
        },
    ),
    (
        "reasoning_effort",
        "high",
        "reasoning.effort",
        {
            "llamacpp": ("chat_template_kwargs", {"reasoning_effort": "high"}),
            "*": ("reasoning_effort", "high"),
            "vllm": ("reasoning_effort", "high"),
            "ollama": ("think", True),
        },
    ),
    (
        "grammar",
        'root ::= "a"',
        "response_format.grammar",
        {"*": ("grammar", 'root ::= "a"'), "vllm": ("structured_outputs", {"grammar": 'root ::= "a"'})},
    ),
]


@pytest.mark.parametrize("kind", DIALECTS)
@pytest.mark.parametrize("row", OPTIONS, ids=[o[0] for o in OPTIONS])
async def test_an_option_is_on_the_wire_or_refused_by_name(
    way: Way, kind: str, row: tuple[str, Any, str, dict[str, tuple[str, Any]]]
) -> None:
    option, value, feature, places = row
    if feature in DIALECTS[kind].refuses:
        return
    where, expected = places.get(kind) or places["*"]
    body = await body_of(way, kind, Generation(HELLO, options={option: value}))
    assert at(body, where) == expected


@pytest.mark.parametrize("kind", CHATS)
async def test_zero_is_a_value_like_any_other(way: Way, kind: str) -> None:
    options = {"temperature": 0.0, "frequency_penalty": 0.0, "seed": 0, "top_k": 0}
    body = await body_of(way, kind, Generation(HELLO, options=options))
    found = body["options"] if kind == "ollama" else body
    assert {name: found[name] for name in options} == options
    assert "repeat_penalty" not in found


@pytest.mark.parametrize("kind", ["llamacpp", "llama-cpp-python", "ollama"])
@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        (-1, -1),  # drawn anew each time, as on these servers
        (0, 0),
        (2**32 - 2, 2**32 - 2),
        (2**32 - 1, 0),  # which would be drawn anew, too
        (2**32 + 7, 8),
        (-2, 2**32 - 3),
        (2**63 - 1, (2**63 - 1) % (2**32 - 1)),
        (-(2**63), -(2**63) % (2**32 - 1)),
    ],
)
async def test_any_seed_is_one_of_those_that_llama_cpp_has(
    way: Way, kind: str, seed: int, expected: int
) -> None:
    body = await body_of(way, kind, Generation(HELLO, options={"seed": seed}))
    assert at(body, "options.seed" if kind == "ollama" else "seed") == expected


@pytest.mark.parametrize("kind", ["openai", "vllm"])
async def test_a_wide_seed_is_sent_as_it_is_where_it_fits(way: Way, kind: str) -> None:
    assert (await body_of(way, kind, Generation(HELLO, options={"seed": 2**63 - 1})))["seed"] == 2**63 - 1


@pytest.mark.parametrize("kind", CHATS)
async def test_tools_and_their_history_are_sent_as_the_kind_knows_them(way: Way, kind: str) -> None:
    made = {
        "id": "c1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'},
    }
    history = (
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    )
    body = await body_of(way, kind, Generation(history, tools=(WEATHER,), tool_choice="auto"))
    assert body["tools"] == [WEATHER]
    asked, result = body["messages"][1:]
    arguments = asked["tool_calls"][0]["function"]["arguments"]
    assert arguments == ({"city": "Oslo"} if kind == "ollama" else '{"city": "Oslo"}')
    assert result["content"] == "rain"


async def test_ollama_is_told_which_tool_a_result_is_of(sent: aiohttp.ClientSession) -> None:
    made = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    history = (
        {"role": "assistant", "content": "", "tool_calls": [made]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    )
    direct = lambda kind: TransformDispatcher(sent, DIALECTS[kind])  # noqa: E731
    body = await body_of(direct, "ollama", Generation(history))
    assert body["messages"][1]["tool_name"] == "get_weather"


async def test_a_named_tool_is_the_only_one_that_llama_server_may_call(way: Way) -> None:
    generation = Generation(HELLO, tools=(OTHER, WEATHER), tool_choice=NAMED)
    body = await body_of(way, "llamacpp", generation)
    assert (body["tools"], body["tool_choice"]) == ([WEATHER], "required")


async def test_llama_cpp_python_is_held_to_its_only_tool_by_name_and_sent_texts_in_one_piece(
    way: Way,
) -> None:
    parts = [{"type": "text", "text": "What"}, {"type": "text", "text": "?"}]
    messages = ({"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts})
    body = await body_of(
        way, "llama-cpp-python", Generation(messages, tools=(WEATHER,), tool_choice="required")
    )
    assert body["tool_choice"] == NAMED
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What?"},
    ]


@pytest.mark.parametrize(
    ("priority", "expected"), [("critical", -2), ("high", -1), ("normal", None), ("low", 1), ("batch", 2)]
)
async def test_vllm_is_told_the_priority_of_a_request(way: Way, priority: str, expected: int | None) -> None:
    async with playing(Playback(REPLY["vllm"].read_bytes())) as server:
        await hear(way("vllm"), replace(call("vllm", server.url), priority=priority))
    assert server.bodies[0].get("priority") == expected


async def test_vllm_is_asked_to_count_as_it_speaks(way: Way) -> None:
    body = await body_of(way, "vllm", Generation(HELLO))
    assert body["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}


async def test_triton_is_sent_one_text_the_parameters_of_its_model_and_its_key(
    sent: aiohttp.ClientSession,
) -> None:
    parts = [{"type": "text", "text": "What"}, {"type": "text", "text": "?"}]
    messages = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": parts})
    options = {"max_output_tokens": 9, "temperature": 0.5}  # of an intent: what a caller asks for is refused
    generation = Generation(messages, options=options, backend_options={"top_k": 3})
    dispatcher = TransformDispatcher(sent, DIALECTS["triton"], TritonProvider(DIALECTS["triton"]))
    async with playing(Playback(REPLY["triton"].read_bytes())) as server:
        await hear(dispatcher, call("triton", server.url, generation, api_key="k", model="a/b"))
        assert server.paths == ["/v2/models/a/b/generate_stream"], "as it is decoded: %2F on the wire"
        assert server.seen[0]["Authorization"] == "Bearer k"
    (body,) = server.bodies
    assert body == {
        "text_input": "Be brief. What?",
        "parameters": {"max_tokens": 9, "top_k": 3},
        "stream": True,
    }


async def test_openai_is_sent_the_choice_as_it_is(way: Way) -> None:
    generation = Generation(
        HELLO, tools=(OTHER, WEATHER), tool_choice=NAMED, options={"parallel_tool_calls": False}
    )
    body = await body_of(way, "openai", generation)
    assert (body["tool_choice"], body["parallel_tool_calls"]) == (NAMED, False)


async def test_no_choice_of_tools_means_none_for_ollama(way: Way) -> None:
    body = await body_of(way, "ollama", Generation(HELLO, tools=(WEATHER,), tool_choice="none"))
    assert "tools" not in body


@pytest.mark.parametrize("kind", CHATS)
@pytest.mark.parametrize("wanted", [{"type": "json_object"}, JSON_SCHEMA], ids=["object", "schema"])
async def test_the_wanted_format_is_sent(way: Way, kind: str, wanted: Json) -> None:
    body = await body_of(way, kind, Generation(HELLO, response_format=wanted))
    if kind == "ollama":
        assert body["format"] == ("json" if wanted["type"] == "json_object" else SCHEMA)
    elif kind == "llama-cpp-python" and wanted is JSON_SCHEMA:
        assert body["response_format"] == {"type": "json_object", "schema": SCHEMA}
    else:
        assert body["response_format"] == wanted


@pytest.mark.parametrize("kind", CHATS)
async def test_an_image_goes_with_its_text(way: Way, kind: str) -> None:
    parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PNG}}]
    body = await body_of(way, kind, Generation(({"role": "user", "content": parts},)))
    (message,) = body["messages"]
    if kind == "ollama":
        assert (message["content"], message["images"]) == ("What?", ["QUJD"])
    else:
        assert message["content"] == parts
    assert parts[1] == {"type": "image_url", "image_url": {"url": PNG}}, "the caller's own parts were changed"


async def test_options_of_the_backend_go_where_it_looks_for_them(way: Way) -> None:
    own = {"num_ctx": 2048, "num_gpu": 3, "keep_alive": "10m", "mirostat": 1}
    body = await body_of(way, "ollama", Generation(HELLO, options={"top_p": 0.5}, backend_options=own))
    assert body["keep_alive"] == "10m"
    assert body["options"] == {"num_ctx": 2048, "num_gpu": 3, "mirostat": 1, "top_p": 0.5}
    own = {"cache_prompt": False, "id_slot": 1, "dry_multiplier": 0.5}
    body = await body_of(way, "llamacpp", Generation(HELLO, backend_options=own))
    assert own.items() <= body.items()


@pytest.mark.parametrize("name", ["gpt-4", "o3-mini", "gpt-5", "gpt-3.5-turbo-16k"])
async def test_a_local_model_may_have_a_famous_name(sent: aiohttp.ClientSession, name: str) -> None:
    generation = Generation(
        HELLO, response_format=JSON_SCHEMA, options={"temperature": 0.5, "max_output_tokens": 3}
    )
    async with playing(Playback(REPLY["llamacpp"].read_bytes())) as server:
        asked = replace(call("llamacpp", server.url, generation), backend_model=name)
        await hear(TransformDispatcher(sent, DIALECTS["llamacpp"]), asked)
        (body,) = server.bodies
    assert (body["model"], body["temperature"], body["max_tokens"]) == (name, 0.5, 3)
    assert body["response_format"] == JSON_SCHEMA


@pytest.mark.parametrize("kind", CHATS)
async def test_each_call_has_its_own_place_in_a_trace(way: Way, kind: str) -> None:
    first, second = (("traceparent", "00-a-b-01"), ("tracestate", "v=1")), (("traceparent", "00-a-c-01"),)
    dispatcher = way(kind)
    async with playing(Playback(REPLY[kind].read_bytes())) as server:
        for trace in (first, second, ()):
            await hear(dispatcher, replace(call(kind, server.url), trace=trace))
    told = [{k.lower(): v for k, v in seen.items() if k.lower().startswith("trace")} for seen in server.seen]
    assert told == [dict(first), dict(second), {}]


@pytest.mark.parametrize("kind", CHATS)
@pytest.mark.parametrize("key", ["", "sk-secret"])
async def test_the_backends_key_and_no_other_is_sent(
    way: Way, kind: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    async with playing(Playback(REPLY[kind].read_bytes())) as server:
        await hear(way(kind), call(kind, server.url, api_key=key))
    (headers,) = server.seen
    assert headers.get("Authorization") in ({f"Bearer {key}"} if key else {None, "Bearer none"})


@pytest.mark.parametrize("kind", DIALECTS)
async def test_equal_options_of_different_calls_do_not_leak_into_each_other(
    sent: aiohttp.ClientSession, kind: str
) -> None:
    dispatcher = TransformDispatcher(sent, DIALECTS[kind])
    async with playing(Playback(REPLY[kind].read_bytes())) as server:
        for own in ({"mirostat": 1}, {}, {"mirostat": 2}):
            generation = Generation(HELLO, options={"top_p": 0.5}, backend_options=own)
            await hear(dispatcher, call(kind, server.url, generation))
    place = {"ollama": "options", "triton": "parameters"}.get(kind)
    found = [(body[place] if place else body).get("mirostat") for body in server.bodies]
    assert found == [1, None, 2]


async def test_what_cannot_be_translated_is_the_callers_mistake(sent: aiohttp.ClientSession) -> None:
    made = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{no json"}}
    history = ({"role": "assistant", "content": "", "tool_calls": [made]},)
    with pytest.raises(UpstreamError) as caught:
        await hear(
            TransformDispatcher(sent, DIALECTS["ollama"]),
            call("ollama", "http://127.0.0.1:9", Generation(history)),
        )
    assert caught.value.fault is Fault.REJECTED


@pytest.mark.parametrize("kind", DIALECTS)
async def test_a_refusal_carries_when_to_come_back(way: Way, kind: str) -> None:
    refusing = Playback(b'{"error": {"message": "slow down"}}', status=429, headers={"Retry-After": "7"})
    async with playing(refusing) as server:
        with pytest.raises(UpstreamError) as caught:
            await hear(way(kind), call(kind, server.url))
    error = caught.value
    assert (error.fault, error.http_status, error.retry_after) == (Fault.RATE_LIMITED, 429, 7.0)
    assert "slow down" in error.message
    assert len(server.paths) == 1, "it was tried again"


@pytest.mark.parametrize("kind", DIALECTS)
async def test_an_answer_without_an_end_is_cut_either_way(way: Way, kind: str) -> None:
    whole = REPLY[kind].read_bytes()
    half = whole[: whole.index(b"\n", len(whole) // 4) + 1]
    async with playing(Playback(half)) as server:
        with pytest.raises(UpstreamError) as caught:
            await hear(way(kind), call(kind, server.url))
    assert caught.value.fault is Fault.CUT


async def test_what_came_before_a_cut_is_not_lost_to_a_reader_that_is_slow(
    sent: aiohttp.ClientSession,
) -> None:
    one, two = (
        b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % word for word in (b"1", b"2")
    )
    slow = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(one), one))
        await slow.wait()
        writer.write(b"%x\r\n%b\r\n5\r\n" % (len(two), two))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    asked = call("llamacpp", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server, aclosing(TransformDispatcher(sent, DIALECTS["llamacpp"]).stream(asked)) as answer:
        assert [await anext(answer), await anext(answer)] == [[], [Delta("1", tokens=1)]]
        slow.set()
        assert sent.connector is not None
        (connection,) = sent.connector._acquired
        await eventually(lambda: not connection.is_connected())
        assert await anext(answer) == [Delta("2", tokens=1)]
        with pytest.raises(UpstreamError) as caught:
            await anext(answer)
    assert caught.value.fault is Fault.CUT


async def test_an_answer_that_went_wrong_leaves_no_connection_for_the_next_one(
    sent: aiohttp.ClientSession,
) -> None:
    # llama-cpp-python 0.3.35 closes it after the proper end of an answer with nothing in it
    async with playing(Playback(b"")) as server:
        with pytest.raises(UpstreamError):
            await hear(
                TransformDispatcher(sent, DIALECTS["llama-cpp-python"]), call("llama-cpp-python", server.url)
            )
    assert sent.connector is not None
    assert not sum(map(len, sent.connector._conns.values()))


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced_once(
    sent: aiohttp.ClientSession,
) -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(STOP) + STOP
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for answered in (False, True):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            if answered:  # the second request on a connection finds it closed
                break
            writer.write(reply)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        dispatcher = TransformDispatcher(sent, DIALECTS["openai"])
        first = await hear(dispatcher, call("openai", url))
        second = await hear(dispatcher, call("openai", url))
        assert (first.text, second.text, connections) == ("Hi", "Hi", 2)
        await sent.close()


async def test_a_fresh_connection_that_breaks_is_not_tried_again(sent: aiohttp.ClientSession) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(UpstreamError) as caught:
            await hear(TransformDispatcher(sent, DIALECTS["openai"]), call("openai", url))
    assert (caught.value.fault, caught.value.gone, connections) == (Fault.REFUSED, False, 1)


async def test_where_nobody_listens_the_server_is_gone(way: Way) -> None:
    with socket.socket() as place:  # bound, so that nobody else takes it, and not listening
        place.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{place.getsockname()[1]}"
        with pytest.raises(UpstreamError) as caught:
            await hear(way("openai"), call("openai", url))
    assert (caught.value.fault, caught.value.gone) == (Fault.REFUSED, True)


async def test_a_large_image_is_sent_whole(sent: aiohttp.ClientSession) -> None:
    url = "data:image/png;base64," + "A" * 3_000_000
    parts = [{"type": "image_url", "image_url": {"url": url}}]
    direct = lambda kind: TransformDispatcher(sent, DIALECTS[kind])  # noqa: E731
    body = await body_of(direct, "openai", Generation(({"role": "user", "content": parts},)))
    assert body["messages"][0]["content"] == parts


def test_the_contract_check_finds_nothing_wrong_here(loaded: dict[str, str]) -> None:
    assert loaded == {}
