"""The order of the queue: tables for each rule, and what holds whatever comes."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.line import BATCH, BEGUN, RANKS, Line, Ticket


def ticket(caller: str = "ann", priority: str = "normal", **fields: float) -> Ticket:
    return Ticket(caller, RANKS[priority], **fields)  # type: ignore[arg-type]


def line_of(*tickets: Ticket, ageing: float = 10.0) -> Line:
    line = Line(ageing)
    for one in tickets:
        line.enter(one)
    return line


def served(line: Line) -> list[Ticket]:
    """All, each started as soon as it is the first."""
    order = []
    while line.order():
        order.append(line.order()[0])
        line.start(order[-1])
    return order


# -------------------------------------------------------------------------------------------------------- classes


def test_the_more_urgent_class_goes_first() -> None:
    tickets = {priority: ticket(priority=priority) for priority in RANKS}
    line = line_of(*tickets.values())
    assert served(line) == [tickets[p] for p in ("critical", "high", "normal", "low", "batch")]


@pytest.mark.parametrize(("waited", "first"), [(9.9, "high"), (10.1, "normal")])
def test_waiting_makes_up_for_a_class(waited: float, first: str) -> None:
    line = line_of(ticket("ann", "normal", arrived=100.0), ticket("bob", "high", arrived=100.0 + waited))
    assert line.order()[0].rank == RANKS[first]


def test_what_has_begun_goes_before_all_else() -> None:
    begun = Ticket(rank=BEGUN, arrived=1000.0)
    assert line_of(ticket(priority="critical", arrived=0.0), begun).order()[0] is begun


# -------------------------------------------------------------------------------------------------------- callers


def test_callers_take_turns_however_many_requests_one_has() -> None:
    flood = [ticket("ann", arrived=float(n)) for n in range(6)]
    late = [ticket("bob", arrived=50.0), ticket("bob", arrived=51.0)]
    order = served(line_of(*flood, *late))
    assert [one.caller for one in order[:4]] == ["ann", "bob", "ann", "bob"]


def test_turns_are_by_tokens() -> None:
    line = line_of(
        *[ticket("big", tokens=300.0) for _ in range(3)], *[ticket("small", tokens=100.0) for _ in range(9)]
    )
    first = served(line)[:8]
    assert Counter(one.caller for one in first) == {"big": 2, "small": 6}


def test_who_comes_back_has_no_claim_for_the_time_away() -> None:
    line = line_of(*[ticket("ann", tokens=100.0) for _ in range(8)], ticket("bob"))
    for _ in range(6):
        line.start(line.order()[0])
    for _ in range(8):
        line.enter(ticket("bob", tokens=100.0))
    assert Counter(one.caller for one in served(line)[:4]) == {"ann": 2, "bob": 2}


def test_the_order_of_some_is_that_of_all_without_the_others() -> None:
    ann, bob, eve = ticket("ann"), ticket("bob", "high"), ticket("eve", "low")
    assert line_of(ann, bob, eve).order([eve, ann]) == [ann, eve]


# ------------------------------------------------------------------------------------------------------- deadlines


def test_the_earliest_deadline_goes_first_among_equals() -> None:
    never, late, soon = ticket(), ticket(deadline=90.0), ticket(deadline=30.0)
    assert line_of(never, late, soon).order() == [soon, late, never]


def test_without_deadlines_the_first_come_goes_first() -> None:
    tickets = [ticket() for _ in range(5)]
    assert line_of(*tickets).order() == tickets


def test_a_deadline_is_no_way_past_other_callers() -> None:
    line = line_of(ticket("ann"), ticket("bob", deadline=50.0), ticket("bob", deadline=40.0))
    assert [(one.caller, one.deadline) for one in served(line)] == [
        ("bob", 40.0),
        ("ann", math.inf),
        ("bob", 50.0),
    ]


# ----------------------------------------------------------------------------------------------------------- batch


def test_old_batch_work_overtakes_a_request_once_and_no_more() -> None:
    batch = [ticket("ann", "batch", arrived=0.0) for _ in range(3)]
    waiting = ticket("bob", arrived=60.0)
    line = line_of(*batch, waiting)
    assert served(line) == [batch[0], waiting, *batch[1:]]


def test_who_found_batch_work_running_is_not_overtaken_by_it() -> None:
    batch = ticket("ann", "batch", arrived=0.0)
    waiting = ticket("bob", arrived=60.0)
    waiting.delayed = True
    assert served(line_of(batch, waiting)) == [waiting, batch]


# ------------------------------------------------------------------------------------------------ before, and leaving


def test_before_a_request_are_those_who_would_start_before_it_even_if_it_does_not_wait() -> None:
    ann, bob = ticket("ann", "batch"), ticket("bob")
    line = line_of(ann, bob)
    assert line.before(ann) == [bob]
    assert line.before(ticket("eve", "low")) == [bob]
    assert line.before(ticket("eve", "high")) == []
    assert len(line) == 2


def test_who_leaves_was_never_there() -> None:
    ann, bob = ticket("ann"), ticket("bob")
    line = line_of(ann, bob)
    line.leave(ann)
    line.leave(ann)
    assert line.order() == [bob]
    assert ann not in line


# ---------------------------------------------------------------------------------------------------- whatever comes

TICKETS = st.builds(
    ticket,
    st.sampled_from("abcd"),
    st.sampled_from(list(RANKS)),
    tokens=st.floats(1.0, 1000.0),
    arrived=st.floats(0.0, 100.0),
    deadline=st.floats(0.0, 200.0) | st.just(math.inf),
)


@given(st.lists(TICKETS, max_size=24), st.data())
def test_whoever_may_start_is_in_the_order_once(tickets: list[Ticket], data: st.DataObject) -> None:
    line = line_of(*tickets)
    some = [one for one in tickets if data.draw(st.booleans())]
    assert sorted(line.order(some), key=id) == sorted(some, key=id)
    assert len(served(line)) == len(tickets)
    assert len(line) == 0


@given(st.lists(TICKETS, min_size=2, max_size=24), st.data())
def test_the_place_that_one_is_told_is_the_one_that_it_has_whatever_happened_before(
    tickets: list[Ticket], data: st.DataObject
) -> None:
    line = line_of(*tickets[1:])
    for _ in range(data.draw(st.integers(0, 12))):
        one = data.draw(st.sampled_from(tickets))
        known = one in line
        {
            "ask": line.before,
            "go": line.leave,
            "run": line.start,
            "come": line.leave if known else line.enter,
        }[data.draw(st.sampled_from(["ask", "go", "run", "come"]))](one)
        order = line.order()
        assert all(line.before(waits) == order[:place] for place, waits in enumerate(order))
        assert not order or line.first(order) is order[0]


@given(st.lists(TICKETS, min_size=1, max_size=24))
def test_in_a_class_the_order_that_is_told_is_the_one_that_comes(tickets: list[Ticket]) -> None:
    same = [one for one in tickets if one.rank == tickets[0].rank]
    line = line_of(*same)
    assert line.order() == served(line)


@given(st.lists(TICKETS, max_size=24))
def test_of_one_caller_and_class_the_earliest_deadline_goes_first(tickets: list[Ticket]) -> None:
    order = served(line_of(*tickets))
    for number, one in enumerate(order):
        for later in order[number + 1 :]:
            if (one.caller, one.rank) == (later.caller, later.rank):
                assert one.deadline <= later.deadline


@given(st.lists(st.tuples(st.floats(1.0, 100.0), st.floats(1.0, 100.0)), min_size=1, max_size=60))
def test_callers_who_always_have_something_waiting_get_the_same_tokens(
    costs: list[tuple[float, float]],
) -> None:
    line = line_of(
        *[ticket(name, tokens=cost) for pair in costs for name, cost in zip("ab", pair, strict=True)]
    )
    got = {"a": 0.0, "b": 0.0}
    while {one.caller for one in line.order()} == {"a", "b"}:
        first = line.order()[0]
        line.start(first)
        got[first.caller] += first.tokens
        assert abs(got["a"] - got["b"]) <= 100.0 + 1e-6


@given(st.sampled_from(list(RANKS)), st.lists(TICKETS, max_size=3), st.floats(100.0, 1000.0), st.booleans())
def test_nobody_starves_whoever_keeps_coming(
    priority: str, before: list[Ticket], tokens: float, named_anew: bool
) -> None:
    """One that is harder to pass than any comes whenever one has started, a second each, maybe of a new caller."""
    line = line_of(*before, ageing=2.0)
    patient = ticket("patient", priority, tokens=1000.0, arrived=100.0)
    line.enter(patient)
    for second in range(100):
        name = f"flood {second}" if named_anew else "flood"
        hardest = "critical" if priority == "batch" else priority  # in its own class only fairness helps
        line.enter(ticket(name, hardest, tokens=tokens, arrived=100.0 + second))
        first = line.order()[0]
        line.start(first)
        if first is patient:
            return
    raise AssertionError("it still waits")


@given(st.lists(TICKETS, min_size=2, max_size=24), st.integers(0, 23))
def test_nobody_is_overtaken_by_batch_work_twice(tickets: list[Ticket], delayed: int) -> None:
    tickets[delayed % len(tickets)].delayed = True
    line, spared = line_of(*tickets), tickets[delayed % len(tickets)]
    overtaken: Counter[int] = Counter()
    while line.order():
        first = line.order()[0]
        line.start(first)
        if first.rank == BATCH:
            overtaken.update(one.number for one in line.order() if one.rank != BATCH)
    assert all(count <= 1 for count in overtaken.values())
    assert spared.rank == BATCH or not overtaken[spared.number]
