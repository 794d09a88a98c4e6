"""The sections `backends` and `models`: which servers there are, and what the operator knows about their models.

Rule: what a backend tells of itself is not configured; an option here adds to it or overrules it.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import JsonValue, model_validator
from pydantic import Secret as Hidden

from zoe_grpcd.config.address import is_private
from zoe_grpcd.config.section import OFF, Section, needed, option
from zoe_grpcd.config.values import (
    Billions,
    Count,
    Flag,
    Integer,
    KeepAlive,
    Name,
    Number,
    Penalty,
    PositiveCount,
    PositiveNumber,
    PositiveSeconds,
    Secret,
    Share,
    Temperature,
    Texts,
    Url,
)

Kind = Literal[
    "auto", "llamacpp", "llama-cpp-python", "ollama", "vllm", "openai", "anthropic", "triton", "litellm"
]
Strategy = Literal[
    "usage_based",
    "round_robin",
    "weighted",
    "least_loaded",
    "fastest_response",
    "most_capacity",
    "lowest_cost",
    "simple_shuffle",
]
CLOUD_URLS = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}


class Backend(Section):
    """One server process."""

    name: Name = needed("What the rest of this file and callers call it; unique.")
    kind: Kind = option("auto", "What it speaks. auto: found out by asking it.")
    url: Url | None = option(
        None, "Where it is. Needed, except for openai and anthropic (their own service) and litellm."
    )
    api_key: Secret | None = option(None, "Key that it wants; best as ${VAR} or ${file:NAME}. Unset: none.")
    local: Flag = option(
        OFF,
        "Whether prompts stay in house. Unset: true for a loopback, private or dotless host, else false.",
    )
    labels: Mapping[str, str] = option({}, "Free facts that a caller or a rule can ask for.")
    weight: PositiveNumber = option(1.0, "Factor on its score; above 0.")
    max_in_flight: PositiveCount | None = option(
        None,
        "Requests that it gets at the same time; others wait in the daemon's queue. Unset: as many as it has slots.",
    )
    probe_interval: PositiveSeconds = option("5s", "Time between two looks at its state.")
    probe_timeout: PositiveSeconds = option("2s", "Time for one such look.")
    connect_timeout: PositiveSeconds = option("1s", "Time for a connection to it.")
    first_token_timeout: PositiveSeconds | None = option(
        None,
        "Time from a request to its first token. Unset: sized by its load and its prompt, within the bounds of reliability.",
    )
    idle_timeout: PositiveSeconds = option("30s", "Longest silence between two pieces of an answer.")
    litellm_params: Hidden[Mapping[str, JsonValue]] | None = option(
        None, "Kind litellm only: arguments for LiteLLM's completion call, as its documentation names them."
    )

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        kind, url = data.get("kind"), data.get("url")
        if url is None and isinstance(kind, str):
            url = CLOUD_URLS.get(kind)
        local = data.get("local")
        return data | {"url": url, "local": is_private(str(url or "")) if local is None else local}


class Sampling(Section):
    """How an answer is drawn; the names are those of the request's fields."""

    temperature: Temperature | None = option(None, "0 to 2; 0 is the likeliest token each time.")
    top_p: Share | None = option(None, "0 to 1; the likeliest tokens up to this probability.")
    min_p: Share | None = option(
        None, "0 to 1; no token below this share of the likeliest one's probability."
    )
    top_k: Count | None = option(None, "The likeliest k tokens; 0 is all.")
    frequency_penalty: Penalty | None = option(None, "-2 to 2; against tokens by how often they came.")
    presence_penalty: Penalty | None = option(None, "-2 to 2; against tokens that came at all.")
    repetition_penalty: PositiveNumber | None = option(None, "Above 0; 1 is none.")
    seed: Integer | None = option(None, "The same seed gives the same answer, where a server can do that.")
    max_output_tokens: PositiveCount | None = option(None, "Longest answer.")

    def given(self) -> dict[str, Any]:
        """What the operator set, by name, as plain values (a list where there are several)."""
        values = self.model_dump(exclude_unset=True, exclude_none=True)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


class Params(Sampling, extra="allow"):
    """The bundle of a deployment. Keys that are not known here go to the server as they are."""

    stop: Texts | None = option(None, "A text, or a list of texts, at which an answer ends.")
    repeat_penalty: PositiveNumber | None = option(None, "Above 0; as llama-server and Ollama call it.")
    num_ctx: PositiveCount | None = option(None, "Ollama: context window to load the model with, tokens.")
    num_gpu: Integer | None = option(None, "Ollama: layers on the GPU; -1 leaves it to the server.")
    num_predict: Integer | None = option(None, "Ollama: longest answer; -1 is no limit.")
    keep_alive: KeepAlive | None = option(None, "Ollama: how long the model stays loaded; -1 is for ever.")


class Cost(Section):
    """What tokens cost."""

    input_per_mtok_usd: Number = option(0.0, "US dollars for a million prompt tokens.")
    output_per_mtok_usd: Number = option(0.0, "US dollars for a million answered tokens.")
    cached_input_per_mtok_usd: Number | None = option(
        None, "US dollars for a million prompt tokens that the server still had. Unset: as any others."
    )


class Deployment(Section):
    """A model on a backend."""

    backend: Name = needed("The name of one of `backends`.")
    model: Name | None = option(None, "What that server calls the model. Unset: the same name.")
    any_name: Flag = option(
        OFF,
        "Whether a llama-server's only model is meant, whatever that server calls it. false: only by its name.",
    )
    weight: Number = option(1.0, "Share of the requests among equals; 0 takes none.")
    params: Params = option({}, "What goes along with each request that does not say otherwise.")
    cost: Cost | None = option(None, "What its tokens cost here. Unset: as the model says.")


class Model(Section):
    """A model as callers name it. Without deployments: facts on a model that a backend turns out to serve."""

    name: Name = needed("What callers ask for; unique.")
    deployments: tuple[Deployment, ...] = option((), "Where it is; several share the load.")
    size: Billions | None = option(None, "Parameters, like 7B or 500M. Unset: what the backend tells.")
    context_tokens: PositiveCount | None = option(None, "Context window. Unset: what the backend tells.")
    capabilities: Texts | None = option(
        None, "What it can do: chat, tools, vision, code, reasoning, ... Unset: what the backend tells."
    )
    quality: Mapping[str, Share] = option(
        {},
        "Intent or capability -> how good it is at that, 0 to 1. For any other intent the mean of these counts, without"
        " code, tools, vision and languages, which say nothing of the rest; without any, the model's size.",
    )
    cost: Cost | None = option(
        None, "What its tokens cost. Unset: what the backend, or LiteLLM's price list, says; else nothing."
    )
    strategy: Strategy | None = option(
        None, "How one of its deployments is chosen. Unset: as for the capability or intent, else globally."
    )

    @model_validator(mode="before")
    @classmethod
    def _same_name(cls, data: Any) -> Any:
        entries = data.get("deployments") if isinstance(data, dict) else None
        if not isinstance(entries, list) or not isinstance(data.get("name"), str):
            return data
        named = [
            entry | {"model": data["name"]}
            if isinstance(entry, dict) and entry.get("model") is None
            else entry
            for entry in entries
        ]
        return data | {"deployments": named}
