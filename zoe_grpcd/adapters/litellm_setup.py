"""Loads LiteLLM so that it never reaches for the network, and proves what we lean on in it.

The one rule: nothing imports LiteLLM before `load` has set the environment. `load` blocks for seconds: call it in a thread.
"""

import os
from collections.abc import Mapping
from typing import Any, Final

from zoe_grpcd.adapters.litellm_contract import broken_promise
from zoe_grpcd.ports import Dialect

ENVIRONMENT: Final = {
    "LITELLM_MODE": "PRODUCTION",  # no .env of the working directory
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else prices are fetched at import
    "LITELLM_OFFLINE_MODE": "true",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "true",  # else fetched at the first call
    "LITELLM_LOG": "ERROR",
    "MAX_IMAGE_URL_DOWNLOAD_SIZE_MB": "0",  # never fetch what a prompt points to
}


def load(dialects: Mapping[str, Dialect]) -> dict[str, str]:
    """Imports and warms LiteLLM; what its contract check found, by kind: those kinds need the full dispatcher."""
    for name, value in ENVIRONMENT.items():
        os.environ[name] = value
    import litellm

    _switch(litellm)
    _silence_ollama()
    found = {kind: broken_promise(dialect.provider) for kind, dialect in dialects.items()}
    return {kind: why for kind, why in found.items() if why is not None}


def _switch(litellm: Any) -> None:
    litellm.suppress_debug_info = True
    litellm.disable_token_counter = True  # what the backend doesn't count, the router estimates
    litellm.disable_hf_tokenizer_download = True
    litellm.disable_aiohttp_trust_env = True  # loopback is never behind a proxy
    litellm.drop_params = False
    litellm.telemetry = False
    litellm.REPEATED_STREAMING_CHUNK_LIMIT = 10**9  # a model may repeat itself; that's not an error of ours
    litellm.num_retries = None
    litellm.api_base = None  # would win over each backend's own


def _silence_ollama() -> None:
    """Keeps LiteLLM from asking Ollama what a model is: a blocking request on the event loop, twice a call."""
    from litellm.llms.ollama.common_utils import OllamaModelInfo

    def unknown(_self: object, model: str, *_where: object, **_more: object) -> dict[str, Any]:
        free = {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
        limits = dict.fromkeys(("max_tokens", "max_input_tokens", "max_output_tokens"))
        return {"key": model, "litellm_provider": "ollama", "mode": "chat", **free, **limits}

    OllamaModelInfo.get_runtime_model_info = unknown
