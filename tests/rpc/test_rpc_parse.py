"""What becomes of a specification: the Ask that the rest of the daemon reads."""

from typing import Any

import pytest
from rpc.specs import PNG, assistant, call, image, result, spec_of, text, user, violations
from rpc.stage import asked, said

from zoe.inference.v1 import message_pb2 as msg
from zoe_grpcd.core.ask import NO_LIMITS, Ask, Limits
from zoe_grpcd.core.generation import Json
from zoe_grpcd.core.licence import Locality
from zoe_grpcd.rpc.parse import Besides, ask_of


def options(**fields: Any) -> dict[str, Any]:
    return dict(ask_of(spec_of(fields)).generation.options)


@pytest.mark.parametrize("meant", [0.7, 0.1, 1.95, 0.333, 0.0, 2.0])
def test_a_float_of_the_wire_is_what_was_meant(meant: float) -> None:
    assert options(sampling={"temperature": meant}) == {"temperature": meant}
    assert options(sampling={"logit_bias": {"7": meant}}) == {"logit_bias": {7: meant}}


def test_zero_is_a_value_and_absence_is_none() -> None:
    given = {"temperature": 0.0, "min_p": 0.0, "top_k": 0, "seed": "0", "frequency_penalty": 0.0}

    assert options(sampling=given) == given | {"seed": 0}
    assert options(sampling={}) == {}


def test_what_the_caller_sets_is_noted_as_a_feature_that_a_backend_must_honour() -> None:
    ask = ask_of(
        spec_of(
            {
                "sampling": {"top_k": 5, "logit_bias": {"1": 1.0}},
                "tools": [{"name": "f", "strict": True}],
                "tool_choice": {"mode": "MODE_REQUIRED"},
                "parallel_tool_calls": False,
                "top_logprobs": 0,
                "stop": ["."],
                "max_output_tokens": 5,
                "reasoning": {"effort": "EFFORT_NONE"},
                "response_format": {"grammar": "root ::= x"},
                "messages": [user(text("x")) | {"name": "Ann"}],
            }
        )
    )

    assert ask.features == {
        "sampling.top_k",
        "sampling.logit_bias",
        "tools",
        "tools.strict",
        "tool_choice.required",
        "parallel_tool_calls",
        "top_logprobs",
        "stop",
        "max_output_tokens",
        "reasoning.effort",
        "response_format.grammar",
        "messages.name",
    }
    assert ask.generation.options["reasoning_effort"] == "none"
    assert ask.generation.options["grammar"] == "root ::= x"


def test_whole_numbers_among_the_options_are_integers_again() -> None:
    given = {"num_ctx": 4096, "ratio": 0.5, "on": True, "nothing": None, "deep": {"list": [1, "a", 2.5]}}

    ask = ask_of(spec_of({"backend_options": given}))

    assert ask.generation.backend_options == given
    assert isinstance(ask.generation.backend_options["num_ctx"], int)


@pytest.mark.parametrize("name", ["num_predict", "n_predict", "max_tokens", "max_completion_tokens"])
def test_how_long_an_answer_may_be_is_understood_by_whatever_name_a_server_has_for_it(name: str) -> None:
    generation = ask_of(spec_of({"backend_options": {name: 7, "top_k": 3}})).generation

    assert generation.options == {"max_output_tokens": 7}
    assert generation.backend_options == {"top_k": 3}


def test_a_length_that_is_none_is_the_servers_business() -> None:
    generation = ask_of(spec_of({"backend_options": {"num_predict": -1}})).generation

    assert generation.options == {}
    assert generation.backend_options == {"num_predict": -1}


def test_tools_that_are_not_to_be_called_need_no_backend_that_can() -> None:
    tools = [{"name": "f"}]

    assert ask_of(spec_of({"tools": tools})).needs == {"tools"}
    assert ask_of(spec_of({"tools": tools, "tool_choice": {"mode": "MODE_NONE"}})).needs == frozenset()


def test_a_choice_without_tools_is_nothing() -> None:
    assert ask_of(spec_of({"tool_choice": {"mode": "MODE_AUTO"}})).generation.tool_choice is None


def test_a_conversation_with_tools_goes_on_in_the_shape_of_openai() -> None:
    spec = spec_of(
        {
            "messages": [
                {"role": "ROLE_DEVELOPER", "parts": [text("Be brief.")]},
                user(text("a"), text("b")),
                assistant(
                    {"reasoning": {"text": "hm"}}, text("I "), text("look."), call(), call("c2", "g", "")
                ),
                {
                    "role": "ROLE_TOOL",
                    "parts": [{"tool_result": {"tool_call_id": "c2", "text": "bad", "is_error": True}}],
                },
                result("c1"),
                assistant({"refusal": "no"}),
                user(text("last")),
            ]
        }
    )

    ask = ask_of(spec)

    function = {"name": "f", "arguments": "{}"}
    assert ask.generation.messages == (
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": function},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c2", "content": "Error: bad"},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        {"role": "assistant", "content": "", "refusal": "no"},
        {"role": "user", "content": "last"},
    )
    assert ask.text == "last"


