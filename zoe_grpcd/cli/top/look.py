"""Where the person looks: what is selected, filtered and sorted, and what a key does to that. Pure.

Rule: a selection follows its backend or request by name, not by line, however the lines move.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, TypeVar

from zoe_grpcd.cli.top.cells import clean
from zoe_grpcd.cli.top.picture import Model, Picture, Row, Verdict

T = TypeVar("T")


class Mode(Enum):
    """What the screen is used for."""

    LISTS = auto()
    DETAILS = auto()
    HELP = auto()
    FILTER = auto()  # a line is typed
    REASON = auto()  # a line is typed, too: why a backend is to be drained
    MODEL = auto()  # one of a backend's models is chosen: to be loaded


@dataclass(frozen=True, slots=True)
class Look:
    """What the person has chosen. `of_requests`: the cursor is among the decisions; `note`: what a key came to; `model`:
    of the backend, to be loaded.
    """

    mode: Mode = Mode.LISTS
    of_requests: bool = False
    backend: str = ""
    request: str = ""
    model: str = ""
    filter: str = ""
    typed: str = ""
    sort: str = "name"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Drain:
    """To be drained, and why."""

    backend: str
    reason: str


@dataclass(frozen=True, slots=True)
class Undrain:
    """To be taken back."""

    backend: str


@dataclass(frozen=True, slots=True)
class Warm:
    """To be loaded there."""

    backend: str
    model: str


class Screen(Enum):
    """What concerns the terminal alone."""

    QUIT = auto()
    REDRAW = auto()


Act = Drain | Undrain | Warm
Action = Act | Screen | None

TROUBLE = ("bad", "warn", "active", "good", "idle")
SORTS: dict[str, Callable[[Row], float]] = {
    "name": lambda _row: 0,
    "trouble": lambda row: TROUBLE.index(row.tone),
    "load": lambda row: -row.load,
    "tok/s": lambda row: -row.tokens_per_second,
    "P95": lambda row: -(row.first_p95 or 0),
    "errors": lambda row: -row.error_ratio,
}
"""The orders of the backends; equals are in the order of their names."""


def rows(picture: Picture, look: Look) -> list[Row]:
    """The backends that are shown, in their order."""
    key = SORTS[look.sort]
    return sorted((row for row in picture.rows if _matches(row, look.filter)), key=lambda r: (key(r), r.name))


def verdicts(picture: Picture, look: Look) -> list[Verdict]:
    """The decisions that are shown, newest first."""
    return [verdict for verdict in picture.verdicts if _concerns(verdict, look.filter)]


def _matches(row: Row, wanted: str) -> bool:
    words = (row.name, row.kind, row.state, row.labels, *(model.name for model in row.models))
    return wanted.lower() in " ".join(words).lower()


def _concerns(verdict: Verdict, wanted: str) -> bool:
    words = (verdict.place, verdict.asked, verdict.intent, verdict.outcome, verdict.why, verdict.caller)
    return wanted.lower() in " ".join(words).lower()


def selected_row(picture: Picture, look: Look) -> Row | None:
    """The backend under the cursor: the first one if that which was chosen is not there."""
    shown = rows(picture, look)
    return _at([row.id for row in shown], look.backend, shown)


def selected_verdict(picture: Picture, look: Look) -> Verdict | None:
    """The decision under the cursor: the newest one until one was chosen."""
    shown = verdicts(picture, look)
    return _at([verdict.id for verdict in shown], look.request, shown)


def selected_model(picture: Picture, look: Look) -> Model | None:
    """The model that is to be loaded: the first that is not in memory until another one was chosen."""
    row = selected_row(picture, look)
    shown = (
        sorted(row.models, key=lambda model: (model.state in ("loaded", "loading"), model.name))
        if row
        else []
    )
    return _at([model.id for model in shown], look.model, shown)


def _at(ids: Sequence[str], chosen: str, shown: Sequence[T]) -> T | None:
    return shown[ids.index(chosen) if chosen in ids else 0] if shown else None


# ------------------------------------------------------------------------------------------------------------- keys


def press(key: str, look: Look, picture: Picture) -> tuple[Look, Action]:
    """What a key does: a character, or `up`, `down`, `enter`, `esc`, `tab`, `backspace`."""
    if look.mode in (Mode.FILTER, Mode.REASON):
        return _typed(key, look)
    if look.mode is Mode.MODEL:
        return _picked(key, look, picture)
    look = replace(look, note="")
    if key in _OF_SCREEN:
        return look, _OF_SCREEN[key]
    if key in _MOVES:
        return _moved(_MOVES[key], look, picture), None
    if key in ("d", "u", "w"):
        return _begun(key, look, picture)
    return replace(look, **_CHANGES[key](look)) if key in _CHANGES else look, None


_OF_SCREEN = {"q": Screen.QUIT, "\x0c": Screen.REDRAW}
_MOVES = {"up": -1, "k": -1, "down": 1, "j": 1}


def _entered(look: Look) -> dict[str, Any]:
    return {"mode": Mode.DETAILS if look.mode is Mode.LISTS else Mode.LISTS}


def _escaped(look: Look) -> dict[str, Any]:
    """One step back: out of the details or the help, else to all and the newest."""
    return {"filter": "", "request": ""} if look.mode is Mode.LISTS else {"mode": Mode.LISTS}


def _sorted(look: Look) -> dict[str, Any]:
    orders = list(SORTS)
    return {"sort": orders[(orders.index(look.sort) + 1) % len(orders)]}


_CHANGES: dict[str, Callable[[Look], dict[str, Any]]] = {
    "?": lambda look: {"mode": Mode.LISTS if look.mode is Mode.HELP else Mode.HELP},
    "/": lambda look: {"mode": Mode.FILTER, "typed": look.filter},
    "s": _sorted,
    "tab": lambda look: {"of_requests": not look.of_requests},
    "enter": _entered,
    "esc": _escaped,
}
"""Keys that change what is shown."""


def _moved(by: int, look: Look, picture: Picture) -> Look:
    if look.of_requests:
        of_requests = selected_verdict(picture, look)
        ids = [verdict.id for verdict in verdicts(picture, look)]
        return replace(look, request=_next(ids, of_requests.id, by)) if of_requests else look
    of_backends = selected_row(picture, look)
    ids = [row.id for row in rows(picture, look)]
    return replace(look, backend=_next(ids, of_backends.id, by)) if of_backends else look


def _next(ids: list[str], chosen: str, by: int) -> str:
    return ids[min(max(ids.index(chosen) + by, 0), len(ids) - 1)]


def _begun(key: str, look: Look, picture: Picture) -> tuple[Look, Action]:
    """Something is to be done with a backend."""
    row = selected_row(picture, look)
    if row is None:
        return replace(look, note="there is no backend to choose"), None
    if key == "u":
        return look, Undrain(row.id)
    if key == "w" and not row.models:
        return replace(look, note=f"no model is known of {row.name}"), None
    if key == "w":
        return replace(look, mode=Mode.MODEL, model="", backend=row.id), None
    return replace(look, mode=Mode.REASON, typed="", backend=row.id), None


def _picked(key: str, look: Look, picture: Picture) -> tuple[Look, Action]:
    """A model is chosen: the arrows and Tab lead to others, Enter takes it, Esc gives it up."""
    model, row = selected_model(picture, look), selected_row(picture, look)
    done = replace(look, mode=Mode.LISTS)
    if model is None or row is None or key == "esc":
        return replace(done, note="not warmed"), None
    if key == "enter":
        return replace(done, note=f"{model.name} @ {row.name}: loading"), Warm(row.id, model.id)
    if key == "tab" or key in _MOVES:
        ids = [model.id for model in row.models]
        step = _MOVES.get(key, 1)
        return replace(look, model=ids[(ids.index(model.id) + step) % len(ids)]), None
    return look, None


def _typed(key: str, look: Look) -> tuple[Look, Action]:
    """A line is typed: Enter takes it, Esc gives it up. A filter holds as it is typed."""
    if key in ("enter", "esc"):
        done = replace(look, mode=Mode.LISTS, typed="")
        if look.mode is Mode.FILTER:
            return (done if key == "enter" else replace(done, filter="")), None
        if key != "enter":
            return replace(done, note="not drained"), None
        return done, Drain(look.backend, look.typed.strip() or "by hand, in top")
    typed = look.typed[:-1] if key == "backspace" else look.typed
    if len(key) == 1 and key.isprintable():
        typed += clean(key) or " "
    changed = replace(look, typed=typed)
    return (replace(changed, filter=typed) if look.mode is Mode.FILTER else changed), None
