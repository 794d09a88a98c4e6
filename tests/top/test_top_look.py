"""What the keys do."""

import pytest
from top.told import shown

from zoe_grpcd.cli.top.look import (
    SORTS,
    Action,
    Drain,
    Look,
    Mode,
    Screen,
    Undrain,
    Warm,
    press,
    rows,
    selected_row,
    selected_verdict,
    verdicts,
)

SEEN = shown()


def pressed(*keys: str, look: Look | None = None) -> tuple[Look, Action]:
    look, action = look or Look(), None
    for key in keys:
        look, action = press(key, look, SEEN)
    return look, action


def names(look: Look) -> list[str]:
    return [row.name for row in rows(SEEN, look)]


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        ([], "attic"),
        (["down"], "jetson"),
        (["j", "j"], "laptop"),
        (["down", "down", "down"], "laptop"),
        (["down", "up", "up"], "attic"),
        (["k"], "attic"),
    ],
)
def test_the_arrows_move_among_the_backends(keys: list[str], chosen: str) -> None:
    row = selected_row(SEEN, pressed(*keys)[0])
    assert row is not None
    assert row.name == chosen


def test_after_tab_they_move_among_the_decisions() -> None:
    look, _ = pressed("tab", "down", "down")
    one = selected_verdict(SEEN, look)
    assert one is not None
    assert one.id == "r2"
    assert selected_row(SEEN, look) == selected_row(SEEN, Look())


def test_a_selection_follows_its_request_when_newer_ones_come() -> None:
    look, _ = pressed("tab", "down")
    assert look.request == "r1"
    later = shown(decisions=2)
    assert selected_verdict(later, look) == verdicts(later, look)[1]


def test_a_selection_that_is_gone_is_the_first_one() -> None:
    row = selected_row(SEEN, Look(backend="sold"))
    assert row is not None
    assert row.name == "attic"


def test_nothing_can_be_selected_where_nothing_is() -> None:
    look = Look(filter="no such thing")
    assert selected_row(SEEN, look) is None
    assert press("down", look, SEEN)[0] == look
    assert press("d", look, SEEN) == (Look(filter=look.filter, note="there is no backend to choose"), None)


@pytest.mark.parametrize(
    ("order", "first"),
    [("name", "attic"), ("trouble", "attic"), ("load", "jetson"), ("tok/s", "jetson"), ("errors", "laptop")],
)
def test_backends_are_sorted(order: str, first: str) -> None:
    assert names(Look(sort=order))[0] == first


def test_s_goes_through_all_orders() -> None:
    orders = [pressed(*"s" * count)[0].sort for count in range(len(SORTS) + 1)]
    assert orders == [*SORTS, "name"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("jet", ["jetson"]),
        ("DOWN", ["attic"]),
        ("qwen", ["laptop"]),
        ("llamacpp", ["attic", "jetson", "laptop"]),
        ("vllm", []),
    ],
)
def test_a_filter_holds_as_it_is_typed(text: str, left: list[str]) -> None:
    look, action = pressed("/", *text)
    assert (look.mode, action) == (Mode.FILTER, None)
    assert names(look) == left
    assert names(pressed("enter", look=look)[0]) == left
    assert names(pressed("esc", look=look)[0]) == names(Look())


def test_a_filter_is_about_decisions_too() -> None:
    assert len(verdicts(SEEN, Look(filter="chat"))) == 3
    assert verdicts(SEEN, Look(filter="queue full")) == []


def test_what_is_typed_can_be_taken_back() -> None:
    look, _ = pressed("/", *"jex", "backspace")
    assert look.filter == "je"


def test_q_typed_into_a_line_is_a_letter() -> None:
    look, action = pressed("/", "q")
    assert (look.filter, action) == ("q", None)


def test_a_drain_asks_why_first() -> None:
    look, action = pressed("down", "d", *"new disk ")
    assert (look.mode, action) == (Mode.REASON, None)
    look, action = pressed("enter", look=look)
    assert (look.mode, action) == (Mode.LISTS, Drain("jetson", "new disk"))


def test_a_drain_without_a_reason_says_who_did_it() -> None:
    assert pressed("d", "enter")[1] == Drain("attic", "by hand, in top")


def test_esc_does_not_drain() -> None:
    look, action = pressed("d", "x", "esc")
    assert (look.mode, look.note, action) == (Mode.LISTS, "not drained", None)


def test_what_is_drained_is_what_was_selected_when_it_was_asked() -> None:
    look, _ = pressed("down", "d")
    _, action = press("enter", look, shown(decisions=0))
    assert action == Drain("jetson", "by hand, in top")


def test_u_takes_back_at_once() -> None:
    assert pressed("down", "u")[1] == Undrain("jetson")


@pytest.mark.parametrize(
    ("keys", "model"),
    [((), "phi"), (("tab",), "llama3.2:3b"), (("down", "down"), "phi"), (("k",), "llama3.2:3b")],
)
def test_a_model_of_the_selected_backend_is_warmed_one_that_is_not_in_memory_first(
    keys: tuple[str, ...], model: str
) -> None:
    look, action = pressed("down", "w", *keys)
    assert (look.mode, action) == (Mode.MODEL, None)
    look, action = pressed("enter", look=look)
    assert (look.mode, action) == (Mode.LISTS, Warm("jetson", model))


def test_esc_warms_nothing() -> None:
    look, action = pressed("down", "w", "esc")
    assert (look.mode, look.note, action) == (Mode.LISTS, "not warmed", None)


def test_a_backend_without_models_has_nothing_to_warm() -> None:
    look, action = pressed("w")
    assert (look.mode, look.note, action) == (Mode.LISTS, "no model is known of attic", None)


@pytest.mark.parametrize(
    ("key", "action"), [("q", Screen.QUIT), ("\x0c", Screen.REDRAW), ("x", None), ("up", None)]
)
def test_a_key_concerns_the_screen(key: str, action: Action) -> None:
    assert pressed(key)[1] == action


@pytest.mark.parametrize(
    ("keys", "mode"),
    [
        (["enter"], Mode.DETAILS),
        (["enter", "enter"], Mode.LISTS),
        (["enter", "esc"], Mode.LISTS),
        (["?"], Mode.HELP),
        (["?", "?"], Mode.LISTS),
        (["?", "esc"], Mode.LISTS),
    ],
)
def test_a_key_turns_the_page(keys: list[str], mode: Mode) -> None:
    assert pressed(*keys)[0].mode is mode


def test_a_note_lasts_until_the_next_key() -> None:
    assert press("down", Look(note="done"), SEEN)[0].note == ""
