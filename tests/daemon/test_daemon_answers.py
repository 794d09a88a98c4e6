"""What callers get from the daemon in front of a llama-server, a llama-server router and an Ollama."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from serving import Daemon, entry, serving
from shapes import VERDICT, WEATHER
from waiting import wait_until

from zoe.inference.v1 import inference_service_pb2 as pb
from zoe_client import (
    BackendRejected,
    Client,
    Completed,
    Delta,
    NoCapableBackend,
    RouteDecision,
    ToolCallDelta,
    ZoeError,
    build_spec,
)
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.gguf import TinyModel, make_gguf
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.ollama import OllamaModel, OllamaOptions, create_model, start_ollama
from zoe_grpcd.localbackends.servers import Server
from zoe_grpcd.localbackends.templates import OLLAMA_REASONING_TEMPLATE, OLLAMA_TOOL_TEMPLATE

PROMPT = "tell me of the river and the clock"
MODELS = ("quick", "endless", "quick:1b")  # on the llama-server, the router, the Ollama


@dataclass(frozen=True)
class House:
    """The daemon and the servers behind it."""

    daemon: Daemon
    client: Client
    llama: Server
    router: Server
    ollama: Server

    def asked_directly(self, model: str, prompt: str = PROMPT, limit: int = 20) -> str:
        """The greedy text of the server that has the model."""
        messages = [{"role": "user", "content": prompt}]
        if model in ("quick:1b", "tool:1b"):
            options = {"temperature": 0, "num_predict": limit}
            body = {"model": model, "messages": messages, "stream": False, "options": options}
            return str(json.loads(self.ollama.request("POST", "/api/chat", body)[1])["message"]["content"])
        server = self.llama if model == "quick" else self.router
        body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": limit}
        reply = json.loads(server.request("POST", "/v1/chat/completions", body)[1])
        return str(reply["choices"][0]["message"]["content"])


@pytest.fixture(scope="module")
def files(quick_gguf: Path, endless_gguf: Path, tool_gguf: Path, reasoning_gguf: Path) -> dict[str, Path]:
    return {path.stem: path for path in (quick_gguf, endless_gguf, tool_gguf, reasoning_gguf)}


@pytest.fixture(scope="module")
def house(tools: Tools, tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path]) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    shelf = folder / "shelf"
    shelf.mkdir()
    for name in ("endless", "tool", "reasoning"):
        (shelf / f"{name}.gguf").symlink_to(files[name])
    with ExitStack() as running:
        llama = running.enter_context(
            start_llama_server(tools, folder, LlamaServerOptions(files["quick"], alias="quick", slots=2))
        )
        router = running.enter_context(start_llama_server(tools, folder, LlamaServerOptions(shelf)))
        ollama = running.enter_context(start_ollama(tools, folder / "ollama", OllamaOptions(parallel=1)))
        create_model(ollama, OllamaModel("quick:1b", files["quick"]))
        embeds = make_gguf(folder / "embeds.gguf", TinyModel(embeds=True))
        create_model(ollama, OllamaModel("embeds:1b", embeds))
        create_model(ollama, OllamaModel("tool:1b", files["tool"], OLLAMA_TOOL_TEMPLATE))
        create_model(ollama, OllamaModel("reasoning:1b", files["reasoning"], OLLAMA_REASONING_TEMPLATE))
        bundles = [
            {
                "backend": "ollama",
                "model": "quick:1b",
                "params": {"num_ctx": 640, "num_predict": 5, "temperature": 0},
            }
        ]
        curt = [{"backend": "llama", "model": "quick", "params": {"max_output_tokens": 6, "temperature": 0}}]
        daemon = running.enter_context(
            serving(
                backends=[entry("llama", llama), entry("router", router), entry("ollama", ollama)],
                models=[{"name": "bundled", "deployments": bundles}, {"name": "curt", "deployments": curt}],
                routing={"aliases": {"assistant": "quick"}},
            )
        )
        yield House(daemon, daemon.client(), llama, router, ollama)


@pytest.mark.parametrize("model", MODELS)
def test_greedy_text_is_what_the_server_says_when_asked_directly(house: House, model: str) -> None:
    expected = house.asked_directly(model)
    answer = house.client.complete(PROMPT, model=model, temperature=0, max_output_tokens=20)
    assert answer.text == expected
    assert len(expected.split()) == 20
    assert answer.finish_reason == "length"
    assert answer.usage.completion_tokens == 20
    assert not answer.usage.estimated


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_is_a_decision_then_text_then_its_end(house: House, model: str) -> None:
    whole = house.client.complete(PROMPT, model=model, temperature=0, max_output_tokens=20)
    with house.client.stream(PROMPT, model=model, temperature=0, max_output_tokens=20) as stream:
        events = list(stream)
    kinds = [type(event) for event in events]
    assert kinds[0] is RouteDecision
    assert kinds[-1] is Completed
    assert set(kinds[1:-1]) == {Delta}
    assert "".join(e.text for e in events if isinstance(e, Delta)) == whole.text
    assert sum(e.token_count for e in events if isinstance(e, Delta)) == 20
    assert [e.usage for e in events if isinstance(e, Completed)] == [whole.usage]


@pytest.mark.parametrize("model", MODELS)
async def test_the_asynchronous_client_gets_the_same(house: House, model: str) -> None:
    async with house.daemon.aclient() as client:
        answer = await client.complete(PROMPT, model=model, temperature=0, max_output_tokens=20)
        async with client.stream(PROMPT, model=model, temperature=0, max_output_tokens=20) as stream:
            text = "".join([piece async for piece in stream.text_stream()])
        decision = await client.route(PROMPT, model=model)
    assert text == answer.text != ""
    assert decision.chosen.model == model
    assert decision.chosen.backend == answer.decision.chosen.backend


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_goes_on_from_a_beginning_and_says_only_what_is_new(house: House, model: str) -> None:
    whole = house.client.complete(PROMPT, model=model, temperature=0, max_output_tokens=20)
    begun = "".join(f" {word}" for word in whole.text.split()[:5])
    asked = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": begun}]
    rest = house.client.complete(asked, model=model, temperature=0, max_output_tokens=15)
    assert begun + rest.text == whole.text
    with house.client.stream(asked, model=model, temperature=0, max_output_tokens=15) as stream:
        deltas = [event for event in stream if isinstance(event, Delta)]
    assert "".join(delta.text for delta in deltas) == rest.text
    assert sum(delta.token_count for delta in deltas) == rest.usage.completion_tokens == 15


def test_over_tcp_too(house: House) -> None:
    with Client(house.daemon.address) as client:
        assert client.complete(PROMPT, model="quick", max_output_tokens=2).text


def test_a_client_without_stubs_learns_everything_by_reflection(house: House) -> None:
    with grpc.insecure_channel(house.daemon.target) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        service = pool.FindServiceByName("zoe.inference.v1.InferenceService")

        def call(name: str, request: dict[str, Any], connect: Any) -> Any:
            method = service.FindMethodByName(name)
            kinds = [message_factory.GetMessageClass(m) for m in (method.input_type, method.output_type)]
            rpc = connect(
                f"/{service.full_name}/{name}",
                request_serializer=kinds[0].SerializeToString,
                response_deserializer=kinds[1].FromString,
            )
            return rpc(kinds[0](**request), timeout=30)

        spec = {
            "target": {"model": "quick"},
            "messages": [{"role": "ROLE_USER", "parts": [{"text": PROMPT}]}],
            "sampling": {"temperature": 0.0},
            "max_output_tokens": 20,
        }
        route = call("Route", {"spec": spec}, channel.unary_unary)
        events = list(call("StreamComplete", {"spec": spec}, channel.unary_stream))
    assert route.decision.chosen.backend == "llama"
    assert [event.sequence for event in events] == list(range(len(events)))
    assert "".join(event.delta.text for event in events) == house.asked_directly("quick")
    assert events[0].WhichOneof("event") == "decision"
    assert events[-1].WhichOneof("event") == "completed"


@pytest.mark.parametrize(("model", "backend"), [("tool", "router"), ("tool:1b", "ollama")])
def test_a_tool_is_called_streamed_and_its_result_answered(house: House, model: str, backend: str) -> None:
    question: list[Any] = [{"role": "user", "content": "what is the weather in Paris"}]
    with house.client.stream(question, model=model, tools=[WEATHER], temperature=0) as stream:
        events = list(stream)
    deltas = [event for event in events if isinstance(event, ToolCallDelta)]
    assert deltas[0].name == "get_weather"
    assert deltas[0].id
    assert deltas[-1].done
    assert json.loads("".join(d.arguments_json_fragment for d in deltas)) == {"city": "Paris"}
    whole = house.client.complete(question, model=model, tools=[WEATHER], temperature=0)
    assert whole.finish_reason == "tool_calls"
    assert whole.decision.chosen.backend == backend
    call = whole.tool_calls[0]
    assert (call.name, json.loads(call.arguments_json)) == ("get_weather", {"city": "Paris"})
    result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    after = house.client.complete(
        [*question, whole.message, result], model=model, tools=[WEATHER], temperature=0
    )
    assert after.usage.prompt_tokens > whole.usage.prompt_tokens


@pytest.mark.parametrize("model", ["reasoning", "reasoning:1b"])
def test_thoughts_are_told_apart_and_shown_to_who_asks_for_them(house: House, model: str) -> None:
    shown = house.client.complete(PROMPT, model=model, include_reasoning=True, temperature=0)
    assert shown.reasoning.strip() == "First they want a number, hence I'll choose one."
    assert shown.text.strip() == "The answer equals forty-two."
    hidden = house.client.complete(PROMPT, model=model, temperature=0)
    assert (hidden.text, hidden.reasoning) == (shown.text, "")


def test_the_trailers_name_decision_and_backend(house: House) -> None:
    spec = build_spec(PROMPT, {"model": "quick", "max_output_tokens": 2})
    reply, call = house.client.inference.Complete.with_call(pb.CompleteRequest(spec=spec), timeout=30)
    trailers = dict(call.trailing_metadata() or ())
    assert trailers["x-zoe-backend"] == "llama"
    assert trailers["x-zoe-decision-id"] == reply.decision.decision_id


def test_a_picture_needs_a_model_that_sees(house: House) -> None:
    with pytest.raises(NoCapableBackend) as refused:
        house.client.complete(PROMPT, images=[b"\x89PNG\r\n\x1a\n"])
    assert refused.value.metadata["required"] == "vision"


def test_what_has_no_time_yet_is_unimplemented(house: House) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        house.client.inference.RateResponse(pb.RateResponseRequest(), timeout=30)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("model", ["quick", "quick:1b"])
def test_a_json_schema_binds_the_answer(house: House, model: str) -> None:
    answer = house.client.complete(
        PROMPT, model=model, response_format=VERDICT, max_output_tokens=200, temperature=0
    )
    told = json.loads(answer.text)
    assert set(told) == {"good", "colour"}
    assert told["colour"] in ("red", "blue")
    assert isinstance(told["good"], bool)


@pytest.mark.parametrize("model", ["quick", "quick:1b"])
def test_a_stop_text_ends_the_answer_before_it(house: House, model: str) -> None:
    words = house.asked_directly(model).split()
    place = next(i for i in range(4, 20) if words[i] not in words[:i])
    answer = house.client.complete(
        PROMPT, model=model, temperature=0, stop=f" {words[place]}", max_output_tokens=20
    )
    assert answer.text.split() == words[:place]
    assert answer.finish_reason == "stop"


@pytest.mark.parametrize("model", ["quick", "quick:1b"])
def test_a_seed_repeats_what_was_drawn(house: House, model: str) -> None:
    def drawn(seed: int) -> str:
        return house.client.complete(
            PROMPT, model=model, temperature=1.5, seed=seed, max_output_tokens=12
        ).text

    assert drawn(7) == drawn(7)
    assert drawn(2**32 - 1) == drawn(2**32 - 1)  # which llama.cpp has for "draw anew"
    assert drawn(2**32 + 7) != drawn(7)
    assert len({drawn(seed) for seed in range(4)}) > 1


@pytest.mark.parametrize("begun", ["", " feel for add"])
def test_log_probabilities_come_with_each_token(house: House, begun: str) -> None:
    asked = [
        {"role": "user", "content": PROMPT},
        *([{"role": "assistant", "content": begun}] if begun else []),
    ]
    answer = house.client.complete(asked, model="quick", temperature=0, top_logprobs=3, max_output_tokens=5)
    tokens = answer.response.logprobs
    assert "".join(token.token for token in tokens) == answer.text
    assert all(len(token.top_logprobs) == 3 for token in tokens)
    assert all(
        token.logprob <= 0 and token.logprob == max(t.logprob for t in token.top_logprobs) for token in tokens
    )


def test_what_a_backend_cannot_honour_is_refused_by_name(house: House) -> None:
    with pytest.raises(ZoeError, match="top_logprobs") as refused:
        house.client.complete(PROMPT, model="quick:1b", top_logprobs=3)
    assert refused.value.reason == "BAD_REQUEST"
    assert refused.value.violations[0].field == "spec.top_logprobs"


def test_a_model_that_only_embeds_is_asked_for_no_answer(house: House) -> None:
    assert house.ollama.request("POST", "/api/chat", {"model": "embeds:1b", "messages": []})[0] == 400
    with pytest.raises(NoCapableBackend, match=r"needs chat.*MISSING_CAPABILITY") as refused:
        house.client.complete(PROMPT, model="embeds:1b")
    assert [v.field for v in refused.value.violations] == ["embeds:1b @ ollama"]
    other = house.client.complete(PROMPT, model="embeds:1b", fallback_models=["quick"], max_output_tokens=1)
    assert other.model == "quick"
    auto = house.client.route(PROMPT, explain=True)
    considered = {candidate.backend.model for candidate in auto.candidates}
    assert "endless" in considered
    assert "embeds:1b" not in considered


def test_a_repeated_prompt_is_cached(house: House) -> None:
    prompt = "one two three seven six five the sun and the moon are far off"
    first = house.client.complete(prompt, model="quick", max_output_tokens=1)
    again = house.client.complete(prompt, model="quick", max_output_tokens=1)
    assert again.usage.prompt_tokens == first.usage.prompt_tokens
    assert again.usage.cached_prompt_tokens == again.usage.prompt_tokens - 1


@pytest.mark.parametrize("model", MODELS)
def test_the_timings_add_up(house: House, model: str) -> None:
    def add_up() -> bool:
        timings = house.client.complete(PROMPT, model=model, max_output_tokens=30).response.timings
        first, total, generation = (
            span.ToTimedelta().total_seconds()
            for span in (timings.time_to_first_token, timings.total, timings.generation)
        )
        assert 0 < first < total
        assert 0 < generation < total
        assert 0 < timings.connect.ToTimedelta().total_seconds() <= first
        assert timings.tokens_per_second == pytest.approx(30 / generation, rel=0.3)
        return first + generation == pytest.approx(total, abs=0.1)

    wait_until(add_up)  # where the daemon has to wait for a processor, it hears of a token after it was said


def test_a_bundle_reaches_ollama(house: House) -> None:
    answer = house.client.complete(PROMPT, model="bundled")
    assert len(answer.text.split()) == 5
    assert answer.finish_reason == "length"
    assert answer.model == "bundled"
    runners = [Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in house.ollama.runners()]
    windows = [argv[argv.index("--ctx-size") + 1] for argv in runners]
    assert "640" in windows
    assert answer.text == house.asked_directly("quick:1b", limit=5)


def test_what_the_caller_says_goes_over_the_bundle(house: House) -> None:
    answer = house.client.complete(PROMPT, model="bundled", max_output_tokens=8)
    assert len(answer.text.split()) == 8


def test_a_bundle_reaches_llama_server(house: House) -> None:
    answer = house.client.complete(PROMPT, model="curt")
    assert answer.text == house.asked_directly("quick", limit=6)


def test_backend_options_go_to_the_server_as_they_are(house: House) -> None:
    options = {"logit_bias": [[" half", False], [" one", False]]}
    answer = house.client.complete(PROMPT, model="quick", temperature=0, backend_options=options)
    assert not {"half", "one"} & set(answer.text.split())


def test_a_context_that_is_too_long_is_said_before_anything_is_sent(house: House) -> None:
    with pytest.raises(ZoeError, match="window") as refused:
        house.client.complete("river " * 6000, model="quick")
    assert refused.value.reason == "CONTEXT_TOO_LONG"
    assert refused.value.metadata["max_context_tokens"] == "4096"


def test_what_the_backend_refuses_is_not_tried_elsewhere(house: House) -> None:
    with pytest.raises(BackendRejected) as refused:
        house.client.complete(PROMPT, model="quick", backend_options={"grammar": "root ::= ("})
    assert len(refused.value.attempts) == 1
    assert house.daemon.state("llama") == "READY"


def test_an_unknown_model_gets_a_suggestion(house: House) -> None:
    with pytest.raises(ZoeError, match="quik") as refused:
        house.client.complete(PROMPT, model="quik")
    assert refused.value.reason == "MODEL_NOT_FOUND"
    assert "quick" in refused.value.metadata["did_you_mean"]


def test_an_alias_and_auto_are_explained(house: House) -> None:
    alias = house.client.route(PROMPT, model="assistant", explain=True)
    assert (alias.chosen.model, alias.requested_model) == ("quick", "assistant")
    auto = house.client.route("write a python function that sorts a list", explain=True)
    assert auto.intent == "code"
    assert auto.explanation
    assert {c.backend.backend for c in auto.candidates} == {"llama", "router", "ollama"}
    assert all(c.reasons or c.terms for c in auto.candidates)


def test_an_intents_defaults_reach_the_backend(house: House) -> None:
    said: dict[str, set[str]] = {}
    for _ in range(6):
        answer = house.client.complete(
            "write a function that sorts a list",
            intent="code",
            max_output_tokens=9,
            allowed_backends=["router"],  # none of whose models has a bundle that says it, too
        )
        said.setdefault(answer.decision.chosen.model, set()).add(answer.text)
    assert [len(texts) for texts in said.values()] == [1] * len(said), said  # temperature 0


def test_every_model_is_listed_with_what_it_can_do(house: House) -> None:
    wait_until(lambda: house.daemon.load_state("ollama", "quick:1b") == "LOADED")
    models = house.daemon.models()
    assert {"quick", "endless", "tool", "quick:1b", "tool:1b", "bundled", "curt"} <= set(models)
    served = {name: models[name].deployments[0].served for name in models}
    assert served["quick"].context_tokens == 4096
    assert "tools" in served["tool:1b"].capabilities
    assert "tools" not in served["quick:1b"].capabilities
    assert served["bundled"].context_tokens == 640
