"""What can never be reached, or leads nowhere, is a warning; what is only unusual is none."""

from collections.abc import Callable

import pytest

from zoe_grpcd.config import Loaded
from zoe_grpcd.config.reach import samples

Load = Callable[..., Loaded]

BACKENDS = """
backends:
  - {name: box, kind: ollama, url: "http://127.0.0.1:11434"}
  - {name: gpu, kind: openai, url: "http://127.0.0.1:8000"}
"""
CLOUD = "\nbackends: [{name: cloud, kind: litellm, litellm_params: {model: a/b}}]\n"


def told(loaded: Load, routing: str, backends: str = BACKENDS, models: str = "") -> list[str]:
    """The warnings, each as `path: message`."""
    text = f"{backends}\n{models}\nrouting: {{{routing}}}\n"
    return [f"{problem.path}: {problem.message}" for problem in loaded(text).warnings]


def patterns(*expressions: str) -> str:
    return "patterns: [" + ", ".join(f"{{pattern: '{text}', backends: box}}" for text in expressions) + "]"


def rules(*texts: str) -> str:
    return "rules: [" + ", ".join(f"{{{text}}}" for text in texts) + "]"


@pytest.mark.parametrize(
    ("expressions", "warning"),
    [
        (["llama.*", "llama-3.*"], "[1].pattern: is never reached: routing.patterns[0] comes first"),
        ([".*", "qwen.*"], "[1].pattern: is never reached"),
        (["(llama|qwen).*", "qwen2[.]5.*"], "[1].pattern: is never reached"),
        (["llama.*", "llama.*"], "[1].pattern: is never reached"),
        (["llama-3.*", "llama.*"], "[1].pattern: overlaps with routing.patterns[0], which comes first"),
        (["llama-x", "llama-.*"], "[1].pattern: overlaps with routing.patterns[0], which comes first"),
        (
            [".*-7b", "llama.*"],
            "[1].pattern: overlaps with routing.patterns[0], which comes first: both match 'llama-7b'",
        ),
        (
            ["gpt-4.*", ".*-mini"],
            "[1].pattern: overlaps with routing.patterns[0], which comes first: both match 'gpt-4-mini'",
        ),
        (["openai/.*", "openai/(?P<model>.+)"], "[1].pattern: is never reached"),
        (["openai/(?P<model>.+)", "groq/(?P<model>.+)"], None),
        (["a.*b", "ax.*"], "[1].pattern: overlaps with routing.patterns[0], which comes first"),
        (["llama.*", "qwen.*"], None),
        (["gpt-4.*", "gpt-3.*"], None),
        ([r"gpt-\d+", r"claude-\d+.*"], None),
        (
            ["llama*"],
            "[0].pattern: is a regular expression, in which * repeats what is before it; perhaps llama.*",
        ),
        (["[a-z]*", r"(x|y)*"], None),
    ],
)
def test_patterns_in_each_others_way(loaded: Load, expressions: list[str], warning: str | None) -> None:
    found = told(loaded, patterns(*expressions))
    if warning is None:
        assert found == []
    else:
        assert warning in found[0]
        assert len(found) == 1


def test_a_pattern_for_one_name_that_is_taken(loaded: Load) -> None:
    models = "models: [{name: coder, deployments: [{backend: box}]}]"
    routing = f"aliases: {{fast.one: coder}}, {patterns('coder', 'fast[.]one', 'other')}"
    assert told(loaded, routing, models=models) == [
        "routing.patterns[0].pattern: is never reached: one of `models` has that name, and comes first"
    ]
    assert told(loaded, f"aliases: {{fast: coder}}, {patterns('fast')}") == [
        "routing.patterns[0].pattern: is never reached: an alias has that name, and comes first"
    ]


