"""The columns of both tables: what stands in each, and which of them a width has room for.

Rule: a column has a rank; the last ranks go first when the terminal is narrow, and what is left over goes to the one
column that grows.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from zoe_grpcd.cli.top.cells import cut, width
from zoe_grpcd.cli.top.picture import Model, Row, Verdict, brief

Style = Literal["plain", "dim", "bold", "head", "good", "warn", "bad", "active", "idle"]


class Span(NamedTuple):
    """Text in one style."""

    text: str
    style: Style = "plain"


Line = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """`least` and `most`: cells; `rank`: lower ones stay; `grows`: takes what is left over."""

    title: str
    show: Callable[[Any, int], Line]  # of a row, in so many cells
    least: int
    rank: int = 0
    most: int = 0
    right: bool = False
    grows: bool = False
    length: Callable[[Any], int] | None = None  # of a row's text, for columns between `least` and `most`


def chosen(table: Sequence[Column], shown: Sequence[Any], cells: int) -> list[tuple[Column, int]]:
    """The columns that fit into so many cells with one cell between them, each with its width, in the table's order."""
    kept: list[Column] = []
    for column in sorted(table, key=lambda c: c.rank):
        if sum(c.least + 1 for c in kept) + column.least > cells:
            break
        kept.append(column)
    wide = {c.title: c.least for c in kept}
    room = cells - sum(wide.values()) - len(kept) + 1
    for column in kept:
        if column.length is not None:
            wanted = max((column.length(one) for one in shown), default=0)
            more = max(0, min(wanted, column.most, column.least + room) - column.least)
            wide[column.title] += more
            room -= more
    for column in kept:
        if column.grows:
            wide[column.title] += room
            room = 0
    return [(column, wide[column.title]) for column in table if column.title in wide]


def cell(column: Column, one: Any, cells: int) -> Line:
    """A row's cell in just so many cells."""
    line = column.show(one, cells)
    space = " " * max(0, cells - sum(width(span.text) for span in line))
    return (Span(space), *line) if column.right else (*line, Span(space))


# ---------------------------------------------------------------------------------------------------- how values read


def seconds(value: float | None) -> str:
    """In at most five characters: 0.18, 12.3, 450; a dash if it is not known."""
    if value is None:
        return "–"
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def share(ratio: float) -> str:
    """As a percentage; what is not nothing does not read as 0%."""
    return "<1%" if 0 < ratio < 0.005 else f"{ratio:.0%}"


def number(value: float) -> str:
    """Up to five characters; a dash for 0."""
    return f"{value:.0f}" if 0 < value < 99999 else "–" if value <= 0 else f"{value / 1000:.0f}k"


