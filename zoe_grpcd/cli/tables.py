"""Tables for people: rows of text in columns, and how the messages of the contract read in them."""

from collections.abc import Iterable, Sequence

from google.protobuf.duration_pb2 import Duration

from zoe.admin.v1 import backend_pb2

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


def backends(found: Iterable[backend_pb2.Backend]) -> str:
    """The backends, a line each."""
    rows = [
        (
            backend.name,
            backend.kind,
            state_of(backend.state, backend.models),
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
                    state_of(place.backend_state, [served]),
                    word(backend_pb2.LoadState.Name(served.load_state).removeprefix("LOAD_")),
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
    state = word(backend_pb2.LoadState.Name(model.load_state).removeprefix("LOAD_"))
    return model.model if state == "loaded" else f"{model.model} ({state})"


def is_asleep(state: backend_pb2.Backend.State.ValueType, models: Iterable[backend_pb2.ServedModel]) -> bool:
    """Whether a backend that is down can be woken: of no other one that is down a model sleeps."""
    asleep = (model.load_state == backend_pb2.LOAD_STATE_SLEEPING for model in models)
    return state == backend_pb2.Backend.STATE_DOWN and any(asleep)


def state_of(state: backend_pb2.Backend.State.ValueType, models: Iterable[backend_pb2.ServedModel]) -> str:
    """A backend's state in words."""
    return "asleep" if is_asleep(state, models) else word(backend_pb2.Backend.State.Name(state))


def word(name: str) -> str:
    """REASON_EXACT_MODEL -> exact model."""
    return name.partition("_")[2].replace("_", " ").lower()
