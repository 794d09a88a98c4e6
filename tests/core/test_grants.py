"""What a key may use, and how that narrows a request."""

import pytest
from fakes import an_ask
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.grants import STRICTNESS, narrow_ask, permission
from zoe_grpcd.core.licence import Grant, Locality
from zoe_grpcd.core.line import RANKS

ALIASES = {
    "fast": ("tiny", "small:latest"),
    "best": ("fast", "huge"),
    "loop": ("loop2",),
    "loop2": ("loop", "odd"),
}


@pytest.mark.parametrize(
    ("globs", "allowed", "denied"),
    [
        (["qwen*"], ["qwen", "qwen3:8b"], ["my-qwen", "Qwen"]),
        (["qwen3", "llama*"], ["qwen3", "qwen3:latest", "llama3.2:3b"], ["qwen3:8b"]),
        (["openai/*"], ["openai/gpt-5", "openai/a/b"], ["gpt-5"]),
        (["m?", "[ab]*"], ["m1", "apple"], ["m", "m12", "cherry"]),
        (["fast"], ["tiny", "small", "small:latest", "fast"], ["huge", "small:2b"]),
        (["b*"], ["tiny", "huge", "best"], ["odd"]),
        (["loop"], ["odd", "loop"], ["tiny"]),
        (["a.b"], ["a.b"], ["axb"]),
    ],
)
def test_a_key_may_use_the_models_that_its_globs_name_and_those_behind_the_aliases_that_they_name(
    globs: list[str], allowed: list[str], denied: list[str]
) -> None:
    permits = permission(globs, ALIASES)
    assert permits is not None
    assert [name for name in allowed if not permits(name)] == []
    assert [name for name in denied if permits(name)] == []


def test_a_star_is_no_limit_at_all() -> None:
    assert permission(["qwen*", "*"], ALIASES) is None


@given(st.sampled_from(sorted(RANKS)), st.sampled_from(sorted(RANKS)))
def test_a_priority_is_never_higher_than_the_key_allows_and_never_raised(asked: str, ceiling: str) -> None:
    ask = an_ask(priority=asked)
    remarks = narrow_ask(ask, Grant("k", priority=ceiling))
    assert RANKS[ask.priority] == min(RANKS[asked], RANKS[ceiling])
    assert bool(remarks) is (RANKS[asked] > RANKS[ceiling] and asked != "normal")


@given(st.sampled_from(sorted(Locality)), st.sampled_from(sorted(Locality)))
def test_of_two_localities_the_stricter_one_holds(asked: Locality, demanded: Locality) -> None:
    ask = an_ask(locality=asked)
    remarks = narrow_ask(ask, Grant("k", locality=demanded))
    assert STRICTNESS[ask.locality] == max(STRICTNESS[asked], STRICTNESS[demanded])
    assert bool(remarks) is (ask.locality is not asked)


@pytest.mark.parametrize(("asked", "weight"), [(None, 0.9), (0.1, 0.1)])
def test_the_weight_of_cost_is_for_requests_that_bring_none(asked: float | None, weight: float) -> None:
    ask = an_ask(cost_weight=asked)
    narrow_ask(ask, Grant("k", cost_weight=0.9))
    assert ask.cost_weight == weight


def test_the_key_is_who_waits_in_the_queue_whatever_end_user_it_names() -> None:
    ask = an_ask(caller="somebody else")
    narrow_ask(ask, Grant("k"))
    assert ask.caller == "k"
