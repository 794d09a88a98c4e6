"""A decision for a person: one line, sentences, and everybody who was considered, in tables as wide as the terminal.

Rule: nothing is left out for want of room. What does not fit beside the rest is a table of its own; only names are cut.
"""

import shutil
import textwrap
from collections.abc import Sequence

from zoe.inference.v1 import decision_pb2
from zoe_grpcd.cli.tables import seconds, table, word

NARROWEST, WIDEST = 60, 110
# Of a name of a model and of a backend: what is shown at most, and what it is worth to keep one table for.
LONGEST_MODEL, LONGEST_BACKEND, SHORTEST = 30, 16, 24
GAP = 2
PLACE = ("MODEL", "BACKEND")
TIMES = ("WAIT", "LOAD", "FIRST", "TOTAL")

Columns = list[tuple[str, ...]]
"""Column by column: its name, what it is counted in, and a cell for each candidate."""


def width() -> int:
    """Of the terminal, in characters, as far as lines can be read; what is no terminal is wide."""
    return min(WIDEST, max(NARROWEST, shutil.get_terminal_size((WIDEST, 24)).columns))


def decided(decision: decision_pb2.RouteDecision) -> str:
    """A decision in one line."""
    chosen = decision.chosen
    asked = decision.requested_model or "auto"
    why = f"intent {decision.intent}" if decision.intent else word(decision_pb2.Reason.Name(decision.reason))
    score = f", {decision.candidates[0].score:.2f}" if decision.candidates else ""
    expected = seconds(decision.estimate.total)
    return (
        f"[ROUTER] model: {asked} -> {chosen.model} @ {chosen.backend} ({why}{score}, est {expected:.1f} s)"
    )


def tried(attempt: decision_pb2.Attempt) -> str:
    """What became of one attempt, in one line."""
    at = f"{attempt.backend.model} @ {attempt.backend.backend}: " if attempt.backend.backend else ""
    what = word(decision_pb2.Attempt.Outcome.Name(attempt.outcome))
    reason = attempt.error_reason.removeprefix("BACKEND_").replace("_", " ").lower()
    why = f", {reason}" if reason not in ("", what) else ""
    tokens = f"{' after' if reason else ','} {attempt.output_tokens} tokens" if attempt.output_tokens else ""
    return f"{at}{what}{tokens}{why}, {seconds(attempt.duration):.2f} s"


def explained(decision: decision_pb2.RouteDecision, columns: int | None = None) -> str:
    """A decision in one line, in sentences, and as tables of so many columns; None: those of the terminal."""
    columns = columns or width()
    sentences = textwrap.fill(decision.explanation, columns, break_long_words=False, break_on_hyphens=False)
    return f"{decided(decision)}\n{sentences}\n\n{candidates(decision, columns)}"


def candidates(decision: decision_pb2.RouteDecision, columns: int) -> str:
    """Every candidate with its score, the terms of it and what is expected, or why it was not eligible."""
    able = [candidate for candidate in decision.candidates if candidate.eligible]
    scores, expected = _scores(able), _expected(able)
    places = [(candidate.backend.model, candidate.backend.backend) for candidate in decision.candidates]
    room = columns - _width([*scores, *expected])
    if room >= min(SHORTEST, _longest(places)):
        return _table(decision, [*scores, *expected], room, columns)
    one = _table(decision, scores, columns - _width(scores), columns)
    other = decision_pb2.RouteDecision(candidates=able)
    return f"{one}\n\n{_table(other, expected, columns - _width(expected), columns)}"


def _scores(able: Sequence[decision_pb2.Candidate]) -> Columns:
    terms = able[0].terms if able else ()
    found: Columns = [("SCORE", "", *(f"{candidate.score:.3f}" for candidate in able))]
    for number, term in enumerate(terms):
        values = (f"{candidate.terms[number].value:.2f}" for candidate in able)
        found.append((_heading(term.name), _weight(term.weight), *values))
    return found


def _expected(able: Sequence[decision_pb2.Candidate]) -> Columns:
    estimates = [candidate.estimate for candidate in able]
    rows = ((e.queue, e.load, e.time_to_first_token, e.total) for e in estimates)
    times = zip(*(tuple(f"{seconds(time):.2f}" for time in row) for row in rows), strict=True)
    found: Columns = [(name, "s", *cells) for name, cells in zip(TIMES, times, strict=False)]
    if any(estimate.cost_micro_usd for estimate in estimates):
        found.append(("PRICE", "USD", *map(_usd, estimates)))
    return found


def _width(columns: Columns) -> int:
    return sum(GAP + max(map(len, column)) for column in columns)


def _longest(places: Sequence[tuple[str, str]]) -> int:
    """Of the names as they are shown, with the gap between them."""
    models, backends = zip(PLACE, *places, strict=True)
    return min(LONGEST_MODEL, max(map(len, models))) + GAP + min(LONGEST_BACKEND, max(map(len, backends)))


def _table(decision: decision_pb2.RouteDecision, columns: Columns, room: int, whole: int) -> str:
    """The candidates with these columns, in lines of `whole` characters; names may take `room` of them."""
    widest = max(len(c.backend.backend) for c in decision.candidates)
    of_backend = max(len(PLACE[1]), min(LONGEST_BACKEND, widest, room // 3))
    of_model = min(LONGEST_MODEL, room - GAP - of_backend)
    header, units, *cells = zip(*columns, strict=True)
    able: list[tuple[str, ...]] = []
    rest: list[tuple[str, ...]] = []
    for candidate in decision.candidates:
        place = (_cut(candidate.backend.model, of_model), _cut(candidate.backend.backend, of_backend))
        if candidate.eligible:
            able.append((*place, *cells[len(able)]))
        else:
            lines = textwrap.wrap(f"no: {_reasons(candidate)}", whole - of_model - of_backend - 2 * GAP)
            rest += [(*(place if line is lines[0] else ("", "")), line) for line in lines]
    return table([*PLACE, *header], [("", "", *units), *able, *rest])


def _reasons(candidate: decision_pb2.Candidate) -> str:
    return ", ".join(word(decision_pb2.Reason.Name(reason)) for reason in candidate.reasons)


def _heading(term: str) -> str:
    return term.removesuffix("_rate").replace("_", " ").upper()


def _weight(weight: float) -> str:
    """How much a term counts; what decides between equals alone is no number to read."""
    return "x tie" if 0 < weight < 0.001 else f"x {weight:.2g}"


def _usd(estimate: decision_pb2.Estimate) -> str:
    return f"{estimate.cost_micro_usd / 1e6:.6f}".rstrip("0").rstrip(".")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
