"""Cloud services through LiteLLM's own calls, against servers that are as strict about their wire formats as they are."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import clouds
import pytest
from clouds import KEY, Cloud
from dispatching import HELLO, WEATHER, Heard, call, hear
from waiting import eventually

from zoe_grpcd.adapters.dialects.refusals import retry_after
from zoe_grpcd.adapters.litellm_full import FullDispatcher
from zoe_grpcd.core.answer import FinishReason, Usage
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Call, Generation

CLAUDE, GPT = "claude-sonnet-4-5", "gpt-4o-mini"
pytestmark = [
    pytest.mark.filterwarnings("ignore:Item .* on TypedDict class:UserWarning"),  # LiteLLM's own
    pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm"),
]
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "age",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"age": {"type": "integer"}},
            "required": ["age"],
            "additionalProperties": False,
        },
    },
}
PICTURE = "data:image/png;base64,iVBORw0KGgo="
CONVERSATION = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Weather?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "t1",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "t1", "content": "Sunny"},
)


@pytest.fixture
async def full(loaded: dict[str, str]) -> AsyncIterator[FullDispatcher]:
    dispatcher = FullDispatcher()
    yield dispatcher
    await dispatcher.close()


@pytest.fixture
async def claude() -> AsyncIterator[Cloud]:
    async with clouds.anthropic() as cloud:
        cloud.events = clouds.anthropic_answer(clouds.text("Hel", "lo"))
        yield cloud


@pytest.fixture
async def gpt() -> AsyncIterator[Cloud]:
    async with clouds.openai() as cloud:
        cloud.events = clouds.openai_answer({"content": "Hel"}, {"content": "lo"})
        yield cloud


def to_claude(cloud: Cloud, generation: Generation | None = None, model: str = CLAUDE, **more: Any) -> Call:
    return call("anthropic", cloud.url, generation, model=model, api_key=KEY, **more)


def to_gpt(cloud: Cloud, generation: Generation | None = None, model: str = GPT, **more: Any) -> Call:
    return call("openai", cloud.url, generation, model=model, api_key=KEY, **more)


def defaulted(asked: Call, **defaults: Any) -> Call:
    """The same with defaults of an intent."""
    options = {**defaults, **asked.generation.options}
    generation = Generation(asked.generation.messages, options=options)
    return Call(asked.backend, asked.backend_model, generation, defaults=frozenset(defaults))


# --------------------------------------------------------------------------------------------------------- Anthropic


async def test_claude_answers_in_pieces_with_usage_in_which_cached_tokens_count(
    full: FullDispatcher, claude: Cloud
) -> None:
    heard = await hear(full, to_claude(claude))
    assert (heard.text, heard.finish.reason) == ("Hello", FinishReason.STOP)
    assert heard.finish.usage == Usage(
        prompt_tokens=37, completion_tokens=15, cached_prompt_tokens=12, reasoning_tokens=0
    )
    assert len([batch for batch in heard.batches if batch]) >= 2
    assert claude.paths == ["/v1/messages"]


async def test_claude_is_sent_a_conversation_with_tools_as_it_wants_it(
    full: FullDispatcher, claude: Cloud
) -> None:
    options = {"temperature": 0.2, "max_output_tokens": 33, "stop": ["END"], "parallel_tool_calls": False}
    asked = Generation(CONVERSATION, tools=(WEATHER,), tool_choice="required", options=options)
    await hear(full, to_claude(claude, asked))
    body = claude.bodies[-1]
    assert body["system"] == [{"type": "text", "text": "Be brief."}]
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"][-1]["input"] == {"city": "Paris"}
    assert body["messages"][2]["content"][0]["tool_use_id"] == "t1"
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert (body["temperature"], body["max_tokens"], body["stop_sequences"]) == (0.2, 33, ["END"])


async def test_claude_calls_several_tools_in_one_answer(full: FullDispatcher, claude: Cloud) -> None:
    claude.events = clouds.anthropic_answer(
        clouds.text("Let me look."),
        clouds.tool_use("get_weather", '{"city":', ' "Paris"}'),
        clouds.tool_use("get_weather", '{"city": "Rome"}', number=2),
        stop="tool_use",
    )
    heard = await hear(full, to_claude(claude, Generation(HELLO, tools=(WEATHER,))))
    assert heard.text == "Let me look."
    assert list(heard.tools.values()) == [
        ["get_weather", '{"city": "Paris"}'],
        ["get_weather", '{"city": "Rome"}'],
    ]
    assert heard.finish.reason is FinishReason.TOOL_CALLS
    assert len(set(heard.ids)) == 2


async def test_claude_sees_a_picture(full: FullDispatcher, claude: Cloud) -> None:
    parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    await hear(full, to_claude(claude, Generation(({"role": "user", "content": parts},))))
    source = claude.bodies[-1]["messages"][0]["content"][1]["source"]
    assert source == {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}


async def test_claude_thinks_where_that_is_asked_for(full: FullDispatcher, claude: Cloud) -> None:
    claude.events = clouds.anthropic_answer(clouds.thinking("Hmm", "..."), clouds.text("42"))
    heard = await hear(full, to_claude(claude, Generation(HELLO, options={"reasoning_effort": "low"})))
    assert (heard.reasoning, heard.text) == ("Hmm...", "42")
    assert claude.bodies[-1]["thinking"]["type"] == "enabled"


@pytest.mark.parametrize("model", [CLAUDE, "claude-3-haiku-20240307"])
async def test_claude_keeps_to_a_schema(full: FullDispatcher, claude: Cloud, model: str) -> None:
    if model == CLAUDE:
        claude.events = clouds.anthropic_answer(clouds.text('{"age": 1}'))
    else:  # the older ones know no formats: LiteLLM makes a tool of it, and an answer of its call
        claude.events = clouds.anthropic_answer(
            clouds.tool_use("json_tool_call", '{"age": 1}'), stop="tool_use"
        )
    heard = await hear(full, to_claude(claude, Generation(HELLO, response_format=SCHEMA), model))
    assert heard.text == '{"age": 1}'
    assert heard.tools == {}
    assert heard.finish.reason is FinishReason.STOP


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("max_tokens", FinishReason.LENGTH),
        ("stop_sequence", FinishReason.STOP),
        ("refusal", FinishReason.CONTENT_FILTER),
    ],
)
async def test_claude_says_why_it_stopped(
    full: FullDispatcher, claude: Cloud, stop: str, reason: FinishReason
) -> None:
    claude.events = clouds.anthropic_answer(clouds.text("x"), stop=stop)
    assert (await hear(full, to_claude(claude))).finish.reason is reason


@pytest.mark.parametrize("asked", [{"top_p": 0.9}, {"reasoning_effort": "low"}])
async def test_a_mere_default_of_the_temperature_gives_way_to_what_claude_does_not_take_beside_it(
    full: FullDispatcher, claude: Cloud, asked: dict[str, Any]
) -> None:
    await hear(full, defaulted(to_claude(claude, Generation(HELLO, options=asked)), temperature=0.7))
    assert "temperature" not in claude.bodies[-1]


async def test_a_default_of_the_temperature_reaches_claude_otherwise(
    full: FullDispatcher, claude: Cloud
) -> None:
    await hear(full, defaulted(to_claude(claude), temperature=0.7))
    assert claude.bodies[-1]["temperature"] == 0.7


@pytest.mark.parametrize(
    ("refusal", "fault", "again"),
    [
        ((429, "This request would exceed your rate limit", {"retry-after": "7"}), Fault.RATE_LIMITED, 7.0),
        ((529, "Overloaded", {}), Fault.OVERLOADED, None),
        ((500, "Internal server error", {}), Fault.SERVER, None),
        ((400, "prompt is too long: 210000 tokens > 200000 maximum", {}), Fault.CONTEXT_TOO_LONG, None),
        ((400, "Your credit balance is too low to access the API.", {}), Fault.RATE_LIMITED, None),
        ((400, "messages: at least one message is required", {}), Fault.REJECTED, None),
        ((413, "Request exceeds the maximum size", {}), Fault.REJECTED, None),
        ((404, "model: claude-nope", {}), Fault.MODEL_MISSING, None),
        ((403, "Your key may not use this", {}), Fault.UNAUTHORIZED, None),
    ],
)
async def test_a_refusal_of_claude_is_this_fault_in_its_own_words(
    full: FullDispatcher, claude: Cloud, refusal: clouds.Refusal, fault: Fault, again: float | None
) -> None:
    claude.refusal = refusal
    with pytest.raises(UpstreamError) as refused:
        await hear(full, to_claude(claude))
    assert (refused.value.fault, refused.value.retry_after, str(refused.value)) == (fault, again, refusal[1])
    assert len(claude.bodies) == 1, "nothing below the router tries again"


async def test_a_wrong_key_is_not_repeated(full: FullDispatcher, claude: Cloud) -> None:
    asked = call("anthropic", claude.url, model=CLAUDE, api_key="sk-ant-api03-wrong-0123456789")
    with pytest.raises(UpstreamError) as refused:
        await hear(full, asked)
    assert refused.value.fault is Fault.UNAUTHORIZED
    assert "wrong" not in str(refused.value)


@pytest.mark.parametrize("how", ["an error event", "no end", "a broken connection"])
async def test_an_answer_of_claude_that_breaks_off_is_cut_and_what_came_before_is_kept(
    full: FullDispatcher, claude: Cloud, how: str
) -> None:
    claude.events = claude.events[:-3]
    if how == "an error event":
        error = {"type": "overloaded_error", "message": "Overloaded"}
        claude.events.append({"type": "error", "error": error})
    claude.cut = how == "a broken connection"
    heard = Heard()
    with pytest.raises(UpstreamError) as broken:
        await hear(full, to_claude(claude), heard)
    assert (broken.value.fault, heard.text) == (Fault.CUT, "Hello")


async def test_claude_is_left_when_its_caller_leaves(full: FullDispatcher, claude: Cloud) -> None:
    claude.events, claude.hangs = claude.events[:-3], True
    async with aclosing(full.stream(to_claude(claude))) as stream:
        async for batch in stream:
            if batch:
                break
    await eventually(lambda: claude.left == 1)


# ------------------------------------------------------------------------------------------------------------ OpenAI


async def test_gpt_answers_with_usage_of_cache_and_thoughts(full: FullDispatcher, gpt: Cloud) -> None:
    heard = await hear(full, to_gpt(gpt))
    assert (heard.text, heard.finish.reason) == ("Hello", FinishReason.STOP)
    assert heard.finish.usage == Usage(19, 10, cached_prompt_tokens=8, reasoning_tokens=4)


async def test_gpt_calls_tools_in_pieces(full: FullDispatcher, gpt: Cloud) -> None:
    function = {"name": "get_weather", "arguments": ""}
    gpt.events = clouds.openai_answer(
        {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Paris"}'}}]},
        {"tool_calls": [{"index": 1, "id": "call_2", "type": "function", "function": {**function}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        finish="tool_calls",
    )
    heard = await hear(full, to_gpt(gpt, Generation(HELLO, tools=(WEATHER,), tool_choice="auto")))
    assert heard.tools == {0: ["get_weather", '{"city":"Paris"}'], 1: ["get_weather", "{}"]}
    assert (heard.ids, heard.done) == (["call_1", "call_2"], [0, 1])


async def test_gpt_sees_pictures_and_keeps_to_schemas(full: FullDispatcher, gpt: Cloud) -> None:
    parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    await hear(full, to_gpt(gpt, Generation(({"role": "user", "content": parts},), response_format=SCHEMA)))
    assert gpt.bodies[-1]["messages"][0]["content"][1]["image_url"]["url"] == PICTURE
    assert gpt.bodies[-1]["response_format"] == SCHEMA


@pytest.mark.parametrize("model", ["gpt-5-mini", "o3-mini"])
async def test_a_model_that_reasons_gets_its_limit_under_its_own_name_and_no_default_that_it_refuses(
    full: FullDispatcher, gpt: Cloud, model: str
) -> None:
    asked = Generation(HELLO, options={"max_output_tokens": 33, "reasoning_effort": "low"})
    heard = await hear(full, defaulted(to_gpt(gpt, asked, model), temperature=0.7))
    assert heard.text == "Hello"
    body = gpt.bodies[-1]
    assert (body["max_completion_tokens"], body["reasoning_effort"]) == (33, "low")
    assert body.keys().isdisjoint(("max_tokens", "temperature"))


async def test_what_the_caller_set_and_a_model_does_not_take_is_refused_by_name_before_anything_is_sent(
    full: FullDispatcher, gpt: Cloud
) -> None:
    with pytest.raises(UpstreamError, match=r"temperature=0\.2") as refused:
        await hear(full, to_gpt(gpt, Generation(HELLO, options={"temperature": 0.2}), "gpt-5-mini"))
    assert refused.value.fault is Fault.REJECTED
    assert "litellm" not in str(refused.value)
    assert gpt.bodies == []


@pytest.mark.parametrize(
    ("refusal", "fault", "again"),
    [
        ((429, "Rate limit reached for gpt-4o", {"retry-after": "7"}), Fault.RATE_LIMITED, 7.0),
        ((429, "Rate limit reached for gpt-4o", {"retry-after-ms": "1500"}), Fault.RATE_LIMITED, 1.5),
        ((429, "You exceeded your current quota", {}), Fault.RATE_LIMITED, None),
        ((503, "The engine is currently overloaded", {}), Fault.OVERLOADED, None),
        ((500, "The server had an error", {}), Fault.SERVER, None),
        ((400, "This model's maximum context length is 128000 tokens.", {}), Fault.CONTEXT_TOO_LONG, None),
        (
            (404, "The model `x` does not exist or you do not have access to it.", {}),
            Fault.MODEL_MISSING,
            None,
        ),
        ((401, "Incorrect API key provided", {}), Fault.UNAUTHORIZED, None),
    ],
)
async def test_a_refusal_of_gpt_is_this_fault(
    full: FullDispatcher, gpt: Cloud, refusal: clouds.Refusal, fault: Fault, again: float | None
) -> None:
    gpt.refusal = refusal
    with pytest.raises(UpstreamError) as refused:
        await hear(full, to_gpt(gpt))
    assert (refused.value.fault, refused.value.retry_after) == (fault, again)
    assert len(gpt.bodies) == 1


@pytest.mark.parametrize("cut", [False, True])
async def test_an_answer_of_gpt_without_an_end_is_cut(full: FullDispatcher, gpt: Cloud, cut: bool) -> None:
    gpt.events, gpt.cut = gpt.events[:-2], cut
    heard = Heard()
    with pytest.raises(UpstreamError) as broken:
        await hear(full, to_gpt(gpt), heard)
    assert (broken.value.fault, heard.text) == (Fault.CUT, "Hello")


# ------------------------------------------------------------------------------------------------- when to come back


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1s"}, 7.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20ms"}, 0.02),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "20s"}, None),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1h2m3.5s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "1s",
            },
            3723.5,
        ),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "soon"}, None),
        ({"x-ratelimit-remaining-tokens": "0"}, None),
        (
            {
                "anthropic-ratelimit-tokens-remaining": "0",
                "anthropic-ratelimit-tokens-reset": "2001-01-01T00:00:00Z",
            },
            0.0,
        ),
    ],
)
def test_limits_that_are_used_up_say_when_they_are_reset(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers) == pytest.approx(seconds)
