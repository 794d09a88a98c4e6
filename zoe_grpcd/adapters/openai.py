"""What any server with OpenAI's interface tells of itself: its list of models, which costs nothing.

The one rule: the list is not asked of llama-cpp-python, which cuts a running answer short to give it.
"""

import re
from collections.abc import Iterator

import aiohttp

from zoe_grpcd.adapters.inquiry import (
    LLAMA_CPP_PYTHON,
    Inquiry,
    Unusable,
    count,
    observed,
    record,
    text,
    texts,
)
from zoe_grpcd.core.backend import Backend, Price
from zoe_grpcd.core.generation import Json
from zoe_grpcd.core.observation import ModelStatus, Observation

# How servers name the largest window: vLLM, OpenRouter and others, Groq, Mistral and LM Studio.
_CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window", "max_context_length")
_CAPABILITIES = {
    "audio": "audio",
    "chat": "chat",
    "completion": "chat",
    "completion_chat": "chat",
    "embedding": "embedding",
    "embeddings": "embedding",
    "function_calling": "tools",
    "image": "vision",
    "reasoning": "reasoning",
    "structured_outputs": "json_schema",
    "thinking": "reasoning",
    "tool_use": "tools",
    "tools": "tools",
    "vision": "vision",
}
# What models that do not chat are called where they are only named, as by OpenAI, LM Studio and vLLM.
_CALLED = re.compile(
    r"embedding|(^|[^a-z])embed([^a-z]|$)|rerank|whisper|moderation|dall-e|(^|[/_-])tts([_-]|$)",
    re.IGNORECASE,
)


class OpenAIProbe:
    """Looks at one server with OpenAI's interface; its url may end in /v1 or not."""

    def __init__(self, session: aiohttp.ClientSession, backend: Backend, api_key: str = "") -> None:
        self._server = Inquiry(session, backend.url, api_key, backend.connect_timeout)
        self._local = backend.local
        self._known_harmless = not backend.local  # no cloud runs llama-cpp-python

    async def __call__(self) -> Observation:
        """Never raises for what the server does."""
        seen = await observed(self._look)
        if not seen.ok:  # whatever comes up next may be another server
            self._known_harmless = not self._local
        return seen

    async def _look(self) -> Observation:
        if not self._known_harmless:
            await self._recognise()
        models = (await self._server.ask("/v1/models")).listing("data", "id")
        return Observation(ok=True, models=tuple(map(_status, models)))

    async def _recognise(self) -> None:
        schema = await self._server.ask("/openapi.json")
        if schema.status == 200 and LLAMA_CPP_PYTHON in schema.body:
            raise Unusable(
                "it is a llama-cpp-python, which takes kind llama-cpp-python: others cut its answers short"
            )
        self._known_harmless = True


def _status(model: Json) -> ModelStatus:
    sizes = (count(model.get(field)) for field in _CONTEXT_FIELDS)
    told = {_CAPABILITIES[word] for word in _words(model) if word in _CAPABILITIES}
    return ModelStatus(
        name=text(model["id"]),
        context_tokens=next((size for size in sizes if size), None),
        capabilities=frozenset(told if _is_for_something_else(model, told) else told | {"chat"}),
        price=_price(record(model.get("pricing"))),
    )


def _is_for_something_else(model: Json, told: set[str]) -> bool:
    """It says that it does not chat, or of nothing but that it embeds; or says nothing, and is called an embedder."""
    if not any(_words(model)):
        return bool(_CALLED.search(text(model["id"])))
    chats = record(model.get("capabilities")).get("completion_chat")
    return told == {"embedding"} or (chats is False and "chat" not in told)


def _price(pricing: Json) -> Price | None:
    """OpenRouter's, US dollars for a token, as text."""
    told = {name: _per_million(pricing.get(name)) for name in ("prompt", "completion", "input_cache_read")}
    if told["prompt"] is None or told["completion"] is None:
        return None
    return Price(told["prompt"], told["completion"], told["input_cache_read"])


def _per_million(price: object) -> float | None:
    if isinstance(price, str) and re.fullmatch(r"\d{1,3}(\.\d{1,15})?(e-\d{1,2})?", price):
        return round(float(price) * 1e6, 9)
    return None


def _words(model: Json) -> Iterator[str]:
    """Whatever a server says that a model can do: a list, an object of booleans, or OpenRouter's two lists."""
    can = model.get("capabilities")
    yield from texts(can)
    yield from (word for word, able in record(can).items() if able is True)
    yield from texts(record(model.get("architecture")).get("input_modalities"))
    yield from texts(model.get("supported_parameters"))
