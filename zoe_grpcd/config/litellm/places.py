"""Which server a deployment of LiteLLM's runs on, as a kind and an address of ours.

Rule: what one of our kinds speaks goes to that kind; everything else stays with LiteLLM's own calls.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from zoe_grpcd.config.address import is_private
from zoe_grpcd.pricelist import SERVICES, provider_of, providers

OLLAMA_URL = "${OLLAMA_API_BASE:-http://127.0.0.1:11434}"
_OLLAMA = {"ollama", "ollama_chat"}
# Servers with OpenAI's interface, and custom names for one.
_OPENAI_LIKE = {
    "openai", "hosted_vllm", "vllm", "lm_studio", "llamafile", "openai_like", "custom_openai", "xinference",
    "litellm_proxy", "docker_model_runner", "lemonade", "aiohttp_openai",
}  # fmt: skip
# Providers that the price list has no model of.
_UNLISTED = {
    "huggingface", "triton", "predibase", "clarifai", "petals", "github", "maritalk", "oobabooga", "empower",
    "galadriel", "sagemaker_chat", "nvidia_nim", "sambanova", "infinity", "text-completion-huggingface",
}  # fmt: skip
_LISTS_ITS_MODELS: Mapping[str, str] = {
    "groq": "https://api.groq.com/openai/v1",
    "mistral": "https://api.mistral.ai/v1",
    "deepseek": "https://api.deepseek.com/v1",
    "xai": "https://api.x.ai/v1",
    "together_ai": "https://api.together.xyz/v1",
    "fireworks_ai": "https://api.fireworks.ai/inference/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "cerebras": "https://api.cerebras.ai/v1",
    "deepinfra": "https://api.deepinfra.com/v1/openai",
}
"""Services with OpenAI's interface: for a wildcard, which needs a list of models."""

_BY_NAME = (("openai", re.compile(r"(gpt-|chatgpt-|o[134](-|$))")), ("anthropic", re.compile(r"claude-")))


class Place(NamedTuple):
    """A kind, its address and key (empty: the kind's own), and the model as that server calls it.

    `provider` is LiteLLM's word for it; `model` of kind litellm has it as a prefix.
    """

    kind: str
    url: str
    api_key: str
    model: str
    provider: str


def provider_and_name(model: str, said: str = "", base: str = "") -> tuple[str, str]:
    """LiteLLM's provider, empty if it is not known, and the name behind it."""
    prefix, slash, name = model.partition("/")
    known = {*_OLLAMA, *_OPENAI_LIKE, *_UNLISTED, *_LISTS_ITS_MODELS, *SERVICES.values(), *providers()}
    if said:
        return said, name if prefix == said else model
    if slash and prefix in known:
        return prefix, name
    listed = provider_of(model)
    if listed and not base:
        return listed, model
    guessed = next((provider for provider, names in _BY_NAME if names.match(model)), "")
    return ("openai" if base else guessed), model


def place_of(provider: str, name: str, base: str, api_key: str) -> Place:
    """Where a model is. `base` and `api_key` are in our spelling; empty: not given."""
    if provider in _OLLAMA:
        return Place("ollama", _root(base) or OLLAMA_URL, api_key, name, provider)
    if provider in _OPENAI_LIKE:
        return _openai(provider, name, base, api_key)
    if provider == "anthropic":
        return Place("anthropic", base, api_key or "${ANTHROPIC_API_KEY}", name, provider)
    full = f"{provider}/{name}" if provider else name
    return Place("litellm", base, api_key, full, provider)


def _openai(provider: str, name: str, base: str, api_key: str) -> Place:
    if provider == "openai" and (not base or "//api.openai.com" in base):
        return Place("openai", "", api_key or "${OPENAI_API_KEY}", name, provider)
    base = base or f"${{{provider.upper()}_API_BASE}}"
    if base.startswith("${") or is_private(base):
        return Place("auto", _root(base), api_key, name, provider)
    return Place("openai", base.rstrip("/"), api_key, name, provider)


def open_ended(place: Place) -> Place | None:
    """Where all models of a wildcard are, on a kind that tells which it has; None: there is no such kind."""
    if place.kind in {"openai", "auto", "ollama"}:
        return place
    url = _LISTS_ITS_MODELS.get(place.provider)
    if url is None:
        return None
    return Place("openai", url, place.api_key or f"${{{place.provider.upper()}_API_KEY}}", "", place.provider)


def _root(base: str) -> str:
    return base.rstrip("/").removesuffix("/v1").rstrip("/")


def name_of(place: Place) -> str:
    """A name for the backend: what it is, or where."""
    if place.kind == "litellm":
        plain = place.model
    elif place.kind in {"auto", "openai"} and place.url:
        plain = re.sub(r"^\$\{(\w+).*", r"\1", place.url).partition("://")[2] or place.url
        plain = plain.partition("/")[0].replace(":", "-")
        plain = plain.strip("${}") or place.provider
    else:
        plain = place.kind
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-") or "backend"
