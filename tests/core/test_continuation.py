"""Who may go on with an answer, at which seam, and what is asked of them."""

from dataclasses import replace
from typing import Any

import pytest
from fakes import a_backend, a_snapshot, a_view, an_ask
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.answer import Delta, Event, Seam, ToolDelta, Usage
from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.backend import Deployment, Phase, Prefill
from zoe_grpcd.core.continuation import (
    NOTHING_YET,
    Draft,
    Loss,
    Unfinished,
    Way,
    asked_before,
    continued,
    from_text,
    joined,
    seam_to,
    size_with,
    stops_of,
    ways,
)
from zoe_grpcd.core.estimate import Size
from zoe_grpcd.core.generation import Call, Continuation, Generation, Json
from zoe_grpcd.core.hold import Hold, hold_of, sift
from zoe_grpcd.core.views import BackendView, DeploymentView

USER: Json = {"role": "user", "content": "hello"}
TEXT = Draft("one two", tokens=2)
SERVER = a_backend("lost", takes_tokens=True)
LOST = a_view("lost", fingerprint="file", prefill=Prefill.REPEATS)
EXACT, PREFILL, RESTART = Seam.EXACT_TOKENS, Seam.TEXT_PREFILL, Seam.RESTART
TOOL: Json = {"type": "function", "function": {"name": "f"}}
SCHEMA: Json = {"type": "json_object"}


def asking(**fields: Any) -> Ask:
    return an_ask(generation=Generation(**{"messages": (USER,), **fields}))


def seam(ask: Ask | None = None, draft: Draft = TEXT, **view: Any) -> Seam:
    """The seam that another server with the same file offers, but for what is said of it."""
    tokens = view.pop("takes_tokens", True)
    target = a_view("b", **{"fingerprint": "file", "prefill": Prefill.REPEATS, **view})
    return seam_to(
        Unfinished(ask or an_ask(), draft, Loss(LOST, SERVER)), target, a_backend("b", takes_tokens=tokens)
    )


# -------------------------------------------------------------------------------------------------------- which seam


@pytest.mark.parametrize(
    ("best", "what"),
    [
        (EXACT, {}),
        (EXACT, {"draft": replace(TEXT, tokens=0)}),
        (PREFILL, {"fingerprint": "another"}),
        (PREFILL, {"fingerprint": ""}),
        (PREFILL, {"takes_tokens": False}),
        (PREFILL, {"deployment": Deployment("m", "b", "m", options={"temperature": 1.0})}),
        (PREFILL, {"deployment": Deployment("m", "b", "m", backend_options={"top_k": 1})}),
        (PREFILL, {"ask": asking(tools=(TOOL,))}),
        (PREFILL, {"ask": asking(options={"top_logprobs": 1})}),
        (PREFILL, {"ask": an_ask(images=1)}),
        (PREFILL, {"draft": replace(TEXT, reasoning="hm")}),
        (PREFILL, {"fingerprint": "", "prefill": None}),
        (RESTART, {"fingerprint": "", "prefill": Prefill.CLOSES}),
        (RESTART, {"draft": replace(TEXT, fixed=True)}),
        (RESTART, {"ask": asking(response_format=SCHEMA)}),
        (RESTART, {"ask": asking(options={"grammar": "root ::= x"})}),
        (RESTART, {"ask": asking(messages=(USER, {"role": "assistant", "content": [{"type": "text"}]}))}),
        (PREFILL, {"draft": Draft(reasoning="hm"), "prefill": Prefill.CLOSES, "fingerprint": ""}),
    ],
)
def test_the_best_seam_that_is_offered(best: Seam, what: dict[str, Any]) -> None:
    assert seam(**what) is best


@pytest.mark.parametrize(("allowed", "best"), [(False, RESTART), (True, PREFILL)])
def test_another_model_needs_leave(allowed: bool, best: Seam) -> None:
    other = Deployment("other", "b", "other")
    assert seam(an_ask(allow_different_model=allowed), deployment=other, fingerprint="") is best


