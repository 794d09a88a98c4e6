"""What LiteLLM's price list adds to what a cloud service tells of its models.

The one rule: the service's own word comes first; what it does not tell, the list does.
"""

from collections.abc import Mapping
from dataclasses import replace

from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.observation import ModelStatus, Observation
from zoe_grpcd.ports import Probe
from zoe_grpcd.pricelist import LISTED_CAPABILITIES, Listing, listing, provider_of, service_of


class ListedProbe:
    """Another probe, and the list. `params`: LiteLLM's arguments for the backend, if it is of that kind."""

    def __init__(self, probe: Probe, backend: Backend, params: Mapping[str, object] | None = None) -> None:
        self._probe = probe
        self._backend = backend
        self._params = params or {}

    async def __call__(self) -> Observation:
        """See `Probe`."""
        seen = await self._probe()
        if not seen.models:
            return seen
        return replace(seen, models=tuple(map(self._completed, seen.models)))

    def _completed(self, status: ModelStatus) -> ModelStatus:
        listed = listed_for(self._backend.kind, self._backend.url, status.name, self._params)
        if listed is None:
            return status
        return replace(
            status,
            context_tokens=status.context_tokens or listed.context_tokens,
            capabilities=self._capabilities(status, listed),
            price=status.price or listed.price,
            complete=True,
        )

    def _capabilities(self, status: ModelStatus, listed: Listing) -> frozenset[str]:
        """A service that only names its models is taken to tell that they chat, which the list knows better."""
        own = status.capabilities - {"chat"}
        unlisted = self._backend.assumed - LISTED_CAPABILITIES
        bridged = (
            {"chat"} if "responses" in listed.capabilities and self._backend.kind == "litellm" else set()
        )
        return own | listed.capabilities | (unlisted if "chat" in listed.capabilities else set()) | bridged


def listed_for(kind: str, url: str, model: str, params: Mapping[str, object] | None = None) -> Listing | None:
    """The list's word on a model of a backend; None: it is no known service, or the model is not listed."""
    if kind == "litellm":
        return _behind_litellm(params or {})
    provider = "anthropic" if kind == "anthropic" else service_of(url)
    return listing(provider, model) if provider else None


def _behind_litellm(params: Mapping[str, object]) -> Listing | None:
    """Somebody else's server with OpenAI's interface sells at prices of its own."""
    named = str(params.get("base_model") or params.get("model") or "")
    provider = str(params.get("custom_llm_provider") or provider_of(named))
    base = str(params.get("api_base") or "")
    foreign = provider == "openai" and base and service_of(base) != "openai" and "base_model" not in params
    return listing(provider, named) if provider and not foreign else None
