"""`Config` -> YAML that says what is in effect.

Rule: no secret is in it, and what is not secret reads back as the same configuration.
"""

import re
from typing import Any

import yaml

from zoe_grpcd.config.model import Config

_MASK = "**********"
_SECRET = re.compile(r"key|secret|token$|password|credential|auth", re.IGNORECASE)
_PLAIN_LITELLM_PARAMS = {
    "model",
    "custom_llm_provider",
    "api_version",
    "timeout",
    "max_tokens",
    "temperature",
}


def dump(config: Config) -> str:
    """The effective configuration as YAML, defaults included, secrets masked."""
    data = config.model_dump(mode="json", exclude_none=True)
    for key in ("admin_listen", "metrics_listen"):
        data["server"].setdefault(key, "off")
    data["log"].setdefault("prompts", "never")
    for backend, entry in zip(config.backends, data["backends"], strict=True):
        if backend.litellm_params:
            params = backend.litellm_params.get_secret_value()
            entry["litellm_params"] = {
                key: value if key in _PLAIN_LITELLM_PARAMS else _MASK for key, value in params.items()
            }
    for model in data["models"]:
        for deployment in model["deployments"]:
            deployment["params"] = _masked(deployment["params"])
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)


def _masked(value: Any) -> Any:
    """Free-form data without what its key calls a secret."""
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _MASK if _SECRET.search(key) else _masked(item) for key, item in value.items()}