def test_another_name_for_the_same_file_needs_none() -> None:
    assert seam(an_ask(), deployment=Deployment("alias", "b", "m")) is EXACT


def snapshot_of(*views: DeploymentView) -> Any:
    names = {view.deployment.backend for view in views}
    return a_snapshot([BackendView(a_backend(name, takes_tokens=True), Phase.READY) for name in names], views)


FLEET = snapshot_of(
    LOST,
    a_view("twin", fingerprint="file", prefill=Prefill.REPEATS),
    a_view("same", prefill=Prefill.CONTINUES),
    a_view("other", model="n", prefill=Prefill.CONTINUES),
    a_view("closing", prefill=Prefill.CLOSES),
)
TWINS = Way(EXACT, frozenset({("lost", "m"), ("twin", "m")}))
SAME, OTHER = Way(PREFILL, frozenset({("same", "m")})), Way(PREFILL, frozenset({("other", "n")}))
ANEW = Way(RESTART, None)


@pytest.mark.parametrize(
    ("worst", "allowed", "found"),
    [
        (EXACT, True, [TWINS]),
        (PREFILL, False, [TWINS, SAME]),
        (PREFILL, True, [TWINS, SAME, OTHER]),
        (RESTART, True, [TWINS, SAME, OTHER, ANEW]),
        (Seam.NONE, True, []),
    ],
)
def test_the_ways_to_go_on_begin_with_the_best(worst: Seam, allowed: bool, found: list[Way]) -> None:
    answer = Unfinished(an_ask(allow_different_model=allowed), TEXT, Loss(LOST, SERVER))
    assert ways(answer, FLEET, worst) == found


# ------------------------------------------------------------------------------------------------------ what is asked


def a_call(*messages: Json, **options: Any) -> Call:
    return Call(SERVER, "m", Generation(messages or (USER,), options=options))


def test_the_answer_so_far_is_the_last_message() -> None:
    call = continued(a_call(max_output_tokens=10), TEXT, PREFILL, repeats=False)
    assert call.generation.messages == (USER, {"role": "assistant", "content": "one two"})
    assert call.generation.options == {"max_output_tokens": 8}
    assert call.continues == Continuation(PREFILL, "one two", 2, repeats=False)


def test_a_thought_is_told_and_not_thought_again() -> None:
    call = continued(a_call(max_output_tokens=10), replace(TEXT, reasoning="hm", thought=3), PREFILL)
    assert call.generation.messages[-1]["reasoning_content"] == "hm"
    assert call.generation.options == {"max_output_tokens": 5, "reasoning_effort": "none"}


def test_the_callers_own_beginning_of_the_answer_stays_in_front() -> None:
    own: Json = {"role": "assistant", "content": "zero "}
    call = continued(a_call(USER, own), TEXT, PREFILL)
    assert call.generation.messages == (USER, {"role": "assistant", "content": "zero one two"})
    assert asked_before(call) == (USER, own)


MESSAGES = st.lists(st.sampled_from([USER, {"role": "system", "content": "s"}]), min_size=1, max_size=3)


@given(MESSAGES, st.text(max_size=4), st.text(min_size=1, max_size=4))
def test_what_was_asked_can_be_told_from_the_answer(messages: list[Json], own: str, text: str) -> None:
    asked = (*messages, {"role": "assistant", "content": own}) if own else tuple(messages)
    assert asked_before(continued(a_call(*asked), Draft(text, tokens=1), PREFILL)) == asked


def test_who_takes_no_tokens_offers_no_exact_seam() -> None:
    exact = continued(a_call(), TEXT, EXACT)
    assert from_text(exact).continues == replace(exact.continues or Continuation(EXACT, "", 0), seam=PREFILL)
    assert from_text(from_text(exact)) == from_text(exact)


