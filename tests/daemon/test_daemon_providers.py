"""Services that only LiteLLM speaks to, `kind: litellm`, behind a daemon: priced by the list, and told nothing that stays here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from clouds import KEY, Cloud
from providers import (
    AZURE_VERSION,
    DEPLOYMENT,
    GEMINI,
    GROQ_LISTED,
    azure,
    azure_answer,
    gemini,
    gemini_answer,
    groq,
    groq_answer,
)
from serving import Daemon, serving

from zoe_client import AsyncClient, ZoeError
from zoe_grpcd.core.answer import Usage
from zoe_grpcd.pricelist import listing

pytestmark = pytest.mark.asyncio(loop_scope="module")
SERVICES = {"azure": azure, "gemini": gemini, "groq": groq}
LISTED = {"azure": "gpt-4o-mini", "gemini": GEMINI, "groq": GROQ_LISTED}
ANSWERS = {
    "azure": azure_answer({"content": "Bon"}, {"content": "jour"}),
    "gemini": gemini_answer({"text": "Bon"}, {"text": "jour"}),
    "groq": groq_answer({"content": "Bon"}, {"content": "jour"}),
}


@dataclass(frozen=True)
class Street:
    """The daemon, and the services that it may call by the provider's name."""

    daemon: Daemon
    client: AsyncClient
    services: dict[str, Cloud]


def params(services: dict[str, Cloud]) -> dict[str, dict[str, Any]]:
    """What an operator writes."""
    urls = {name: cloud.url for name, cloud in services.items()}
    return {
        "azure": {
            "model": f"azure/{DEPLOYMENT}",
            "api_base": urls["azure"],
            "api_version": AZURE_VERSION,
            "base_model": "azure/gpt-4o-mini",
        },
        "gemini": {"model": f"gemini/{GEMINI}", "api_base": f"{urls['gemini']}/v1beta"},
        "groq": {"model": f"groq/{GROQ_LISTED}", "api_base": f"{urls['groq']}/openai/v1"},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    credentials = tmp_path_factory.mktemp("credentials")
    (credentials / "cloud-key").write_text(KEY)
    async with AsyncExitStack() as running:
        services = {name: await running.enter_async_context(serve()) for name, serve in SERVICES.items()}
        key = {"api_key": "${file:cloud-key}"}
        starting = serving(
            {"CREDENTIALS_DIRECTORY": str(credentials)},
            backends=[
                {"name": name, "kind": "litellm", "local": False, "litellm_params": own | key}
                for name, own in params(services).items()
            ],
            models=[{"name": f"by-{name}", "deployments": [{"backend": name}]} for name in services],
            reliability={"cooldown": "100ms", "retry_delay": "10ms", "rate_limit_cooldown": "100ms"},
        )
        daemon = await asyncio.to_thread(starting.__enter__)
        running.push_async_callback(asyncio.to_thread, starting.__exit__, None, None, None)
        client = await running.enter_async_context(daemon.aclient())
        yield Street(daemon, client, services)


@pytest.fixture(autouse=True)
def scripted(street: Street) -> None:
    for name, cloud in street.services.items():
        cloud.events, cloud.refusal = ANSWERS[name], None
        cloud.bodies.clear()


@pytest.mark.parametrize("name", list(SERVICES))
async def test_each_answers_at_the_price_of_the_list(street: Street, name: str) -> None:
    answer = await street.client.complete("Bonjour?", model=f"by-{name}")
    assert (answer.text, answer.decision.chosen.kind) == ("Bonjour", "litellm")
    listed = listing(name, LISTED[name])
    assert listed is not None
    assert listed.price is not None
    usage = answer.response.usage
    counted = Usage(usage.prompt_tokens, usage.completion_tokens, usage.cached_prompt_tokens)
    assert not usage.estimated
    assert usage.cost_micro_usd == round(1e6 * listed.price.of(counted)) > 0


async def test_only_a_service_that_tells_how_likely_its_tokens_were_is_shown_to(street: Street) -> None:
    models = await asyncio.to_thread(street.daemon.models)
    able = {name for name, model in models.items() if "logprobs" in model.deployments[0].served.capabilities}
    assert able == {"by-azure"}
    for model in sorted(models.keys() - able):
        with pytest.raises(ZoeError) as refused:
            await street.client.complete("Hello.", model=model, top_logprobs=2)
        assert [violation.field for violation in refused.value.violations] == ["spec.top_logprobs"]
    assert not any(service.bodies for name, service in street.services.items() if name != "azure")


@pytest.mark.parametrize("name", list(SERVICES))
async def test_what_may_not_leave_the_house_does_not_go_there(street: Street, name: str) -> None:
    for model in (f"by-{name}", None):
        with pytest.raises(ZoeError) as refused:
            await street.client.complete("Hello.", locality="local_only", model=model)
        assert refused.value.reason == "NO_CAPABLE_BACKEND"
    assert street.services[name].bodies == []


@pytest.mark.parametrize("name", list(SERVICES))
@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (400, "BACKEND_REJECTED", "Not with"),
        (401, "BACKEND_REJECTED", "does not accept its api_key"),
        (429, "RATE_LIMITED", "all 3 attempts failed"),
    ],
)
async def test_what_it_refuses_is_told_as_it_is_meant_and_without_the_key(
    street: Street, name: str, status: int, reason: str, words: str
) -> None:
    street.services[name].refusal = (status, f"Not with {KEY}.", {"retry-after": "0.1", "retryDelay": "0.1s"})
    with pytest.raises(ZoeError, match=words) as refused:
        await street.client.complete("Hello.", model=f"by-{name}")
    assert refused.value.reason == reason
    assert KEY not in str(refused.value)


async def test_nobody_is_asked_for_anything_but_answers_and_no_key_is_told(street: Street) -> None:
    assert all(len(set(cloud.paths)) <= 1 for cloud in street.services.values())
    assert KEY not in street.daemon.log
    assert all(KEY not in str(backend) for backend in street.daemon.backends().values())
