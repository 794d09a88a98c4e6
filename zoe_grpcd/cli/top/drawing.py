"""The screen as lines of styled text, of just the size of the terminal. Pure.

Rule: colour only repeats what a word or a sign says, so that nothing is lost where there is none.
"""

import textwrap
from collections.abc import Callable, Sequence
from typing import NamedTuple

from zoe_grpcd.cli.top import columns, details
from zoe_grpcd.cli.top.cells import clean, cut, fit, width
from zoe_grpcd.cli.top.columns import BACKENDS, DECISIONS, Column, Line, Span, chosen
from zoe_grpcd.cli.top.look import Look, Mode, rows, selected_model, selected_row, selected_verdict, verdicts
from zoe_grpcd.cli.top.picture import Picture, Row, Verdict, brief

LEAST_WIDTH, LEAST_HEIGHT = 60, 10


class Size(NamedTuple):
    """Of the terminal, in cells."""

    width: int
    height: int


def screen(picture: Picture, look: Look, size: Size) -> list[Line]:
    """All lines from top to bottom, each at most as wide as the terminal."""
    if size.width < LEAST_WIDTH or size.height < LEAST_HEIGHT:
        told = f"top needs {LEAST_WIDTH}x{LEAST_HEIGHT}, this is {size.width}x{size.height}"
        return [(Span(cut(told, size.width)),)]
    head = _head(picture, size.width)
    room = size.height - len(head) - 2
    body = _BODIES.get(look.mode, _lists)(picture, look, Size(size.width, room))[:room]
    blank: list[Line] = [()] * (room - len(body))
    return [*head, (), *body, *blank, _foot(picture, look, size.width)]


# ------------------------------------------------------------------------------------------------------ top and foot


def _head(picture: Picture, cells: int) -> list[Line]:
    totals = picture.totals
    clock = columns.clock(picture.now)
    name = f" zoe-grpcd {totals.version if totals else ''}".rstrip()
    up = f"  up {brief(picture.now - totals.started)}" if totals and totals.started else ""
    ready = f"  {picture.serving} of {len(picture.rows)} backends ready"
    missing: columns.Style = "plain" if picture.serving == len(picture.rows) else "warn"
    left = (Span(name, "bold"), Span(up, "dim"), Span(ready, missing))
    first = _spread(left, (Span(clock + " ", "dim"),), cells)
    return [first, _lost(picture, cells) if picture.lost else _pace(picture, cells)]


def _lost(picture: Picture, cells: int) -> Line:
    told = f" the daemon is gone for {brief(picture.lost_for)}, trying again: {picture.lost}"
    return (Span(cut(told, cells), "bad"),)


def _pace(picture: Picture, cells: int) -> Line:
    """What all of it does, over the last minute."""
    totals = picture.totals
    parts = [("running", str(picture.running)), ("waiting", str(picture.waiting))]
    if totals is not None:
        times = f"{columns.seconds(totals.first_p50)}/{columns.seconds(totals.first_p95)} s"
        parts += [
            ("req/s", f"{totals.requests_per_second:.1f}"),
            ("tok/s", f"{totals.tokens_per_second:.0f}"),
            *([("first token", times)] if totals.first_p50 is not None else []),
            ("failed", columns.share(totals.failed)),
            ("memory", totals.memory),
            *([("loop lag", f"{totals.lag * 1000:.0f} ms")] if totals.lag is not None else []),
        ]
    line: list[Span] = [Span(" ")]
    for name, value in parts:
        if sum(width(span.text) for span in line) + len(name) + len(value) + 1 > cells:
            break
        line += [Span(f"{value} "), Span(name, "dim"), Span("  ")]
    return _within(line[:-1], cells)


def _foot(picture: Picture, look: Look, cells: int) -> Line:
    if look.mode is Mode.FILTER:
        return (Span(cut(f" filter: {look.typed}_   Enter keeps it, Esc shows all", cells), "bold"),)
    if look.mode is Mode.REASON:
        asked = f" drain {clean(look.backend)}, because: {look.typed}_   Enter drains, Esc does not"
        return (Span(cut(asked, cells), "bold"),)
    if look.mode is Mode.MODEL and (model := selected_model(picture, look)):
        which = f" warm {model.name} ({model.state}) on {clean(look.backend)}?"
        return (Span(cut(f"{which}   Enter: yes, Tab: another, Esc: no", cells), "bold"),)
    if look.note:
        return (Span(cut(f" {look.note}", cells), "warn"),)
    row = selected_row(picture, look)
    keys = (
        ("Tab", "backends" if look.of_requests else "decisions"),
        ("Enter", "details" if look.mode is Mode.LISTS else "back"),
        ("u", "undrain") if row and row.state == "draining" else ("d", "drain"),
        ("/", f"filter: {look.filter}" if look.filter else "filter"),
        ("?", "help"),
        ("q", "quit"),
        ("w", "warm"),
        ("s", "sort" if look.sort == "name" else f"sort: {look.sort}"),
    )
    return _words_of(keys, cells)


def _words_of(keys: Sequence[tuple[str, str]], cells: int) -> Line:
    """As many keys as there is room for."""
    line, room = [Span(" ")], cells - 1
    for key, does in keys:
        room -= width(key) + width(does) + 3
        if room < -2:
            break
        line += [Span(f"{key} ", "bold"), Span(does, "dim"), Span("  ")]
    return _within(line[:-1], cells)


