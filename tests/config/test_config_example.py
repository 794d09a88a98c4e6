import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from certificates import Authority

from zoe_grpcd.config import Config, Loaded, defaults, json_schema, load
from zoe_grpcd.config.crosscheck import find
from zoe_grpcd.config.routing import Intent
from zoe_grpcd.config.section import options
from zoe_grpcd.core.intents import FIELDS, SHIPPED

EXAMPLE = Path(__file__).parents[2] / "zoe-grpcd.example.yaml"
ENV = {
    "ASSISTANT_KEY": "a",
    "OPERATOR_KEY_SHA256": "0" * 64,
    "OPENAI_API_KEY": "b",
    "MISTRAL_API_KEY": "c",
    "XDG_RUNTIME_DIR": "/run/user/1",
}


def everything() -> str:
    """The example with each option switched on: `#key: value` -> `key: value`."""
    return re.sub(r"(?m)^( *)#(?=[^ \n-]|- )", r"\1", EXAMPLE.read_text(encoding="utf-8"))


def test_the_example_loads_as_it_is() -> None:
    result = load(EXAMPLE, ENV)
    assert result.warnings == ()
    assert [backend.name for backend in result.config.backends] == ["ollama", "llama"]


def test_what_the_example_gives_as_a_default_is_the_default() -> None:
    example, default = load(EXAMPLE, ENV).config, defaults(ENV)
    for section in (
        "server",
        "auth",
        "reliability",
        "admission",
        "cache",
        "state",
        "log",
        "telemetry",
        "images",
    ):
        assert getattr(example, section) == getattr(default, section)
    assert example.routing.model_copy(update={"aliases": {}}) == default.routing
    assert example.drop_params == default.drop_params


def test_every_option_may_be_switched_on(tmp_path: Path) -> None:
    file = tmp_path / "everything.yaml"
    file.write_text(everything(), encoding="utf-8")
    Authority(tmp_path, "clients").server("server")
    (tmp_path / "keys.yaml").write_text("[{name: another, key: zoe-1}]")
    (tmp_path / "keys.yaml").chmod(0o600)
    assert [key.name for key in load(file, ENV).config.auth.everyone] == ["assistant", "operator", "another"]


def test_every_option_is_in_the_example() -> None:
    data = yaml.safe_load(everything())
    documented = [path.replace("[]", ".[]") for path, _, _ in options(Config)]
    assert len(documented) > 150
    assert [path for path in documented if not any(find(data, path))] == []


def test_every_option_of_the_example_is_explained_above_it() -> None:
    lines = [line.strip() for line in EXAMPLE.read_text(encoding="utf-8").splitlines()]
    is_explanation = [line.startswith("# ") for line in lines]
    bare = [
        line
        for above, line, explained in zip(lines, lines[1:], is_explanation, strict=False)
        if re.match(r"#?[a-z_]+: ?\S", line) and not explained and not re.match(r"#?(- )?[\w-]+:", above)
    ]
    assert bare == []


@pytest.mark.parametrize(
    "text", [EXAMPLE.read_text(encoding="utf-8"), everything()], ids=["as it is", "everything"]
)
def test_the_example_is_valid_by_the_schema(text: str) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(yaml.safe_load(text))


def test_the_schema_is_a_schema_and_explains_every_option() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    objects = [schema, *schema["$defs"].values()]
    properties = [(name, value) for one in objects for name, value in one.get("properties", {}).items()]
    assert [name for name, value in properties if not _description(value, schema)] == []


def _description(value: Any, schema: Any) -> str:
    """What an editor shows: of the option, else of the section that it refers to."""
    references = [choice["$ref"] for choice in value.get("anyOf", ()) if "$ref" in choice]
    sections = (schema["$defs"][reference.removeprefix("#/$defs/")] for reference in references)
    return value.get("description") or next((section["description"] for section in sections), "")


@pytest.mark.parametrize(
    ("data", "valid"),
    [
        ({}, True),
        ({"server": None}, True),
        ({"server": {"drain_timeout": "30s"}}, True),
        ({"server": {"drain_timeout": 0}}, True),
        ({"server": {"drain_timeout": 30}}, False),
        ({"server": {"max_concurrent_streams": "${N}"}}, True),
        ({"server": {"max_concurrent_streams": "many"}}, False),
        ({"server": {"metrics_listen": "off"}}, True),
        ({"log": {"level": "loud"}}, False),
        ({"log": {"level": "${LEVEL:-info}"}}, True),
        ({"lock": {}}, False),
        ({"drop_params": "yes"}, True),
        ({"drop_params": "maybe"}, False),
        ({"routing": {"aliases": {"a": "b", "c": ["d"]}}}, True),
        ({"routing": {"aliases": {"a": 1}}}, False),
        ({"backends": [{"name": "a", "url": "localhost"}]}, False),
        ({"backends": [{"kind": "ollama"}]}, False),
    ],
)
def test_the_schema_judges_as_loading_does(data: Any, valid: bool) -> None:
    assert jsonschema.Draft202012Validator(json_schema()).is_valid(data) is valid


def test_the_keys_of_an_intent_are_those_that_the_classifier_takes() -> None:
    assert set(Intent.model_fields) == FIELDS


def test_every_intent_that_ships_can_be_edited_without_a_warning(loaded: Callable[..., Loaded]) -> None:
    names = ", ".join(f"{intent.name}: {{temperature: 0.5}}" for intent in SHIPPED)
    assert loaded(f"routing: {{intents: {{{names}}}}}").warnings == ()