@pytest.mark.parametrize(
    ("texts", "warning"),
    [
        (["require: {local: true}", "require: {local: false}"], "[1].require: contradicts routing.rules[0]"),
        (
            ["require: {local: true}", "when: {has_image: true}, prefer: {local: false}"],
            "[1].prefer: contradicts routing.rules[0], which always holds with it: it has no effect",
        ),
        (
            [
                "when: {priority: [high, low]}, require: {kinds: ollama}",
                "when: {priority: high, stream: true}, require: {kinds: openai}",
            ],
            "[1].require: contradicts routing.rules[0], which always holds with it: nobody can serve",
        ),
        (["when: {priority: high}, require: {kinds: ollama}", "require: {kinds: openai}"], None),
        (
            [
                "when: {stream: true}, require: {kinds: ollama}",
                "when: {stream: false}, require: {kinds: openai}",
            ],
            None,
        ),
        (["require: {kinds: [ollama, openai]}", "require: {kinds: openai}"], None),
        (["prefer: {kinds: ollama}", "require: {kinds: openai}"], None),
        (["require: {labels: {room: a}}", "prefer: {labels: {room: b}}"], "[1].prefer: contradicts"),
        (["require: {labels: {room: a}}", "prefer: {labels: {floor: b}}"], None),
        (["require: {kinds: ollama}", "fallback: m"], None),
        (
            ["require: {kinds: ollama}", "require: {backends: gpu}"],
            "[1].require: contradicts routing.rules[0]",
        ),
        (["require: {kinds: ollama}", "require: {backends: box}"], None),
    ],
)
def test_a_rule_behind_one_that_forbids_what_it_wants(
    loaded: Load, texts: list[str], warning: str | None
) -> None:
    found = [text for text in told(loaded, rules(*texts)) if "is met by none" not in text]
    assert len(found) == (warning is not None)
    assert warning is None or warning in found[0]


def test_a_kind_that_no_backend_is_of(loaded: Load) -> None:
    routing = "sizes: [{size: '< 8B', kinds: [ollama, anthropic]}]"
    assert told(loaded, routing) == [
        "routing.sizes[0].kinds: leads nowhere with anthropic: no backend is of that kind"
    ]
    found_out = "backends: [{name: box, url: 'http://127.0.0.1:11434'}]"
    assert told(loaded, routing, backends=found_out) == []


@pytest.mark.parametrize(
    ("routing", "backends", "warning"),
    [
        (
            "default_model: codr",
            BACKENDS,
            "names 'codr', which nothing in this file serves; did you mean 'coder'?",
        ),
        ("default_model: qwen3:4b", BACKENDS, None),  # may be served, for all that is known
        ("default_model: llama", BACKENDS, None),
        ("default_model: llama", CLOUD, "names 'llama', which nothing in this file serves"),
        ("default_model: coder", CLOUD, None),
        ("default_model: llama, patterns: [{pattern: 'llama.*', kinds: [litellm]}]", CLOUD, None),
        ("intents: {code: {model: codr}}, patterns: [{pattern: cod.*, backends: [box]}]", BACKENDS, None),
        (
            "fallback_chains: {default: [{models: high}], high: [{models: coder}]}",
            CLOUD,
            "names 'high', which nothing in this file serves",
        ),
        ("fallback_chains: {codr: [{models: coder}]}", BACKENDS, "is a chain that nothing calls by its name"),
        ("fallback_chains: {defualt: [{models: coder}]}", BACKENDS, "did you mean 'default'?"),
        ("fallback_chains: {vision: [{models: coder}]}", BACKENDS, None),
    ],
)
def test_names_that_nothing_serves(loaded: Load, routing: str, backends: str, warning: str | None) -> None:
    place = "cloud" if backends is CLOUD else "box"
    models = f"models: [{{name: coder, deployments: [{{backend: {place}}}]}}, {{name: 'qwen3:8b'}}]"
    found = told(loaded, routing, backends, models)
    assert len(found) == (warning is not None), found
    assert warning is None or warning in found[0]


@pytest.mark.parametrize(
    ("pattern", "some"),
    [
        ("llama.*", "llama-7b"),
        ("(a|b)-x", "b-x"),
        (r"gpt-\d+", "gpt-7"),
        (r"a\.b", "a.b"),
        ("(?i)x", "x"),
        ("^llama.*$", "llama-7b"),
    ],
)
def test_names_that_a_pattern_is_made_for(pattern: str, some: str) -> None:
    assert some in samples(pattern)


def test_a_pattern_too_intricate_to_tell_has_no_samples() -> None:
    assert samples(r"(?=a)((b|c)+)\1") == []


def test_only_a_fallback_may_be_a_chain(loaded: Load) -> None:
    chain = "fallback_chains: {coder-chain: [{kinds: ollama}]}"
    models = "models: [{name: coder-chair}]"
    assert told(loaded, f"{chain}, rules: [{{fallback: coder-chain}}]", models=models) == []
    found = told(loaded, f"{chain}, default_model: coder-chain", models=models)
    assert any(
        "default_model: names 'coder-chain', which nothing in this file serves" in text for text in found
    )
