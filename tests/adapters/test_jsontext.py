"""JSON means to the fast way what it means to the standard library."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.adapters.jsontext import decoded, encoded

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec=None))
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
)


@given(VALUES)
def test_what_is_sent_is_what_was_meant(value: Any) -> None:
    assert json.loads(encoded(value)) == json.loads(json.dumps(value))


@given(VALUES, st.booleans())
def test_what_comes_is_read_as_it_was_meant(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    assert repr(decoded(text)) == repr(json.loads(text.decode(errors="replace")))


@given(
    st.binary(max_size=20)
    | st.text(alphabet='{}[]",:\\ud8eE+-.0123Nantrfls \x00', max_size=20).map(str.encode)
)
def test_whatever_comes_is_taken_or_refused_as_by_the_standard_library(text: bytes) -> None:
    assert outcome(decoded, text) == outcome(lambda t: json.loads(t.decode(errors="replace")), text)


def outcome(read: Callable[[bytes], Any], text: bytes) -> str:
    try:
        return repr(read(text))
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb'"\ud83d"', "\ud83d"),
        (b'"\xff"', "\N{REPLACEMENT CHARACTER}"),
        (b' {"a":1,"a":2}\r', {"a": 2}),
        (b"1e999", float("inf")),
        (b"[" * 500 + b"]" * 500, json.loads("[" * 500 + "]" * 500)),
    ],
    ids=["half a pair", "no UTF-8", "a name twice", "too great", "deep"],
)
def test_oddities_are_understood(text: bytes, value: Any) -> None:
    assert decoded(text) == value


def test_what_is_no_json_is_not_sent() -> None:
    with pytest.raises((TypeError, ValueError)):
        encoded({"a": object()})