def _within(line: Sequence[Span], cells: int) -> Line:
    kept: list[Span] = []
    for span in line:
        text = cut(span.text, cells)
        kept.append(Span(text, span.style))
        cells -= width(text)
        if cells <= 0:
            break
    return tuple(kept)


def _spread(left: Line, right: Line, cells: int) -> Line:
    """One at each end."""
    taken = sum(width(span.text) for span in (*left, *right))
    return _within((*left, Span(" " * max(1, cells - taken)), *right), cells)


# ------------------------------------------------------------------------------------------------------------- body


def _lists(picture: Picture, look: Look, size: Size) -> list[Line]:
    """The backends above, the decisions below; neither takes what the other one needs, nor all."""
    shown, told = rows(picture, look), verdicts(picture, look)
    for_decisions = min(len(told) + 2, max(size.height // 3, 4)) if told else 3
    upper = _table(BACKENDS, shown, selected_row(picture, look), not look.of_requests, size.width)
    above = _window(upper, size.height - for_decisions - 1, _line_of(shown, selected_row(picture, look)))
    if not shown:
        above = [upper[0], _words(_no_backends(picture, look))]
    lower = _table(DECISIONS, told, selected_verdict(picture, look), look.of_requests, size.width)
    below = _window(lower, size.height - len(above) - 1, _line_of(told, selected_verdict(picture, look)))
    if not told:
        below = [lower[0], _words(_no_decisions(look))]
    return [*above, (), *below]


def _no_backends(picture: Picture, look: Look) -> str:
    if look.filter and picture.rows:
        return f"no backend has {look.filter!r} in its name, kind, state, labels or models; Esc shows all"
    return "no backend yet: the daemon looks for servers on this machine, or name some in its configuration"


def _no_decisions(look: Look) -> str:
    if look.filter:
        return f"no decision about {look.filter!r}; Esc shows all"
    return "no request yet: what is decided for each, and why, will stand here"


def _words(text: str) -> Line:
    return (Span(f"   {text}", "dim"),)


def _line_of(shown: Sequence[Row | Verdict], selected: Row | Verdict | None) -> int:
    return next((number for number, one in enumerate(shown) if one is selected), 0)


def _window(lines: list[Line], height: int, selected: int) -> list[Line]:
    """The header and so many of the lines that the selected one is among them."""
    header, rest, room = lines[0], lines[1:], max(1, height - 1)
    start = min(max(0, selected - room + 1), max(0, len(rest) - room))
    return [header, *rest[start : start + room]]


def _table(
    table: Sequence[Column], shown: Sequence[Row | Verdict], selected: object, active: bool, cells: int
) -> list[Line]:
    """Its header, and a line for each; the columns are those that there is room for."""
    picked = chosen(table, shown, cells - 2)
    titles = " ".join(fit(c.title, wide, right=c.right) for c, wide in picked)
    lines: list[Line] = [
        (
            Span("  "),
            Span(titles.rstrip(), "head"),
        )
    ]
    for one in shown:
        mark = ("›" if active else " ") if one is selected else " "
        line = [Span(f"{mark} ", "bold")]
        for column, wide in picked:
            line += [*columns.cell(column, one, wide), Span(" ")]
        lines.append(_within(line, cells))
    return lines


def _details(picture: Picture, look: Look, size: Size) -> list[Line]:
    if look.of_requests:
        verdict = selected_verdict(picture, look)
        return details.of_decision(verdict, size.width) if verdict else [_words(_no_decisions(look))]
    row = selected_row(picture, look)
    return details.of_backend(row, picture.now, size.width) if row else [_words(_no_backends(picture, look))]


HELP = (
    ("↑ ↓ j k", "move among the backends, or the decisions"),
    ("Tab", "from the backends to the decisions and back"),
    ("Enter", "all about what is selected; Esc or Enter: back"),
    ("d", "drain the backend: it gets nothing new, what runs there goes on; asks why"),
    ("u", "take a drained backend back"),
    ("w", "load a model of the backend, before anybody asks for it; asks which"),
    ("/", "show only what has a text in it: name, model, state, label, intent, outcome"),
    ("s", "sort the backends by name, trouble, load, tokens per second, P95, errors"),
    ("Ctrl-L", "draw anew"),
    ("q Ctrl-C", "leave"),
    ("", ""),
    ("■ ▪ ·", "a place on the backend taken by us, by others, or free"),
    ("wait", "requests that wait for a place there"),
    ("tok/s", "tokens a second of one request, a mean that forgets"),
    ("P50 P95", "seconds to the first token, half and 95 % of the last requests"),
    ("err", "part of the last attempts that failed"),
    ("model 4m", "loaded, and unloaded in 4 minutes if nothing comes"),
)


def _help(_picture: Picture, _look: Look, size: Size) -> list[Line]:
    lines: list[Line] = []
    for keys, does in HELP:
        for number, part in enumerate(textwrap.wrap(does, size.width - 16) or [""]):
            lines.append((Span(f"   {fit(keys if not number else '', 10)}  ", "bold"), Span(part)))
    return lines


_BODIES: dict[Mode, Callable[[Picture, Look, Size], list[Line]]] = {
    Mode.DETAILS: _details,
    Mode.HELP: _help,
}
