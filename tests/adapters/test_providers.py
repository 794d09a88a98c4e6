"""Services that only LiteLLM speaks to, `kind: litellm`: Azure OpenAI, Gemini and Groq, as strict as they are."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any

import providers
import pytest
from clouds import KEY, Cloud
from dispatching import HELLO, WEATHER, Heard, call, hear
from providers import AZURE_VERSION, DEPLOYMENT, GEMINI, GROQ, azure_answer, gemini_answer, groq_answer
from waiting import eventually

from zoe_grpcd.adapters.litellm_full import FullDispatcher
from zoe_grpcd.core.answer import FinishReason, Usage
from zoe_grpcd.core.errors import Fault, UpstreamError
from zoe_grpcd.core.generation import Call, Generation

pytestmark = [
    pytest.mark.filterwarnings("ignore:Item .* on TypedDict class:UserWarning"),  # LiteLLM's own
    pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm"),
]
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "age", "schema": SCHEMA}}
PICTURE = "data:image/png;base64,iVBORw0KGgo="
CALLED = {
    "id": "t1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
}
CONVERSATION = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Weather?"},
    {"role": "assistant", "content": None, "tool_calls": [CALLED]},
    {"role": "tool", "tool_call_id": "t1", "content": "Sunny"},
)


@dataclass(frozen=True)
class Service:
    """How it is started, what an operator writes for it, and how it says things."""

    serve: Callable[[], AbstractAsyncContextManager[Cloud]]
    params: Callable[[str], dict[str, Any]]  # of its address
    hello: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    json: list[dict[str, Any]]
    usage: Usage


def a_call(name: str, arguments: str) -> dict[str, Any]:
    """The whole call of a tool in one piece."""
    return {
        "tool_calls": [
            {"index": 0, "id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}
        ]
    }


def openai_calls() -> list[dict[str, Any]]:
    """Two calls in pieces."""

    def piece(index: int, **function: str) -> dict[str, Any]:
        named = {"id": f"call_{index}", "type": "function"} if "name" in function else {}
        return {"tool_calls": [{"index": index, **named, "function": {"arguments": "", **function}}]}

    return [
        piece(0, name="get_weather"), piece(0, arguments='{"city":'), piece(0, arguments=' "Paris"}'),
        piece(1, name="get_weather"), piece(1, arguments='{"city": "Rome"}'),
    ]  # fmt: skip


def gemini_calls() -> list[dict[str, Any]]:
    """Two calls, each whole."""
    return [{"functionCall": {"name": "get_weather", "args": {"city": city}}} for city in ("Paris", "Rome")]


SERVICES = {
    "azure": Service(
        providers.azure,
        lambda url: {"model": f"azure/{DEPLOYMENT}", "api_base": url, "api_version": AZURE_VERSION, "base_model": "azure/gpt-4o-mini"},
        azure_answer({"content": "Hel"}, {"content": "lo"}),
        azure_answer(*openai_calls(), finish="tool_calls"),
        azure_answer({"content": '{"age": 1}'}),
        Usage(19, 10, 8),
    ),
    "gemini": Service(
        providers.gemini,
        lambda url: {"model": f"gemini/{GEMINI}", "api_base": f"{url}/v1beta"},
        gemini_answer({"text": "Hel"}, {"text": "lo"}),
        gemini_answer(*gemini_calls()),
        gemini_answer({"text": '{"age": 1}'}),
        Usage(12, 7, 5),
    ),
    "groq": Service(
        providers.groq,
        lambda url: {"model": f"groq/{GROQ}", "api_base": f"{url}/openai/v1"},
        groq_answer({"content": "Hel"}, {"content": "lo"}),
        groq_answer(*openai_calls(), finish="tool_calls"),
        groq_answer(a_call("json_tool_call", '{"age": 1}'), finish="tool_calls"),  # LiteLLM makes a tool of it
        Usage(18, 9),
    ),
}  # fmt: skip


@dataclass
class Subject:
    """One of them, and how it is reached."""

    name: str
    cloud: Cloud
    dispatcher: FullDispatcher

    @property
    def begun(self) -> list[dict[str, Any]]:
        """The beginning of an answer, up to some text."""
        hello = SERVICES[self.name].hello
        return hello[:1] if self.name == "gemini" else hello[:3]

    def call(self, generation: Generation | None = None, key: str = KEY) -> Call:
        params = SERVICES[self.name].params(self.cloud.url)
        self.dispatcher._params = {"b": params}
        return call("litellm", "", generation, model=params["model"], api_key=key, local=False)


@pytest.fixture(params=list(SERVICES))
async def subject(request: pytest.FixtureRequest, loaded: object) -> AsyncIterator[Subject]:
    dispatcher = FullDispatcher()
    async with SERVICES[request.param].serve() as cloud:
        cloud.events = SERVICES[request.param].hello
        yield Subject(request.param, cloud, dispatcher)
    await dispatcher.close()


async def test_it_answers_in_pieces_with_its_own_usage(subject: Subject) -> None:
    heard = await hear(subject.dispatcher, subject.call())
    assert (heard.text, heard.finish.reason) == ("Hello", FinishReason.STOP)
    assert heard.finish.usage == SERVICES[subject.name].usage
    assert len([batch for batch in heard.batches if batch]) >= 2
    assert len(subject.cloud.bodies) == 1, "LiteLLM asked for something on its own"


async def test_it_is_sent_a_conversation_with_tools_and_all_that_the_caller_asked_for(
    subject: Subject,
) -> None:
    options = {"temperature": 0.25, "top_p": 0.5, "max_output_tokens": 33, "stop": ["END"], "seed": 5}
    asked = Generation(CONVERSATION, tools=(WEATHER,), tool_choice="required", options=options)
    await hear(subject.dispatcher, subject.call(asked))
    body = subject.cloud.bodies[-1]
    if subject.name != "gemini":
        roles, forced, sampling = [m["role"] for m in body["messages"]], body["tool_choice"], body
        assert roles == ["system", "user", "assistant", "tool"]
        assert forced == "required"
        names = ("temperature", "top_p", "max_tokens", "stop", "seed")
    else:
        assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]
        assert body["system_instruction"] == {"parts": [{"text": "Be brief."}]}
        (called,), (result,) = body["contents"][1]["parts"], body["contents"][2]["parts"]
        assert called["function_call"] == {"name": "get_weather", "args": {"city": "Paris"}}
        assert result["function_response"]["name"] == "get_weather"
        assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}
        sampling = body["generationConfig"]
        names = ("temperature", "top_p", "max_output_tokens", "stop_sequences", "seed")
    assert [sampling[name] for name in names] == [0.25, 0.5, 33, ["END"], 5]


async def test_it_calls_several_tools_in_one_answer(subject: Subject) -> None:
    subject.cloud.events = SERVICES[subject.name].tools
    heard = await hear(subject.dispatcher, subject.call(Generation(HELLO, tools=(WEATHER,))))
    assert [[name, arguments.replace(" ", "")] for name, arguments in heard.tools.values()] == [
        ["get_weather", '{"city":"Paris"}'],
        ["get_weather", '{"city":"Rome"}'],
    ]
    assert heard.finish.reason is FinishReason.TOOL_CALLS
    assert len(set(heard.ids)) == 2


async def test_it_keeps_to_a_schema(subject: Subject) -> None:
    subject.cloud.events = SERVICES[subject.name].json
    heard = await hear(subject.dispatcher, subject.call(Generation(HELLO, response_format=FORMAT)))
    assert (heard.text, heard.tools) == ('{"age": 1}', {})
    assert (heard.finish.reason, heard.finish.usage) == (FinishReason.STOP, SERVICES[subject.name].usage)
    assert str(SCHEMA) in str(subject.cloud.bodies[-1])


async def test_it_sees_a_picture(subject: Subject) -> None:
    parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    await hear(subject.dispatcher, subject.call(Generation(({"role": "user", "content": parts},))))
    assert "iVBORw0KGgo=" in str(subject.cloud.bodies[-1])


@pytest.mark.parametrize(
    ("end", "reason"), [("length", FinishReason.LENGTH), ("content_filter", FinishReason.CONTENT_FILTER)]
)
async def test_it_says_why_it_stopped(subject: Subject, end: str, reason: FinishReason) -> None:
    ends = {"length": "MAX_TOKENS", "content_filter": "SAFETY"}
    said = {"azure": azure_answer, "groq": groq_answer}
    subject.cloud.events = (
        gemini_answer({"text": "I will"}, finish=ends[end])
        if subject.name == "gemini"
        else said[subject.name]({"content": "I will"}, finish=end)
    )
    heard = await hear(subject.dispatcher, subject.call())
    assert (heard.text, heard.finish.reason) == ("I will", reason)


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (400, Fault.REJECTED),
        (404, Fault.MODEL_MISSING),
        (429, Fault.RATE_LIMITED),
        (500, Fault.SERVER),
        (503, Fault.SERVER),
    ],
)
async def test_it_refuses_in_its_own_words(subject: Subject, status: int, fault: Fault) -> None:
    told = {"retry-after": "7", "retryDelay": "7s"} if status == 429 else {}
    subject.cloud.refusal = (status, "That was too much.", told)
    with pytest.raises(UpstreamError) as refused:
        await hear(subject.dispatcher, subject.call())
    assert (refused.value.fault, refused.value.http_status) == (fault, status)
    assert refused.value.retry_after == (7.0 if told else None)
    assert str(refused.value) == "That was too much."
    assert len(subject.cloud.bodies) == 1, "once"


async def test_a_wrong_key_is_not_the_callers_mistake(subject: Subject) -> None:
    with pytest.raises(UpstreamError) as refused:
        await hear(subject.dispatcher, subject.call(key="sk-wrong-0123456789"))
    assert refused.value.fault is Fault.UNAUTHORIZED
    assert "0123456789" not in str(refused.value)


async def test_an_answer_that_is_cut_has_no_end(subject: Subject) -> None:
    subject.cloud.events, subject.cloud.cut = subject.begun, True
    heard = Heard()
    with pytest.raises(UpstreamError) as broken:
        await hear(subject.dispatcher, subject.call(), heard)
    assert (broken.value.fault, heard.finishes) == (Fault.CUT, [])


async def test_who_leaves_is_noticed_at_once(subject: Subject) -> None:
    subject.cloud.events, subject.cloud.hangs = subject.begun, True
    async with aclosing(subject.dispatcher.stream(subject.call())) as stream:
        async for batch in stream:
            if batch:
                break
    await eventually(lambda: subject.cloud.left == 1)


async def test_gemini_thinks_and_its_thoughts_are_counted(loaded: object) -> None:
    dispatcher = FullDispatcher()
    async with providers.gemini() as cloud:
        subject = Subject("gemini", cloud, dispatcher)
        cloud.events = gemini_answer({"text": "Hmm", "thought": True}, {"text": "42"}, thought=31)
        heard = await hear(dispatcher, subject.call(Generation(HELLO, options={"reasoning_effort": "low"})))
        assert (heard.reasoning, heard.text) == ("Hmm", "42")
        assert heard.finish.usage == Usage(12, 38, 5, reasoning_tokens=31)
        assert cloud.bodies[-1]["generationConfig"]["thinkingConfig"]["includeThoughts"] is True
    await dispatcher.close()


async def test_gemini_is_told_the_choices_of_an_argument_whose_type_goes_without_saying(
    loaded: object,
) -> None:
    """LiteLLM 1.106.2 calls it an object, and drops them."""
    typeless: dict[str, Any] = {"enum": ["Paris", "Rome"]}
    city = {"anyOf": [typeless, {"type": "integer"}]}
    named = {"type": "object", "properties": {"city": city}}
    tool = {"type": "function", "function": {"name": "get_weather", "description": "", "parameters": named}}
    dispatcher = FullDispatcher()
    async with providers.gemini() as cloud:
        cloud.events = SERVICES["gemini"].hello
        await hear(dispatcher, Subject("gemini", cloud, dispatcher).call(Generation(HELLO, tools=(tool,))))
        (declared,) = cloud.bodies[-1]["tools"][0]["function_declarations"]
        choice = declared["parameters"]["properties"]["city"]["anyOf"][0]
        assert choice == {"type": "string", "enum": ["Paris", "Rome"]}
    assert "type" not in typeless, "the caller's own is as it was"
    await dispatcher.close()