def test_the_size_of_what_is_left() -> None:
    assert size_with(Size(100, 4, 10), Draft("é", tokens=3, thought=4)) == Size(100, 4 + 3, 3)
    assert size_with(Size(100, 4, None), TEXT) == Size(100, 4 + TEXT.tokens, None)
    assert size_with(Size(100, 4, 2), TEXT).max_output_tokens == 1


def test_an_answer_whose_pieces_alone_were_counted_has_as_many_tokens_as_its_length_demands() -> None:
    assert size_with(Size(100, 4, None), Draft("word " * 60, tokens=2)) == Size(100, 4 + 50, None)


@pytest.mark.parametrize(
    ("stop", "found"), [(None, ()), ("x", ("x",)), (["x", "", "y"], ("x", "y")), ("", ())]
)
def test_stop_texts(stop: Any, found: tuple[str, ...]) -> None:
    assert stops_of(Generation((USER,), options={} if stop is None else {"stop": stop})) == found


# ---------------------------------------------------------------------------------------------------- what adds up


PARTS = st.lists(st.integers(1, 1000), min_size=2, max_size=5)


@given(st.integers(0, 5000), PARTS)
def test_usage_is_that_of_an_answer_in_one_piece(prompt: int, parts: list[int]) -> None:
    draft = NOTHING_YET
    for tokens in parts[:-1]:
        draft = draft.grown(Draft("x" * tokens, tokens=tokens))
    last = Usage(prompt + sum(parts[:-1]), parts[-1], cached_prompt_tokens=prompt + sum(parts[:-1]))
    whole = joined(last, draft)
    assert (whole.prompt_tokens, whole.completion_tokens) == (prompt, sum(parts))
    assert whole.cached_prompt_tokens <= whole.prompt_tokens


def test_thoughts_are_counted_with_the_answer() -> None:
    whole = joined(Usage(12, 3), Draft("x", "hm", tokens=2, thought=5))
    assert (whole.prompt_tokens, whole.completion_tokens, whole.reasoning_tokens) == (10, 10, 5)


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 9)), max_size=5))
def test_a_draft_grows_by_what_was_said(parts: list[tuple[str, int]]) -> None:
    draft = NOTHING_YET
    for text, tokens in parts:
        draft = draft.grown(Draft(text, tokens=tokens))
    assert (draft.text, draft.tokens) == ("".join(t for t, _ in parts), sum(n for _, n in parts))
    assert draft.begun is bool(draft.text)


# ----------------------------------------------------------------------------------------------------- what is held


@pytest.mark.parametrize(
    ("ask", "whole", "hold"),
    [
        (an_ask(), False, Hold.NOTHING),
        (an_ask(), True, Hold.ALL),
        (asking(tools=(TOOL,)), False, Hold.CALLS),
        (asking(response_format=SCHEMA, tools=(TOOL,)), False, Hold.OBJECTS),
        (asking(options={"grammar": "x"}), False, Hold.OBJECTS),
        (replace(asking(response_format=SCHEMA), minimum_seam=RESTART), False, Hold.NOTHING),
        (replace(asking(tools=(TOOL,)), minimum_seam=Seam.NONE), False, Hold.NOTHING),
    ],
)
def test_what_waits_for_the_end(ask: Ask, whole: bool, hold: Hold) -> None:
    assert hold_of(ask, whole=whole) is hold


EVENTS: list[Event] = [Delta("a"), Delta(reasoning="b"), ToolDelta(0), Delta(refusal="c")]


@pytest.mark.parametrize(
    ("hold", "now"),
    [(Hold.NOTHING, [0, 1, 2, 3]), (Hold.CALLS, [0, 1, 3]), (Hold.OBJECTS, [1]), (Hold.ALL, [])],
)
def test_what_goes_on_at_once(hold: Hold, now: list[int]) -> None:
    passed, held = sift(EVENTS, hold)
    assert passed == [EVENTS[n] for n in now]
    assert held == [event for event in EVENTS if event not in passed]
