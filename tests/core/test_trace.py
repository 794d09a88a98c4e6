"""Trace contexts: which of a caller's is gone on with, and what backends are told."""

from itertools import count

import pytest

from zoe_grpcd.core.trace import Trace, passable, read

ID, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def trace(**fields: object) -> Trace:
    numbers = count(1)
    return Trace(ID, SPAN, lambda: f"{next(numbers):016x}", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (f"00-{ID}-{SPAN}-01", (ID, SPAN, True)),
        (f"00-{ID}-{SPAN}-00", (ID, SPAN, False)),
        (f"00-{ID}-{SPAN}-03", (ID, SPAN, True)),
        (f"cc-{ID}-{SPAN}-01-what-comes-later", (ID, SPAN, True)),
        (f"00-{ID}-{SPAN}-01-extra", None),
        (f"ff-{ID}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{ID}-{'0' * 16}-01", None),
        (f"00-{ID.upper()}-{SPAN}-01", None),
        (f"00-{ID}-{SPAN}-01\n", None),
        ("", None),
    ],
)
def test_a_caller_s_trace_is_gone_on_with_if_it_is_one(
    given: str, found: tuple[str, str, bool] | None
) -> None:
    assert read(given) == found


def test_each_attempt_is_a_span_of_its_own_to_its_backend() -> None:
    request = trace(state="vendor=1")
    first, second = request.headers("one"), request.headers("two")
    assert first == (("traceparent", f"00-{ID}-{1:016x}-01"), ("tracestate", "vendor=1"))
    assert second[0] == ("traceparent", f"00-{ID}-{2:016x}-01")
    assert request.span_of("two") == f"{2:016x}"
    assert request.span_of("one") == f"{1:016x}"
    assert request.span_of("one") == f"{3:016x}"  # an attempt that was never sent


def test_a_trace_that_is_not_sampled_says_so() -> None:
    assert trace(sampled=False).headers("one") == (("traceparent", f"00-{ID}-{1:016x}-00"),)


def test_a_state_that_could_be_a_header_of_its_own_is_not_passed_on() -> None:
    assert passable("a=1,b=2") == "a=1,b=2"
    assert passable("a=1\r\nx: y") == passable("ä=1") == passable("x" * 513) == ""
