"""One configuration at a time, written to a file of its own."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from zoe_grpcd.config import ConfigError, Loaded, load


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., Loaded]:
    """`loaded(text, VAR=value, ...)`: the configuration that the text says."""

    def loaded(text: str, **env: str) -> Loaded:
        file = tmp_path / "config.yaml"
        file.write_text(dedent(text), encoding="utf-8")
        return load(file, {"XDG_RUNTIME_DIR": "/run/user/1"} | env)

    return loaded


@pytest.fixture
def mistakes(loaded: Callable[..., Loaded]) -> Callable[..., list[str]]:
    """`mistakes(text, VAR=value, ...)`: each mistake as `line: path: message`."""

    def mistakes(text: str, **env: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            loaded(text, **env)
        return [f"{p.line}: {p.path}: {p.message}" for p in caught.value.problems]

    return mistakes
