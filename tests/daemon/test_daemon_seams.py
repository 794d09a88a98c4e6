"""Answers that are cut in the middle, by who can go on with them, on real servers: each seam, and what holds over it."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from faultproxy import Fault, FaultProxy, How
from serving import Daemon, entry, serving
from shapes import VERDICT, WEATHER
from waiting import eventually, wait_until

from zoe.inference.v1.decision_pb2 import Attempt
from zoe.inference.v1.response_pb2 import FINISH_REASON_LENGTH, FINISH_REASON_STOP, FINISH_REASON_TOOL_CALLS
from zoe.inference.v1.routing_pb2 import SeamQuality
from zoe_client import BackendLost, BackendSwitched, Completed, Delta, ToolCallDelta
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.ollama import OllamaModel, OllamaOptions, create_model, start_ollama
from zoe_grpcd.localbackends.templates import OLLAMA_TEMPLATE, OLLAMA_TOOL_TEMPLATE

PROMPT = "tell me of the river and the clock"
CLOSING = OLLAMA_TEMPLATE.replace(
    "{{ if not $last }}</s>{{ end }}", "</s>{{ if $last }}<|assistant|>{{ end }}"
)


@dataclass(frozen=True)
class House:
    """Each model is on `cut`, or for tools `cut-tools`, which is asked first, and on who goes on with it, by its name.

    `exact` and `chat` are the same llama-server as `cut`, the latter as a server that speaks OpenAI's API; `ollama`
    goes on with a text, `closing` takes it for a whole answer.
    """

    daemon: Daemon
    cut: dict[str, FaultProxy]
    probed: FaultProxy  # in front of `closing`
    words: list[str]

    async def events(self, model: str, after: int, how: dict[str, Any]) -> list[Any]:
        """A stream whose first server is cut when so many pieces have passed."""
        first = {"tools": "cut-tools", "thinking": "cut-thinking"}.get(model, "cut")
        async with self.daemon.aclient() as client:

            async def is_first() -> bool:
                decision = await client.route(
                    PROMPT, model=model, **({"tools": how["tools"]} if "tools" in how else {})
                )
                return decision.chosen.backend == first

            await eventually(is_first)
            self.cut[first].strike(Fault(How.CUT, after=after))
            return [event async for event in client.stream(PROMPT, model=model, temperature=0, **how)]


@pytest.fixture(scope="module")
def _house(
    tools: Tools,
    tmp_path_factory: pytest.TempPathFactory,
    quick_gguf: Path,
    tool_gguf: Path,
    reasoning_gguf: Path,
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("seams")
    with ExitStack() as running:
        llama = running.enter_context(
            start_llama_server(tools, folder, LlamaServerOptions(quick_gguf, alias="quick", slots=2))
        )
        calls = running.enter_context(
            start_llama_server(
                tools, folder, LlamaServerOptions(tool_gguf, alias="tool", slots=2, args=["--jinja"])
            )
        )
        thinks = running.enter_context(
            start_llama_server(tools, folder, LlamaServerOptions(reasoning_gguf, alias="thinks", slots=2))
        )
        ollama = running.enter_context(start_ollama(tools, folder / "ollama", OllamaOptions()))
        create_model(ollama, OllamaModel("quick:1b", quick_gguf))
        create_model(ollama, OllamaModel("closed:1b", quick_gguf, CLOSING))
        create_model(ollama, OllamaModel("tool:1b", tool_gguf, OLLAMA_TOOL_TEMPLATE))
        proxies = {
            "cut": running.enter_context(FaultProxy(llama.port)),
            "cut-tools": running.enter_context(FaultProxy(calls.port)),
            "cut-thinking": running.enter_context(FaultProxy(thinks.port)),
        }
        probed = running.enter_context(FaultProxy(ollama.port))
        fast = {"probe_interval": "100ms", "probe_timeout": "10s"}
        daemon = running.enter_context(
            serving(
                backends=[
                    entry("cut", llama, url=proxies["cut"].url, **fast),
                    entry("cut-tools", calls, url=proxies["cut-tools"].url, **fast),
                    entry("cut-thinking", thinks, url=proxies["cut-thinking"].url, **fast),
                    entry("thinking", thinks),
                    entry("exact", llama),
                    entry("chat", llama, kind="openai"),
                    entry("tools", calls),
                    entry("ollama", ollama),
                    entry("closing", ollama, url=probed.url, **fast),
                ],
                models=[
                    _going_on("exact", "quick"),
                    _going_on("chat", "quick"),
                    _going_on("ollama", "quick:1b"),
                    _going_on("closing", "closed:1b"),
                    _going_on("tools", "tool", "cut-tools", "tool"),
                    _going_on("thinking", "thinks", "cut-thinking", "thinks"),
                ],
                reliability={"cooldown": "100ms"},
            )
        )
        body = {"messages": [{"role": "user", "content": PROMPT}], "temperature": 0, "max_tokens": 100}
        reply = json.loads(llama.request("POST", "/v1/chat/completions", body)[1])
        words = reply["choices"][0]["message"]["content"].split(" ")[1:]
        yield House(daemon, proxies, probed, [f" {word}" for word in words])


def _going_on(name: str, model: str, cut: str = "cut", first: str = "quick") -> dict[str, Any]:
    """A model of the name of who goes on with it; the other one is asked first."""
    own = {"backend": cut, "model": first, "weight": 100_000.0}
    return {"name": name, "strategy": "weighted", "deployments": [own, {"backend": name, "model": model}]}


@pytest.fixture
def house(_house: House) -> Iterator[House]:
    """All well before each test, and nothing left behind after it."""
    yield _house
    for proxy in _house.cut.values():
        proxy.heal()
    wait_until(lambda: _house.daemon.in_flight() == 0)
    wait_until(lambda: not any(proxy.open for proxy in _house.cut.values()))


def text_of(events: list[Any]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def the(kind: type[Any], events: list[Any]) -> Any:
    (found,) = [event for event in events if isinstance(event, kind)]
    return found


def tried(answer: Any) -> list[tuple[str, str]]:
    outcomes = [(a.backend.backend, Attempt.Outcome.Name(a.outcome)) for a in answer.attempts]
    return [(backend, outcome.removeprefix("OUTCOME_")) for backend, outcome in outcomes]


def seam_of(switched: BackendSwitched) -> str:
    return SeamQuality.Name(switched.seam).removeprefix("SEAM_QUALITY_")


# ------------------------------------------------------------------------------------------------------ each seam


GOES_ON = pytest.mark.parametrize(
    ("model", "seam"), [("exact", "EXACT_TOKENS"), ("chat", "TEXT_PREFILL"), ("ollama", "TEXT_PREFILL")]
)


@GOES_ON
@pytest.mark.parametrize("after", [1, 7, 40])
async def test_whoever_can_go_on_makes_one_text_of_it(
    house: House, model: str, seam: str, after: int
) -> None:
    events = await house.events(model, after, {})
    switched, end = the(BackendSwitched, events), the(Completed, events)
    assert text_of(events) == "".join(house.words)
    assert (seam_of(switched), switched.current.backend) == (seam, model)
    before = events[: events.index(switched)]
    assert switched.tokens_kept == sum(e.token_count for e in before if isinstance(e, Delta)) >= 1
    assert tried(end) == [("cut", "LOST"), (model, "OK")]
    assert end.finish_reason == FINISH_REASON_STOP
    assert end.usage.completion_tokens == len(house.words) + 1


async def test_a_caller_that_wants_an_exact_seam_gets_no_other(house: House) -> None:
    exact = await house.events("exact", 7, {"minimum_seam": "exact_tokens"})
    assert text_of(exact) == "".join(house.words)
    house.cut["cut"].heal()
    with pytest.raises(BackendLost) as lost:
        await house.events("ollama", 7, {"minimum_seam": "exact_tokens", "max_attempts": 2})
    assert "ollama" not in {backend for backend, _ in tried(lost.value)}


async def test_who_would_begin_another_turn_does_not_go_on(house: House) -> None:
    with pytest.raises(BackendLost) as lost:
        await house.events("closing", 7, {"max_attempts": 2})
    assert {backend for backend, _ in tried(lost.value)} == {"cut"}
    assert 1 <= lost.value.tokens_sent < len(house.words)


async def test_a_server_that_is_cut_again_and_again_gets_to_the_end(house: House) -> None:
    events = await house.events("closing", 7, {})
    assert text_of(events) == "".join(house.words)
    assert {backend for backend, _ in tried(the(Completed, events))} == {"cut"}


async def test_how_a_server_goes_on_is_asked_once(house: House) -> None:
    for _ in range(2):
        with pytest.raises(BackendLost):
            await house.events("closing", 7, {"max_attempts": 2})
        house.cut["cut"].heal()
    assert house.probed.asked == 2  # two tiny requests, and no more of them for the second stream


async def test_a_caller_that_takes_a_restart_gets_the_whole_answer_anew(house: House) -> None:
    events = await house.events("closing", 7, {"minimum_seam": "restart", "max_attempts": 2})
    switched = the(BackendSwitched, events)
    assert (seam_of(switched), switched.tokens_kept, switched.current.backend) == ("RESTART", 0, "closing")
    assert text_of(events[events.index(switched) :]) == "".join(house.words)


# ---------------------------------------------------------------------------------------------- what holds over it


@GOES_ON
async def test_a_limit_on_tokens_holds_for_all_of_it(house: House, model: str, seam: str) -> None:
    events = await house.events(model, 7, {"max_output_tokens": 20})
    end = the(Completed, events)
    assert text_of(events) == "".join(house.words[:20])
    assert (end.finish_reason, end.usage.completion_tokens) == (FINISH_REASON_LENGTH, 20)


@GOES_ON
@pytest.mark.parametrize("after", [8, 9, 10, 11])
async def test_a_stop_text_stops_wherever_the_cut_is(house: House, model: str, seam: str, after: int) -> None:
    stop = "".join(house.words[9:12])
    assert "".join(house.words).index(stop) == len("".join(house.words[:9]))
    events = await house.events(model, after, {"stop": [stop]})
    end = the(Completed, events)
    assert text_of(events) == "".join(house.words[:9])
    assert end.finish_reason == FINISH_REASON_STOP


@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize("worst", ["text_prefill", "restart"])
async def test_a_tool_call_that_was_cut_comes_whole(house: House, after: int, worst: str) -> None:
    events = await house.events("tools", after, {"tools": [WEATHER], "minimum_seam": worst})
    switches = [event for event in events if isinstance(event, BackendSwitched)]
    valid = events[events.index(switches[-1]) :] if switches else events
    pieces = [event for event in valid if isinstance(event, ToolCallDelta)]
    assert [piece.name for piece in pieces if piece.name] == ["get_weather"]
    assert json.loads("".join(piece.arguments_json_fragment for piece in pieces)) == {"city": "Paris"}
    if worst == "text_prefill":  # it cannot be told to drop a half
        assert pieces == [event for event in events if isinstance(event, ToolCallDelta)]
    assert the(Completed, events).finish_reason == FINISH_REASON_TOOL_CALLS
    assert tried(the(Completed, events)) == [("cut-tools", "LOST"), ("tools", "OK")]


@GOES_ON
async def test_an_object_that_was_cut_comes_whole(house: House, model: str, seam: str) -> None:
    how = {"response_format": VERDICT, "max_output_tokens": 200}
    events = await house.events(model, 5, how)
    assert set(json.loads(text_of(events))) == {"good", "colour"}
    assert tried(the(Completed, events)) == [("cut", "LOST"), (model, "OK")]


@pytest.mark.parametrize("shown", [True, False], ids=["shown", "hidden"])
@pytest.mark.parametrize("after", [1, 3, 6])
async def test_a_thought_that_was_cut_is_thought_anew(house: House, after: int, shown: bool) -> None:
    events = await house.events("thinking", after, {"include_reasoning": shown})
    assert text_of(events).strip() == "The answer equals forty-two."
    thought = "".join(event.reasoning for event in events if isinstance(event, Delta))
    whole = "First they want a number, hence I'll choose one."
    assert thought.strip().endswith(whole) if shown else thought == ""
    assert tried(the(Completed, events)) == [("cut-thinking", "LOST"), ("thinking", "OK")]


@pytest.mark.parametrize("model", ["exact", "chat"])
async def test_each_token_has_its_probability_once(house: House, model: str) -> None:
    events = await house.events(model, 7, {"top_logprobs": 2})
    assert text_of(events) == "".join(house.words)
    told = [entry.token for event in events if isinstance(event, Delta) for entry in event.logprobs]
    assert told[: len(house.words)] == house.words


@GOES_ON
async def test_nobody_sees_it_in_a_whole_answer(house: House, model: str, seam: str) -> None:
    await house.events(model, 7, {})  # the fault is there
    async with house.daemon.aclient() as client:
        answer = await client.complete(PROMPT, model=model, temperature=0)
    assert answer.text == "".join(house.words)
    assert answer.usage.completion_tokens == len(house.words) + 1
