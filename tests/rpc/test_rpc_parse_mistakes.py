"""What is refused: every violation by its path, all at once."""

import math
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from rpc.specs import assistant, call, result, spec_of, text, user, violations
from rpc.stage import asked

from zoe.inference.v1 import message_pb2 as msg
from zoe.inference.v1 import spec_pb2 as pb
from zoe_grpcd.core.errors import InvalidRequest
from zoe_grpcd.core.strategies import STRATEGIES
from zoe_grpcd.rpc.parse import REQUEST_ID_RULE, ask_of

NAN, INF = math.nan, math.inf
NAME = "must be 1 to 64 letters, digits, '_', '-' or '.'"
UNANSWERED = "must be the id of a tool call of the assistant message before it, not answered yet"


NUMBERS = [("temperature", bad, "must be between 0 and 2") for bad in (-0.1, 2.1, NAN, INF, -INF)] + [
    ("top_p", 0.0, "must be above 0 and at most 1"),
    ("top_p", 1.01, "must be above 0 and at most 1"),
    ("top_p", NAN, "must be above 0 and at most 1"),
    ("min_p", -0.5, "must be between 0 and 1"),
    ("frequency_penalty", 2.5, "must be between -2 and 2"),
    ("presence_penalty", -2.5, "must be between -2 and 2"),
    ("repetition_penalty", 0.0, "must be above 0 and at most 10"),
    ("repetition_penalty", INF, "must be above 0 and at most 10"),
    ("top_k", 2**31, "must be between 0 and 2147483647"),
]


@pytest.mark.parametrize(("field", "value", "rule"), NUMBERS)
def test_a_sampling_number_out_of_its_range_is_named(field: str, value: float, rule: str) -> None:
    spec = asked(sampling=pb.SamplingParams(**{field: value}))  # type: ignore[arg-type]

    assert violations(spec) == [(f"spec.sampling.{field}", rule)]


@pytest.mark.parametrize("bias", [100.5, -101, NAN])
def test_a_bias_out_of_its_range_is_named_by_its_token(bias: float) -> None:
    spec = asked(sampling=pb.SamplingParams(logit_bias={5: 1.0, 7: bias}))

    assert violations(spec) == [("spec.sampling.logit_bias[7]", "must be between -100 and 100")]


