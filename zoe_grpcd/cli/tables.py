"""Tables for people: rows of text in columns, and how the messages of the contract read in them."""

from collections.abc import Iterable, Sequence

from google.protobuf.duration_pb2 import Duration

from zoe.admin.v1 import backend_pb2
from zoe.inference.v1 import decision_pb2

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Left-aligned columns, two spaces apart."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
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


def candidates(decision: decision_pb2.RouteDecision) -> str:
    """Every candidate of a decision with its terms, or the reasons why it could not serve."""
    rows = []
    for candidate in decision.candidates:
        terms = " ".join(f"{term.name} {term.value:.2f}x{term.weight:.2g}" for term in candidate.terms)
        reasons = " ".join(_word(decision_pb2.Reason.Name(reason)) for reason in candidate.reasons)
        estimate = candidate.estimate
        times = [f"{seconds(part):.2f}" for part in (estimate.queue, estimate.load, estimate.total)]
        rows.append(
            (
                candidate.backend.model,
                candidate.backend.backend,
                f"{candidate.score:.3f}" if candidate.eligible else "-",
                *(times if candidate.eligible else ("", "", "")),
                terms or f"no: {reasons}",
            )
        )
    return table(("MODEL", "BACKEND", "SCORE", "QUEUE s", "LOAD s", "TOTAL s", "WHY"), rows)


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