def clock(at: float) -> str:
    """The time of day here."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def _plain(text: str, style: Style = "plain") -> Line:
    return (Span(text, "dim" if text in ("–", "0", "0%", "0/0") else style),)


# --------------------------------------------------------------------------------------------------------- backends


def _bar(row: Row, cells: int) -> Line:
    """A sign a place, fewer where there are more places than room."""
    places = max(row.places, row.in_flight + row.others, 1)
    signs = min(places, cells)
    ours = _part(row.in_flight, places, signs)
    others = min(_part(row.others, places, signs), signs - ours)
    return (
        Span("■" * ours, "active"),
        Span("▪" * others, "warn"),
        Span("·" * (signs - ours - others), "dim"),
    )


def _part(taken: int, places: int, signs: int) -> int:
    """Whoever is there is seen."""
    return max(1, round(taken / places * signs)) if taken else 0


def _models(row: Row, cells: int) -> Line:
    """What is in memory and until when; else how many could be; or what is wrong with the backend."""
    if row.tone == "bad" or (row.detail and row.state == "draining"):
        return (Span(cut(row.detail, cells), row.tone),)
    present = [model for model in row.models if model.state in ("loading", "loaded", "sleeping", "failed")]
    if not present:
        known = f"{len(row.models)} not loaded" if row.models else "no model"
        return (Span(cut(known, cells), "dim"),)
    return _some(present, len(row.models), cells)


def _some(present: Sequence[Model], known: int, cells: int) -> Line:
    """As many models as there is room for, and how many more there are."""
    line: list[Span] = []
    for shown, model in enumerate(present):
        rest = f" +{known - shown - 1}" if known - shown - 1 else ""
        name, tail = f"{', ' if line else ''}{model.name}", _tail(model)
        taken = sum(width(span.text) for span in line)
        if taken + width(name + tail + rest) > cells:
            if line:
                return (*line, Span(cut(f" +{known - shown}", cells - taken), "dim"))
            return (Span(cut(name, max(4, cells - width(tail + rest)))), Span(tail, "dim"), Span(rest, "dim"))
        line += [Span(name), Span(tail, "bad" if model.state == "failed" else "dim")]
    more = known - len(present)
    return (*line, Span(f" +{more}", "dim")) if more else tuple(line)


def _tail(model: Model) -> str:
    if model.state == "loading":
        return f" loading {model.fraction:.0%}" if model.fraction else " loading"
    if model.state in ("sleeping", "failed"):
        return f" {model.state}"
    return f" {brief(model.left)}" if model.left is not None else ""


def _errors(row: Row, _cells: int) -> Line:
    return _plain(share(row.error_ratio), "bad" if row.error_ratio >= 0.1 else "warn")


def _value(of: Callable[[Any], str], style: Style = "plain") -> Callable[[Any, int], Line]:
    return lambda one, _cells: _plain(of(one), style)


def _text(name: str, style: Style = "plain") -> Callable[[Any, int], Line]:
    return lambda one, cells: (Span(cut(getattr(one, name), cells), style),)


def _length(name: str) -> Callable[[Any], int]:
    return lambda one: width(getattr(one, name))


BACKENDS: tuple[Column, ...] = (
    Column("BACKEND", _text("name", "bold"), 8, 0, 28, length=_length("name")),
    Column("KIND", _text("kind", "dim"), 9, 12),
    Column("STATE", lambda row, _cells: (Span(f"● {row.state}", row.tone),), 10, 1),
    Column("LOAD", _bar, 4, 2, 16, length=lambda row: row.places),
    Column("", _value(lambda row: f"{row.in_flight}/{row.places}"), 5, 2),
    Column("WAIT", _value(lambda row: str(row.queued), "warn"), 4, 3, right=True),
    Column("OTHERS", _value(lambda row: str(row.others), "warn"), 6, 13, right=True),
    Column("TOK/S", _value(lambda row: number(row.tokens_per_second)), 5, 4, right=True),
    Column("PROMPT/S", _value(lambda row: number(row.prefill_per_second)), 8, 14, right=True),
    Column("P50", _value(lambda row: seconds(row.first_p50)), 5, 6, right=True),
    Column("P95", _value(lambda row: seconds(row.first_p95)), 5, 7, right=True),
    Column("ERR", _errors, 4, 8, right=True),
    Column(" MODELS", lambda row, cells: (Span(" "), *_models(row, cells - 1)), 16, 5, grows=True),
    Column("ENDPOINT", _text("endpoint", "dim"), 24, 15, 44, length=_length("endpoint")),
)


# -------------------------------------------------------------------------------------------------------- decisions


def _outcome(verdict: Verdict, cells: int) -> Line:
    told = _told(verdict)
    return _plain(cut(told, cells), "dim" if told == "ok" else verdict.tone)


def _told(verdict: Verdict) -> str:
    return verdict.outcome if verdict.place or verdict.tone != "bad" else "failed"


def _score(verdict: Verdict, _cells: int) -> Line:
    return _plain(f"{verdict.score:.2f}" if verdict.score is not None else "–")


def _tries(verdict: Verdict, _cells: int) -> Line:
    return _plain(str(verdict.attempts), "warn") if verdict.attempts > 1 else _plain("–")


def _where(verdict: Verdict, cells: int) -> Line:
    """For a request that went nowhere: what stood in its way."""
    if not verdict.place:
        return _plain(cut(verdict.outcome, cells) if verdict.tone == "bad" else "–", verdict.tone)
    return (Span(cut(verdict.place, cells)),)


def _why(verdict: Verdict, cells: int) -> Line:
    """The sentences where there is room for one, else the reason alone."""
    sentences = verdict.explanation.removeprefix(f"{verdict.place}: ")
    told = sentences if cells >= 24 and sentences else verdict.why
    return (Span(" "), Span(cut(told, cells - 1), "dim"))


DECISIONS: tuple[Column, ...] = (
    Column("TIME", _value(lambda one: clock(one.at), "dim"), 8, 0),
    Column("ASKED", _text("asked", "dim"), 8, 12, 24, length=_length("asked")),
    Column("INTENT", _value(lambda one: one.intent or "–"), 9, 3),
    Column("WENT TO", _where, 18, 1, 40, length=_length("place")),
    Column("SCORE", _score, 5, 10, right=True),
    Column("TRIES", _tries, 5, 11, right=True),
    Column("FIRST", _value(lambda one: seconds(one.first)), 5, 5, right=True),
    Column("TOTAL", _value(lambda one: seconds(one.total)), 5, 6, right=True),
    Column("TOK", _value(lambda one: number(one.tokens)), 5, 7, right=True),
    Column("OUTCOME", _outcome, 7, 2, 18, length=lambda one: width(_told(one))),
    Column(" WHY", _why, 12, 4, grows=True),
)
