"""The tables, as text and as JSON."""

import json
from dataclasses import asdict
from math import prod

from benchmarks.simulation.measures import BOUND, Figures, Outcome, calibration, figures
from benchmarks.simulation.rivals import ORACLE, OURS

Results = dict[tuple[str, str, str], Outcome]
"""By fleet, trace and policy."""

ALL = "all traces"
HEAD = f"{'policy':18}{'mean':>8}{'p50':>8}{'p95':>8}{'p99':>8}{'loads':>8}{'missed':>8}{'failed':>8}"


def with_all(results: Results) -> Results:
    """The results, and those of all traces of a fleet together: who runs it chooses once, and not for each kind of day."""
    whole = dict(results)
    for fleet in dict.fromkeys(fleet for fleet, _, _ in results):
        if len(_traces(results, fleet)) > 1:
            for policy in dict.fromkeys(policy for name, _, policy in results if name == fleet):
                played = (of for (f, _, p), of in results.items() if (f, p) == (fleet, policy))
                whole[fleet, ALL, policy] = sum(played, start=Outcome((), 0))
    return whole


def _traces(results: Results, fleet: str) -> list[str]:
    """Those that were played on it, the one of all left out."""
    return [*dict.fromkeys(trace for name, trace, _ in results if name == fleet and trace != ALL)]


def as_text(results: Results) -> str:
    """A table for each fleet and trace, and how ours compares."""
    lines = []
    for fleet, trace in dict.fromkeys(key[:2] for key in results):
        rows = _rows(results, fleet, trace)
        count = next(iter(rows.values())).requests
        lines += [f"\n{fleet}, {trace}: {count} requests; seconds; loads and missed deadlines per 100", HEAD]
        for policy, row in rows.items():
            seconds = "".join(f"{value:8.1f}" for value in (row.mean, row.p50, row.p95, row.p99))
            lines.append(f"{policy:18}{seconds}{row.loads:8.1f}{row.missed:8.1f}{row.failed:8}")
        if OURS in rows:
            lines.append(_verdict(results, fleet, trace))
    return "\n".join([*lines, "", *_summary(results)])


def as_json(results: Results) -> str:
    """The same, for programs."""
    rows = [
        {"fleet": fleet, "trace": trace, "policy": policy, **asdict(figures(outcome))}
        for (fleet, trace, policy), outcome in results.items()
    ]
    pairs = [_compared(results, *pair) for pair in dict.fromkeys(key[:2] for key in results)]
    return json.dumps({"rows": rows, "ours": pairs}, indent=1)


def _rows(results: Results, fleet: str, trace: str) -> dict[str, Figures]:
    return {
        policy: figures(outcome) for (f, t, policy), outcome in results.items() if (f, t) == (fleet, trace)
    }


def _compared(results: Results, fleet: str, trace: str) -> dict[str, object]:
    """Ours by the best rival's p95, and by the oracle's mean; and the calibration of its estimates."""
    rows = _rows(results, fleet, trace)
    if OURS not in rows:
        return {}
    rivals = {policy: row for policy, row in rows.items() if policy not in (OURS, ORACLE, BOUND)}
    best = min(rivals, key=lambda policy: (rivals[policy].p95, rivals[policy].mean)) if rivals else OURS
    known = calibration(results[fleet, trace, OURS])
    return {
        "fleet": fleet,
        "trace": trace,
        "best_rival": best,
        "p95_by_best_rival": rows[OURS].p95 / rows[best].p95,
        "trace_by_trace": _trace_by_trace(results, fleet, best) if trace == ALL else 0.0,
        "oracle_p95_by_best_rival": rows[ORACLE].p95 / rows[best].p95 if ORACLE in rows else 0.0,
        "bound_p95_by_best_rival": rows[BOUND].p95 / rows[best].p95 if BOUND in rows else 0.0,
        "mean_by_oracle": rows[OURS].mean / rows[ORACLE].mean if ORACLE in rows else 0.0,
        **asdict(known),
    }


def _trace_by_trace(results: Results, fleet: str, rival: str) -> float:
    """The geometric mean, over the traces, of our p95 by that of one rival."""
    tables = [_rows(results, fleet, trace) for trace in _traces(results, fleet)]
    ratios = [rows[OURS].p95 / rows[rival].p95 for rows in tables]
    return prod(ratios) ** (1.0 / len(ratios))


def _verdict(results: Results, fleet: str, trace: str) -> str:
    of = _compared(results, fleet, trace)
    each = f" ({of['trace_by_trace']:.2f} in the mean of the traces)" if trace == ALL else ""
    return (
        f"ours: p95 {of['p95_by_best_rival']:.2f} of {of['best_rival']}{each}, mean {of['mean_by_oracle']:.2f} of the oracle; "
        f"estimates: median error {of['error']:.0%}, median truth/estimate {of['bias']:.2f}, under the P90 {of['under']:.0%}"
    )


def _summary(results: Results) -> list[str]:
    pairs = dict.fromkeys(key[:2] for key in results)
    found = [of for pair in pairs if (of := _compared(results, *pair))]
    return [
        f"{of['fleet']:9}{of['trace']:12}p95 / best rival {of['p95_by_best_rival']:5.2f} "
        f"(oracle {of['oracle_p95_by_best_rival']:4.2f}, bound {of['bound_p95_by_best_rival']:4.2f}, {of['best_rival']})  "
        f"mean / oracle {of['mean_by_oracle']:5.2f}  error {of['error']:4.0%}  bias {of['bias']:4.2f}  under P90 {of['under']:4.0%}"
        for of in found
    ]
