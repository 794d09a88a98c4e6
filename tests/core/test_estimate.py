"""The formula for the time and cost of a request."""

from dataclasses import replace
from typing import Any

import pytest
from fakes import a_backend, a_view, an_ask
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.domain import Generation, LoadState, Phase
from zoe_grpcd.core.estimate import (
    IDLE,
    Size,
    estimate,
    prompt_tokens,
    queue_seconds,
    sharing,
    size_of,
    wait_of,
)
from zoe_grpcd.core.views import BackendView


def backend(in_flight: int = 0, foreign: int = 0, slots: int = 1, service: float = 6.0) -> BackendView:
    return BackendView(a_backend("a"), Phase.READY, in_flight, foreign, slots, service)


@pytest.mark.parametrize(
    ("in_flight", "foreign", "slots", "expected"),
    [
        (0, 0, 1, 0.0),
        (1, 0, 1, 6.0),
        (0, 1, 1, 6.0),
        (2, 1, 1, 18.0),
        (3, 0, 4, 0.0),
        (4, 0, 4, 1.5),
        (4, 4, 4, 7.5),
    ],
)
def test_the_wait_for_a_slot(in_flight: int, foreign: int, slots: int, expected: float) -> None:
    assert queue_seconds(backend(in_flight, foreign, slots)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("in_flight", "foreign", "slots", "expected"),
    [(0, 0, 4, 1.0), (1, 0, 4, 1.3), (1, 1, 4, 1.6), (9, 0, 4, 1.9), (9, 9, 1, 1.0)],
)
def test_requests_beside_it_slow_a_request_down(
    in_flight: int, foreign: int, slots: int, expected: float
) -> None:
    assert sharing(backend(in_flight, foreign, slots)) == pytest.approx(expected)


def test_the_size_of_a_request() -> None:
    messages = ({"role": "system", "content": "x"}, {"role": "user", "content": "y"})
    ask = an_ask(generation=Generation(messages, options={"max_output_tokens": 7}), images=2, prompt_bytes=50)
    assert size_of(ask) == Size(50, 2 * 4 + 2 * 600, 7)


@pytest.mark.parametrize(
    ("own", "default", "expected"), [(None, None, None), (None, 9, 9), (5, 9, 5), (0, 9, 0)]
)
def test_the_callers_limit_comes_before_the_intents(
    own: int | None, default: int | None, expected: int | None
) -> None:
    ask = an_ask(options={} if own is None else {"max_output_tokens": own})
    assert size_of(ask, default).max_output_tokens == expected


def test_queue_load_prefill_and_decode_add_up() -> None:
    view = a_view(
        "a",
        load_seconds=3.0,
        overhead_seconds=0.5,
        seconds_per_prompt_token=0.01,
        seconds_per_token=0.02,
        output_tokens=100.0,
        bytes_per_token=4.0,
        input_usd_per_token=1e-6,
        output_usd_per_token=1e-5,
    )
    expected = estimate(Size(400, 20, None), view, 2.0, 1.5)
    assert (expected.queue, expected.load) == (2.0, 3.0)
    assert expected.prefill == pytest.approx(0.5 + 120 * 0.01)
    assert expected.decode == pytest.approx(100 * 0.02 * 1.5)
    assert expected.tokens_per_second == pytest.approx(1 / 0.03)
    assert expected.cost_usd == pytest.approx(120e-6 + 100e-5)
    assert expected.time_to_first_token == pytest.approx(2.0 + 3.0 + 1.7)
    assert expected.total == pytest.approx(6.7 + 3.0)


@pytest.mark.parametrize(("limit", "tokens"), [(None, 200), (50, 50), (1000, 200), (0, 0)])
def test_what_the_caller_allows_bounds_the_answer(limit: int | None, tokens: int) -> None:
    view = a_view("a", seconds_per_token=0.02, output_tokens=200.0)
    assert estimate(Size(0, 0, limit), view, 0.0, 1.0).decode == pytest.approx(tokens * 0.02)


def test_the_tokenizer_is_the_deployments() -> None:
    size = Size(360, 4, None)
    assert prompt_tokens(size, a_view("a", bytes_per_token=3.6)) == pytest.approx(104)
    assert prompt_tokens(size, a_view("a", bytes_per_token=1.0)) == pytest.approx(364)


@given(st.integers(0, 99), st.integers(0, 99), st.integers(1, 16))
def test_one_request_more_never_makes_it_faster(in_flight: int, foreign: int, slots: int) -> None:
    now, then = backend(in_flight, foreign, slots), backend(in_flight + 1, foreign, slots)
    assert 0 <= queue_seconds(now) <= queue_seconds(then)
    assert 1 <= sharing(now) <= sharing(then)


def occupied(slots: int, remaining: dict[str, tuple[float, ...]], **fields: Any) -> BackendView:
    count = sum(map(len, remaining.values()))
    return replace(backend(count, slots=slots), remaining=remaining, **fields)


@pytest.mark.parametrize(
    ("state", "busy", "queue", "slowdown"),
    [
        ("LOADED", occupied(1, {}), 0.0, 1.0),
        ("LOADED", occupied(1, {"m": (4.0,)}), 4.0, 1.0),
        ("LOADED", occupied(2, {"m": (4.0,)}), 0.0, 1.3),
        ("LOADED", occupied(2, {"m": (1.0, 4.0, 9.0)}), 4.0, 1.3),
        ("LOADED", occupied(1, {"n": (4.0,)}), 0.0, 1.7),  # another model: beside it, not before it
        ("UNLOADED", occupied(1, {"n": (4.0,)}), 4.0, 1.7),  # it may have to go first
        ("LOADED", occupied(4, {"m": (1.0, 2.0), "n": (9.0,)}, model_slots=2), 1.0, 2.0),
        ("LOADED", occupied(1, {"m": (4.0,)}, foreign=1), 6.0, 1.7),
        ("LOADED", occupied(4, {}, foreign=2), 0.0, 1.6),
        ("LOADED", occupied(1, {"m": (2.0,), "n": (9.0,)}, swapping=True), 9.0, 1.7),
    ],
)
def test_what_a_request_waits_for(state: str, busy: BackendView, queue: float, slowdown: float) -> None:
    assert wait_of(a_view("a", state=LoadState(state)), busy) == pytest.approx((queue, slowdown))


def test_an_idle_backend_costs_nothing() -> None:
    assert wait_of(a_view("a"), backend()) == IDLE


def test_a_load_that_others_wait_for_already_is_not_waited_for_twice() -> None:
    view = a_view("a", state=LoadState.LOADING, load_seconds=5.0)
    assert estimate(Size(0, 0, None), view, 8.0, 1.0).load == 0.0
    assert estimate(Size(0, 0, None), view, 3.0, 1.0).load == 2.0
