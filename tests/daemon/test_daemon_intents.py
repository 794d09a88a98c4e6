"""The classifier `embeddings` in a daemon of its own, in front of a real server."""

from pathlib import Path
from typing import Any

from daemon.conftest import Serve
from serving import entry

ROUTING = {
    "classifier": "embeddings",
    "intents": {"garden": {"examples": ["water the tomatoes"], "system_prompt": "You know plants."}},
}


def test_a_message_is_understood_by_its_meaning(serve: Serve, llama_server: Any, quick_gguf: Path) -> None:
    server = llama_server(quick_gguf, alias="quick")
    client = serve(backends=[entry("llama", server)], routing=ROUTING).client()

    poem = client.route("some gloomy stanzas, please")
    assert poem.intent == "creative"
    assert "by its meaning" in poem.explanation
    assert "defaults of the intent: temperature 0.8" in poem.explanation

    garden = client.complete("should the tomatoes be watered", max_output_tokens=2).decision
    assert garden.intent == "garden"
    assert "like 'water the tomatoes'" in garden.explanation
    assert "its system prompt" in garden.explanation
