"""The screen as lines: what stands where, and that all of it fits."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as some
from top.told import FLEET, NOW, backend, model, shown

from zoe.admin.v1 import stats_pb2
from zoe_grpcd.cli.top.cells import clean, cut, fit, width
from zoe_grpcd.cli.top.columns import Line, seconds, share
from zoe_grpcd.cli.top.drawing import Size, screen
from zoe_grpcd.cli.top.look import Look, Mode
from zoe_grpcd.cli.top.picture import Picture
from zoe_grpcd.cli.top.reading import Seen, picture

USUAL, FULL = Size(80, 24), Size(200, 50)


def texts(lines: Sequence[Line]) -> list[str]:
    return ["".join(span.text for span in line).rstrip() for line in lines]


def drawn(picture: Picture | None = None, look: Look | None = None, size: Size = USUAL) -> list[str]:
    return texts(screen(picture or shown(), look or Look(), size))


def line_with(word: str, lines: Sequence[str]) -> str:
    return next(line for line in lines if word in line)


def test_the_head_has_the_daemon_and_what_it_does() -> None:
    first, second, *_ = drawn()
    assert first.startswith(" zoe-grpcd 0.1.0  up 2h  2 of 3 backends ready")
    assert second == " 3 running  2 waiting  3.4 req/s  183 tok/s  0.20/1.50 s first token  2% failed"


def test_a_backend_has_its_line() -> None:
    line = line_with("jetson", drawn()).split()
    assert line == [
        "jetson",
        "●",
        "busy",
        "■■■▪",
        "3/4",
        "2",
        "41",
        "–",
        "–",
        "0%",
        "llama3.2:3b",
        "4m",
        "+1",
    ]


def test_a_backend_that_is_down_says_why() -> None:
    assert "● down" in line_with("attic", drawn())
    assert "connection refu" in line_with("attic", drawn())


def test_a_model_that_is_loaded_says_how_far_it_is() -> None:
    assert "qwen loading 40%" in line_with("laptop", drawn())


def test_a_wide_screen_has_more_columns() -> None:
    usual, full = line_with("BACKEND", drawn()), line_with("BACKEND", drawn(size=FULL))
    assert usual.split() == ["BACKEND", "STATE", "LOAD", "WAIT", "TOK/S", "P50", "P95", "ERR", "MODELS"]
    assert {"KIND", "OTHERS", "PROMPT/S", "ENDPOINT"} <= set(full.split())


def test_a_decision_has_its_line() -> None:
    line = line_with("@ jetson", drawn()).split()[1:]
    assert line == ["chat", "llama3.2:3b", "@", "jetson", "0.18", "2.50", "312", "ok", "intent"]


def test_a_request_that_went_nowhere_says_what_stood_in_its_way() -> None:
    told = stats_pb2.DecisionRecord(code="UNAVAILABLE", error_reason="NO_HEALTHY_BACKEND")
    line = line_with("failed", drawn(picture(Seen(FLEET, (told,)), NOW))[8:])
    assert line.split()[2:6] == ["no", "healthy", "backend", "–"]


def test_a_wide_screen_says_why_in_sentences() -> None:
    assert "intent chat; best of 2" in line_with("@ jetson", drawn(size=FULL))


def test_the_columns_stand_below_their_titles() -> None:
    lines = drawn()
    title, jetson = line_with("BACKEND", lines), line_with("jetson", lines)
    assert title.index("STATE") == jetson.index("● busy")
    assert title.index("MODELS") == jetson.index("llama3.2:3b")
    assert title.index("TOK/S") + 5 == jetson.index(" 41 ") + 3


def test_the_selected_line_is_marked_and_only_that() -> None:
    marked = [line for line in drawn(look=Look(backend="jetson")) if "›" in line]
    assert len(marked) == 1
    assert marked[0].startswith("› jetson")


def test_the_last_line_has_the_keys() -> None:
    foot = drawn()[-1]
    assert foot == " Tab decisions  Enter details  d drain  / filter  ? help  q quit  w warm  s sort"


def test_a_draining_backend_can_be_taken_back() -> None:
    assert "u undrain" in drawn(shown(backend("a", "DRAINING")))[-1]


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (Look(Mode.FILTER, typed="jet"), "filter: jet_"),
        (Look(Mode.REASON, backend="jetson", typed="new disk"), "drain jetson, because: new disk_"),
        (Look(Mode.MODEL, backend="jetson"), "warm phi (unloaded) on jetson?   Enter: yes"),
        (Look(note="jetson drains"), "jetson drains"),
    ],
)
def test_the_last_line_has_what_is_typed_and_what_came_of_it(look: Look, words: str) -> None:
    assert words in drawn(look=look)[-1]


def test_the_ways_out_of_a_question_fit_into_80_columns() -> None:
    box = backend("ollama-box", "READY", model("quick:1b", "UNLOADED"))
    foot = drawn(shown(box), Look(Mode.MODEL, backend="ollama-box"))[-1]
    assert foot == " warm quick:1b (unloaded) on ollama-box?   Enter: yes, Tab: another, Esc: no"


def test_a_daemon_that_is_gone_is_told_of_and_what_was_seen_stays() -> None:
    lines = drawn(shown(lost="connection refused"))
    assert lines[1] == " the daemon is gone for 12s, trying again: connection refused"
    assert line_with("jetson", lines)


def test_where_nothing_is_words_say_what_will_be() -> None:
    text = "\n".join(drawn(picture(Seen(), 0.0)))
    assert "no backend yet" in text
    assert "no request yet" in text


def test_a_filter_that_nothing_passes_says_so() -> None:
    text = "\n".join(drawn(look=Look(filter="vllm")))
    assert "no backend has 'vllm'" in text
    assert "no decision about 'vllm'" in text


def test_many_backends_leave_room_for_decisions_and_the_selected_one_is_seen() -> None:
    many = shown(*(backend(f"b{number:02}") for number in range(40)), decisions=30)
    lines = drawn(many, Look(backend="b35"))
    assert len([line for line in lines if "@ jetson" in line]) >= 4
    assert line_with("› b35", lines)


def test_many_decisions_scroll_to_the_selected_one() -> None:
    lines = drawn(shown(decisions=90), Look(of_requests=True, request="r60"))
    assert [line for line in lines if line.startswith("›")]


def test_the_details_of_a_backend_have_all_of_it() -> None:
    row = drawn(shown(*FLEET), Look(Mode.DETAILS, backend="jetson"))
    assert line_with("state", row).split()[1:] == ["busy", "for", "2m"]
    assert line_with("running", row[3:]).split("running")[1].strip() == "3 of 4, 2 waiting, 1 of others"
    assert line_with("phi", row).split()[1] == "unloaded"
    assert "in 4m" in line_with("llama3.2:3b", row)


def test_the_details_of_a_decision_have_everybody_who_was_considered() -> None:
    lines = drawn(look=Look(Mode.DETAILS, of_requests=True, request="r1"))
    assert "auto -> llama3.2:3b @ jetson" in lines[3]
    assert "intent chat; best of 2" in line_with("why", lines)
    assert "0.810" in line_with("0.810", lines)
    assert "unhealthy" in line_with("big @ attic", lines)


def test_the_help_names_every_key() -> None:
    text = "\n".join(drawn(look=Look(Mode.HELP)))
    assert all(
        word in text
        for word in (
            "drain",
            "take a drained",
            "load a model",
            "sort",
            "Ctrl-C",
            "seconds to the first token",
        )
    )


def test_a_terminal_that_is_too_small_is_told() -> None:
    assert drawn(size=Size(50, 8)) == ["top needs 60x10, this is 50x8"]


NAMES = some.text(max_size=40)


@given(
    name=NAMES,
    served=NAMES,
    columns=some.integers(1, 250),
    lines=some.integers(1, 60),
    mode=some.sampled_from(Mode),
    of_requests=some.booleans(),
)
def test_whatever_the_names_all_of_it_fits(
    *, name: str, served: str, columns: int, lines: int, mode: Mode, of_requests: bool
) -> None:
    seen = shown(backend(name, "READY", model(served), model("b")), backend("x", "DOWN", state_detail=name))
    painted = screen(seen, Look(mode, of_requests, typed=name, filter=""), Size(columns, lines))
    assert len(painted) <= lines
    assert all(width("".join(span.text for span in line)) <= columns for line in painted)


@given(some.text(max_size=30), some.integers(0, 40))
def test_a_text_is_made_to_fit_just_so(text: str, cells: int) -> None:
    text = clean(text)
    assert text.isprintable()
    assert width(cut(text, cells)) <= cells
    assert width(fit(text, cells)) == cells


def test_wide_characters_take_two_cells_and_accents_none() -> None:
    assert width("日本") == 4
    assert width("e\u0301") == 1
    assert cut("日本語", 4) == "日…"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0.00"), (0.184, "0.18"), (9.996, "10.0"), (99.96, "100"), (450.0, "450")],
)
def test_seconds_take_five_cells_at_most(value: float | None, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(("ratio", "text"), [(0, "0%"), (0.001, "<1%"), (0.02, "2%"), (1, "100%")])
def test_what_is_not_nothing_does_not_read_as_nothing(ratio: float, text: str) -> None:
    assert share(ratio) == text
