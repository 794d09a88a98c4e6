"""`check` and the `config` commands, as a user types them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from zoe_grpcd import examples
from zoe_grpcd.cli import main

FILES = Path(__file__).parent / "config" / "litellm"

FACTS = """
backends:
  - {name: box, kind: ollama, url: "http://127.0.0.1:11434"}
  - {name: cloud, kind: openai, api_key: k}
  - {name: other, kind: litellm, litellm_params: {model: mistral/mistral-small-latest}}
models:
  - name: small
    deployments: [{backend: box, model: m, params: {num_ctx: 8192}}]
  - name: big
    capabilities: [code]
    deployments:
      - {backend: cloud, model: gpt-4o}
      - {backend: other, cost: {input_per_mtok_usd: 0.2, output_per_mtok_usd: 0.6}}
"""

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def facts(tmp_path: Path) -> str:
    file = tmp_path / "config.yaml"
    file.write_text(FACTS, encoding="utf-8")
    return str(file)


def told(capsys: Capture, *argv: str, status: int = 0) -> tuple[str, str]:
    """Output and complaints."""
    assert main(argv) == status
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_check_tells_where_each_fact_comes_from(facts: str, capsys: Capture) -> None:
    lines = told(capsys, "check", "--config", facts)[0].splitlines()
    assert "             window of 8192 tokens (configuration)" in lines
    listed = next(line for line in lines if "price list" in line and "@ cloud" in line)
    assert "$2.5 in, $10 out, $1.25 cached for a million tokens; window of 128000 tokens" in listed
    assert any("$0.2 in, $0.6 out" in line and "(configuration) @ other" in line for line in lines)


def test_check_tells_whose_price_nobody_knows(facts: str, capsys: Capture, tmp_path: Path) -> None:
    unpriced = "             price not known: it counts as free"
    assert unpriced not in told(capsys, "check", "--config", facts)[0]
    file = tmp_path / "own.yaml"
    file.write_text(
        "backends: [{name: theirs, kind: litellm, litellm_params: {model: groq/of-our-own}}]\n"
        "models: [{name: m, deployments: [{backend: theirs}]}]\n"
    )
    assert unpriced in told(capsys, "check", "--config", str(file))[0].splitlines()


def test_check_tells_the_same_as_json(facts: str, capsys: Capture) -> None:
    data: dict[str, Any] = json.loads(told(capsys, "check", "--json", "--config", facts)[0])
    cloud, other = data["models"][1]["deployments"]
    assert cloud["facts"]["cost"]["source"] == "LiteLLM's price list"
    assert cloud["facts"]["cost"]["value"]["input_per_mtok_usd"] == 2.5
    assert cloud["facts"]["capabilities"] == {"value": ["code"], "source": "configuration"}
    assert "vision" in cloud["facts"]["more_capabilities"]["value"]
    assert other["facts"]["cost"]["source"] == "configuration"
    assert other["facts"]["context_tokens"]["source"] == "LiteLLM's price list"


ROUTING = """
routing:
  aliases: {fast: small, gpt-4: gone, raw: m, known: x-large}
  default_model: elsewhere
  intents: {code: {model: big}}
  patterns: [{pattern: "x.*", backends: box, fallback: spare}, {pattern: "y.*", backends: box, fallback: nowhere}]
  fallback_chains: {spare: [{models: [gpt-4o, absent]}]}
"""


def test_check_tells_which_names_only_a_backend_can_turn_out_to_serve(facts: str, capsys: Capture) -> None:
    with Path(facts).open("a", encoding="utf-8") as file:
        file.write(ROUTING)
    names = ["absent", "elsewhere", "gone", "nowhere"]
    lines = [
        line for line in told(capsys, "check", "--config", facts)[0].splitlines() if "not stated" in line
    ]
    assert [line.split()[2] for line in lines] == [f"{name}:" for name in names]
    assert json.loads(told(capsys, "check", "--json", "--config", facts)[0])["unstated"] == names


def test_check_tells_mistakes_as_json_where_that_is_wanted(facts: str, capsys: Capture) -> None:
    Path(facts).write_text("server: {drain_timeout: soon}\nnothing: 1\n", encoding="utf-8")
    out, err = told(capsys, "check", "--json", "--config", facts, status=78)
    first, second = json.loads(out)["mistakes"]
    assert (first["file"], first["line"], first["path"]) == (facts, 1, "server.drain_timeout")
    assert first["message"].startswith("must be a duration")
    assert (second["line"], second["path"], err) == (2, "nothing", "")


@pytest.mark.parametrize("name", examples.NAMES)
def test_an_example_is_printed(name: str, capsys: Capture) -> None:
    out, _ = told(capsys, "config", "example", name)
    assert out == examples.text(name)


def test_an_import_prints_the_file_and_what_is_not_in_it(capsys: Capture) -> None:
    out, err = told(capsys, "config", "import-litellm", str(FILES / "home.yaml"))
    assert yaml.safe_load(out)["models"][0]["name"] == "chat"
    expected = f"note: {FILES / 'home.yaml'}:30: litellm_settings.success_callback: has no counterpart"
    assert err.splitlines() == [expected]


def test_an_import_of_something_else_is_refused(facts: str, capsys: Capture) -> None:
    out, err = told(capsys, "config", "import-litellm", facts, status=78)
    assert out == ""
    assert "is no LiteLLM proxy file" in err


def test_check_takes_a_litellm_file(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    out, err = told(capsys, "check", "--config", str(FILES / "home.yaml"))
    assert "model        big: claude-sonnet-4-5 @ anthropic" in out
    assert "litellm_settings.success_callback: has no counterpart" in err


def test_check_tells_who_may_call_and_no_key(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "auth: {keys: [{name: app, key: zoe-s3cret, models: ['q*', m], rpm: 5, daily_budget_usd: 2.5},"
        " {name: boss, key: zoe-s3cret2, admin: true, priority: critical, locality: local_only}]}"
    )
    out, _ = told(capsys, "check", "--config", str(file))
    assert "key          app: q*, m; priority up to normal; 5 requests a minute; 2.5 USD a day" in out
    assert "key          boss: *; priority up to critical; locality local_only; admin" in out
    as_json, _ = told(capsys, "check", "--config", str(file), "--json")
    assert [key["name"] for key in json.loads(as_json)["keys"]] == ["app", "boss"]
    assert "s3cret" not in out + as_json


def test_check_tells_that_nobody_needs_a_key(facts: str, capsys: Capture) -> None:
    assert "keys         none: only this machine can call" in told(capsys, "check", "--config", facts)[0]
