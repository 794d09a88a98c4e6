"""Joined at any place, an answer reads as if nobody had been lost."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zoe_grpcd.core.answer import Delta, Event, Finish, FinishReason, ToolDelta
from zoe_grpcd.core.joint import Joint

END = Finish(FinishReason.STOP)
# few letters, so that stop texts are met and texts repeat themselves; and some of more than one byte
LETTERS = st.text(alphabet="ab é😀", max_size=12)
STOPS = st.lists(st.text(alphabet="ab é😀", min_size=1, max_size=4), max_size=3)


def pieces(text: str, cuts: list[int]) -> list[str]:
    """The text in pieces that end at these places."""
    ends = sorted({min(cut, len(text)) for cut in cuts} | {len(text)})
    return [text[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


CUTS = st.lists(st.integers(0, 24), max_size=6)


def through(joint: Joint, parts: list[str], end: list[Event] | None = None) -> list[Event]:
    """All that passes, one piece after the other, until the joint says that it is over."""
    passed: list[Event] = []
    for part in parts:
        passed += joint.fit([Delta(part, tokens=1)])
        if any(isinstance(event, Finish) for event in passed):
            return passed
    return passed + joint.fit([END] if end is None else end)


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def cut_at_stop(before: str, after: str, stops: list[str]) -> str:
    """What may be heard of `after`: nothing, if a stop text has begun before it and ends in it."""
    seam, whole = len(before), before + after
    found = (
        at for stop in stops for at in range(seam) if whole.startswith(stop, at) and at + len(stop) > seam
    )
    return "" if any(True for _ in found) else after


@given(LETTERS, LETTERS, CUTS, STOPS)
@example("one wo", "rd two", [2], ["word"])
@example("x", "yz", [], ["xyz", "xy"])
@example("aab", "ab", [1], ["abab", "b"])
def test_any_split_reads_as_one_text_up_to_its_stop(
    before: str, after: str, cuts: list[int], stops: list[str]
) -> None:
    events = through(Joint(before, stops, repeats=False), pieces(after, cuts))
    assert text_of(events) == cut_at_stop(before, after, stops)
    assert isinstance(events[-1], Finish)


@given(LETTERS, LETTERS, CUTS)
def test_a_beginning_that_is_said_again_is_heard_once(before: str, after: str, cuts: list[int]) -> None:
    assert text_of(through(Joint(before, (), repeats=True), pieces(before + after, cuts))) == after


@given(LETTERS, LETTERS, CUTS, STOPS)
def test_a_stop_text_after_a_repeated_beginning_still_stops(
    before: str, after: str, cuts: list[int], stops: list[str]
) -> None:
    events = through(Joint(before, stops, repeats=True), pieces(before + after, cuts))
    assert text_of(events) == cut_at_stop(before, after, stops)


@given(st.text(alphabet="ab", min_size=1), st.text(alphabet="cd"), CUTS)
def test_who_may_repeat_and_does_not_is_heard_whole(before: str, after: str, cuts: list[int]) -> None:
    assert text_of(through(Joint(before, (), repeats=True), pieces(after, cuts))) == after


@given(LETTERS, LETTERS, CUTS)
def test_no_token_is_counted_twice_or_lost(before: str, after: str, cuts: list[int]) -> None:
    parts = pieces(after, cuts)
    events = through(Joint(before, ("never said",), repeats=False), parts)
    heard = sum(event.tokens for event in events if isinstance(event, Delta))
    assert heard == (len(parts) if after else heard)


def test_a_repeated_beginning_counts_as_no_token() -> None:
    joint = Joint(" one two", (), repeats=True)
    (first,) = joint.fit([Delta(" one two three", tokens=1)])
    assert first == Delta(" three", tokens=1)
    assert joint.settled


def test_a_repeated_beginning_that_comes_alone_leaves_nothing() -> None:
    joint = Joint(" one", (), repeats=True)
    assert joint.fit([Delta(" one", tokens=1)]) == []
    assert joint.fit([Delta(" two", tokens=1)]) == [Delta(" two", tokens=1)]


@pytest.mark.parametrize(
    ("before", "stops", "repeats"), [("", (), True), ("x", (), False), ("x", ("y",), False)]
)
def test_where_nothing_can_go_wrong_nothing_is_watched(
    before: str, stops: tuple[str, ...], repeats: bool
) -> None:
    assert Joint(before, stops, repeats=repeats).settled


def test_thoughts_and_calls_pass_and_keep_their_place() -> None:
    joint = Joint("wo", ("word",), repeats=False)
    thought, call = Delta(reasoning="hm"), ToolDelta(0, "1", "f")
    assert joint.fit([thought, Delta("r", tokens=1), call]) == [thought, Delta("r", tokens=1), call]


def test_what_waited_in_vain_comes_before_the_end() -> None:
    joint = Joint("wo", ("word",), repeats=False)
    assert joint.fit([Delta("r", tokens=1)]) == []
    assert joint.fit([END]) == [Delta("r", tokens=1), END]
