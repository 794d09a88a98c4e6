from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoe_grpcd.config import ConfigError, Loaded, dump, load

SECRETS = {
    "ASSISTANT_KEY": "zoe-s3cret-assistant",
    "OPERATOR_KEY_SHA256": "5ec2e7" * 10 + "beef",
    "OPENAI_API_KEY": "zoe-s3cret-openai",
    "MISTRAL_API_KEY": "zoe-s3cret-mistral",
}
EXAMPLE = Path(__file__).parents[2] / "zoe-grpcd.example.yaml"


def test_secrets_are_masked_wherever_a_configuration_is_shown(loaded: Callable[..., Loaded]) -> None:
    result = loaded(
        """\
        backends:
          - {name: a, kind: openai, api_key: literal-s3cret}
          - {name: b, kind: litellm, litellm_params: {model: x/y, api_key: "${KEY}", extra: {deep: s3cret-2}}}
        models: [{name: m, deployments: [{backend: a, params: {headers: {x-api-key: s3cret-4}}}]}]
        state: {url: "redis://user:s3cret-3@h:1/0?password=s3cret-5"}
        """,
        KEY="from-env-s3cret",
    )
    shown = f"{result.config.backends!r}{result.config.state!r}{result.warnings}"
    assert "s3cret" not in shown
    text = dump(result.config)
    assert "s3cret" not in text
    assert "x/y" in text
    assert "redis://**********@h:1/0" in text
    assert result.config.state.url is not None
    assert result.config.state.url.get_secret_value() == "redis://user:s3cret-3@h:1/0?password=s3cret-5"


@pytest.mark.parametrize(
    "text",
    [
        "log: {level: '${KEY}'}",
        "backends: [{name: '${KEY}', url: '${KEY}', kind: '${KEY}', local: '${KEY}', weight: '${KEY}'}]",
        "backends: [{name: a, url: 'http://u:${KEY}@h', connect_timeout: '${KEY}', labels: '${KEY}'}]",
        "routing: {intents: {w: {patterns: ['(?P<${KEY}'], keywords: ['{${KEY}}', '@${KEY}']}}}",
        "models: [{name: m, size: '${KEY}', deployments: [{backend: '${KEY}'}]}]",
        "server: {listen: ['${KEY}'], max_receive_bytes: '${KEY}'}",
        "auth: {keys: [{name: a, key_sha256: s3cret}]}",
        "backends: [{name: a, url: 'http://u:s3cret@h', api_key: {s3cret: 1}, weight: 'a s3cret'}]",
        "state: {url: 'ftp://s3cret'}\ncache: {url: 's3cret://x'}",
    ],
)
def test_an_error_does_not_repeat_a_value_from_outside_or_one_that_may_hold_a_key(
    loaded: Callable[..., Loaded], text: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(text, KEY="s3cret")
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(caught.value)


def _mutated(text: str, random: Random) -> str:
    """The text after a few of the slips that happen in an editor."""
    lines = text.splitlines()
    for _ in range(random.randint(1, 6)):
        at = random.randrange(len(lines))
        line = lines[at]
        column = random.randint(0, len(line))
        lines[at : at + 1] = random.choice(
            [
                [],
                [line, line],
                ["  " + line],
                [line.removeprefix("  ")],
                [line.removesuffix(":")],
                [line[:column] + random.choice("\t:-{}[]#&*!|>'\"%@`,?~ \x00é$0") + line[column:]],
                [line[:column] + line[column + 1 :]],
                [line[:column], line[column:]],
                [
                    line.partition(":")[0]
                    + random.choice([": 1", ": true", ": [a]", ": {a: b}", ":", ": ''", ": -1e999"])
                ],
                [random.choice(lines)],
            ]
        ) or [""]
    return "\n".join(lines) + "\n"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False), st.booleans())
def test_whatever_is_done_to_the_example_ends_in_a_configuration_or_in_mistakes_without_secrets(
    random: Random, everything: bool
) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    if everything:
        text = "\n".join(line.replace("#", "", 1) if _is_option(line) else line for line in text.splitlines())
    with TemporaryDirectory() as folder:
        file = Path(folder, "c.yaml")
        file.write_text(_mutated(text, random), encoding="utf-8")
        shown = _outcome(file)
    assert shown
    assert not [secret for secret in SECRETS.values() if secret in shown]


def _outcome(file: Path) -> str:
    """All that is ever shown of a configuration."""
    try:
        result = load(file, SECRETS)
    except ConfigError as error:
        return "\n".join(map(str, error.problems))
    return f"{result.warnings}{dump(result.config)}"


def _is_option(line: str) -> bool:
    stripped = line.lstrip()
    return stripped.startswith("#") and not stripped.startswith(("# ", "##")) and stripped != "#"
