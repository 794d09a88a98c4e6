"""Cloud services behind a local server: they serve what nobody else can, at the price of the list, and are never asked for nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path

import clouds
import pytest
import pytest_asyncio
from clouds import KEY, Cloud
from cloudtable import Service, examined
from featuretable import compare
from serving import Daemon, entry, serving

from zoe_client import AsyncClient, ZoeError
from zoe_grpcd.core.answer import Usage
from zoe_grpcd.localbackends.fetch import Tools
from zoe_grpcd.localbackends.llamaserver import LlamaServerOptions, start_llama_server
from zoe_grpcd.localbackends.servers import Server
from zoe_grpcd.pricelist import listing

pytestmark = pytest.mark.asyncio(loop_scope="module")
CLAUDE, GPT, OLDER_GPT = "claude-sonnet-4-5", "gpt-5-mini", "gpt-4o-mini"
COST = {"input_per_mtok_usd": 1.0, "output_per_mtok_usd": 4.0}
LIMITED = (429, "This request would exceed your rate limit", {"retry-after": "60"})


@dataclass(frozen=True)
class Street:
    """The daemon, its own server, and the services that it may call; `older` has a model that tells probabilities."""

    daemon: Daemon
    client: AsyncClient
    llama: Server
    claude: Cloud
    gpt: Cloud
    older: Cloud


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(
    tools: Tools, tmp_path_factory: pytest.TempPathFactory, quick_gguf: Path
) -> AsyncIterator[Street]:
    async with AsyncExitStack() as running, clouds.anthropic() as claude, clouds.openai() as gpt:
        older = await running.enter_async_context(clouds.openai())
        older.models = (OLDER_GPT,)
        local = running.enter_context(ExitStack())
        options = LlamaServerOptions(quick_gguf, alias="quick", slots=2)
        llama = local.enter_context(start_llama_server(tools, tmp_path_factory.mktemp("clouds"), options))
        away = {"local": False, "api_key": "${CLOUD_KEY}"}
        starting = serving(
            {"CLOUD_KEY": KEY},
            backends=[
                entry("box", llama),
                {"name": "claude", "kind": "anthropic", "url": claude.url, **away},
                {"name": "gpt", "kind": "openai", "url": gpt.url, **away},
                {"name": "older", "kind": "openai", "url": older.url, **away},
            ],
            models=[
                {"name": CLAUDE, "deployments": [{"backend": "claude", "model": CLAUDE}]},
                {"name": GPT, "deployments": [{"backend": "gpt", "model": GPT}], "cost": COST},
                {  # what OpenAI's own models can do LiteLLM's list tells by their address
                    "name": OLDER_GPT,
                    "deployments": [{"backend": "older", "model": OLDER_GPT}],
                    "capabilities": ["chat", "tools", "vision", "json_schema", "logprobs"],
                },
            ],
            routing={
                "aliases": {"best": [CLAUDE, GPT]},
                "fallback_chains": {"default": [{"backends": ["claude"]}, {"backends": ["gpt"]}]},
            },
        )
        daemon = await asyncio.to_thread(local.enter_context, starting)
        running.push_async_callback(asyncio.to_thread, local.close)
        client = await running.enter_async_context(daemon.aclient())
        yield Street(daemon, client, llama, claude, gpt, older)


@pytest.fixture(autouse=True)
def scripted(street: Street) -> None:
    street.claude.events = clouds.anthropic_answer(clouds.text("Bon", "jour"))
    street.gpt.events = clouds.openai_answer({"content": "Hi"})
    street.claude.refusal = street.gpt.refusal = None
    street.claude.bodies.clear()
    street.gpt.bodies.clear()


async def test_a_service_answers_at_the_price_of_the_list_in_which_cached_tokens_are_cheaper(
    street: Street,
) -> None:
    answer = await street.client.complete("Bonjour?", model=CLAUDE)
    assert answer.text == "Bonjour"
    listed = listing("anthropic", CLAUDE)
    assert listed is not None
    assert listed.price is not None
    usage = answer.response.usage
    counted = Usage(usage.prompt_tokens, usage.completion_tokens, usage.cached_prompt_tokens)
    assert usage.cached_prompt_tokens == 12
    assert usage.cost_micro_usd == round(1e6 * listed.price.of(counted))


async def test_defaults_that_a_model_does_not_take_are_no_mistake_of_the_caller(street: Street) -> None:
    answer = await street.client.complete(
        "Tell me a story.", intent="creative", allowed_backends=["gpt"], max_output_tokens=99
    )
    assert answer.text == "Hi"
    assert "temperature" not in street.gpt.bodies[-1]
    assert street.gpt.bodies[-1]["max_completion_tokens"] == 99


async def test_what_a_box_can_do_costs_nothing(street: Street) -> None:
    answer = await street.client.complete("Hello there.", max_output_tokens=4)
    assert answer.decision.chosen.backend == "box"
    assert street.claude.bodies == street.gpt.bodies == []


async def test_a_request_that_may_not_leave_the_house_does_not(street: Street) -> None:
    with pytest.raises(ZoeError) as refused:
        await street.client.complete("Hello.", model=CLAUDE, locality="local_only")
    assert refused.value.reason == "NO_CAPABLE_BACKEND"
    assert street.claude.bodies == street.gpt.bodies == []


COLOUR = '{"colour": "red"}'
CALLED = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
TOOL_CALL = {"index": 0, "id": "call_1", "type": "function", "function": CALLED}
PROBABLE = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}


def anthropic(street: Street) -> Service:
    says = {
        "text": clouds.anthropic_answer(clouds.text("Bon", "jour")),
        "tools": clouds.anthropic_answer(
            clouds.tool_use("get_weather", '{"city": "Paris"}'), stop="tool_use"
        ),
        "JSON schema": clouds.anthropic_answer(clouds.text(COLOUR)),
    }
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    place = ("anthropic", "claude", CLAUDE, street.claude, street.daemon, street.client)
    return Service(*place, says, "/v1/messages", headers)


def openai(street: Street) -> Service:
    probable = clouds.openai_answer({"content": "Hi"})
    probable[1]["choices"][0]["logprobs"] = {"content": [PROBABLE], "refusal": None}
    says = {
        "text": clouds.openai_answer({"content": "Hi"}, {"content": " there"}),
        "tools": clouds.openai_answer({"tool_calls": [TOOL_CALL]}, finish="tool_calls"),
        "JSON schema": clouds.openai_answer({"content": COLOUR}),
        "log probabilities": probable,
    }
    headers = {"Authorization": f"Bearer {KEY}"}
    place = ("openai", "older", OLDER_GPT, street.older, street.daemon, street.client)
    return Service(*place, says, "/v1/chat/completions", headers)


@pytest.mark.parametrize("service", [anthropic, openai])
async def test_a_service_does_what_the_table_says(
    street: Street, service: Callable[[Street], Service]
) -> None:
    """Before the next test, after which one of them is left alone for a minute."""
    one = service(street)
    compare(one.kind, await examined(one))


async def test_who_is_over_its_rate_is_followed_by_another_at_once_and_left_alone_for_as_long_as_it_asks(
    street: Street,
) -> None:
    street.claude.refusal = LIMITED
    first = await street.client.complete("Hello.", model="best", allowed_backends=["claude", "gpt"])
    assert [a.error_reason for a in first.response.attempts if a.error_reason] in ([], ["RATE_LIMITED"])
    for _ in range(4):
        answer = await street.client.complete("Hello.", model="best", allowed_backends=["claude", "gpt"])
        assert answer.text == "Hi"
    assert len(street.claude.bodies) <= 1


async def test_nobody_is_asked_for_anything_but_answers_and_a_list_and_no_key_is_told(street: Street) -> None:
    assert set(street.claude.paths) <= {"/v1/messages"}
    assert set(street.gpt.paths) <= {"/v1/chat/completions", "/v1/models"}
    assert KEY not in street.daemon.log
    assert all(KEY not in str(backend) for backend in street.daemon.backends().values())
