"""What LiteLLM's list says of cloud models, and what becomes of it in the fleet."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from fakes import a_backend, seen

from zoe_grpcd.adapters.listed import ListedProbe, listed_for
from zoe_grpcd.core.backend import Backend, Deployment, ModelFacts, Price
from zoe_grpcd.core.observation import ModelStatus, Observation
from zoe_grpcd.core.views import DeploymentView
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.kinds import with_kind
from zoe_grpcd.pricelist import listing, provider_of, service_of


def test_a_listed_model_has_price_window_and_capabilities() -> None:
    found = listing("openai", "gpt-4o")
    assert found is not None
    assert found.price is not None
    assert found.price.cached is not None
    assert 0 < found.price.cached < found.price.input < found.price.output
    assert found.context_tokens == 128_000
    assert {"chat", "tools", "vision", "json_schema"} <= found.capabilities
    assert "reasoning" not in found.capabilities


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("anthropic", "claude-sonnet-4-5"),
        ("mistral", "mistral-small-latest"),
        ("mistral", "mistral/mistral-small-latest"),
        ("azure", "azure/gpt-4o"),
        ("bedrock", "bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0"),
        ("vertex_ai", "gemini-2.5-pro"),
    ],
)
def test_a_model_is_found_as_litellm_or_its_provider_spells_it(provider: str, model: str) -> None:
    assert listing(provider, model) is not None


@pytest.mark.parametrize(
    ("provider", "model"), [("groq", "gpt-4o"), ("openai", "no-such-model"), ("", "gpt-4o")]
)
def test_what_that_provider_does_not_sell_is_not_listed(provider: str, model: str) -> None:
    assert listing(provider, model) is None


def test_what_is_no_chat_model_is_told_by_what_it_is_for() -> None:
    found = listing("openai", "text-embedding-3-small")
    assert found is not None
    assert found.capabilities == {"embedding"}


@pytest.mark.parametrize(
    ("model", "provider"),
    [("gpt-4o", "openai"), ("groq/x", "groq"), ("claude-sonnet-4-5", "anthropic"), ("my/own", ""), ("x", "")],
)
def test_the_provider_that_a_name_means(model: str, provider: str) -> None:
    assert provider_of(model) == provider


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://mine.openai.azure.com/", "azure"),
        ("https://llm.example.com/v1", ""),
        ("http://[", ""),
    ],
)
def test_the_service_at_an_address(url: str, provider: str) -> None:
    assert service_of(url) == provider


def test_the_list_is_read_without_importing_litellm_or_opening_a_connection() -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*_): raise AssertionError('a connection')\n"
        "socket.socket.connect = refuse\n"
        "from zoe_grpcd.pricelist import listing\n"
        "assert listing('openai', 'gpt-4o')\n"
        "print('litellm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# ---------------------------------------------------------------------------------------------------------- the probe


async def looked_at(
    backend: Backend,
    *models: ModelStatus,
    params: Mapping[str, Any] | None = None,
    mute: frozenset[tuple[str, str]] = frozenset(),
) -> dict[str, ModelStatus]:
    """`mute`: the models that do not tell how likely their tokens are."""

    async def probe() -> Observation:
        return seen(*models)

    def gives_logprobs(provider: str, model: str) -> bool:
        return (provider, model) not in mute

    observation = await ListedProbe(probe, with_kind(backend), gives_logprobs, params)()
    return {status.name: status for status in observation.models or ()}


def cloud(kind: str = "openai", url: str = "https://api.openai.com/v1") -> Backend:
    return Backend("cloud", kind, url, local=False)


async def test_the_list_completes_what_a_service_tells() -> None:
    found = await looked_at(cloud(), ModelStatus("gpt-4o"), ModelStatus("gpt-3.5-turbo"), ModelStatus("new"))
    assert "vision" in found["gpt-4o"].capabilities
    assert found["gpt-4o"].context_tokens == 128_000
    assert found["gpt-3.5-turbo"].complete
    assert "vision" not in found["gpt-3.5-turbo"].capabilities
    assert found["new"] == ModelStatus("new")


async def test_what_only_completes_texts_chats_by_litellms_call() -> None:
    model = "text-completion-openai/gpt-3.5-turbo-instruct"
    found = await looked_at(cloud("litellm", ""), ModelStatus("m"), params={"model": model})
    assert found["m"].capabilities >= {"chat", "completion"}


async def test_what_a_service_tells_itself_comes_first() -> None:
    told = ModelStatus(
        "gpt-4o", context_tokens=1000, price=Price(9.0, 9.0), capabilities=frozenset({"chat", "song"})
    )
    found = (await looked_at(cloud(), told))["gpt-4o"]
    assert (found.context_tokens, found.price) == (1000, Price(9.0, 9.0))
    assert "song" in found.capabilities


async def test_a_model_that_cannot_chat_is_no_longer_taken_for_one_that_can() -> None:
    found = await looked_at(cloud(), ModelStatus("text-embedding-3-small"))
    assert found["text-embedding-3-small"].capabilities == {"embedding"}


async def test_behind_litellm_its_own_name_of_the_model_counts() -> None:
    params = {
        "model": "azure/my-deployment",
        "base_model": "azure/gpt-4o",
        "api_base": "https://x.openai.azure.com",
    }
    found = (await looked_at(cloud("litellm", ""), ModelStatus("office"), params=params))["office"]
    assert found.price == listing("azure", "gpt-4o").price  # type: ignore[union-attr]


async def test_a_model_whose_service_takes_no_logprobs_has_none_listed_or_not() -> None:
    mute = frozenset({("openai", "o3"), ("openai", "new")})
    told = [ModelStatus("o3"), ModelStatus("new"), ModelStatus("gpt-4o")]
    found = await looked_at(cloud(), *told, mute=mute)
    assert {name for name, status in found.items() if "logprobs" in status.capabilities} == {"gpt-4o"}
    assert found["new"].capabilities == {"chat", "tools", "json_schema"}
    assert found["new"].complete


async def test_somebody_elses_gateway_is_assumed_to_give_them() -> None:
    gateway = cloud(url="https://gateway.example.com/v1")
    mute = frozenset({("openai", "o3")})
    assert (await looked_at(gateway, ModelStatus("o3"), mute=mute))["o3"] == ModelStatus("o3")


def test_somebody_elses_gateway_has_prices_of_its_own() -> None:
    params = {"model": "openai/gpt-4o", "api_base": "https://gateway.example.com/v1"}
    assert listed_for("litellm", "", "x", params) is None
    assert listed_for("openai", "https://gateway.example.com/v1", "gpt-4o") is None


# ---------------------------------------------------------------------------------------------------------- the fleet


def view_with(
    status: ModelStatus, facts: ModelFacts | None = None, own: Price | None = None, **backend: Any
) -> DeploymentView:
    fleet = Fleet({"m": facts} if facts else {}, [Deployment("m", "a", "m", price=own)])
    fleet.add(a_backend("a", **backend), 0.0)
    fleet.health.observe("a", seen(status), 0.0)
    return fleet.picture.snapshot(0.0).by_model["m"][0]


LISTED = ModelStatus("m", price=Price(1.0, 2.0))


@pytest.mark.parametrize(
    ("facts", "own", "expected"),
    [
        (None, None, 1e-6),
        (ModelFacts(), None, 1e-6),
        (ModelFacts(price=Price(0.0)), None, 0.0),
        (ModelFacts(price=Price(5.0)), None, 5e-6),
        (ModelFacts(price=Price(5.0)), Price(7.0), 7e-6),
    ],
)
def test_the_operators_price_comes_first_then_the_services(
    facts: ModelFacts | None, own: Price | None, expected: float
) -> None:
    assert view_with(LISTED, facts, own).input_usd_per_token == expected


def test_what_is_completely_known_is_not_assumed_to_do_more() -> None:
    assumed = frozenset({"vision", "tools"})
    assert "vision" in view_with(ModelStatus("m"), assumed=assumed).capabilities
    assert "vision" not in view_with(ModelStatus("m", complete=True), assumed=assumed).capabilities


@pytest.mark.parametrize(
    ("any_name", "sole", "served"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_any_name_stands_for_the_only_model_of_a_server_if_the_operator_says_so(
    any_name: bool, sole: bool, served: bool
) -> None:
    fleet = Fleet({}, [Deployment("m", "a", "whatever", any_name=any_name)])
    fleet.add(a_backend("a"), 0.0)
    fleet.health.observe("a", seen(ModelStatus("file.gguf", sole=sole)), 0.0)
    assert fleet.picture.snapshot(0.0).by_model["m"][0].served is served
