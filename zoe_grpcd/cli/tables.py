"""Tables for people: rows of text in columns, and how the messages of the contract read in them."""

import textwrap
from collections.abc import Iterable, Sequence

from google.protobuf.duration_pb2 import Duration

from zoe.admin.v1 import backend_pb2
from zoe.inference.v1 import decision_pb2

WIDTH = 110
LONGEST_MODEL, LONGEST_BACKEND = 30, 16
TIMES = ("WAIT", "LOAD", "FIRST", "TOTAL")
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Left-aligned columns, two spaces apart. The last cell of a row that is shorter than the header may be any length."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    bounded = [line if len(line) == len(header) else line[:-1] for line in lines]
    widths = [max(len(line[c]) for line in bounded if c < len(line)) for c in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)).rstrip()
        for line in lines
    )


def seconds(value: Duration) -> float:
    """A Duration in seconds."""
    return value.seconds + value.nanos / 1e9


def size(number: float) -> str:
    """Bytes in the unit that leaves one to three digits; empty for 0."""
    for unit in UNITS:
        if number < 1024 or unit == UNITS[-1]:
            break
        number /= 1024
    return f"{number:.3g} {unit}" if number else ""


def decided(decision: decision_pb2.RouteDecision) -> str:
    """A decision in one line."""
    chosen = decision.chosen
    asked = decision.requested_model or "auto"
    why = f"intent {decision.intent}" if decision.intent else _word(decision_pb2.Reason.Name(decision.reason))
    score = f", {decision.candidates[0].score:.2f}" if decision.candidates else ""
    expected = seconds(decision.estimate.total)
    return (
        f"[ROUTER] model: {asked} -> {chosen.model} @ {chosen.backend} ({why}{score}, est {expected:.1f} s)"
    )


def explained(decision: decision_pb2.RouteDecision) -> str:
    """A decision for a person: in one line, in sentences, and what was considered as a table."""
    sentences = textwrap.fill(decision.explanation, WIDTH, break_long_words=False, break_on_hyphens=False)
    return f"{decided(decision)}\n{sentences}\n\n{candidates(decision)}"


def candidates(decision: decision_pb2.RouteDecision) -> str:
    """Every candidate of a decision with its score, terms and expectations, or why it was not eligible.

    The second line of the header has the weights of the terms and the units.
    """
    able = [candidate for candidate in decision.candidates if candidate.eligible]
    terms = able[0].terms if able else []
    header = ["MODEL", "BACKEND", "SCORE", *(_heading(term.name) for term in terms), *TIMES]
    units = ["", "", "", *(_weight(term.weight) for term in terms), *("s" for _ in TIMES)]
    rows = [_considered(candidate) for candidate in able]
    if any(candidate.estimate.cost_micro_usd for candidate in able):
        header, units = [*header, "COST"], [*units, "USD"]
        rows = [[*row, _usd(c.estimate)] for row, c in zip(rows, able, strict=True)]
    rest = [[*_place(c), f"no: {_reasons(c)}"] for c in decision.candidates if not c.eligible]
    return table(header, [units, *rows, *rest])


def _place(candidate: decision_pb2.Candidate) -> list[str]:
    place = candidate.backend
    return [_cut(place.model, LONGEST_MODEL), _cut(place.backend, LONGEST_BACKEND)]


def _considered(candidate: decision_pb2.Candidate) -> list[str]:
    estimate = candidate.estimate
    times = (estimate.queue, estimate.load, estimate.time_to_first_token, estimate.total)
    return [
        *_place(candidate),
        f"{candidate.score:.3f}",
        *(f"{term.value:.2f}" for term in candidate.terms),
        *(f"{seconds(time):.2f}" for time in times),
    ]


def _reasons(candidate: decision_pb2.Candidate) -> str:
    return ", ".join(_word(decision_pb2.Reason.Name(reason)) for reason in candidate.reasons)


def _heading(term: str) -> str:
    return term.removesuffix("_rate").replace("_", " ").upper()


def _weight(weight: float) -> str:
    """How much a term counts; what decides between equals alone is no number to read."""
    return "x tie" if 0 < weight < 0.001 else f"x {weight:.2g}"


def _usd(estimate: decision_pb2.Estimate) -> str:
    return f"{estimate.cost_micro_usd / 1e6:.6f}".rstrip("0").rstrip(".")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def backends(found: Iterable[backend_pb2.Backend]) -> str:
    """The backends, a line each."""
    rows = [
        (
            backend.name,
            backend.kind,
            _word(backend_pb2.Backend.State.Name(backend.state)),
            f"{backend.load.in_flight}/{backend.load.max_in_flight}",
            str(backend.load.foreign_in_flight or ""),
            f"{backend.load.tokens_per_second:.0f}" if backend.load.tokens_per_second else "",
            ", ".join(_loaded(model) for model in backend.models) or "-",
            backend.endpoint,
            backend.last_probe.error or backend.state_detail,
        )
        for backend in found
    ]
    header = ("BACKEND", "KIND", "STATE", "IN FLIGHT", "OTHERS", "TOK/S", "MODELS", "ENDPOINT", "DETAIL")
    return table(header, rows)


def models(found: Iterable[backend_pb2.Model]) -> str:
    """The models, a line for each place where one is served."""
    rows = []
    for model in found:
        for place in model.deployments:
            served = place.served
            rows.append(
                (
                    model.model,
                    place.backend,
                    _word(backend_pb2.Backend.State.Name(place.backend_state)),
                    _word(backend_pb2.LoadState.Name(served.load_state).removeprefix("LOAD_")),
                    str(served.context_tokens or ""),
                    model.size,
                    size(served.size_bytes),
                    " ".join(served.capabilities),
                    " ".join(model.aliases),
                )
            )
    header = ("MODEL", "BACKEND", "STATE", "MEMORY", "CONTEXT", "SIZE", "BYTES", "CAPABILITIES", "ALIASES")
    return table(header, rows)


def _loaded(model: backend_pb2.ServedModel) -> str:
    state = _word(backend_pb2.LoadState.Name(model.load_state).removeprefix("LOAD_"))
    return model.model if state == "loaded" else f"{model.model} ({state})"


def _word(name: str) -> str:
    """REASON_EXACT_MODEL -> exact model."""
    return name.partition("_")[2].replace("_", " ").lower()
