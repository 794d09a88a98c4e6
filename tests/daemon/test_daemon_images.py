"""Pictures from a client to models that see: on a llama-server and on an Ollama, beside a model that does not."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pictures import BLUE, RED, gif, grey_jpeg, png
from serving import Daemon, entry, environment, serving
from waiting import wait_until

from zoe.inference.v1.decision_pb2 import REASON_INTENT
from zoe_client import BackendRejected, Client, NoCapableBackend, ZoeError
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.ollama import OllamaModel, OllamaOptions, create_model, start_ollama
from zoe_grpcd.localbackends.projector import make_projector
from zoe_grpcd.localbackends.servers import Server

ASKED = "what is the colour of this"
PATCHES = {"eye": 24, "eye:1b": 8}  # a side; on the llama-server, the Ollama
PICTURE_TOKENS = {model: side * side for model, side in PATCHES.items()}
SEEING = tuple(PATCHES)
PRICED = {"priced-llama": "eye", "priced-ollama": "eye:1b"}
BLIND = "quick:1b"
PICTURES = [png(RED), png(BLUE, 90, 30), grey_jpeg()]
UNREADABLE = [png(RED)[:50], b"GIF89a", b"\xff\xd8\xff\xe0" + bytes(100)]
SAMPLING: Mapping[str, Any] = {"temperature": 0, "max_output_tokens": 12}


@dataclass(frozen=True)
class House:
    """The daemon and the servers behind it."""

    daemon: Daemon
    client: Client
    llama: Server
    ollama: Server

    def asked_directly(self, model: str, *pictures: bytes) -> str:
        """The greedy text of the server that has the model."""
        coded = [base64.b64encode(picture).decode() for picture in pictures]
        if model == "eye":
            shown = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{p}"}} for p in coded]
            content = [*shown, {"type": "text", "text": ASKED}]
            body: dict[str, Any] = {"messages": [{"role": "user", "content": content}]}
            body |= {"temperature": 0, "max_tokens": SAMPLING["max_output_tokens"]}
            reply = json.loads(self.llama.request("POST", "/v1/chat/completions", body)[1])
            return str(reply["choices"][0]["message"]["content"])
        message = {"role": "user", "content": ASKED, "images": coded}
        options = {"temperature": 0, "num_predict": SAMPLING["max_output_tokens"]}
        body = {"model": model, "messages": [message], "options": options, "stream": False}
        return str(json.loads(self.ollama.request("POST", "/api/chat", body)[1])["message"]["content"])

    def prompt_tokens(self, model: str, *pictures: bytes) -> int:
        """What the server counted of a prompt with these pictures."""
        answer = self.client.complete(ASKED, model=model, images=pictures or None, **SAMPLING)
        assert not answer.usage.estimated
        return answer.usage.prompt_tokens


@pytest.fixture(scope="module")
def house(
    tools: Tools, tmp_path_factory: pytest.TempPathFactory, quick_gguf: Path, projector: Path
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("eyes")
    with ExitStack() as running:
        options = LlamaServerOptions(quick_gguf, alias="eye", slots=2, projector=projector)
        llama = running.enter_context(start_llama_server(tools, folder, options))
        ollama = running.enter_context(start_ollama(tools, folder / "ollama", OllamaOptions()))
        small = make_projector(folder / "small.gguf", PATCHES["eye:1b"])
        create_model(ollama, OllamaModel("eye:1b", quick_gguf, projector=small))
        create_model(ollama, OllamaModel(BLIND, quick_gguf))
        priced = [  # a token of a prompt is 1 micro dollar
            {"name": f"priced-{backend}", "deployments": [{"backend": backend, "model": model}]}
            | {"cost": {"input_per_mtok_usd": 1, "output_per_mtok_usd": 0}}
            for backend, model in zip(("llama", "ollama"), SEEING, strict=True)
        ]
        # While a server reads a picture on a busy machine, it may be slow to answer a probe.
        backends = [
            entry(name, server, probe_timeout="10s")
            for name, server in (("llama", llama), ("ollama", ollama))
        ]
        daemon = running.enter_context(serving(backends=backends, models=priced))
        wait_until(lambda: {daemon.state("llama"), daemon.state("ollama")} == {"READY"})
        yield House(daemon, daemon.client(), llama, ollama)


def test_a_model_that_has_a_projector_is_seen_to_see(house: House) -> None:
    capabilities = {
        name: set(model.deployments[0].served.capabilities) for name, model in house.daemon.models().items()
    }
    assert {name for name, able in capabilities.items() if "vision" in able} == {*SEEING, *PRICED}
    assert "chat" in capabilities[BLIND]


def test_auto_takes_a_picture_to_a_model_that_sees(house: House) -> None:
    answer = house.client.complete(ASKED, images=[png(RED)], explain=True, **SAMPLING)
    decision = answer.decision
    assert (decision.intent, decision.reason) == ("vision", REASON_INTENT)
    assert "intent vision (an image is attached)" in decision.explanation
    able = {c.backend.model: c.eligible for c in decision.candidates}
    assert able == {**dict.fromkeys(PRICED, True), BLIND: False}
    assert answer.text == house.asked_directly(PRICED[answer.model], png(RED))


@pytest.mark.parametrize("model", SEEING)
def test_what_is_said_of_a_picture_is_what_the_server_says_when_asked_directly(
    house: House, model: str
) -> None:
    said = set()
    for picture in PICTURES:
        answer = house.client.complete(ASKED, model=model, images=[picture], **SAMPLING)
        assert answer.text == house.asked_directly(model, picture)
        with house.client.stream(ASKED, model=model, images=[picture], **SAMPLING) as stream:
            assert "".join(stream.text_stream()) == answer.text
        said.add(answer.text)
    assert len(said) == len(PICTURES), "it did not look"


@pytest.mark.parametrize("model", SEEING)
def test_jpeg_and_gif_are_seen_as_the_png_of_their_colour(house: House, model: str) -> None:
    grey = (200, 200, 200)
    png_, jpeg, gif_, other = (
        house.client.complete(ASKED, model=model, images=[picture], **SAMPLING).text
        for picture in (png(grey), grey_jpeg(200), gif(grey), png((20, 20, 20)))
    )
    assert png_ == jpeg == gif_ != other


def test_pictures_keep_their_places_among_the_words(house: House) -> None:
    def shown(*colours: tuple[int, int, int]) -> list[dict[str, Any]]:
        urls = [f"data:image/png;base64,{base64.b64encode(png(colour)).decode()}" for colour in colours]
        first, second = ({"type": "image_url", "image_url": {"url": url}} for url in urls)
        parts = [{"type": "text", "text": "one"}, first, {"type": "text", "text": "two"}, second]
        earlier = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]
        return [*earlier, {"role": "user", "content": parts}]

    def directly(messages: Sequence[Mapping[str, Any]]) -> str:
        body = {"messages": messages, "temperature": 0, "max_tokens": SAMPLING["max_output_tokens"]}
        reply = json.loads(house.llama.request("POST", "/v1/chat/completions", body)[1])
        return str(reply["choices"][0]["message"]["content"])

    said = [
        house.client.complete(m, model="eye", **SAMPLING).text for m in (shown(RED, BLUE), shown(BLUE, RED))
    ]
    assert said == [directly(shown(RED, BLUE)), directly(shown(BLUE, RED))]
    assert said[0] != said[1]


@pytest.mark.parametrize("model", SEEING)
def test_the_servers_count_of_the_prompt_has_the_pictures_in_it(house: House, model: str) -> None:
    words = house.prompt_tokens(model)
    assert house.prompt_tokens(model, png(RED)) == words + PICTURE_TOKENS[model]
    assert house.prompt_tokens(model, png(BLUE), grey_jpeg()) == words + 2 * PICTURE_TOKENS[model]


@pytest.mark.parametrize("name", PRICED)
def test_estimates_learn_how_many_tokens_a_picture_is(house: House, name: str) -> None:
    def asked(pictures: int) -> tuple[int, int]:
        """What was estimated and what was counted of a prompt with so many pictures, in tokens."""
        answer = house.client.complete(ASKED, model=name, images=[png(RED)] * pictures, **SAMPLING)
        assert answer.usage.cost_micro_usd == answer.usage.prompt_tokens
        return answer.decision.estimate.cost_micro_usd, answer.usage.prompt_tokens

    for _ in range(4):
        asked(1)
    for pictures in (1, 3):
        estimated, counted = asked(pictures)
        assert counted > pictures * PICTURE_TOKENS[PRICED[name]]
        assert estimated == pytest.approx(counted, rel=0.2)


def test_a_model_that_does_not_see_is_not_shown_a_picture(house: House) -> None:
    with pytest.raises(NoCapableBackend) as refused:
        house.client.complete(ASKED, model=BLIND, images=[png(RED)])
    assert refused.value.metadata == {"reasons": "MISSING_CAPABILITY", "required": "vision"}
    assert house.client.complete(ASKED, model=BLIND, **SAMPLING).text


@pytest.mark.parametrize("model", SEEING)
def test_a_picture_that_cannot_be_read_is_the_callers_mistake_and_not_the_backends(
    house: House, model: str
) -> None:
    backend = "llama" if model == "eye" else "ollama"
    for picture in UNREADABLE * 2:
        with pytest.raises(BackendRejected, match="image") as refused:
            house.client.complete(ASKED, model=model, images=[picture])
        assert len(refused.value.attempts) == 1
        with (
            pytest.raises(BackendRejected),
            house.client.stream(ASKED, model=model, images=[picture]) as stream,
        ):
            list(stream)
    wait_until(lambda: house.daemon.in_flight() == 0)
    assert house.daemon.state(backend) == "READY"
    assert house.daemon.backends()[backend].load.error_ratio == 0
    assert house.client.complete(ASKED, model=model, images=[png(RED)], **SAMPLING).text


def test_what_is_no_picture_at_all_is_told_by_the_field(house: House) -> None:
    with pytest.raises(ZoeError) as refused:
        house.client.complete(ASKED, images=[b"BM, a bitmap"])
    assert refused.value.reason == "BAD_REQUEST"
    assert [v.field for v in refused.value.violations] == ["spec.messages[0].parts[0].image.data"]


def test_the_command_shows_a_file(house: House, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(png(RED))
    argv = [
        sys.executable,
        "-m",
        "zoe_grpcd",
        "complete",
        ASKED,
        "--image",
        str(tmp_path / "red.png"),
        "--json",
    ]
    env = environment(ZOE_GRPCD_TARGET=house.daemon.target)
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=True)
    told = json.loads(done.stdout)
    assert told["model"] in PRICED
    assert int(told["usage"]["promptTokens"]) > min(PICTURE_TOKENS.values())