WRONG: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "no messages": ({"messages": []}, [("spec.messages", "must hold at least one message")]),
    "no role": (
        {"messages": [{"parts": [text("x")]}]},
        [("spec.messages[0].role", "must be SYSTEM, DEVELOPER, USER, ASSISTANT or TOOL")],
    ),
    "a role of another age": (
        {"messages": [{"role": 99, "parts": [text("x")]}]},
        [("spec.messages[0].role", "must be SYSTEM, DEVELOPER, USER, ASSISTANT or TOOL")],
    ),
    "no parts": ({"messages": [user()]}, [("spec.messages[0].parts", "must hold at least one part")]),
    "parts that are nothing": (
        {"messages": [user({}, text("x"), {})]},
        [(f"spec.messages[0].parts[{i}]", "must be image or text in a message of role USER") for i in (0, 2)],
    ),
    "parts of another role": (
        {
            "messages": [
                {"role": "ROLE_SYSTEM", "parts": [call(), {"image": {"data": "AAAA"}}]},
                user(text("x")),
            ]
        },
        [(f"spec.messages[0].parts[{i}]", "must be text in a message of role SYSTEM") for i in (0, 1)],
    ),
    "a tool that speaks": (
        {"messages": [{"role": "ROLE_TOOL", "parts": [text("x")]}]},
        [("spec.messages[0].parts[0]", "must be tool_result in a message of role TOOL")],
    ),
    "instructions in the middle": (
        {"messages": [user(text("x")), {"role": "ROLE_SYSTEM", "parts": [text("y")]}]},
        [("spec.messages[1].role", "must not be SYSTEM or DEVELOPER after another role has spoken")],
    ),
    "two answers at the end": (
        {"messages": [user(text("x")), assistant(text("y")), assistant(text("z"))]},
        [
            (
                "spec.messages",
                "must not end with two assistant messages; one is a prefill that is continued",
            )
        ],
    ),
    "a result without a call": (
        {"messages": [user(text("x")), result("c1")]},
        [("spec.messages[1].parts[0].tool_result.tool_call_id", UNANSWERED)],
    ),
    "a result given twice": (
        {"messages": [user(text("x")), assistant(call()), result("c1", "c1")]},
        [("spec.messages[2].parts[1].tool_result.tool_call_id", UNANSWERED)],
    ),
    "a result after somebody else spoke": (
        {"messages": [user(text("x")), assistant(call()), user(text("y")), result("c1")]},
        [("spec.messages[3].parts[0].tool_result.tool_call_id", UNANSWERED)],
    ),
    "calls that are none": (
        {"messages": [assistant(call(id="", name="a b", arguments="{"), call(), call())]},
        [
            ("spec.messages[0].parts[0].tool_call.id", "must be set, and another one for each call"),
            ("spec.messages[0].parts[0].tool_call.name", NAME),
            (
                "spec.messages[0].parts[0].tool_call.arguments_json",
                "must be valid JSON (Expecting property name enclosed in double quotes at character 1)",
            ),
            ("spec.messages[0].parts[2].tool_call.id", "must be set, and another one for each call"),
        ],
    ),
    "arguments that are no object": (
        {"messages": [assistant(call(arguments="[1]"))]},
        [("spec.messages[0].parts[0].tool_call.arguments_json", "must be a JSON object")],
    ),
    "arguments with a number that JSON lacks": (
        {"messages": [assistant(call(arguments='{"x": NaN}'))]},
        [("spec.messages[0].parts[0].tool_call.arguments_json", "must be valid JSON")],
    ),
    "a sealed thought": (
        {"messages": [assistant({"reasoning": {"opaque": "AAAA"}})]},
        [
            (
                "spec.messages[0].parts[0].reasoning.opaque",
                "must be empty: no backend here has given it",
            )
        ],
    ),
    "tools that are none": (
        {"tools": [{"name": "f"}, {"name": "f"}, {"name": ""}, {"name": "x" * 65}]},
        [
            ("spec.tools[1].name", "must be another one for each tool"),
            ("spec.tools[2].name", NAME),
            ("spec.tools[3].name", NAME),
        ],
    ),
    "schemas that are none": (
        {
            "tools": [
                {"name": n, "parameters_json_schema": s}
                for n, s in (("a", "{"), ("b", "[]"), ("c", '{"type": 5}'))
            ]
        },
        [
            (
                "spec.tools[0].parameters_json_schema",
                "must be valid JSON (Expecting property name enclosed in double quotes at character 1)",
            ),
            ("spec.tools[1].parameters_json_schema", "must be a JSON object"),
            (
                "spec.tools[2].parameters_json_schema",
                "must be a valid JSON Schema: ['type'] 5 is not valid under any of the given schemas",
            ),
        ],
    ),
    "a choice of no tool": (
        {"tool_choice": {"function_name": "f"}},
        [("spec.tool_choice.function_name", "must be the name of one of spec.tools")],
    ),
    "tools required, none given": (
        {"tool_choice": {"mode": "MODE_REQUIRED"}},
        [("spec.tool_choice.mode", "REQUIRED needs at least one tool in spec.tools")],
    ),
    "a mode of another age": (
        {"tool_choice": {"mode": 9}},
        [("spec.tool_choice.mode", "must be AUTO, NONE or REQUIRED")],
    ),
    "no schema": (
        {"response_format": {"json_schema": {"name": "a b"}}},
        [
            ("spec.response_format.json_schema.name", "must be at most 64 letters, digits, '_' or '-'"),
            (
                "spec.response_format.json_schema.schema_json",
                "must be valid JSON (Expecting value at character 0)",
            ),
        ],
    ),
    "no grammar": (
        {"response_format": {"grammar": ""}},
        [("spec.response_format.grammar", "must not be empty")],
    ),
    "limits": (
        {"max_output_tokens": 0, "stop": ["x"] * 17, "top_logprobs": 21, "reasoning": {"effort": 9}},
        [
            ("spec.max_output_tokens", "must be at least 1, or left out"),
            ("spec.stop", "must be at most 16 texts, none of them empty"),
            ("spec.top_logprobs", "must be between 0 and 20"),
            ("spec.reasoning.effort", "must be NONE, LOW, MEDIUM or HIGH"),
        ],
    ),
    "an empty stop": (
        {"stop": ["x", ""]},
        [("spec.stop", "must be at most 16 texts, none of them empty")],
    ),
    "a target without a name": (
        {
            "target": {
                "model": "",
                "fallback_models": [""],
                "allowed_backends": [""],
                "excluded_backends": [""],
            }
        },
        [
            ("spec.target.model", "must not be empty; leave the target out for auto"),
            ("spec.target.fallback_models", "must hold no empty name"),
            ("spec.target.allowed_backends", "must hold no empty name"),
            ("spec.target.excluded_backends", "must hold no empty name"),
        ],
    ),
    "capabilities without a name": (
        {"target": {"capability": {"required": [""], "preferred": [""]}}},
        [
            ("spec.target.capability.required", "must hold no empty name"),
            ("spec.target.capability.preferred", "must hold no empty name"),
        ],
    ),
    "a profile": (
        {"target": {"auto": {"profile": "fast"}}},
        [
            (
                "spec.target.auto.profile",
                "must be empty: no profiles are defined in this version",
            )
        ],
    ),
    "preferences of another age": (
        {
            "routing": {
                "locality": 9,
                "priority": 9,
                "latency_target": {"level": 9},
                "strategy": "luck",
                "failover": {"minimum_seam": 9, "max_attempts": 11},
            },
            "cache": {"mode": 9},
        },
        [
            ("spec.cache.mode", "must be DEFAULT, BYPASS, READ_ONLY or REFRESH"),
            ("spec.routing.locality", "must be LOCAL_ONLY, PREFER_LOCAL or ANY"),
            ("spec.routing.priority", "must be BATCH, LOW, NORMAL, HIGH or CRITICAL"),
            ("spec.routing.latency_target.level", "must be ULTRA_LOW, LOW, MEDIUM or HIGH"),
            (
                "spec.routing.strategy",
                f"must be one of {', '.join(STRATEGIES)}, or left out",
            ),
            ("spec.routing.failover.max_attempts", "must be at most 10"),
            ("spec.routing.failover.minimum_seam", "must be EXACT_TOKENS, TEXT_PREFILL, RESTART or NONE"),
        ],
    ),
    "times": (
        {
            "routing": {
                "latency_target": {"time_to_first_token": "-1s", "total": "-2s"},
                "failover": {"hedge_after": "-1s"},
            }
        },
        [
            (f"spec.routing.{name}", "must be a duration, and not negative")
            for name in ("failover.hedge_after", "latency_target.time_to_first_token", "latency_target.total")
        ],
    ),
    "costs": (
        {"routing": {"cost": {"weight": 1.5, "max_cost_micro_usd": -1}}},
        [
            ("spec.routing.cost.weight", "must be between 0 and 1"),
            ("spec.routing.cost.max_cost_micro_usd", "must not be negative"),
        ],
    ),
    "durations": (
        {"routing": {"max_queue_time": "-0.5s"}, "cache": {"ttl": "-1s"}},
        [
            ("spec.cache.ttl", "must be a duration, and not negative"),
            ("spec.routing.max_queue_time", "must be a duration, and not negative"),
        ],
    ),
    "options that make another call of it": (
        {"backend_options": {"model": "x", "num_ctx": 1, "_hidden": 1, "extra_body": {}, "stream": False}},
        [
            (f"spec.backend_options.{key}", "is not an option of a backend; the daemon decides it")
            for key in ("_hidden", "extra_body", "model", "stream")
        ],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_every_violation_is_named_by_its_path(case: str) -> None:
    fields, expected = WRONG[case]

    assert violations(spec_of(fields)) == expected


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_an_option_that_json_cannot_carry_is_named_however_deep(value: float) -> None:
    spec = asked()
    spec.backend_options.update({"a": {"b": [1, value]}})

    assert violations(spec) == [("spec.backend_options.a.b[1]", "must be a finite number")]


@pytest.mark.parametrize(
    ("fields", "own", "says_it"),
    [
        ({"max_output_tokens": 5}, {"n_predict": 10}, "spec.max_output_tokens"),
        ({"max_output_tokens": 5}, {"max_tokens": 5}, "spec.max_output_tokens"),
        ({"stop": ["a"]}, {"stop": ["b"]}, "spec.stop"),
        ({"sampling": {"top_k": 1}}, {"top_k": 2}, "spec.sampling.top_k"),
        ({"sampling": {"repetition_penalty": 1}}, {"repeat_penalty": 2}, "spec.sampling.repetition_penalty"),
        ({"reasoning": {"effort": "EFFORT_LOW"}}, {"reasoning_effort": "high"}, "spec.reasoning.effort"),
        ({"response_format": {"grammar": "a"}}, {"grammar": "b"}, "spec.response_format.grammar"),
    ],
)
def test_what_is_said_twice_is_refused_as_each_server_would_heed_another_one(
    fields: dict[str, Any], own: dict[str, Any], says_it: str
) -> None:
    assert violations(spec_of(fields | {"backend_options": own})) == [
        (f"spec.backend_options.{key}", f"must be left out: {says_it} says it") for key in own
    ]
    assert violations(spec_of({"backend_options": own})) == []


def test_an_answer_has_one_length() -> None:
    own = {"num_predict": 2, "max_tokens": 3, "n_predict": -1}
    description = "must be left out: another option says how long an answer may be"

    assert violations(spec_of({"backend_options": own})) == [
        (f"spec.backend_options.{key}", description) for key in ("n_predict", "num_predict")
    ]


@pytest.mark.parametrize("window", [0, -1, 0.5, "many", True])
def test_a_window_that_is_none_is_refused(window: object) -> None:
    assert violations(spec_of({"backend_options": {"num_ctx": window}})) == [
        ("spec.backend_options.num_ctx", "must be a whole number of tokens, at least 1")
    ]


@pytest.mark.parametrize("request_id", ["x" * 129, "a b", "tab\t", "ü"])
def test_a_request_id_is_short_and_visible(request_id: str) -> None:
    assert violations(asked(), request_id) == [("request_id", REQUEST_ID_RULE)]


@pytest.mark.parametrize("nanos", [-1, 10**9])
def test_a_duration_that_is_none_is_refused(nanos: int) -> None:
    spec = asked()
    spec.routing.max_queue_time.CopyFrom(Duration(seconds=1, nanos=nanos))

    assert violations(spec) == [("spec.routing.max_queue_time", "must be a duration, and not negative")]


def test_json_that_is_too_deep_is_refused_not_a_bug() -> None:
    deep = '{"properties": {"a": ' * 200 + "{}" + "}}" * 200
    bottomless = '{"a": ' * 50_000 + "{}" + "}" * 50_000
    tools = [msg.Tool(name=str(i), parameters_json_schema=s) for i, s in enumerate((deep, bottomless))]

    assert violations(asked(tools=tools)) == [
        (f"spec.tools[{index}].parameters_json_schema", "must not be nested so deeply") for index in (0, 1)
    ]


@pytest.mark.parametrize(
    "schema",
    ['{"$schema": 5}', '{"$schema": []}', '{"pattern": "("}', '{"type": "\\ud800"}', '{"required": "x"}'],
)
def test_a_schema_that_is_none_is_refused_not_a_bug(schema: str) -> None:
    [(field, description)] = violations(asked(tools=[msg.Tool(name="f", parameters_json_schema=schema)]))

    assert field == "spec.tools[0].parameters_json_schema"
    assert description.startswith("must be a valid JSON Schema")


def test_a_schema_of_an_unknown_draft_is_taken_for_the_latest() -> None:
    schema = '{"$schema": "https://example.com/mine", "type": "object"}'

    assert violations(asked(tools=[msg.Tool(name="f", parameters_json_schema=schema)])) == []


def test_a_schema_is_read_anew_for_each_request_so_that_nobody_can_change_anothers() -> None:
    spec = asked(tools=[msg.Tool(name="f", parameters_json_schema='{"type": "object"}')])
    first, second = ask_of(spec), ask_of(spec)

    first.generation.tools[0]["function"]["parameters"]["type"] = "changed"

    assert second.generation.tools[0]["function"]["parameters"] == {"type": "object"}


def test_all_mistakes_come_at_once() -> None:
    fields: dict[str, Any] = {}
    expected: list[tuple[str, str]] = []
    for case in (
        "parts that are nothing",
        "tools that are none",
        "limits",
        "preferences of another age",
        "costs",
    ):
        for key, value in WRONG[case][0].items():
            fields[key] = {**fields[key], **value} if isinstance(value, dict) and key in fields else value
        expected += WRONG[case][1]

    found = violations(spec_of(fields), "not an id")

    assert sorted(found) == sorted([*expected, ("request_id", REQUEST_ID_RULE)])


def test_a_part_of_a_wrong_kind_hides_no_mistake_of_those_beside_it() -> None:
    answers = result("other")
    answers["parts"].insert(0, text("x"))
    spec = {"messages": [assistant({"image": {}}, call(name="bad name")), answers]}

    assert [field for field, _ in violations(spec_of(spec))] == [
        "spec.messages[0].parts[0]",
        "spec.messages[0].parts[1].tool_call.name",
        "spec.messages[1].parts[0]",
        "spec.messages[1].parts[1].tool_result.tool_call_id",
    ]


def test_the_text_of_the_error_is_the_first_mistake_and_how_many_follow() -> None:
    with pytest.raises(InvalidRequest) as refused:
        ask_of(spec_of({"max_output_tokens": 0, "stop": [""], "top_logprobs": 21}))

    assert refused.value.message == "spec.max_output_tokens: must be at least 1, or left out (and 2 more)"
