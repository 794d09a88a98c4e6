"""The kinds of backend: one line each. A new kind is a file in `adapters`, its dialect, and a line here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import aiohttp

from zoe_grpcd.adapters.dialects import CLOUD, DIALECTS
from zoe_grpcd.adapters.llamacpp import LlamaCppProbe
from zoe_grpcd.adapters.ollama import OllamaProbe
from zoe_grpcd.adapters.openai import OpenAIProbe
from zoe_grpcd.core.domain import Backend
from zoe_grpcd.ports import Probe

ProbeMaker = Callable[[aiohttp.ClientSession, Backend, str], Probe]


@dataclass(frozen=True, slots=True)
class Kind:
    """What is true of all backends of a kind.

    Attributes:
        probe: makes the probe; None: health shows in use alone.
        assumed: capabilities that its models are taken to have, as the server does not tell.
        usual_slots: requests that it works on at the same time, where the server does not tell.
        truncates: cuts a prompt that is too long, silently.
        direct: may be dispatched through our own session; False: through LiteLLM's own calls.
    """

    probe: ProbeMaker | None
    assumed: frozenset[str] = frozenset()
    usual_slots: int = 1
    truncates: bool = False
    direct: bool = True


_OPENAI = frozenset({"tools", "json_schema", "logprobs"})
_CLOUD = _OPENAI | {"vision", "reasoning"}

KINDS: Mapping[str, Kind] = {
    "llamacpp": Kind(LlamaCppProbe),
    "ollama": Kind(OllamaProbe, truncates=True),
    "openai": Kind(OpenAIProbe, _OPENAI, usual_slots=4),
    "anthropic": Kind(None, _CLOUD, usual_slots=64, direct=False),
    "litellm": Kind(None, _CLOUD, usual_slots=64, direct=False),
}


def with_kind(backend: Backend) -> Backend:
    """The backend with what is true of its kind."""
    kind = KINDS[backend.kind]
    dialect = DIALECTS.get(backend.kind) or CLOUD.get(backend.kind)
    return replace(
        backend,
        refuses=dialect.refuses if dialect else frozenset(),
        assumed=kind.assumed,
        usual_slots=kind.usual_slots,
        truncates=kind.truncates,
    )
