"""When a step of a fallback chain may be taken."""

import pytest

from zoe_grpcd.core.chains import CAUSES, Chain, Condition, chain_for, condition_of
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.errors import Fault
from zoe_grpcd.core.sizes import size_bounds


@pytest.mark.parametrize(
    ("texts", "condition"),
    [
        (["unavailable"], Condition(frozenset({"unavailable"}))),
        (["RATE_LIMITED", " Timeout "], Condition(frozenset({"rate_limited", "timeout"}))),
        (["BACKEND_TIMEOUT"], Condition(frozenset({"timeout"}))),
        (["NO_HEALTHY_BACKEND"], Condition(frozenset({"unavailable"}))),
        (["model_size >= 13B"], Condition(sizes=size_bounds(">= 13B"))),
        (["model_size 8B - 13B"], Condition(sizes=size_bounds("8B - 13B"))),
        (["failed", "model_size<8B"], Condition(frozenset({"failed"}), size_bounds("< 8B"))),
    ],
)
def test_conditions(texts: list[str], condition: Condition) -> None:
    assert condition_of(texts) == condition


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["never"], "must be one of unavailable, failed, timeout"),
        (["unavailable and failed"], "several of them are a list"),
        (["content_filter"], "must be one of"),  # content that is refused goes nowhere
        (["model_size > 13"], "must be a comparison of sizes"),
        (["model_size"], "must be one of"),
        (["model_size > 3B", "model_size < 8B"], "must name model_size once"),
    ],
)
def test_a_condition_that_is_none(texts: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        condition_of(texts)


@pytest.mark.parametrize(
    ("cause", "faults", "reasons", "holds"),
    [
        ("unavailable", [], [], True),  # nobody is there at all
        ("unavailable", [], [Reason.UNHEALTHY], True),
        ("unavailable", [Fault.TIMEOUT], [], True),
        ("unavailable", [Fault.CONTEXT_TOO_LONG], [Reason.CONTEXT_TOO_LONG], False),
        ("unavailable", [], [Reason.MISSING_CAPABILITY], False),
        ("rate_limited", [Fault.RATE_LIMITED], [], True),
        ("rate_limited", [], [Reason.RATE_LIMITED], True),
        ("rate_limited", [Fault.SERVER], [], False),
        ("rate_limited", [], [], False),
        ("timeout", [Fault.SERVER, Fault.TIMEOUT], [], True),
        ("failed", [Fault.SERVER], [], True),
        ("failed", [], [Reason.UNHEALTHY], False),
        ("overloaded", [], [Reason.SATURATED], True),
        ("context_too_long", [], [Reason.CONTEXT_TOO_LONG], True),
        ("context_too_long", [Fault.CONTEXT_TOO_LONG], [], True),
        ("too_expensive", [], [Reason.TOO_EXPENSIVE], True),
        ("incapable", [], [Reason.MISSING_CAPABILITY, Reason.UNHEALTHY], True),
    ],
)
def test_causes(cause: str, faults: list[Fault], reasons: list[Reason], holds: bool) -> None:
    assert condition_of([cause]).holds(faults, reasons) is holds


def test_one_of_several_causes_is_enough() -> None:
    assert condition_of(["timeout", "failed"]).holds([Fault.CUT], [])


def test_no_condition_leads_on_what_the_caller_did_wrong() -> None:
    assert not any(Fault.REJECTED in cause.faults for cause in CAUSES.values())


def test_whatever_else_happens_has_a_cause() -> None:
    """A new fault has to be given its place."""
    known = frozenset().union(*(cause.faults for cause in CAUSES.values()))
    assert set(Fault) - known == {Fault.REJECTED}


def test_the_most_specific_chain_counts() -> None:
    chains = {name: Chain(()) for name in ("default", "vision", "m")}
    assert chain_for(chains, ["m", "vision"]) == "m"
    assert chain_for(chains, ["n", "vision"]) == "vision"
    assert chain_for(chains, ["n"]) == "default"
    assert chain_for({"m": Chain(())}, ["n"]) == ""
