"""A rule, a size or a capability that nothing can ever meet is a warning; what might be met is none."""

from collections.abc import Callable

import pytest

from zoe_grpcd.config import Loaded

Load = Callable[..., Loaded]

BACKENDS = """
backends:
  - {name: box, kind: ollama, url: "http://127.0.0.1:11434", labels: {room: study}}
  - {name: gpu, kind: llamacpp, url: "http://127.0.0.1:8000"}
  - {name: cloud, kind: openai, api_key: none}
"""
FOUND_OUT = '\nbackends: [{name: box, url: "http://127.0.0.1:11434"}]\n'


def told(loaded: Load, routing: str, backends: str = BACKENDS) -> list[str]:
    """The warnings, each as `path: message`."""
    return [f"{p.path}: {p.message}" for p in loaded(f"{backends}\nrouting: {{{routing}}}\n").warnings]


@pytest.mark.parametrize(
    ("selection", "met"),
    [
        ("{backends: box, kinds: ollama}", True),
        ("{backends: box, kinds: llamacpp}", False),
        ("{backends: [box, gpu], kinds: llamacpp}", True),
        ("{labels: {room: study}}", True),
        ("{labels: {room: attic}}", False),
        ("{labels: {room: study}, backends: gpu}", False),
        ("{local: true, backends: gpu}", True),
        ("{local: false, backends: gpu}", False),
        ("{local: false}", True),
        ("{local: true, kinds: openai}", False),
        ("{models: whatever}", True),
    ],
)
def test_a_rule_that_no_backend_meets(loaded: Load, selection: str, met: bool) -> None:
    for wish, effect in (("prefer", "it has no effect"), ("require", "nobody can serve what it is about")):
        found = told(loaded, f"rules: [{{{wish}: {selection}}}]")
        expected = [f"routing.rules[0].{wish}: is met by none of `backends`: {effect}"]
        assert found == ([] if met else expected)


def test_of_a_backend_whose_kind_is_found_out_only_the_rest_is_known(loaded: Load) -> None:
    assert told(loaded, "rules: [{prefer: {kinds: llamacpp, backends: box}}]", FOUND_OUT) == []
    (warning,) = told(loaded, "rules: [{prefer: {kinds: llamacpp, labels: {room: x}}}]", FOUND_OUT)
    assert "is met by none" in warning


def test_without_backends_nothing_is_known_of_them(loaded: Load) -> None:
    assert told(loaded, "rules: [{prefer: {labels: {room: x}}}]", "") == []


def test_a_kind_that_nobody_is_of_is_told_once(loaded: Load) -> None:
    (warning,) = told(loaded, "rules: [{require: {kinds: anthropic, labels: {room: x}}}]")
    assert "leads nowhere with anthropic" in warning


@pytest.mark.parametrize(
    ("when", "least"),
    [
        ('prompt_tokens: "< 0"', 0),
        ('prompt_tokens: "<= 0"', None),
        ('prompt_tokens: "< 100"', None),
        ('batch_size: "< 1"', 1),
        ("batch_size: 0", 1),
        ("batch_size: 1", None),
    ],
)
def test_a_condition_that_never_holds(loaded: Load, when: str, least: int | None) -> None:
    found = told(loaded, f"rules: [{{when: {{{when}}}, prefer: {{backends: box}}}}]")
    key = when.partition(":")[0]
    expected = [f"routing.rules[0].when.{key}: never holds: it is {least} at least"]
    assert found == ([] if least is None else expected)


@pytest.mark.parametrize(
    ("sizes", "reached"),
    [
        (["< 8B", "8B - 13B", "> 13B"], True),
        (["< 8B", "3B - 7B"], False),
        (["< 8B", "< 8B"], False),
        (["< 8B", "<= 8B"], True),
        (["<= 8B", "< 8B"], False),
        ([">= 7B", "> 13B"], False),
        (["> 7B", "7B"], True),
        (["3B - 7B", "< 8B"], True),
        ([">= 1M", "< 8B"], True),
    ],
)
def test_a_size_that_an_earlier_entry_has_all_of(loaded: Load, sizes: list[str], reached: bool) -> None:
    entries = ", ".join(f"{{size: '{size}', kinds: ollama}}" for size in sizes)
    found = told(loaded, f"sizes: [{entries}]")
    expected = [
        "routing.sizes[1].size: is never reached: routing.sizes[0] comes first and has all these sizes"
    ]
    assert found == ([] if reached else expected)


def test_a_capability_that_is_nearly_one_that_backends_tell_of(loaded: Load) -> None:
    (warning,) = told(loaded, "capabilities: {vission: {min_context: 100}}")
    assert "did you mean 'vision'?" in warning
    assert told(loaded, "capabilities: {code_generation: {min_context: 100}, vision: {min_context: 1}}") == []


def test_a_service_that_tells_no_models_and_of_which_none_is_named(loaded: Load) -> None:
    claude = "backends: [{name: claude, kind: anthropic, api_key: none}]\n"
    (warning,) = told(loaded, "", claude)
    assert warning.startswith("backends[0]: serves nothing: this kind is not asked for its models")
    assert told(loaded, "", f"{claude}models: [{{name: haiku, deployments: [{{backend: claude}}]}}]") == []


def test_a_service_of_one_model_is_known_to_serve_it(loaded: Load) -> None:
    groq = "backends: [{name: groq, kind: litellm, litellm_params: {model: groq/llama-8b}}]"
    assert told(loaded, "default_model: llama-8b", groq) == []
    (warning,) = told(loaded, "default_model: llama-70b", groq)
    assert "names 'llama-70b', which nothing in this file serves" in warning
