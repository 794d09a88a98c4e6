"""The formula for the time and cost of a request."""

from dataclasses import replace

import pytest
from fakes import a_backend, a_view, an_ask
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.backend import Phase
from zoe_grpcd.core.estimate import Size, Wait, alone, chance, estimate, prompt_tokens, size_of, wait_of
from zoe_grpcd.core.generation import Generation
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.core.timetable import Shop, Task
from zoe_grpcd.core.views import BackendView


def backend(in_flight: int = 0, foreign: int = 0, slots: int = 1, service: float = 6.0) -> BackendView:
    return BackendView(a_backend("a"), Phase.READY, in_flight, foreign, slots, service)


IDLE = backend()


def busy(*tasks: Task, shop: Shop | None = None, reloads: dict[str, float] | None = None) -> BackendView:
    """Known requests at work, or waiting."""
    return replace(backend(len(tasks)), tasks=tasks, shop=shop or Shop(), reloads=reloads or {})


@pytest.mark.parametrize(
    ("in_flight", "foreign", "slots", "queue", "slowdown"),
    [
        (1, 0, 1, 6.0, 1.0),
        (0, 1, 1, 6.0, 1.0),
        (2, 1, 1, 18.0, 1.0),
        (3, 0, 4, 0.0, 1.9),
        (1, 1, 4, 0.0, 1.6),
        (4, 0, 4, 1.5, 1.9),
        (4, 4, 4, 7.5, 1.9),
    ],
)
def test_where_only_their_number_is_known_requests_take_a_mean_service(
    in_flight: int, foreign: int, slots: int, queue: float, slowdown: float
) -> None:
    waits = wait_of(a_view("a"), backend(in_flight, foreign, slots), 1.0)
    assert (waits.queue, waits.slowdown) == pytest.approx((queue, slowdown))


def test_the_size_of_a_request() -> None:
    messages = ({"role": "system", "content": "x"}, {"role": "user", "content": "y"})
    ask = an_ask(generation=Generation(messages, options={"max_output_tokens": 7}), images=2, prompt_bytes=50)
    assert size_of(ask) == Size(50, 2 * 4, 7, images=2)


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
        spread=2.0,
    )
    expected = estimate(Size(400, 20, None), view, backend(2, slots=2, service=4.0))
    assert (expected.queue, expected.load) == (2.0, 3.0)
    assert expected.slowdown == pytest.approx(1.3)
    assert expected.prefill == pytest.approx(1.7 * 1.3)
    assert expected.decode == pytest.approx(100 * 0.02 * 1.3)
    assert expected.tokens_per_second == pytest.approx(50 / 1.3)
    assert expected.cost_usd == pytest.approx(120e-6 + 100e-5)
    assert expected.time_to_first_token == pytest.approx(2.0 + 3.0 + 1.7 * 1.3)
    assert expected.total == pytest.approx(5.0 + 3.7 * 1.3)
    assert expected.ninety == pytest.approx(2.0 * expected.total)


def test_an_idle_backend_adds_nothing() -> None:
    view = a_view("a", load_seconds=3.0)
    size = Size(400, 20, None)
    assert estimate(size, view, IDLE) == alone(size, view)
    assert estimate(size, view, busy()) == alone(size, view)


@pytest.mark.parametrize(("limit", "tokens"), [(None, 200), (50, 50), (1000, 200), (0, 0)])
def test_what_the_caller_allows_bounds_the_answer(limit: int | None, tokens: int) -> None:
    view = a_view("a", seconds_per_token=0.02, output_tokens=200.0)
    assert alone(Size(0, 0, limit), view).decode == pytest.approx(tokens * 0.02)


def test_a_picture_has_as_many_tokens_as_the_deployment_makes_of_it() -> None:
    size = Size(360, 4, None, images=2)
    for tokens in (64.0, 576.0):
        view = a_view("a", bytes_per_token=3.6, image_tokens=tokens, overhead_seconds=0.0)
        assert prompt_tokens(size, view) == pytest.approx(104 + 2 * tokens)
        assert alone(size, view).prefill == pytest.approx((104 + 2 * tokens) * view.seconds_per_prompt_token)


