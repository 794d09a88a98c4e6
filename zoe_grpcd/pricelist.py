"""LiteLLM's price list: what cloud models cost, how long their windows are, what they can do.

Rule: it is the file inside the installed package, read without importing LiteLLM; nothing is ever fetched.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from zoe_grpcd.core.backend import Price

_FILE = "model_prices_and_context_window_backup.json"
CAPABILITIES: Mapping[str, str] = {
    "supports_vision": "vision",
    "supports_function_calling": "tools",
    "supports_response_schema": "json_schema",
    "supports_reasoning": "reasoning",
    "supports_audio_input": "audio",
}
"""What LiteLLM calls it -> the capability."""
LISTED_CAPABILITIES = frozenset(CAPABILITIES.values()) | {"chat"}
"""Capabilities that the list knows of: a model that has none of these there does not have it."""

SERVICES: Mapping[str, str] = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "xai",
    "api.together.xyz": "together_ai",
    "api.fireworks.ai": "fireworks_ai",
    "api.perplexity.ai": "perplexity",
    "api.deepinfra.com": "deepinfra",
    "api.cerebras.ai": "cerebras",
    "openrouter.ai": "openrouter",
    "generativelanguage.googleapis.com": "gemini",
}
"""Hosts with OpenAI's interface -> the provider as LiteLLM calls it."""


class Listing(NamedTuple):
    """One model of the list. `price`, `context_tokens` None: not listed.

    `capabilities` has "chat", or in its place what the model is for: "embedding", "responses" (OpenAI's other interface).
    """

    provider: str
    price: Price | None
    context_tokens: int | None
    capabilities: frozenset[str]


@cache
def listing(provider: str, model: str) -> Listing | None:
    """The model as that provider serves it; None: it is not listed. `model` is as LiteLLM or the provider spells it."""
    bare = model.removeprefix(f"{provider}/")
    for name in (f"{provider}/{bare}", bare):
        entry = _entries().get(name)
        if entry is not None and _is_of(str(entry.get("litellm_provider", "")), provider):
            return _listing(entry)
    return None


def provider_of(model: str) -> str:
    """The provider that LiteLLM takes a name for: by its prefix, else by the list; empty: it knows none."""
    prefix, slash, _ = model.partition("/")
    if slash and prefix in providers():
        return prefix
    return str(_entries().get(model, {}).get("litellm_provider", "")).partition("-")[0]


def bare(model: str) -> str:
    """The name without LiteLLM's prefix for the provider: `llama-3.1-8b-instant` of groq/llama-3.1-8b-instant."""
    return model.partition("/")[2] or model


def service_of(url: str) -> str:
    """The provider, as LiteLLM calls it, whose service is at that address; empty: no known one."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return SERVICES.get(host, "azure" if host.endswith(".openai.azure.com") else "")


@cache
def providers() -> frozenset[str]:
    """All that LiteLLM lists a model of."""
    return frozenset(str(entry.get("litellm_provider", "")) for entry in _entries().values())


@cache
def _entries() -> Mapping[str, Mapping[str, Any]]:
    """The file's content; empty if LiteLLM is not installed as a package with files."""
    spec = find_spec("litellm")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        try:
            content = json.loads((Path(folder) / _FILE).read_bytes())
        except (OSError, ValueError):
            continue
        return {name: entry for name, entry in content.items() if isinstance(entry, dict)}
    return {}


def _is_of(listed: str, provider: str) -> bool:
    """Variants of a provider count as it: vertex_ai-anthropic_models, bedrock_converse."""
    return listed == provider or listed.startswith((f"{provider}-", f"{provider}_"))


def _listing(entry: Mapping[str, Any]) -> Listing:
    return Listing(
        str(entry.get("litellm_provider", "")), _price(entry), _window(entry), _capabilities(entry)
    )


def _price(entry: Mapping[str, Any]) -> Price | None:
    prices = [entry.get(f"{part}_cost_per_token") for part in ("input", "output")]
    if not any(isinstance(price, int | float) for price in prices):
        return None
    cached = entry.get("cache_read_input_token_cost")
    into, out = (_per_million(price) or 0.0 for price in prices)
    return Price(into, out, _per_million(cached))


def _per_million(price: object) -> float | None:
    return round(price * 1e6, 9) if isinstance(price, int | float) else None


def _window(entry: Mapping[str, Any]) -> int | None:
    sizes = (entry.get("max_input_tokens"), entry.get("max_tokens"))
    return next((int(size) for size in sizes if isinstance(size, int | float) and size > 0), None)


def _capabilities(entry: Mapping[str, Any]) -> frozenset[str]:
    mode = str(entry.get("mode", "chat"))
    if mode not in {"chat", "responses"}:
        return frozenset({mode})
    can = {name for flag, name in CAPABILITIES.items() if entry.get(flag) is True}
    if "tools" in can and entry.get("supports_response_schema") is not False:
        can.add("json_schema")  # LiteLLM makes a tool of the schema where a service has no word for it
    return frozenset(can | {mode})
