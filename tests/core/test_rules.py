"""Which requests a rule is about, and what models of a size prefer."""

from typing import Any

import pytest
from fakes import a_backend, an_ask

from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.generation import Generation
from zoe_grpcd.core.rules import Rule, SizeRule, When, applying, rank
from zoe_grpcd.core.sizes import count_bounds, size_bounds

TOOL = {"type": "function", "function": {"name": "f"}}


def with_tools() -> Ask:
    return an_ask(generation=Generation(({"role": "user", "content": "x"},), tools=(TOOL,)))


@pytest.mark.parametrize(
    ("when", "holds", "holds_not"),
    [
        ({}, an_ask(), None),
        ({"priorities": frozenset({"high", "critical"})}, an_ask(priority="high"), an_ask(priority="low")),
        ({"priorities": frozenset({"normal"})}, an_ask(), an_ask(priority="low")),
        ({"stream": True}, an_ask(stream=True), an_ask()),
        ({"stream": False}, an_ask(), an_ask(stream=True)),
        ({"has_image": True}, an_ask(images=1), an_ask()),
        ({"has_image": False}, an_ask(), an_ask(images=1)),
        ({"has_tools": True}, with_tools(), an_ask()),
        ({"has_tools": False}, an_ask(), with_tools()),
        ({"prompt_tokens": count_bounds("> 1000")}, an_ask(prompt_bytes=3700), an_ask(prompt_bytes=3600)),
        (
            {"batch_size": count_bounds(">= 8")},
            an_ask(metadata={"batch_size": "8"}),
            an_ask(metadata={"batch_size": "7"}),
        ),
        ({"batch_size": count_bounds("1")}, an_ask(), an_ask(metadata={"batch_size": "2"})),
        ({"batch_size": count_bounds("1")}, an_ask(metadata={"batch_size": "many"}), None),
        (
            {"metadata": {"room": "kitchen"}},
            an_ask(metadata={"room": "kitchen"}),
            an_ask(metadata={"room": "hall"}),
        ),
        ({"metadata": {"room": "*"}}, an_ask(metadata={"room": ""}), an_ask(metadata={"floor": "1"})),
        (
            {"stream": True, "priorities": frozenset({"high"})},
            an_ask(stream=True, priority="high"),
            an_ask(stream=True),
        ),
    ],
)
def test_when(when: dict[str, Any], holds: Ask, holds_not: Ask | None) -> None:
    assert When(**when).holds(holds)
    assert holds_not is None or not When(**when).holds(holds_not)


def test_all_rules_that_apply_count_in_their_order() -> None:
    rules = [Rule("a"), Rule("b", When(stream=True)), Rule("c")]
    assert [rule.name for rule in applying(rules, an_ask())] == ["a", "c"]


@pytest.mark.parametrize(
    ("parameters", "kind", "expected"),
    [
        (3.0, "ollama", 0),
        (3.0, "llamacpp", 1),
        (3.0, "openai", 2),
        (70.0, "openai", 0),
        (70.0, "ollama", 2),
        (10.0, "ollama", 0),  # of no size that there is a rule for
        (None, "openai", 0),
    ],
)
def test_the_kind_for_a_size(parameters: float | None, kind: str, expected: int) -> None:
    sizes = [
        SizeRule(size_bounds("< 8B"), frozenset({"ollama"}), frozenset({"llamacpp"})),
        SizeRule(size_bounds("> 13B"), frozenset({"openai"})),
        SizeRule(size_bounds("> 1B"), frozenset({"ollama"})),  # an earlier one counts
    ]
    assert rank(sizes[:2], parameters, a_backend("b", kind=kind)) == expected
    if parameters == 70.0:
        assert rank(sizes, parameters, a_backend("b", kind=kind)) == expected
