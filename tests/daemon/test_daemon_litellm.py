"""The daemon started with what a LiteLLM proxy file is turned into, in front of a real llama-server and a real Ollama."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from serving import Daemon, environment, serving, short_folder

from zoe_client import Client, ZoeError
from zoe_grpcd.config import imported
from zoe_grpcd.core.answer import Usage
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.ollama import OllamaModel, create_model, start_ollama
from zoe_grpcd.localbackends.servers import Server
from zoe_grpcd.pricelist import listing

COUNTS = ("prompt_tokens", "completion_tokens", "cached_prompt_tokens")
PROMPT = "tell me of the river and the clock"
MASTER_KEY = "sk-1234"


class WithKey(Daemon):
    """One whose clients have the key."""

    def client(self, **options: Any) -> Client:
        return super().client(**{"api_key": MASTER_KEY, **options})


@dataclass(frozen=True)
class House:
    """The daemon and its two servers."""

    daemon: Daemon
    llama: Server
    ollama: Server


def litellm_file(llama: Server, ollama: Server) -> dict[str, Any]:
    """As people have them: names that the servers do not know, a group, an alias, fallbacks and a master key."""
    box = {"api_base": ollama.url}
    return {
        "model_list": [
            {
                "model_name": "gpt-4o",
                "litellm_params": {
                    "model": "openai/whatever-it-has",
                    "api_base": f"{llama.url}/v1",
                    "api_key": "none",
                },
            },
            {"model_name": "small", "litellm_params": {"model": "ollama/quick:1b", "max_tokens": 4, **box}},
            {"model_name": "either", "litellm_params": {"model": "ollama_chat/quick:1b", **box}},
            {
                "model_name": "either",
                "litellm_params": {"model": "openai/quick", "api_base": llama.url, "api_key": "none"},
            },
            {
                "model_name": "service",
                "litellm_params": {
                    "model": "deepseek/deepseek-chat",
                    "api_base": f"{llama.url}/v1",
                    "api_key": "none",
                    "input_cost_per_token": 0.001,
                    "output_cost_per_token": 0.002,
                },
            },
            {
                "model_name": "embed",
                "litellm_params": {"model": "ollama/e"},
                "model_info": {"mode": "embedding"},
            },
        ],
        "router_settings": {
            "routing_strategy": "least-busy",
            "num_retries": 1,
            "model_group_alias": {"gpt-3.5-turbo": "small"},
            "fallbacks": [{"gpt-4o": ["small"]}],
        },
        "litellm_settings": {"drop_params": True, "request_timeout": 60, "success_callback": ["langfuse"]},
        "general_settings": {"master_key": "os.environ/MASTER_KEY"},
    }


def imported_from(folder: Path, llama: Server, ollama: Server) -> dict[str, Any]:
    """The configuration that the file is turned into, at addresses that no other daemon has."""
    file = folder / "litellm.yaml"
    file.write_text(json.dumps(litellm_file(llama, ollama)))
    config: dict[str, Any] = yaml.safe_load(imported(file)[0])
    listen = {"listen": [f"unix:{folder}/grpcd.sock"], "admin_listen": f"unix:{folder}/admin.sock"}
    return {**config, "server": {**config["server"], **listen, "metrics_listen": "off"}}


@pytest.fixture(scope="module")
def house(tools: Tools, tmp_path_factory: pytest.TempPathFactory, quick_gguf: Path) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("litellm")
    with ExitStack() as running:
        options = LlamaServerOptions(quick_gguf, alias="quick", slots=2)
        llama = running.enter_context(start_llama_server(tools, folder, options))
        ollama = running.enter_context(start_ollama(tools, folder / "ollama"))
        create_model(ollama, OllamaModel("quick:1b", quick_gguf))
        home = running.enter_context(short_folder())
        env = environment(XDG_RUNTIME_DIR=str(home), MASTER_KEY=MASTER_KEY)
        yield House(
            running.enter_context(WithKey(home, imported_from(home, llama, ollama), env)), llama, ollama
        )


@pytest.mark.parametrize(
    ("model", "kind"), [("gpt-4o", "llamacpp"), ("small", "ollama"), ("gpt-3.5-turbo", "ollama")]
)
def test_each_name_of_the_file_answers(house: House, model: str, kind: str) -> None:
    answer = house.daemon.client().complete(PROMPT, model=model, max_output_tokens=8)
    assert answer.text.strip()
    assert answer.decision.chosen.kind == kind


def test_a_parameter_of_the_file_holds_where_the_caller_says_nothing(house: House) -> None:
    client = house.daemon.client()
    assert client.complete(PROMPT, model="small").response.usage.completion_tokens == 4
    answer = client.complete(PROMPT, model="small", max_output_tokens=7)
    assert answer.response.usage.completion_tokens == 7


def test_a_group_is_where_each_of_its_entries_says(house: House) -> None:
    places = {d.backend: d.served.backend_model for d in house.daemon.models()["either"].deployments}
    assert sorted(places.values()) == ["quick", "quick:1b"]
    for backend in places:
        answer = house.daemon.client().complete(
            PROMPT, model="either", max_output_tokens=4, allowed_backends=[backend]
        )
        assert answer.decision.chosen.backend == backend


def test_a_parameter_that_a_server_does_not_know_is_dropped_as_the_file_says(house: House) -> None:
    answer = house.daemon.client().complete(PROMPT, model="small", logit_bias={5: 1.0}, max_output_tokens=3)
    assert answer.text.strip()


def test_what_only_litellm_speaks_to_answers_at_the_price_of_the_file(house: House) -> None:
    answer = house.daemon.client().complete(PROMPT, model="service", max_output_tokens=5)
    assert answer.text.strip()
    assert answer.decision.chosen.kind == "litellm"
    usage = answer.response.usage
    assert usage.cost_micro_usd == usage.prompt_tokens * 1000 + usage.completion_tokens * 2000


def test_a_service_has_price_and_window_of_the_list(house: House) -> None:
    params = {"model": "deepseek/deepseek-chat", "api_base": f"{house.llama.url}/v1", "api_key": "none"}
    backend = {"name": "cloud", "kind": "litellm", "local": False, "litellm_params": params}
    listed = listing("deepseek", "deepseek-chat")
    assert listed is not None
    assert listed.price is not None
    with serving(
        backends=[backend], models=[{"name": "far", "deployments": [{"backend": "cloud"}]}]
    ) as daemon:
        far = daemon.models()["far"]
        assert far.context_tokens == listed.context_tokens
        assert set(listed.capabilities) <= set(far.capabilities)
        assert "vision" not in far.capabilities
        answer = daemon.client().complete(PROMPT, model="far", max_output_tokens=20)
    expected = listed.price.of(Usage(**{name: getattr(answer.response.usage, name) for name in COUNTS}))
    assert answer.response.usage.cost_micro_usd == pytest.approx(expected * 1e6, abs=1)
    assert answer.response.usage.cost_micro_usd > 0


def test_models_that_the_file_does_not_have_are_not_found(house: House) -> None:
    with pytest.raises(ZoeError, match="embed"):
        house.daemon.client().complete(PROMPT, model="embed")


def test_the_master_key_is_asked_for(house: House) -> None:
    with pytest.raises(ZoeError) as caught:
        house.daemon.client(api_key="sk-4321").route(PROMPT)
    assert caught.value.reason == "CREDENTIALS_INVALID"
    assert "sk-1234" not in house.daemon.log
