"""The tiny models say the same everywhere, and say what a test needs."""

import json
from pathlib import Path
from typing import Any

import pytest

from zoe_grpcd.localbackends.gguf import TinyModel, make_gguf
from zoe_grpcd.localbackends.projector import make_projector
from zoe_grpcd.localbackends.servers import Server
from zoe_grpcd.localbackends.vocabulary import WORDS, vocabulary

PROMPTS = ["hello river", "why is the sky blue", "tell me a story of a small house by the sea"]


def openai_chat(server: Server, **body: Any) -> dict[str, Any]:
    """The first choice of an answer at temperature 0."""
    status, text = server.request("POST", "/v1/chat/completions", {"temperature": 0, **body})
    assert status == 200, text
    choice: dict[str, Any] = json.loads(text)["choices"][0]
    return choice


def ollama_chat(server: Server, **body: Any) -> dict[str, Any]:
    status, text = server.request("POST", "/api/chat", {"stream": False, **body})
    assert status == 200, text
    answer: dict[str, Any] = json.loads(text)
    return answer


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_greedy_text_is_the_same_on_both_servers_and_at_every_size(
    llama_server: Any, ollama_server: Any, quick_gguf: Path, slow_gguf: Path
) -> None:
    quick, slow = llama_server(quick_gguf), llama_server(slow_gguf, slots=2)
    ollama = ollama_server({"quick:1b": quick_gguf})
    for prompt in PROMPTS:
        texts = {openai_chat(server, messages=user(prompt))["message"]["content"] for server in (quick, slow)}
        texts.add(ollama_chat(ollama, model="quick:1b", messages=user(prompt))["message"]["content"])
        assert len(texts) == 1


def test_a_reply_has_just_the_tokens_that_the_model_was_made_for(llama_server: Any, tmp_path: Path) -> None:
    for length in (1, 7, 40, 150):
        server = llama_server(
            make_gguf(tmp_path / f"{length}.gguf", TinyModel(reply_tokens=length)), slots=length % 2 + 1
        )
        choice = openai_chat(server, messages=user("hello"))
        assert choice["finish_reason"] == "stop"
        words = choice["message"]["content"].split()
        assert len(words) == length
        assert set(words) <= set(WORDS)


def test_an_endless_model_stops_at_max_tokens(llama_server: Any, endless_gguf: Path) -> None:
    choice = openai_chat(llama_server(endless_gguf), messages=user("hello"), max_tokens=60)
    assert choice["finish_reason"] == "length"
    assert len(choice["message"]["content"].split()) == 60


def test_a_reply_cut_between_words_continues_as_if_it_had_not_been(
    llama_server: Any, ollama_server: Any, quick_gguf: Path
) -> None:
    llama, ollama = llama_server(quick_gguf), ollama_server({"quick:1b": quick_gguf})
    whole = openai_chat(llama, messages=user("hello"))["message"]["content"]
    words = whole.split(" ")
    start = " ".join(words[:12])
    messages = [*user("hello"), {"role": "assistant", "content": start}]
    resumed = openai_chat(llama, messages=messages)["message"]["content"]
    assert resumed.removeprefix(start) == whole.removeprefix(start)
    assert ollama_chat(ollama, model="quick:1b", messages=messages)["message"][
        "content"
    ] == whole.removeprefix(start)


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def test_the_tool_model_calls_the_tool_on_both_servers(
    llama_server: Any, ollama_server: Any, tool_gguf: Path
) -> None:
    choice = openai_chat(llama_server(tool_gguf), messages=user("hello"), tools=[WEATHER])
    assert choice["finish_reason"] == "tool_calls"
    call = choice["message"]["tool_calls"][0]["function"]
    assert (call["name"], json.loads(call["arguments"])) == ("get_weather", {"city": "Paris"})
    answer = ollama_chat(ollama_server({"t": tool_gguf}), model="t", messages=user("hello"), tools=[WEATHER])
    call = answer["message"]["tool_calls"][0]["function"]
    assert (call["name"], call["arguments"]) == ("get_weather", {"city": "Paris"})


def test_the_reasoning_model_thinks_before_it_answers_on_both_servers(
    llama_server: Any, ollama_server: Any, reasoning_gguf: Path
) -> None:
    thought, answer = "First they want a number, hence I'll choose one.\n", "The answer equals forty-two."
    message = openai_chat(llama_server(reasoning_gguf), messages=user("hello"))["message"]
    assert (message["reasoning_content"], message["content"]) == (thought, answer)
    ollama = ollama_server({"r": reasoning_gguf})
    message = ollama_chat(ollama, model="r", messages=user("hello"), think=True)["message"]
    assert (message["thinking"], message["content"]) == (thought, answer)


def test_the_same_arguments_write_the_same_bytes_and_leave_no_other_file(tmp_path: Path) -> None:
    first, second = (make_gguf(tmp_path / name, TinyModel(seed=3)) for name in ("a.gguf", "b.gguf"))
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes() != make_gguf(tmp_path / "c.gguf", TinyModel(seed=4)).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"a.gguf", "b.gguf", "c.gguf"}


def test_the_same_arguments_write_the_same_projector(tmp_path: Path) -> None:
    first, second = (make_projector(tmp_path / name, seed=3).read_bytes() for name in ("a.gguf", "b.gguf"))
    assert first == second != make_projector(tmp_path / "c.gguf", seed=4).read_bytes()


def test_a_script_may_not_use_a_word_that_the_model_has() -> None:
    with pytest.raises(ValueError, match="river"):
        vocabulary(WORDS, ["once", " river"])
