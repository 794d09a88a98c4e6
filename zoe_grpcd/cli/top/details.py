"""All about one backend or one decision, as lines. Pure."""

import textwrap
from collections.abc import Iterable, Sequence

from zoe_grpcd.cli.top.cells import cut, fit, width
from zoe_grpcd.cli.top.columns import Line, Span, Style, clock, seconds, share
from zoe_grpcd.cli.top.picture import Model, Row, Verdict, brief

LABEL = 14


def of_backend(row: Row, now: float, cells: int) -> list[Line]:
    """A backend with its models."""
    state = f"{row.state}{f' for {brief(now - row.since)}' if row.since else ''}"
    facts: tuple[tuple[str, str, Style], ...] = (
        ("state", state, row.tone),
        ("why", row.detail, "plain"),
        ("kind", row.kind, "plain"),
        ("endpoint", row.endpoint, "plain"),
        ("labels", row.labels, "plain"),
        ("last probe", row.probe, "plain"),
        ("running", _running(row), "plain"),
        ("tokens/s", _speeds(row), "plain"),
        ("first token", f"{seconds(row.first_p50)} s P50, {seconds(row.first_p95)} s P95", "plain"),
        ("errors", share(row.error_ratio), "bad" if row.error_ratio >= 0.1 else "plain"),
        ("cache used", share(row.cache) if row.cache is not None else "", "plain"),
    )
    lines: list[Line] = [(Span(f"   {row.name}", "bold"),)]
    for name, value, style in facts:
        lines += _fact(name, value, cells, style)
    return [
        *lines,
        (),
        *_table(("MODEL", "STATE", "EXPIRES", "CONTEXT", "SIZE", "LOAD"), _models(row), cells),
    ]


def _running(row: Row) -> str:
    others = f", {row.others} of others" if row.others else ""
    return f"{row.in_flight} of {row.places}, {row.queued} waiting{others}"


def _speeds(row: Row) -> str:
    if not row.tokens_per_second:
        return "not measured yet"
    prompt = f", {row.prefill_per_second:.0f} of a prompt" if row.prefill_per_second else ""
    return f"{row.tokens_per_second:.0f} of one answer{prompt}"


def _models(row: Row) -> Iterable[tuple[str, ...]]:
    for model in row.models:
        state = (
            f"loading {model.fraction:.0%}" if model.fraction and model.state == "loading" else model.state
        )
        name = (
            model.name if model.backend_name in ("", model.name) else f"{model.name} ({model.backend_name})"
        )
        yield (name, state, _expiry(model), str(model.context_tokens or "–"), model.size or "–", _load(model))


def _expiry(model: Model) -> str:
    return f"in {brief(model.left)}" if model.left is not None else "–"


def _load(model: Model) -> str:
    return f"{model.expected_load:.1f} s" if model.expected_load else "–"


def of_decision(verdict: Verdict, cells: int) -> list[Line]:
    """A decision with its reasons, attempts and candidates."""
    title = f"{clock(verdict.at)}  {verdict.asked} -> {verdict.place or 'nowhere'}"
    answer = (
        f"first token {seconds(verdict.first)} s, total {seconds(verdict.total)} s, {verdict.tokens} tokens"
    )
    facts: tuple[tuple[str, str, Style], ...] = (
        ("outcome", verdict.outcome, verdict.tone),
        ("request", verdict.id, "plain"),
        ("key", verdict.caller, "plain"),
        ("intent", verdict.intent, "plain"),
        ("reason", ", ".join(filter(None, (verdict.why, verdict.strategy))), "plain"),
        ("why", verdict.explanation, "plain"),
        ("answer", answer if verdict.total is not None else "", "plain"),
    )
    lines: list[Line] = [(Span(cut(f"   {title}", cells), "bold"),)]
    for name, value, style in facts:
        lines += _fact(name, value, cells, style)
    for number, attempt in enumerate(verdict.tries, 1):
        lines += _fact(f"attempt {number}", attempt, cells)
    rows = [
        (c.place, f"{c.score:.3f}" if c.score is not None else "–", f"{seconds(c.total)} s", c.reasons)
        for c in verdict.choices
    ]
    return (
        [*lines, (), *_table(("CANDIDATE", "SCORE", "EXPECTED", "REASONS"), rows, cells)] if rows else lines
    )


def _fact(name: str, value: str, cells: int, style: Style = "plain") -> list[Line]:
    """A name and a value, which may take several lines; nothing where there is no value."""
    parts = textwrap.wrap(value, cells - LABEL - 4)
    return [
        (Span(f"   {fit(name if part is parts[0] else '', LABEL)}", "dim"), Span(part, style))
        for part in parts
    ]


def _table(header: Sequence[str], rows: Iterable[tuple[str, ...]], cells: int) -> list[Line]:
    rows = list(rows)
    wide = [max(width(row[c]) for row in (tuple(header), *rows)) for c in range(len(header))]
    wide[0] = min(wide[0], max(12, cells - 5 - sum(wide[1:-1]) - 2 * len(header) - min(wide[-1], 12)))
    lines = ["  ".join(fit(text, w) for text, w in zip(row, wide, strict=True)) for row in (header, *rows)]
    return [
        (Span(cut(f"   {line}".rstrip(), cells), "head" if not n else "plain"),)
        for n, line in enumerate(lines)
    ]
