"""The kinds of backend: one line each. A new kind is a file in `adapters`, its dialect, and a line here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import aiohttp

from zoe_grpcd.adapters import llamacpp, ollama, triton, vllm
from zoe_grpcd.adapters.dialects import CLOUD, DIALECTS
from zoe_grpcd.adapters.inquiry import Inquiry
from zoe_grpcd.adapters.llamacpp import LlamaCppProbe
from zoe_grpcd.adapters.llamacpppython import LlamaCppPythonProbe
from zoe_grpcd.adapters.ollama import OllamaProbe
from zoe_grpcd.adapters.openai import OpenAIProbe
from zoe_grpcd.adapters.triton import TritonProbe
from zoe_grpcd.adapters.vllm import VLLMProbe
from zoe_grpcd.adapters.warmer import HttpWarmer, Loading
from zoe_grpcd.core.backend import Backend, Prefill
from zoe_grpcd.ports import Probe, Warmer

ProbeMaker = Callable[[aiohttp.ClientSession, Backend, str], Probe]


@dataclass(frozen=True, slots=True)
class Kind:
    """What is true of all backends of a kind.

    Attributes:
        probe: makes the probe; None: health shows in use alone.
        assumed: capabilities that its models are taken to have, as the server does not tell.
        named: must not be asked for its models, which are those that the operator names.
        max_in_flight: requests that it may get at the same time, unless the operator says otherwise; None: no limit.
        loads_in_turn: loads one model after the other, and whoever waits for memory holds up all behind it.
        usual_slots: requests that it works on at the same time, where the server does not tell.
        truncates: cuts a prompt that is too long, silently.
        prefill: what they make of an answer that has begun; None: it depends, and is found out.
        takes_tokens: goes on with an answer from token ids.
        direct: may be dispatched through our own session; False: through LiteLLM's own calls.
        loading: the request that brings one of its models into memory; None: it has none, or loads by itself.
        keeps: that can say how long the model shall stay there.
        differs: as a cloud service, it takes other parameters for each model, which only LiteLLM's own calls know.
    """

    probe: ProbeMaker | None
    assumed: frozenset[str] = frozenset()
    named: bool = False
    usual_slots: int = 1
    max_in_flight: int | None = None
    loads_in_turn: bool = False
    truncates: bool = False
    prefill: Prefill | None = None
    takes_tokens: bool = False
    direct: bool = True
    differs: bool = False
    loading: Loading | None = None
    keeps: bool = False


_LLAMA = frozenset({"completion", "json_schema", "grammar", "logprobs"})
_OPENAI = frozenset({"tools", "json_schema", "logprobs"})
_CLOUD = _OPENAI | {"vision", "reasoning"}

KINDS: Mapping[str, Kind] = {
    "llamacpp": Kind(LlamaCppProbe, prefill=Prefill.REPEATS, takes_tokens=True, loading=llamacpp.loading),
    "llama-cpp-python": Kind(
        LlamaCppPythonProbe, _LLAMA, named=True, max_in_flight=1, prefill=Prefill.CLOSES
    ),
    "ollama": Kind(OllamaProbe, truncates=True, loads_in_turn=True, loading=ollama.loading, keeps=True),
    "vllm": Kind(
        VLLMProbe, _OPENAI, usual_slots=16, prefill=Prefill.CONTINUES, takes_tokens=True, loading=vllm.loading
    ),
    "triton": Kind(TritonProbe, usual_slots=4, prefill=Prefill.CLOSES, loading=triton.loading),
    "openai": Kind(OpenAIProbe, _OPENAI, usual_slots=4, differs=True),
    "anthropic": Kind(None, _CLOUD, usual_slots=64, prefill=Prefill.CLOSES, direct=False),
    "litellm": Kind(None, _CLOUD, usual_slots=64, prefill=Prefill.CLOSES, direct=False),
}


def is_direct(backend: Backend) -> bool:
    """Whether its calls may go through our own session."""
    kind = KINDS[backend.kind]
    return kind.direct and (backend.local or not kind.differs)


def warmer_of(session: aiohttp.ClientSession, backend: Backend) -> Warmer | None:
    """What brings its models into memory; None: its kind has no request for that."""
    kind = KINDS[backend.kind]
    if kind.loading is None:
        return None
    server = Inquiry(session, backend.url, backend.api_key, backend.connect_timeout)
    return HttpWarmer(server, kind.loading, DIALECTS[backend.kind].refusal, keeps=kind.keeps)


def with_kind(backend: Backend) -> Backend:
    """The backend with what is true of its kind."""
    kind = KINDS[backend.kind]
    dialect = DIALECTS.get(backend.kind) or CLOUD.get(backend.kind)
    return replace(
        backend,
        refuses=dialect.refuses if dialect else frozenset(),
        assumed=kind.assumed,
        usual_slots=kind.usual_slots,
        max_in_flight=backend.max_in_flight or kind.max_in_flight,
        loads_in_turn=kind.loads_in_turn,
        truncates=kind.truncates,
        prefill=kind.prefill,
        takes_tokens=kind.takes_tokens,
    )
