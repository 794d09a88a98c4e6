"""How each kind of server speaks: one object a kind. Nothing here imports LiteLLM or touches the network."""

from collections.abc import Mapping
from typing import Final

from zoe_grpcd.adapters.dialects.cloud import Anthropic, LiteLLM
from zoe_grpcd.adapters.dialects.llamacpp import LlamaCpp
from zoe_grpcd.adapters.dialects.llamacpppython import LlamaCppPython
from zoe_grpcd.adapters.dialects.ollama import Ollama
from zoe_grpcd.adapters.dialects.openai import OpenAI
from zoe_grpcd.adapters.dialects.triton import Triton
from zoe_grpcd.adapters.dialects.vllm import VLLM
from zoe_grpcd.core.options import forbidden, normalise
from zoe_grpcd.ports import Dialect

DIALECTS: Final[Mapping[str, Dialect]] = {
    "llamacpp": LlamaCpp(),
    "llama-cpp-python": LlamaCppPython(),
    "ollama": Ollama(),
    "openai": OpenAI(),
    "vllm": VLLM(),
    "triton": Triton(),
}

# Reached through LiteLLM's own calls alone.
CLOUD: Final[Mapping[str, Dialect]] = {"anthropic": Anthropic(), "litellm": LiteLLM()}

__all__ = ["CLOUD", "DIALECTS", "forbidden", "normalise"]
