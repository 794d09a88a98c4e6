"""What LiteLLM's price list adds to what a cloud service tells of its models, and what its code knows of them.

The one rule: the service's own word comes first; what it does not tell, the list does.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.observation import ModelStatus, Observation
from zoe_grpcd.ports import Probe
from zoe_grpcd.pricelist import LISTED_CAPABILITIES, Listing, listing, provider_of, service_of

_LOGPROBS: Final = frozenset({"logprobs"})
_BRIDGED: Final = frozenset(
    {"responses", "completion"}
)  # interfaces by which LiteLLM's call for chats is answered

GivesLogprobs = Callable[[str, str], bool]
"""Whether a model of a provider, both as LiteLLM calls them, does; it may block."""


class ListedProbe:
    """Another probe, and the list. `params`: LiteLLM's arguments for the backend, if it is of that kind."""

    def __init__(
        self,
        probe: Probe,
        backend: Backend,
        gives_logprobs: GivesLogprobs,
        params: Mapping[str, object] | None = None,
    ) -> None:
        self._probe = probe
        self._backend = backend
        self._params = params or {}
        self._gives_logprobs = gives_logprobs
        self._assumed: dict[str, frozenset[str]] = {}  # of a model, of what is assumed of all there

    async def __call__(self) -> Observation:
        """See `Probe`."""
        seen = await self._probe()
        if not seen.models:
            return seen
        if new := [model.name for model in seen.models if model.name not in self._assumed]:
            self._assumed |= await asyncio.to_thread(self._assumptions, new)
        return replace(seen, models=tuple(map(self._completed, seen.models)))

    def _assumptions(self, models: list[str]) -> dict[str, frozenset[str]]:
        """What may be assumed of each; LiteLLM tells what a service does not take."""
        assumed, found = self._backend.assumed, {}
        for model in models:
            known = _known_as(self._backend.kind, self._backend.url, model, self._params)
            refused = known is not None and not self._gives_logprobs(*known)
            found[model] = assumed - _LOGPROBS if refused else assumed
        return found

    def _completed(self, status: ModelStatus) -> ModelStatus:
        listed = listed_for(self._backend.kind, self._backend.url, status.name, self._params)
        assumed = self._assumed[status.name]
        if listed is None:
            if assumed == self._backend.assumed:
                return status
            return replace(status, capabilities=status.capabilities | assumed, complete=True)
        return replace(
            status,
            context_tokens=status.context_tokens or listed.context_tokens,
            capabilities=self._capabilities(status, listed, assumed - LISTED_CAPABILITIES),
            price=status.price or listed.price,
            complete=True,
        )

    def _capabilities(self, status: ModelStatus, listed: Listing, unlisted: frozenset[str]) -> frozenset[str]:
        """A service that only names its models is taken to tell that they chat, which the list knows better."""
        own = status.capabilities - {"chat"}
        bridged = {"chat"} if _BRIDGED & listed.capabilities and self._backend.kind == "litellm" else set()
        return own | listed.capabilities | (unlisted if "chat" in listed.capabilities else set()) | bridged


def listed_for(kind: str, url: str, model: str, params: Mapping[str, object] | None = None) -> Listing | None:
    """The list's word on a model of a backend; None: it is no known service, or the model is not listed."""
    known = _known_as(kind, url, model, params or {})
    return listing(*known) if known is not None else None


def _known_as(kind: str, url: str, model: str, params: Mapping[str, object]) -> tuple[str, str] | None:
    """The provider and the model as LiteLLM calls them; None: it is no known service."""
    if kind == "litellm":
        return _behind_litellm(params)
    provider = "anthropic" if kind == "anthropic" else service_of(url)
    return (provider, model) if provider else None


def _behind_litellm(params: Mapping[str, object]) -> tuple[str, str] | None:
    """Somebody else's server with OpenAI's interface sells at prices of its own."""
    named = str(params.get("base_model") or params.get("model") or "")
    provider = str(params.get("custom_llm_provider") or provider_of(named))
    base = str(params.get("api_base") or "")
    foreign = provider == "openai" and base and service_of(base) != "openai" and "base_model" not in params
    return (provider, named) if provider and not foreign else None