def test_the_tokenizer_is_the_deployments() -> None:
    size = Size(360, 4, None)
    assert prompt_tokens(size, a_view("a", bytes_per_token=3.6)) == pytest.approx(104)
    assert prompt_tokens(size, a_view("a", bytes_per_token=1.0)) == pytest.approx(364)


@given(st.integers(0, 99), st.integers(0, 99), st.integers(1, 16))
def test_one_request_more_never_makes_it_faster(in_flight: int, foreign: int, slots: int) -> None:
    view = a_view("a")
    now = wait_of(view, backend(in_flight, foreign, slots), 1.0)
    then = wait_of(view, backend(in_flight + 1, foreign, slots), 1.0)
    assert 0 <= now.queue <= then.queue
    assert 1 <= now.slowdown <= then.slowdown


M, N = "m", "n"
SWAPS = Shop(loads={M: 2.0, N: 2.0}, resident=(N,))


@pytest.mark.parametrize(
    ("load", "backend", "expected"),
    [
        (0.0, busy(), Wait()),
        (0.0, busy(Task(M, 4.0)), Wait(queue=4.0)),
        # two at a time, both slower: each loses 0.3 s for each second that they share
        (0.0, busy(Task(M, 10.0), shop=Shop(2)), Wait(slowdown=1.3, burden=3.0)),
        # another model is beside it, not before it
        (0.0, busy(Task(N, 10.0)), Wait(slowdown=1.7, burden=7.0)),
        # it has to be idle before it can go
        (2.0, busy(Task(N, 4.0), shop=SWAPS), Wait(queue=4.0, load=2.0)),
        (2.0, busy(Task(N, 4.0), shop=SWAPS, reloads={N: 1.5}), Wait(queue=4.0, load=2.0, burden=1.5)),
        (2.0, busy(shop=SWAPS, reloads={M: 9.0, N: 1.5}), Wait(load=2.0, burden=1.5)),
        (
            2.0,
            busy(Task(N, 4.0), shop=replace(SWAPS, most_models=2)),
            Wait(load=2.0, slowdown=1.14, burden=1.4),
        ),
    ],
)
def test_what_others_mean_for_a_request_and_it_for_them(
    load: float, backend: BackendView, expected: Wait
) -> None:
    state = LoadState.UNLOADED if load else LoadState.LOADED
    assert wait_of(a_view("a", state=state, load_seconds=load), backend, 10.0) == pytest.approx(expected)


def test_a_load_that_others_wait_for_already_is_not_waited_for_twice() -> None:
    view = a_view("a", state=LoadState.LOADING, load_seconds=5.0)
    loads = Shop(loads={M: 9.0}, loading={M: 5.0})
    assert wait_of(view, busy(Task(M, 3.0), shop=loads), 1.0) == pytest.approx(Wait(queue=3.0, load=5.0))
    assert wait_of(view, backend(1, service=3.0), 1.0).load == 2.0
    assert wait_of(view, backend(1, service=8.0), 1.0).load == 0.0


EXPECTED = alone(Size(0, 0, None), a_view("a", spread=2.0))


def test_how_likely_a_deadline_is_met() -> None:
    assert chance(EXPECTED, EXPECTED.total) == pytest.approx(0.5)
    assert chance(EXPECTED, EXPECTED.ninety) == pytest.approx(0.9)
    assert chance(EXPECTED, EXPECTED.total / 20) < 0.001
    assert chance(EXPECTED, 20 * EXPECTED.total) > 0.999
    assert chance(EXPECTED, 0.0) == 0.0


@given(st.floats(0, 1e4), st.floats(0, 1e4), st.floats(1.0, 5.0))
def test_more_time_never_makes_a_deadline_less_likely(some: float, more: float, spread: float) -> None:
    expected = EXPECTED._replace(ninety=spread * EXPECTED.total)
    assert 0.0 <= chance(expected, some) <= chance(expected, some + more) <= 1.0
