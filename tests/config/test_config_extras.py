"""What a configuration needs installed besides the daemon itself."""

from pathlib import Path

import pytest

from zoe_grpcd import config
from zoe_grpcd.config import extras

FILE = "routing:\n  classifier: embeddings\n"


def test_a_classifier_that_is_installed_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(FILE)
    assert config.load(path).config.routing.classifier == "embeddings"
    assert config.load(path).warnings == ()


def test_a_classifier_that_is_not_installed_is_a_mistake_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "onnxruntime" else object())
    path = tmp_path / "config.yaml"
    path.write_text(FILE)
    with pytest.raises(config.ConfigError) as caught:
        config.load(path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.path) == (2, "routing.classifier")
    assert "pip install 'zoe-grpcd[embeddings]'" in str(problem)
    assert "onnxruntime" in str(problem)


def test_keywords_need_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _name: None)
    path = tmp_path / "config.yaml"
    path.write_text("routing: {classifier: keywords}\n")
    assert config.load(path).warnings == ()


def test_traces_that_have_no_exporter_are_a_mistake_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("telemetry:\n  otlp_endpoint: http://127.0.0.1:4318\n")
    assert config.load(path).warnings == ()
    monkeypatch.setattr(extras, "find_spec", lambda _name: None)
    with pytest.raises(config.ConfigError) as caught:
        config.load(path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.path) == (2, "telemetry.otlp_endpoint")
    assert "pip install 'zoe-grpcd[otel]'" in str(problem)
