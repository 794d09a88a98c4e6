"""What a server would never come to an end with, or end by, is refused: a caller may not take a backend down."""

import json
import time
from typing import Any

import pytest
from rpc.specs import spec_of, violations

from zoe_grpcd.rpc.endless import of_grammar, of_schema

UPSIDE_DOWN = "must be a schema that something matches: "
SCHEMA = "spec.response_format.json_schema.schema_json"
GRAMMAR = "spec.response_format.grammar"


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({"minLength": 5, "maxLength": 2}, "minLength 5 is above maxLength 2"),
        ({"items": {"minItems": 2, "maxItems": 1}}, "['items'] minItems 2 is above maxItems 1"),
        ({"minProperties": 1, "maxProperties": 0}, "minProperties 1 is above maxProperties 0"),
        ({"anyOf": [{}, {"minimum": 0.5, "maximum": 0}]}, "['anyOf'][1] minimum 0.5 is above maximum 0"),
        (
            {"exclusiveMinimum": 9, "exclusiveMaximum": 1},
            "exclusiveMinimum 9 is above exclusiveMaximum 1",
        ),
        (
            {"properties": {"enum": {"minLength": 5, "maxLength": 2}}},
            "['properties']['enum'] minLength 5 is above maxLength 2",
        ),
        (
            {"$defs": {"short": {"minLength": 5, "maxLength": 2}}},
            "['$defs']['short'] minLength 5 is above maxLength 2",
        ),
    ],
)
def test_bounds_that_are_upside_down_are_named(schema: dict[str, Any], where: str) -> None:
    text = json.dumps(schema)
    tools = [{"name": "f", "parameters_json_schema": text}]
    spec = spec_of({"response_format": {"json_schema": {"schema_json": text}}, "tools": tools})

    assert violations(spec) == [
        ("spec.tools[0].parameters_json_schema", UPSIDE_DOWN + where),
        (SCHEMA, UPSIDE_DOWN + where),
    ]


def test_they_are_found_in_a_schema_that_is_too_large_to_be_checked_otherwise() -> None:
    schema = {"description": "x" * 20_000, "minLength": 5, "maxLength": 2}
    spec = spec_of({"response_format": {"json_schema": {"schema_json": json.dumps(schema)}}})

    assert violations(spec) == [(SCHEMA, UPSIDE_DOWN + "minLength 5 is above maxLength 2")]


@pytest.mark.parametrize(
    "schema",
    [
        {"minLength": 2, "maxLength": 2, "minimum": 0, "maximum": 0.5},
        {"const": {"minLength": 5, "maxLength": 2}},
        {"enum": [{"minLength": 5, "maxLength": 2}], "default": {"minLength": 5, "maxLength": 2}},
        {"properties": {"minLength": {"type": "integer"}, "maxLength": {"type": "integer"}}},
        {"pattern": r"^a{2,5}b{3,}\{5,2\}[{5,2}]$"},
    ],
)
def test_what_only_looks_like_it_is_none_of_them(schema: dict[str, Any]) -> None:
    spec = spec_of({"response_format": {"json_schema": {"schema_json": json.dumps(schema)}}})

    assert violations(spec) == []


def test_a_pattern_is_held_to_the_same() -> None:
    assert of_schema({"pattern": "^a{5,2}$"}) == (
        UPSIDE_DOWN + "pattern must not repeat at least 5 and at most 2 times"
    )
    assert of_schema({"pattern": "(" * 501 + ")" * 501}) == (
        UPSIDE_DOWN + "pattern must not have groups within each other 500 deep"
    )


@pytest.mark.parametrize(
    ("grammar", "problem"),
    [
        ('root ::= "a"{5,2}', "must not repeat at least 5 and at most 2 times"),
        ('root ::= "a"{ 10 , 9 }', "must not repeat at least 10 and at most 9 times"),
        (
            "root ::= " + "(" * 501 + '"a"' + ")" * 501,
            "must not have groups within each other 500 deep",
        ),
    ],
)
def test_a_grammar_that_never_ends_is_refused(grammar: str, problem: str) -> None:
    assert violations(spec_of({"response_format": {"grammar": grammar}})) == [(GRAMMAR, problem)]


def test_a_backends_own_options_are_held_to_the_same() -> None:
    own = {"grammar": 'root ::= "a"{5,2}', "json_schema": {"minLength": 5, "maxLength": 2}}

    assert violations(spec_of({"backend_options": own})) == [
        ("spec.backend_options.grammar", "must not repeat at least 5 and at most 2 times"),
        ("spec.backend_options.json_schema", UPSIDE_DOWN + "minLength 5 is above maxLength 2"),
    ]


@pytest.mark.parametrize(
    "grammar",
    [
        'root ::= "a"{2,5} [{5,2}]{007,8} "{5,2}" # {5,2}',
        r'root ::= "\"{5,2}" "((((" [(\](]',
        'root ::= "never closed {5,2}',
        "root ::= [never closed {5,2}\\",
        "root ::= " + "()" * 1000,
        "root ::= " + "(" * 500 + '"a"' + ")" * 500,
    ],
)
def test_a_grammar_that_only_looks_like_it_goes_to_the_server(grammar: str) -> None:
    assert violations(spec_of({"response_format": {"grammar": grammar}})) == []


@pytest.mark.parametrize("part", ["[", '"', "(", "{1", "{1,", "\\", '"\\', "[\\", "{1,2", "()", "# "])
def test_the_longest_one_is_looked_at_at_once(part: str) -> None:
    grammar = part * (200_000 // len(part))
    began = time.process_time()
    of_grammar(grammar)
    of_schema({"pattern": grammar})

    assert time.process_time() - began < 2  # 0.05 s; with squares in it, hours