def test_an_answer_that_was_empty_may_be_part_of_the_conversation() -> None:
    ask = ask_of(spec_of({"messages": [user(text("x")), assistant(), user(text("y"))]}))

    assert ask.generation.messages[1] == {"role": "assistant", "content": ""}


def test_a_single_answer_at_the_end_is_a_prefill() -> None:
    assert violations(spec_of({"messages": [user(text("x")), assistant(text("It is"))]})) == []


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ([], [{"role": "system", "content": "Answer from this context:\n\nDOC"}]),
        (
            [said("Be brief.", msg.ROLE_SYSTEM)],
            [{"role": "system", "content": "Be brief.\n\nAnswer from this context:\n\nDOC"}],
        ),
        (
            [said("Be brief.", msg.ROLE_DEVELOPER)],
            [{"role": "developer", "content": "Be brief.\n\nAnswer from this context:\n\nDOC"}],
        ),
        (
            [msg.Message(role=msg.ROLE_SYSTEM, parts=[msg.ContentPart(text="a"), msg.ContentPart(text="b")])],
            [
                {
                    "role": "system",
                    "content": [
                        {"type": "text", "text": t} for t in ("a", "b", "Answer from this context:\n\nDOC")
                    ],
                }
            ],
        ),
    ],
)
def test_the_context_is_part_of_the_instructions(first: list[msg.Message], expected: list[Any]) -> None:
    ask = ask_of(asked(*first, said("Who?"), context="DOC"))

    assert list(ask.generation.messages) == [*expected, {"role": "user", "content": "Who?"}]
    assert ask.has_context


def test_the_prompt_is_counted_in_bytes_of_utf8() -> None:
    assert ask_of(asked(said("aä€😀"))).prompt_bytes == 1 + 2 + 3 + 4
    tool = msg.Tool(name="fn", description="ü", parameters_json_schema='{"type": "object"}')
    assert ask_of(asked(said("x"), tools=[tool])).prompt_bytes == 1 + 2 + 2 + 18
    assert ask_of(asked(said("x"), context="€")).prompt_bytes == 1 + len("Answer from this context:\n\n") + 3
    assert ask_of(image(data=PNG)).prompt_bytes == 0


def test_what_matters_in_routing_reaches_the_decision() -> None:
    ask = ask_of(
        spec_of(
            {
                "routing": {
                    "locality": "LOCALITY_LOCAL_ONLY",
                    "strategy": "usage_based",
                    "latency_target": {"level": "LEVEL_ULTRA_LOW"},
                    "cost": {"weight": 0.5, "max_cost_micro_usd": "0"},
                    "failover": {"max_attempts": 2, "allow_different_model": True},
                    "max_queue_time": "0s",
                }
            }
        )
    )

    assert (ask.locality, ask.strategy, ask.latency_level) == (
        Locality.LOCAL_ONLY,
        "usage_based",
        "ULTRA_LOW",
    )
    assert (ask.cost_weight, ask.max_cost_usd) == (0.5, 0.0)
    assert (ask.max_attempts, ask.allow_different_model, ask.max_queue_time) == (2, True, 0.0)


def test_the_deadline_and_the_latency_target_are_its_limits() -> None:
    target = {"routing": {"latency_target": {"time_to_first_token": "0.5s", "total": "20s"}}}
    assert ask_of(spec_of(target)).limits == Limits(None, 0.5, 20.0)
    assert ask_of(spec_of(target), besides=Besides(deadline=3.0)).limits == Limits(3.0, 0.5, 20.0)
    assert ask_of(asked(said("x")), besides=Besides(deadline=3.0)).limits == Limits(3.0)
    assert ask_of(spec_of({"routing": {"latency_target": {}}})).limits is NO_LIMITS


@pytest.mark.parametrize(
    ("fields", "caller"),
    [
        ({}, "ipv4:127.0.0.1:5"),
        ({"routing": {"affinity_key": "key"}}, "key"),
        ({"session_id": "session", "routing": {"affinity_key": "key"}}, "session"),
        ({"end_user_id": "user", "session_id": "session"}, "user"),
    ],
)
def test_a_caller_is_its_end_user_else_its_session_else_its_connection(fields: Json, caller: str) -> None:
    assert ask_of(spec_of(fields), besides=Besides(peer="ipv4:127.0.0.1:5")).caller == caller


def test_nothing_set_leaves_everything_to_the_config() -> None:
    ask = ask_of(asked(said("x")))

    assert ask == Ask(ask.generation, text="x", prompt_bytes=1)
    assert ask.generation.options == {}
