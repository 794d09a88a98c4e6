"""What is sent: the caller's values first, then the bundle, then the intent's defaults."""

from typing import Any

import pytest
from fakes import a_backend, an_ask

from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.backend import Deployment
from zoe_grpcd.core.decision import Candidate, Decision, Reason
from zoe_grpcd.core.generation import Call, Generation
from zoe_grpcd.core.merge import call_of
from zoe_grpcd.core.resolve import Resolution
from zoe_grpcd.core.tiers import ANY

BACKEND = a_backend("a", api_key="secret")
USER = {"role": "user", "content": "hello"}


def call(
    ask: Ask | None = None, *, defaults: Any = None, dropped: Any = (), system_prompt: str = "", **bundle: Any
) -> Call:
    deployment = Deployment("m", "a", "/m.gguf", **bundle)
    chosen = Candidate(deployment, "llamacpp", local=True, eligible=True)
    decision = Decision(
        chosen, (chosen,), "", "", "", Reason.INTENT, "", defaults=defaults or {}, dropped=frozenset(dropped)
    )
    resolution = Resolution((ANY,), Reason.INTENT, "", "", system_prompt=system_prompt)
    return call_of(ask or an_ask(), resolution, decision, BACKEND)


@pytest.mark.parametrize(
    ("own", "bundle", "default", "expected"),
    [(0.1, 0.2, 0.3, 0.1), (None, 0.2, 0.3, 0.2), (None, None, 0.3, 0.3), (0.0, 0.2, 0.3, 0.0), (None, None, None, None)],
)  # fmt: skip
def test_who_decides_an_option(own: Any, bundle: Any, default: Any, expected: Any) -> None:
    values = [{} if v is None else {"temperature": v} for v in (own, bundle, default)]
    sent = call(an_ask(options=values[0]), options=values[1], defaults=values[2])
    assert sent.generation.options == ({} if expected is None else {"temperature": expected})


def test_different_options_come_together() -> None:
    sent = call(an_ask(options={"seed": 1}), options={"top_k": 2}, defaults={"top_p": 0.3})
    assert sent.generation.options == {"seed": 1, "top_k": 2, "top_p": 0.3}


def test_the_callers_backend_options_come_before_the_bundles() -> None:
    ask = an_ask(generation=Generation((USER,), backend_options={"num_ctx": 1}))
    sent = call(ask, backend_options={"num_ctx": 2, "keep_alive": "5m"})
    assert sent.generation.backend_options == {"num_ctx": 1, "keep_alive": "5m"}


def test_a_plain_request_is_passed_on_as_it_is() -> None:
    ask = an_ask()
    sent = call(ask)
    assert sent.generation is ask.generation
    assert (sent.backend_model, sent.backend, sent.api_key) == ("/m.gguf", BACKEND, "secret")


@pytest.mark.parametrize(
    ("role", "sent"), [("system", False), ("developer", False), ("user", True), ("assistant", True)]
)
def test_the_intents_system_prompt_stands_in_where_the_caller_has_none(role: str, sent: bool) -> None:
    generation = Generation(({"role": role, "content": "mine"}, USER))
    messages = call(an_ask(generation=generation), system_prompt="Be brief.").generation.messages
    first = {"role": "system", "content": "Be brief."}
    assert messages == ((first, *generation.messages) if sent else generation.messages)


@pytest.mark.parametrize(
    ("feature", "gone"),
    [
        ("sampling.top_k", "options"),
        ("top_logprobs", "options"),
        ("parallel_tool_calls", "options"),
        ("reasoning.effort", "options"),
        ("tools", "tools"),
        ("tool_choice.required", "tool_choice"),
        ("response_format.json_schema", "response_format"),
    ],
)
def test_what_the_backend_cannot_honour_is_left_out(feature: str, gone: str) -> None:
    name = {"sampling.top_k": "top_k", "reasoning.effort": "reasoning_effort"}.get(feature, feature)
    options = {"temperature": 0.5} | ({name: 1} if gone == "options" else {})
    generation = Generation((USER,), ({"type": "function"},), "required", {"type": "json_schema"}, options)
    sent = call(an_ask(generation=generation), dropped=[feature]).generation
    assert sent.options == {"temperature": 0.5}
    empty: dict[str, Any] = {"tools": (), "tool_choice": None, "response_format": None}
    for field, nothing in empty.items():
        assert getattr(sent, field) == (nothing if field == gone else getattr(generation, field))


def test_a_grammar_is_left_out_too() -> None:
    generation = Generation((USER,), options={"grammar": "root ::= x"})
    sent = call(an_ask(generation=generation), dropped=["response_format.grammar"])
    assert sent.generation.options == {}


def test_nothing_of_the_callers_is_changed() -> None:
    options: dict[str, Any] = {"temperature": 0.5}
    ask = an_ask(options=options)
    call(ask, options={"top_k": 1}, dropped=["sampling.temperature"], system_prompt="x")
    assert ask.generation.options == {"temperature": 0.5}
    assert len(ask.generation.messages) == 1
